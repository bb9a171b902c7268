package check

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"persona-sidecar/cmd/internal/config"
)

// website is an upstream, looked at as the program reaches it: directly.
type website struct {
	*Examiner
	host config.Host
	home answer // nil Response: it does not answer
}

// websiteGroup looks at a website for the first host that leads to it.
func (e *Examiner) websiteGroup(host config.Host) Group {
	w := &website{Examiner: e, host: host}
	steps := []Step{{Name: "answers", Look: w.lookAtHome}}
	if host.Role != config.RolePlain {
		steps = append(steps, Step{Name: "paths", Look: w.lookAtPaths})
	}
	steps = append(steps, Step{Name: "popups", Look: w.lookAtPopups})
	if host.Role == config.RoleIdentity {
		steps = append(steps, Step{Name: "service worker", Look: w.lookAtWorkers}, Step{Name: "layout", Look: w.lookAtLayout})
	}
	return Group{Subject: "website " + host.Upstream.String() + " of " + host.Name, Steps: steps}
}

// get asks the website for a path as the program does for a visitor.
func (w *website) get(ctx context.Context, path string, more http.Header) (answer, error) {
	header := http.Header{
		"Host":              {w.host.Name},
		"X-Forwarded-Proto": {"https"},
		"X-Forwarded-Host":  {w.host.Name},
		"Accept":            {"text/html,*/*"},
	}
	for name, values := range more {
		header[name] = values
	}
	return w.web.ask(ctx, w.web.direct(), http.MethodGet, w.host.Upstream.String()+path, header, nil)
}

// lookAtHome follows the website's own redirects on the same host, as websites
// lead to their language.
func (w *website) lookAtHome(ctx context.Context) Finding {
	path, trail := "/", ""
	for range 5 {
		got, err := w.get(ctx, path, nil)
		if err != nil {
			finding := unreached(err, w.host.Upstream.Hostname())
			finding.Cure = "is the website running, and is upstream right? Visitors see an error page (" + finding.Cure + ")"
			return finding
		}
		next, leads := w.sameHost(got)
		switch {
		case leads:
			path, trail = next, trail+" → "+next
			continue
		case got.StatusCode >= 500:
			return failed("look at the website's own log", "it answers %d: %s", got.StatusCode, brief(got.body))
		case got.StatusCode >= 300 && got.StatusCode < 400:
			return w.judgeRedirect(got)
		}
		w.home = got
		return passed("%d%s", got.StatusCode, trail)
	}
	return failed("tell the website that it is behind a proxy and its name is https://"+w.host.Name, "it redirects without end: /%s", trail)
}

// sameHost returns the path of a redirect that stays on the host.
func (w *website) sameHost(got answer) (path string, leads bool) {
	location := got.Header.Get("Location")
	if got.StatusCode < 300 || got.StatusCode >= 400 || location == "" {
		return "", false
	}
	target, err := (&url.URL{Scheme: "https", Host: w.host.Name, Path: got.Request.URL.Path}).Parse(location)
	if err != nil || target.Scheme != "https" || target.Host != w.host.Name {
		return "", false
	}
	return target.RequestURI(), true
}

func (w *website) judgeRedirect(got answer) Finding {
	location := got.Header.Get("Location")
	target, err := url.Parse(location)
	switch {
	case err == nil && target.Scheme == "http" && target.Hostname() == w.host.Name:
		return failed("tell the website that it is behind a proxy that ends TLS (it must trust X-Forwarded-Proto)", "it redirects to %s: with persona in front, in circles", location)
	case err == nil && target.Host == w.host.Upstream.Host && target.Host != w.host.Name:
		return failed("tell the website its public name, https://"+w.host.Name, "it redirects to its inner address %s", location)
	}
	return passed("%d to %s", got.StatusCode, location)
}

// lookAtPaths sees whether the website uses paths that it does not get any more.
func (w *website) lookAtPaths(ctx context.Context) Finding {
	if w.home.Response == nil {
		return skipped("the website shows no page")
	}
	paths := []string{"/.well-known/browserid"}
	if w.host.Role == config.RoleIdentity {
		paths = append(paths, "/persona", "/persona/")
	}
	nothing, err := w.get(ctx, "/persona-check-finds-nothing-here", nil)
	if err != nil || nothing.StatusCode < 400 {
		return skipped("it shows a page for every path, so nobody can tell")
	}
	var f faults
	for _, path := range paths {
		got, err := w.get(ctx, path, nil)
		if err == nil && got.StatusCode != nothing.StatusCode && got.StatusCode < 500 {
			f.warn("move what the website has there: persona answers that path now. Or give identity a host of its own (authority: "+w.proposal()+")", "the website answers %s itself (%d)", path, got.StatusCode)
		}
	}
	return f.finding("the website has nothing at %s", strings.Join(paths, ", "))
}

// lookAtPopups: pages of this website that open the dialog must not be cut from
// it.
func (w *website) lookAtPopups(context.Context) Finding {
	if w.home.Response == nil {
		return skipped("the website shows no page")
	}
	if policy, cuts := cutsPopups(w.home.Header, true); cuts {
		return warned("send same-origin-allow-popups, or none, with the pages that offer to sign in", "its pages have Cross-Origin-Opener-Policy: %s, which cuts them from every popup", policy)
	}
	return passed("no Cross-Origin-Opener-Policy that cuts them")
}

func (w *website) lookAtLayout(context.Context) Finding {
	return warned("give identity a host of its own by one line: authority: "+w.proposal(),
		"website and sign-in share the origin https://%s: a script injected into the website could read passwords typed there", w.host.Name)
}

func (w *website) proposal() string { return "id." + strings.TrimPrefix(w.host.Name, "www.") }
