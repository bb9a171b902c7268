package gate

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"
	"persona-sidecar/idp/signin"
)

// Routes returns the ways in and out of a host whose website is told who is signed in, and at an identity host what its
// websites need there.
func (g *Gate) Routes(h *identity.Host) ([]route.Route, error) {
	var routes []route.Route
	crossing := func(path string, handle route.Handler) route.Route {
		return route.Route{Path: path, Class: route.Crossing, Methods: route.Get(handle)}
	}
	site := g.sites[h.Name]
	if site != nil {
		routes = append(routes, crossing(route.PathLogin, func(w http.ResponseWriter, r *http.Request) error { return g.login(w, r, site) }))
	}
	switch {
	case site == nil || site.Authority.Name == h.Name:
	case h.Role == identity.Provider:
		return nil, fmt.Errorf("the website of the identity host %s goes by the sign-ins of %s", h.Name, site.Authority.Name)
	default:
		out := crossing(route.PathLogout, func(w http.ResponseWriter, r *http.Request) error { return g.askLogout(w, r, h, site) })
		out.Methods[http.MethodPost] = func(w http.ResponseWriter, r *http.Request) error { return g.logout(w, r, h, site) }
		routes = append(routes, out, crossing(route.PathHandover, func(w http.ResponseWriter, r *http.Request) error { return g.takeOver(w, r, site) }))
	}
	if h.Role == identity.Provider && len(h.Sites) > 0 {
		routes = append(routes, crossing(route.PathHandover, func(w http.ResponseWriter, r *http.Request) error { return g.handOver(w, r, h) }))
	}
	if h.Role == identity.Provider && (site != nil || len(h.Sites) > 0) {
		routes = append(routes, g.Assertions.Routes(h)...)
	}
	asked := func(s *Site) bool { return s.Peers != nil && (s.Host == h.Name || s.Authority.Name == h.Name) }
	if slices.ContainsFunc(slices.Collect(maps.Values(g.sites)), asked) {
		routes = append(routes, route.Route{Path: route.PathForwardAuth, Class: route.ForwardAuth, Methods: route.Any(
			func(w http.ResponseWriter, r *http.Request) error { return g.forwardAuth(w, r, h) })})
	}
	return routes, nil
}

// place is where requests to a site may be signed in.
func (s *Site) place() session.Place { return session.Place{Authority: s.Authority, Site: s.Host} }

// begin checks a request to a page of the way between a website and its identity host, and reads its parameters, of
// which there are no others: one more is a part of a return path that was not escaped.
func begin(w http.ResponseWriter, r *http.Request, names ...string) (map[string]string, error) {
	if r.Method == http.MethodHead { // of a program that looks where a link leads: a code must not be used up by that
		w.Header().Set("Allow", http.MethodGet)
		return nil, &route.Error{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Args: map[string]string{"method": r.Method}}
	}
	if err := route.Navigation(r); err != nil {
		return nil, err
	}
	query, err := route.Query(r, names...)
	if err != nil {
		return nil, err
	}
	for name := range r.URL.Query() {
		if !slices.Contains(names, name) {
			return nil, &route.Error{Status: http.StatusBadRequest, Code: "unknown_parameter", Args: map[string]string{"known": strings.Join(names, ", ")}, Link: "/"}
		}
	}
	return query, nil
}

// see sends the browser on. The address is taken as it is: http.Redirect would clean a path.
func see(w http.ResponseWriter, address string) {
	w.Header().Set("Location", address)
	w.WriteHeader(http.StatusSeeOther)
}

// login sends a person who is signed in straight to the page that is asked for. Else it begins a sign-in: at the identity
// host itself by its sign-in page; at a website's host what is to be remembered goes into a cookie, and the browser to the
// identity host.
func (g *Gate) login(w http.ResponseWriter, r *http.Request, site *Site) error {
	query, err := begin(w, r, "return")
	if err != nil {
		return err
	}
	back := "/"
	if text, ok := query["return"]; ok {
		if back, err = route.ReturnPath(text); err != nil {
			return err
		}
	}
	visit, err := g.visit(w, r, site)
	if err != nil {
		return err
	}
	switch {
	case visit.Subject != nil:
		see(w, back)
		return nil
	case site.Host == site.Authority.Name:
		see(w, signin.ForReturn(back))
		return nil
	}
	logins, err := g.openLogins(r, site)
	if err != nil {
		return err
	}
	begun := login{until: g.Now().Add(loginLifetime), back: back}
	if _, err := io.ReadFull(g.Rand, begun.secret[:]); err != nil {
		return fmt.Errorf("beginning a sign-in: %w", err)
	}
	if err := g.writeLogins(w, site, append(logins, begun)); err != nil {
		return err
	}
	see(w, site.handoverAt(&begun))
	return nil
}

