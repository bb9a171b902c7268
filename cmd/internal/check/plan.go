package check

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"persona-sidecar/cmd/internal/check/document"
	"persona-sidecar/cmd/internal/check/network"
	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/idp/browserid"
)

// Everything plans all steps for the own configuration.
func (c *Checker) Everything() []report.Group {
	groups := c.Offline()
	if c.usesACME() {
		groups = append(groups, c.acmeGroup())
	}
	var directories []string
	for _, host := range c.hosts {
		if host.Role == config.RoleIdentity && !slices.Contains(directories, host.Directory) {
			directories = append(directories, host.Directory)
			groups = append(groups, c.Directories(host.Directory)...)
		}
	}
	groups = append(groups, c.websites(c.hosts)...)
	for _, host := range c.hosts {
		groups = append(groups, c.hostGroup(host))
	}
	if c.Config != nil {
		for i := range c.Config.ForwardAuth {
			groups = append(groups, c.neighbourGroup(&c.Config.ForwardAuth[i]))
		}
	}
	for _, host := range c.hosts {
		for _, domain := range host.MailDomains {
			if _, served := c.ours(domain); !served {
				groups = append(groups, c.certifiedGroup(domain, host))
			}
		}
	}
	return append(groups, c.clockGroup())
}

// Offline plans the steps that need neither the network nor the directory.
func (c *Checker) Offline() []report.Group {
	return []report.Group{{Subject: "configuration", Steps: slices.Concat(c.configurationSteps(), c.stateSteps())}}
}

// Domain plans the steps for one domain, host or host:port: for a host of ours as
// the configuration says, for any other what an outsider sees.
func (c *Checker) Domain(name string) []report.Group {
	if host, ours := c.ours(name); ours {
		groups := []report.Group{{Subject: "configuration", Steps: c.stateSteps()}}
		if c.usesACME() {
			groups = append(groups, c.acmeGroup())
		}
		if host.Role == config.RoleIdentity {
			groups = append(groups, c.Directories(host.Directory)...)
		}
		groups = append(groups, c.websites([]config.Host{host})...)
		return append(groups, c.hostGroup(host), c.clockGroup())
	}
	for _, host := range c.hosts {
		if slices.Contains(host.MailDomains, name) {
			return []report.Group{c.certifiedGroup(name, host), c.clockGroup()}
		}
	}
	if entry := c.neighbour(name); entry != nil {
		return []report.Group{c.neighbourGroup(entry), c.clockGroup()}
	}
	// A foreign domain.
	host, port := network.HostOf(name), 443
	if _, text, given := strings.Cut(name, ":"); given {
		if number, err := strconv.Atoi(text); err == nil {
			port = number
		}
	}
	c.dialer.Names[host] = true // -resolve counts for what was asked for
	s := c.site(host, port)
	return []report.Group{{Subject: name, Steps: slices.Concat(
		s.reachSteps(), s.documentSteps(host), s.pageSteps(nil))}, c.clockGroup()}
}

// certifiedGroup checks a mail domain that is served elsewhere and whose
// addresses a host of ours signs.
func (c *Checker) certifiedGroup(domain string, signer config.Host) report.Group {
	s := c.site(domain, 443)
	s.signer = signer.Name
	leadsHere := func(context.Context) report.Finding {
		if s.provider == "" {
			return report.Skip("it has no authority")
		}
		if network.HostOf(s.provider) != signer.Name {
			return report.Fail("publish {\"authority\":\""+signer.Name+"\"} at "+document.Place(domain)+", or remove the domain from certifies",
				"%s is the authority, so certificates of %s for @%s are refused", s.provider, signer.Name, domain)
		}
		return report.Pass("%s signs for it", signer.Name)
	}
	return report.Group{Subject: domain + " (certified by " + signer.Name + ")", Steps: slices.Concat(
		s.reachSteps(), s.documentSteps(domain), []report.Step{{Name: "leads here", Run: leadsHere}})}
}

// hostGroup checks one of our hosts.
func (c *Checker) hostGroup(host config.Host) report.Group {
	s := c.site(host.Name, c.publicPort())
	steps := s.reachSteps()
	if c.usesACME() {
		steps = slices.Insert(steps, 1, report.Step{Name: "CAA", Run: s.checkCAA})
	}
	if c.Config.Listen.HTTP != "" {
		steps = append(steps, report.Step{Name: "plain HTTP", Run: s.checkRedirect})
	}
	if host.Role == config.RolePlain {
		steps = append(steps, report.Step{Name: "website", Run: s.checkFrontDoor})
		return report.Group{Subject: host.Name, Steps: append(steps, s.gateSteps(host)...)}
	}
	steps = append(steps, s.documentSteps(host.Name)...)
	steps = append(steps, report.Step{Name: "role", Run: func(context.Context) report.Finding {
		if s.published == nil || s.published.Document == nil {
			return report.Skip("there is no document that can be read")
		}
		return document.Role(s.published, host)
	}})
	if host.Role == config.RoleIdentity {
		steps = append(steps, report.Step{Name: "published key", Run: s.checkPublishedKey})
		// These origins must be able to frame the provisioning page.
		hubs := []string{s.origin()}
		for _, hub := range host.Hubs {
			scheme, rest, _ := strings.Cut(hub, "://")
			name, _, _ := strings.Cut(rest, "/")
			if origin, err := browserid.ParseAudience(scheme + "://" + name); err == nil {
				hubs = append(hubs, origin)
			}
		}
		steps = append(steps, s.pageSteps(hubs)...)
	}
	if host.Upstream != nil {
		steps = append(steps, report.Step{Name: "website", Run: s.checkFrontDoor})
	}
	steps = append(steps, s.gateSteps(host)...)
	return report.Group{Subject: host.Name, Steps: steps}
}

func (c *Checker) clockGroup() report.Group {
	return report.Group{Subject: "time", Steps: []report.Step{{Name: "clock", Run: func(context.Context) report.Finding { return c.clock.Check() }}}}
}
