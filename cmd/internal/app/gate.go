package app

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"

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
			site := g.gateSite(host.Entry.IdentityHeaders, host.Entry.Access, g.origin(host.Entry.Name)) // one website answers for all hosts of the entry, and knows itself by one name
			site.Host, site.Origin, site.Authority = host.Name, g.origin(host.Name), published[host.SignIn]
			sites = append(sites, site)
		}
	}
	for i := range g.config.ForwardAuth {
		entry := &g.config.ForwardAuth[i]
		site := g.gateSite(entry.IdentityHeaders, entry.Rules(), "https://"+entry.Host)
		site.Host, site.Origin, site.Authority, site.Peers = entry.Name(), "https://"+entry.Host, published[entry.Authority], entry.Proxies
		sites = append(sites, site)
	}
	var err error
	if g.gate, err = gate.New(gate.Config{
		Sites: sites, Respond: g.respond, Sessions: g.sessions, Sealer: sessionSealer{g.ring},
		Assertions: assertion.New(assertion.Config{Keys: g.ring, Now: g.now}),
		Path:       func(r *http.Request) string { return middleware.FromContext(r.Context()).Target.Path },
		Peer:       func(r *http.Request) netip.Addr { return middleware.PeerAddr(r.RemoteAddr) }, CanonicalHost: middleware.CanonicalHost,
		Now: g.now, Rand: g.rand, Log: g.log,
		Count: func(host, outcome string) { g.metrics.visits.WithLabelValues(host, outcome).Inc() },
	}); err != nil {
		return fmt.Errorf("setting up the gate: %w", err)
	}
	return nil
}

// gateSite translates what a website is told of who is signed in, and which parts of it are closed to others. audience is
// that of the assertion where the configuration names none.
func (g *generation) gateSite(from website.Headers, rules []website.Rule, audience string) gate.Site {
	var site gate.Site
	for _, rule := range rules {
		to := access.Rule{Path: rule.Path, Exact: rule.Exact, Allow: access.Allow(rule.Allow), Groups: rule.Groups}
		if len(rule.Groups) > 0 {
			to.Allow = access.Members
		}
		site.Rules = append(site.Rules, to)
	}
	if !from.On {
		return site
	}
	names := from.Names
	site.Headers = &gate.Headers{
		User: names.User, Email: names.Email, Name: names.Name, Groups: names.Groups, ID: names.ID, Assertion: names.Assertion,
		UserIs: gate.UserIs(from.User), SendGroups: from.SendGroups, GroupSeparator: from.GroupSeparator,
		NameEncoding: gate.NameEncoding(from.NameEncoding), Audience: cmp.Or(from.Audience, audience),
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
	told := make([]website.Headers, 0, len(g.config.Domains)+len(g.config.ForwardAuth))
	for _, d := range g.config.Domains {
		told = append(told, d.IdentityHeaders)
	}
	for _, n := range g.config.ForwardAuth {
		told = append(told, n.IdentityHeaders)
	}
	for _, of := range told {
		if of.On {
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
