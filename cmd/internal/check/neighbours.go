package check

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/config/website"
	"persona-sidecar/idp/route"
)

// neighbour returns the entry of forward_auth for a host or host:port.
func (c *Checker) neighbour(name string) *website.Neighbour {
	if c.Config == nil {
		return nil
	}
	for i := range c.Config.ForwardAuth {
		if entry := &c.Config.ForwardAuth[i]; name == entry.Name() || name == entry.Host {
			return entry
		}
	}
	return nil
}

// neighbourGroup looks, as a stranger does, at a website that another server serves and asks us about.
func (c *Checker) neighbourGroup(entry *website.Neighbour) report.Group {
	port := 443
	if _, text, given := strings.Cut(entry.Host, ":"); given {
		port, _ = strconv.Atoi(text) // the configuration is checked
	}
	s := c.site(entry.Name(), port)
	host := config.Host{Name: entry.Name(), SignIn: entry.Authority}
	return report.Group{Subject: entry.Host + " (served by another server)", Steps: append(s.reachSteps(),
		report.Step{Name: "way to sign in", Run: func(ctx context.Context) report.Finding { return s.checkWayIn(ctx, host) }},
		report.Step{Name: "asks", Run: func(ctx context.Context) report.Finding { return s.checkAsks(ctx, entry) }},
		report.Step{Name: "claims", Run: func(ctx context.Context) report.Finding { return s.checkClaims(ctx, entry) }},
		report.Step{Name: "question", Run: s.checkQuestion},
	)}
}

// closedPath is a path below the first rule that is not public; "": there is none.
func closedPath(entry *website.Neighbour) string {
	rules := entry.Rules()
	i := slices.IndexFunc(rules, func(r website.Rule) bool { return r.Allow != "public" })
	if i < 0 {
		return ""
	}
	path := (&url.URL{Path: rules[i].Path}).EscapedPath()
	if !rules[i].Exact {
		path = strings.TrimSuffix(path, "/") + "/persona-check"
	}
	return path
}

const howToAsk = "let it ask at " + route.PathForwardAuth + " about every request: see docs/forward-auth.md"

// checkAsks asks for a closed path. It need not be there: the answer comes before the website is asked.
func (s *site) checkAsks(ctx context.Context, entry *website.Neighbour) report.Finding {
	path := closedPath(entry)
	switch {
	case !s.secure:
		return report.Skip("no trusted TLS connection")
	case path == "":
		return report.Skip("every path is public")
	}
	at := s.origin() + path
	got, err := s.client.Get(ctx, at, http.Header{"Accept": {"text/html"}})
	if err != nil {
		return s.unreached(err, s.name)
	}
	location, _ := got.Location()
	led := location != nil && location.Path == route.PathLogin && location.Host == s.authority()
	switch {
	case led:
		return report.Pass("a stranger who asks for %s is led to sign in", at)
	case got.StatusCode == http.StatusForbidden:
		return report.Pass("a stranger who asks for %s gets 403", at)
	case got.StatusCode == http.StatusUnauthorized && strings.Contains(string(got.Body), route.PathLogin):
		return report.Pass("a stranger who asks for %s gets 401, with a way to sign in", at)
	case got.StatusCode == http.StatusUnauthorized:
		return report.Warn("send people who get 401 on to "+route.PathLogin+": see docs/forward-auth.md", "a stranger who asks for %s gets 401, and no way to sign in", at)
	case got.StatusCode >= http.StatusInternalServerError:
		return report.Fail("does it reach the program, and is its address in proxies? the log has lines about servers that ask and get no answer", "%s answers %d", at, got.StatusCode)
	}
	return report.Fail(howToAsk, "%s is closed, and a stranger gets %d: the server does not ask", at, got.StatusCode)
}

// checkClaims asks for a closed path as a client that describes itself, or another request.
func (s *site) checkClaims(ctx context.Context, entry *website.Neighbour) report.Finding {
	path := closedPath(entry)
	switch {
	case !s.secure:
		return report.Skip("no trusted TLS connection")
	case path == "":
		return report.Skip("every path is public")
	}
	open := "/" // of a request that would pass, where there is any
	for _, rule := range entry.Rules() {
		if rule.Allow == "public" {
			open = (&url.URL{Path: rule.Path}).EscapedPath()
			break
		}
	}
	plain, err := s.client.Get(ctx, s.origin()+path, http.Header{"Accept": {"text/html"}})
	if err != nil {
		return s.unreached(err, s.name)
	}
	var f report.Faults
	names := entry.IdentityHeaders.Names
	for _, claim := range []http.Header{
		{"X-Forwarded-Uri": {open}, "X-Forwarded-Method": {"GET"}},
		{"X-Original-Url": {s.origin() + open}, "X-Original-Method": {"GET"}},
		{"X-Original-Url": {open}, "X-Original-Method": {"GET"}, "X-Original-Host": {s.name}},
		{names.User: {"persona-check"}, names.Email: {"persona-check@" + s.name}, names.ID: {"persona-check"}},
	} {
		delete(claim, "")
		claim.Set("Accept", "text/html")
		got, err := s.client.Get(ctx, s.origin()+path, claim)
		if err != nil {
			return s.unreached(err, s.name)
		}
		claim.Del("Accept")
		if got.StatusCode < 300 || got.StatusCode == http.StatusNotFound && plain.StatusCode != http.StatusNotFound {
			var named []string
			for name := range claim {
				named = append(named, name)
			}
			slices.Sort(named)
			f.Fail("let the server in front take them away: see docs/forward-auth.md", "%s gives a stranger who sends %s the status %d", s.origin()+path, strings.Join(named, ", "), got.StatusCode)
		}
	}
	if names.User != "" {
		return f.Finding("they open nothing; whether the website gets a stranger's %s on a public path, and persona's cookies, cannot be seen from here: look at the server's configuration", names.User)
	}
	return f.Finding("they open nothing")
}

// checkQuestion asks the question that is the server's to ask.
func (s *site) checkQuestion(ctx context.Context) report.Finding {
	if !s.secure {
		return report.Skip("no trusted TLS connection")
	}
	at := s.origin() + route.PathForwardAuth
	got, err := s.client.Get(ctx, at, http.Header{"X-Forwarded-Uri": {"/"}, "X-Forwarded-Method": {"GET"}, "X-Forwarded-Proto": {"https"}})
	switch {
	case err != nil:
		return s.unreached(err, s.name)
	case got.StatusCode == http.StatusNotFound:
		return report.Pass("no client can ask it")
	}
	return report.Warn("answer clients that ask for "+route.PathForwardAuth+" with 404: a script on a page of the website could read the signed assertion there", "%s answers %d to a client", at, got.StatusCode)
}
