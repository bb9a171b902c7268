package check

import (
	"context"

	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/check/website"
	"persona-sidecar/cmd/internal/config"
)

// websiteOf names the website of a host, which may answer each domain in another way.
func websiteOf(host config.Host) string {
	if host.Upstream == nil {
		return ""
	}
	return host.Domain + " " + host.Upstream.String()
}

// websites checks each website once, for the first host that leads to it.
func (c *Checker) websites(hosts []config.Host) []report.Group {
	var groups []report.Group
	seen := map[string]bool{}
	for _, host := range hosts {
		if host.Upstream == nil || seen[websiteOf(host)] {
			continue
		}
		seen[websiteOf(host)] = true
		w := website.New(website.Config{
			Host: host, Hosts: c.hosts, PublicHTTPS: c.publicPort(), PlainHTTP: c.Config.Listen.HTTP != "",
			UserAgent: agent, Now: c.Now, Dial: c.Dial, Observe: c.clock.Note,
		})
		upstream := host.Upstream.String()
		answers := report.Step{Name: "answers", Run: func(ctx context.Context) report.Finding {
			if c.down[upstream] != nil {
				c.failing[websiteOf(host)] = true
				return report.Skip("it does not answer, as found above")
			}
			finding, down := w.CheckHome(ctx)
			if down != nil {
				c.down[upstream] = down
			}
			c.failing[websiteOf(host)] = finding.Status == report.Failed
			return finding
		}}
		groups = append(groups, report.Group{Subject: "website " + upstream + " of " + host.Name, Steps: append([]report.Step{answers}, w.Steps()...)})
	}
	return groups
}
