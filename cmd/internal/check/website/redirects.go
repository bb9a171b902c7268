package website

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"persona-sidecar/cmd/internal/check/page"
	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/visitor"
	"persona-sidecar/proxy/middleware"
)

// public returns the address by which visitors ask for a path.
func (w *Site) public(path string) *url.URL {
	origin := url.URL{Scheme: "https", Host: w.authority, Path: "/"}
	if at, err := origin.Parse(path); err == nil {
		return at
	}
	return &origin
}

// leads judges a redirect by which the website answers a visitor who asked for a path. It
// returns to which path of the same host it leads, or to which address elsewhere; "": the answer is no
// redirect, or the finding is a fault. The message of any other finding continues a trail.
func (w *Site) leads(got visitor.Answer, asked string) (to string, finding report.Finding) {
	said := got.Header.Get("Location")
	if got.StatusCode < 300 || got.StatusCode >= 400 || said == "" {
		return "", report.Finding{}
	}
	told, corrected := said, ""
	if w.rule != nil {
		if told = w.rule.Public(said, "https", w.authority); told != said {
			corrected = fmt.Sprintf(" (it says %s, which persona corrects)", said)
		}
	}
	target, err := w.public(asked).Parse(told)
	if err != nil {
		return told, report.Pass(" to %s", said)
	}
	port := cmp.Or(middleware.HostPort(target.Host), map[string]int{"http": 80, "https": 443}[target.Scheme])
	plain, home := target.Scheme == "http" && port == 80, target.Scheme == "https" && port == w.PublicHTTPS
	inner := port == middleware.HostPort(w.Host.Upstream.Host)
	const nowhere = "it redirects to %s, where visitors reach nothing"
	switch {
	case target.Host == w.Host.Upstream.Host && target.Hostname() != w.Host.Name:
		return "", report.Fail("tell the website its public name, https://"+w.authority, "it redirects to its inner address %s", said)
	case middleware.CanonicalHost(target.Host) != w.Host.Name || target.Scheme != "http" && target.Scheme != "https":
		return told, report.Pass(" to %s", said)
	case (plain || home) && target.RequestURI() == asked && strings.Contains(said, "//"):
		return "", report.Fail(w.schemeHint(got.Header.Get("X-Redirect-By")), "it redirects %s to %s: with persona in front, in circles", w.public(asked), said)
	case home:
		return target.RequestURI(), report.Pass(" → %s%s", target.RequestURI(), corrected)
	case plain && w.PlainHTTP:
		return "", report.Warn(w.redirectHint(got.Header), "it redirects to %s: visitors leave HTTPS, and are led back to it", said)
	case inner || plain:
		return "", report.Fail(w.redirectHint(got.Header), nowhere, said)
	}
	return "", report.Warn(w.redirectHint(got.Header), nowhere+", unless something else listens at port %d", said, port)
}

// redirectHint is how a website is kept from leading to a port of its own.
func (w *Site) redirectHint(header http.Header) string {
	hint := "let the website redirect to relative addresses, or tell it its public address https://" + w.authority
	server := strings.ToLower(header.Get("Server"))
	switch {
	case strings.Contains(server, "nginx"):
		hint = "write absolute_redirect off; into the server block of the website's nginx"
	case strings.Contains(server, "apache"):
		hint = "write ServerName https://" + w.authority + " and UseCanonicalName On into the website's section of Apache's configuration"
	}
	if w.rule == nil {
		hint += ", or write rewrite_redirects: true in the entry of the domain"
	}
	return hint
}

// mostDirectories bounds how many directories of a website are asked for.
const mostDirectories = 3

// checkDirectories asks for directories without the slash at their end, as people type them: web
// servers answer these with a redirect of their own making.
func (w *Site) checkDirectories(ctx context.Context) report.Finding {
	if w.home.Response == nil {
		return report.Skip("the website shows no page")
	}
	var asked, trails []string
	for _, directory := range w.directories() {
		got, err := w.get(ctx, directory, nil)
		if err != nil {
			return report.Skip("the website does not answer for %s: %v", directory, err)
		}
		to, finding := w.leads(got, directory)
		if finding.Status == report.Failed || finding.Status == report.Warning {
			finding.Message = directory + ": " + finding.Message
			return finding
		}
		asked = append(asked, directory)
		if to != "" {
			trails = append(trails, directory+finding.Message)
		}
	}
	switch {
	case len(asked) == 0:
		return report.Skip("its page names no directory to try")
	case len(trails) == 0:
		return report.Pass("none at %s", strings.Join(asked, ", "))
	}
	return report.Pass("%s", strings.Join(trails, ", "))
}

// directories returns directories that the page names: first those that it links, then those
// in which what it loads lies.
func (w *Site) directories() []string {
	var linked, loaded []string
	for _, r := range w.page.References {
		if middleware.CanonicalHost(r.URL.Host) != w.Host.Name {
			continue
		}
		at := r.URL.EscapedPath()
		switch {
		case r.Kind == page.Form: // which changes something
		case r.Kind != page.Link:
			loaded = append(loaded, path.Dir(at))
		case r.URL.RawQuery == "" && strings.HasSuffix(at, "/"):
			linked = append(linked, strings.TrimSuffix(at, "/"))
		}
	}
	var found []string
	for _, directory := range slices.Concat(linked, loaded) {
		ours := directory == "/persona" || strings.HasPrefix(directory, "/persona/") || strings.HasPrefix(directory, "/.well-known")
		if len(directory) > 1 && !ours && !slices.Contains(found, directory) && len(found) < mostDirectories {
			found = append(found, directory)
		}
	}
	return found
}
