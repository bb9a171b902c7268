package app

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/config/website"
	"persona-sidecar/idp/gate"
	"persona-sidecar/idp/gate/access"
	"persona-sidecar/idp/gate/assertion"
	"persona-sidecar/idp/identity"
	"persona-sidecar/proxy"
	"persona-sidecar/proxy/middleware"
)

// makeGate makes what tells websites who is signed in and keeps parts of them closed, for every
// host whose entry asks for it.
func (g *generation) makeGate() error {
	published := map[string]*identity.Host{}
	for i := range g.published {
		published[g.published[i].Name] = &g.published[i]
	}
	var sites []gate.Site
	for _, host := range g.hosts {
		if host.SignIn != "" {
			sites = append(sites, g.gateSite(host, published[host.SignIn]))
		}
	}
	var err error
	if g.gate, err = gate.New(gate.Config{
		Sites: sites, Respond: g.respond, Sessions: g.sessions, Sealer: sessionSealer{g.ring},
		Assertions: assertion.New(assertion.Config{Keys: g.ring, Now: g.now}),
		Path:       func(r *http.Request) string { return middleware.FromContext(r.Context()).Target.Path },
		Now:        g.now, Rand: g.rand, Log: g.log,
		Count: func(host, outcome string) { g.metrics.visits.WithLabelValues(host, outcome).Inc() },
	}); err != nil {
		return fmt.Errorf("setting up the gate: %w", err)
	}
	return nil
}

// gateSite translates a host whose website is told who is signed in.
func (g *generation) gateSite(host config.Host, authority *identity.Host) gate.Site {
	site := gate.Site{Host: host.Name, Origin: g.origin(host.Name), Authority: authority}
	for _, rule := range host.Entry.Access {
		to := access.Rule{Path: rule.Path, Exact: rule.Exact, Allow: access.Allow(rule.Allow), Groups: rule.Groups}
		if len(rule.Groups) > 0 {
			to.Allow = access.Members
		}
		site.Rules = append(site.Rules, to)
	}
	from := host.Entry.IdentityHeaders
	if !from.On {
		return site
	}
	names := from.Names
	site.Headers = &gate.Headers{
		User: names.User, Email: names.Email, Name: names.Name, Groups: names.Groups, ID: names.ID, Assertion: names.Assertion,
		UserIs: gate.UserIs(from.User), SendGroups: from.SendGroups, GroupSeparator: from.GroupSeparator,
		NameEncoding: gate.NameEncoding(from.NameEncoding),
		// One website answers for all hosts of the entry, and knows itself by one name.
		Audience: cmp.Or(from.Audience, g.origin(host.Entry.Name)),
	}
	for _, cookie := range from.SignOutCookies {
		site.SignOutCookies = append(site.SignOutCookies, gate.Cookie(cookie))
	}
	return site
}

// identityNames are the names of all fields by which any website is told who is signed in. No website
// gets them from a client: two entries may lead to one application.
func (g *generation) identityNames() []string {
	names := map[string]bool{}
	for _, d := range g.config.Domains {
		if of := d.IdentityHeaders; of.On {
			for _, name := range []string{of.Names.User, of.Names.Email, of.Names.Name, of.Names.Groups, of.Names.ID, of.Names.Assertion} {
				names[name] = true
			}
		}
	}
	delete(names, "")
	return slices.Sorted(maps.Keys(names))
}

// admit is the gate of a site: the host of the request says which rules hold.
func (g *generation) admit(w http.ResponseWriter, r *http.Request, secure bool) proxy.Passage {
	rec := middleware.FromContext(r.Context())
	admission := g.gate.Admit(w, r, rec.Host, secure)
	switch admission.Verdict {
	case gate.Answered:
		return proxy.Answered
	case gate.TooOpen:
		return proxy.TooOpen
	case gate.Admitted:
	}
	visit := &middleware.Visit{
		Hidden: admission.Hidden, SetCookies: admission.SetCookies, Private: admission.Private, Ended: admission.Ended,
	}
	if len(admission.Fields) > 0 {
		visit.Fields = make([]middleware.VisitField, len(admission.Fields))
		for i, field := range admission.Fields {
			visit.Fields[i] = middleware.VisitField(field)
		}
	}
	rec.Visit = visit
	return proxy.Admitted
}

// wantsGroups reports whether a website that is told of sign-ins at hosts of a directory is told
// the groups of people, or asks for members of a group.
func wantsGroups(hosts []config.Host, directory string) bool {
	return slices.ContainsFunc(hosts, func(site config.Host) bool {
		if !slices.ContainsFunc(hosts, func(h config.Host) bool { return h.Name == site.SignIn && h.Directory == directory }) {
			return false
		}
		names := site.Entry.IdentityHeaders.Names
		return site.Entry.IdentityHeaders.On && names.Groups+names.Assertion != "" ||
			slices.ContainsFunc(site.Entry.Access, func(r website.Rule) bool { return len(r.Groups) > 0 })
	})
}
