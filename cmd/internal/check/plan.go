package check

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/idp/browserid"
)

// Everything plans all that can be looked at for the own configuration.
func (e *Examiner) Everything() []Group {
	groups := []Group{{Subject: "configuration", Steps: slices.Concat(e.configurationSteps(), e.stateSteps())}}
	if e.usesACME() {
		groups = append(groups, e.acmeGroup())
	}
	for _, name := range e.directoriesInUse() {
		groups = append(groups, e.directoryGroup(name))
	}
	groups = append(groups, e.websites(e.hosts)...)
	for _, host := range e.hosts {
		groups = append(groups, e.hostGroup(host))
	}
	for _, host := range e.hosts {
		for _, domain := range host.MailDomains {
			if _, served := e.ours(domain); !served {
				groups = append(groups, e.certifiedGroup(domain, host))
			}
		}
	}
	return append(groups, e.clockGroup())
}

// Domain plans what is looked at for one domain, host or host:port: for a host
// of ours as the configuration says, for any other what an outsider sees.
func (e *Examiner) Domain(name string) []Group {
	if host, ours := e.ours(name); ours {
		groups := []Group{{Subject: "configuration", Steps: e.stateSteps()}}
		if e.usesACME() {
			groups = append(groups, e.acmeGroup())
		}
		if host.Role == config.RoleIdentity {
			groups = append(groups, e.directoryGroup(host.Directory))
		}
		groups = append(groups, e.websites([]config.Host{host})...)
		return append(groups, e.hostGroup(host), e.clockGroup())
	}
	for _, host := range e.hosts {
		if slices.Contains(host.MailDomains, name) {
			return []Group{e.certifiedGroup(name, host), e.clockGroup()}
		}
	}
	return []Group{e.foreignGroup(name), e.clockGroup()}
}

// foreignGroup looks at somebody else's domain.
func (e *Examiner) foreignGroup(authority string) Group {
	host, port := hostOf(authority), 443
	if _, text, given := strings.Cut(authority, ":"); given {
		if number, err := strconv.Atoi(text); err == nil {
			port = number
		}
	}
	e.web.named[host] = true // -resolve counts for what was asked for
	s := e.site(host, port)
	return Group{Subject: authority, Steps: slices.Concat(
		s.reachSteps(), s.documentSteps(host), s.pageSteps(nil))}
}

// certifiedGroup looks at a mail domain that is served elsewhere and whose
// addresses a host of ours signs.
func (e *Examiner) certifiedGroup(domain string, signer config.Host) Group {
	s := e.site(domain, 443)
	leadsHere := func(context.Context) Finding {
		if s.provider == "" {
			return skipped("it has no authority")
		}
		if hostOf(s.provider) != signer.Name {
			return failed("publish {\"authority\":\""+signer.Name+"\"} at "+documentURL(domain, domain)+", or remove the domain from certifies",
				"%s is the authority, so certificates of %s for @%s are refused", s.provider, signer.Name, domain)
		}
		return passed("%s signs for it", signer.Name)
	}
	return Group{Subject: domain + " (certified by " + signer.Name + ")", Steps: slices.Concat(
		s.reachSteps(), s.documentSteps(domain), []Step{{Name: "leads here", Look: leadsHere}})}
}

// hostGroup looks at one of our hosts.
func (e *Examiner) hostGroup(host config.Host) Group {
	s := e.site(host.Name, e.publicPort())
	steps := s.reachSteps()
	if e.usesACME() {
		steps = slices.Insert(steps, 1, Step{Name: "CAA", Look: s.lookAtCAA})
	}
	if e.Config.Listen.HTTP != "" {
		steps = append(steps, Step{Name: "plain HTTP", Look: s.lookAtRedirect})
	}
	if host.Role == config.RolePlain {
		return Group{Subject: host.Name, Steps: append(steps, Step{Name: "website", Look: s.lookAtFrontDoor})}
	}
	steps = append(steps, s.documentSteps(host.Name)...)
	steps = append(steps, Step{Name: "role", Look: s.expectRole(host)})
	if host.Role == config.RoleIdentity {
		steps = append(steps, Step{Name: "published key", Look: s.lookAtPublishedKey})
		steps = append(steps, s.pageSteps(e.hubsOf(host))...)
	}
	if host.Upstream != nil {
		steps = append(steps, Step{Name: "website", Look: s.lookAtFrontDoor})
	}
	return Group{Subject: host.Name, Steps: steps}
}

// hubsOf returns the origins that must be able to frame a host's provisioning
// page.
func (e *Examiner) hubsOf(host config.Host) []string {
	hubs := []string{e.site(host.Name, e.publicPort()).origin()}
	for _, hub := range host.Hubs {
		if origin, err := browserid.ParseAudience(originOf(hub)); err == nil {
			hubs = append(hubs, origin)
		}
	}
	return hubs
}

// originOf cuts the path off a URL.
func originOf(base string) string {
	scheme, rest, _ := strings.Cut(base, "://")
	host, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + host
}

// websites looks at each website once, for the first host that leads to it.
func (e *Examiner) websites(hosts []config.Host) []Group {
	var groups []Group
	seen := map[string]bool{}
	for _, host := range hosts {
		if host.Upstream == nil || seen[host.Domain+" "+host.Upstream.String()] {
			continue
		}
		seen[host.Domain+" "+host.Upstream.String()] = true
		groups = append(groups, e.websiteGroup(host))
	}
	return groups
}

func (e *Examiner) clockGroup() Group {
	return Group{Subject: "time", Steps: []Step{{Name: "clock", Look: e.lookAtClock}}}
}
