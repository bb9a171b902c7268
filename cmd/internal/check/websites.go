package check

import (
	"context"

	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/check/website"
	"persona-sidecar/cmd/internal/config"
)

// nameOf names the website of a host, which may answer each domain in another way.
func nameOf(host config.Host) string {
	if host.Upstream == nil {
		return ""
	}
	return host.Domain + " " + host.Upstream.String()
}

// websiteOf is the website of a host that has an upstream.
func (c *Checker) websiteOf(host config.Host) *website.Site {
	return website.New(website.Config{
		Host: host, Hosts: c.hosts, PublicHTTPS: c.publicPort(), PlainHTTP: c.Config.Listen.HTTP != "",
		UserAgent: agent, Now: c.Now, Dial: c.Dial, Observe: c.clock.Note,
	})
}

// websites checks each website once, for the first host that leads to it.
func (c *Checker) websites(hosts []config.Host) []report.Group {
	var groups []report.Group
	seen := map[string]bool{}
	for _, host := range hosts {
		if host.Upstream == nil || seen[nameOf(host)] {
			continue
		}
		seen[nameOf(host)] = true
		w := c.websiteOf(host)
		upstream := host.Upstream.String()
		answers := report.Step{Name: "answers", Run: func(ctx context.Context) report.Finding {
			if c.down[upstream] != nil {
				c.failing[nameOf(host)] = true
				return report.Skip("it does not answer, as found above")
			}
			finding, down := w.CheckHome(ctx)
			if down != nil {
				c.down[upstream] = down
			}
			c.failing[nameOf(host)] = finding.Status == report.Failed
			return finding
		}}
		groups = append(groups, report.Group{Subject: "website " + upstream + " of " + host.Name, Steps: append([]report.Step{answers}, w.Steps()...)})
	}
	return groups
}