// handoverAt is where the identity host hands over to a sign-in that was begun.
func (s *Site) handoverAt(begun *login) string {
	return s.Authority.Origin + route.PathHandover + "?" + url.Values{"host": {s.Host}, "challenge": {begun.challenge()}}.Encode()
}

// visit returns what a request to a path of ours at a site says of the person, with the cookies that this means.
func (g *Gate) visit(w http.ResponseWriter, r *http.Request, site *Site) (session.Visit, error) {
	visit, err := g.Sessions.Visit(r, site.place())
	if visit.SetCookie != "" {
		w.Header().Add("Set-Cookie", visit.SetCookie)
	}
	if visit.Lost { // which is not known any more at the next request
		site.expireCookies(w)
	}
	return visit, err
}

// handOver is at the identity host: it gives the website of a site a code for the session, or leads to the sign-in page.
func (g *Gate) handOver(w http.ResponseWriter, r *http.Request, h *identity.Host) error {
	query, err := begin(w, r, "host", "challenge")
	if err != nil {
		return err
	}
	site, challenge := query["host"], query["challenge"]
	if err := signin.CheckSite(h, site, challenge); err != nil {
		return err
	}
	code, err := g.Sessions.HandOver(w, r, h, site, challenge)
	if errors.Is(err, identity.ErrUnavailable) {
		return &route.Error{Cause: err, Link: signin.ForSite(site, challenge)}
	}
	if errors.Is(err, session.ErrTooMany) {
		return &route.Error{Status: http.StatusTooManyRequests, Code: "too_many_handovers", RetryAfter: time.Minute, Link: signin.ForSite(site, challenge)}
	}
	if err != nil {
		return err
	}
	if code == "" {
		see(w, signin.ForSite(site, challenge))
		return nil
	}
	// The challenge says which of the sign-ins that were begun there this is.
	see(w, h.Sites[site]+route.PathHandover+"?"+url.Values{"code": {code}, "challenge": {challenge}}.Encode())
	return nil
}

// takeOver is at the website's host: it turns a code into a session there, in the browser that began the sign-in alone.
func (g *Gate) takeOver(w http.ResponseWriter, r *http.Request, site *Site) error {
	query, err := begin(w, r, "code", "challenge")
	if err != nil {
		return err
	}
	visit, err := g.visit(w, r, site)
	if err != nil {
		return err
	}
	logins, err := g.openLogins(r, site)
	if err != nil {
		return err
	}
	back := "/"
	at := slices.IndexFunc(logins, func(l login) bool { return l.challenge() == query["challenge"] })
	switch {
	case at >= 0:
		back = logins[at].back
		ok, err := g.Sessions.TakeOver(w, r, site.place(), query["code"], query["challenge"])
		if err != nil {
			return err
		}
		if err := g.writeLogins(w, site, slices.Delete(logins, at, at+1)); err != nil {
			return err
		}
		if ok {
			see(w, back)
			return nil
		}
	case r.Header.Get("Sec-Fetch-Dest") != "":
		// A page of a browser in which this sign-in was not begun: who has begun it may read the code from the address, as a script
		// of the website can. Programs that look where a link leads send no such field, and do not use it up.
		if err := g.Sessions.Discard(r.Context(), query["code"]); err != nil {
			return err
		}
	}
	switch {
	case visit.Subject != nil: // another tab was first, or the page was loaded again
		see(w, back)
		return nil
	case at < 0 && len(logins) > 0:
		// Tabs that begin at the same time, as when a browser restores them, overwrite one another's cookie. The sign-in of
		// this browser that is left is completed instead: by its own challenge, so with the sign-in of who sits here.
		see(w, site.handoverAt(&logins[len(logins)-1]))
		return nil
	}
	return &route.Error{Status: http.StatusBadRequest, Code: "not_completed", Link: withReturn(route.PathLogin, back)}
}
