package upstream

import (
	"net/http"
	"strconv"
	"strings"

	"persona-sidecar/proxy/middleware"
)

// redirects corrects addresses to which the website sends its visitors and at which
// only the website itself listens: many web servers make them of the Host and of their own
// scheme and port. Of the fields that hold addresses browsers follow two. Refresh is left
// alone, as web servers do not make it: applications do, and those write the same address
// into their pages. Content-Location only says what an answer is about.
type redirects struct {
	inner       int // port at which the website listens; 0: at none
	publicHTTPS int // port at which clients reach us by HTTPS
}

// redirectsOf returns what corrects the redirects of a website, nil when the
// configuration does not want that.
func redirectsOf(cfg Config) *redirects {
	if !cfg.RewriteRedirects {
		return nil
	}
	own := &redirects{inner: portOf(cfg.URL.Scheme, middleware.HostPort(cfg.URL.Host)), publicHTTPS: portOf("https", cfg.PublicHTTPS)}
	if cfg.URL.Scheme == "unix" {
		own.inner = 0
	}
	return own
}

// correct changes the Location of an answer that leads to the host that was asked.
func (own *redirects) correct(r *http.Request, a *reply) {
	if own == nil || a.status != http.StatusCreated && (a.status < 300 || a.status > 399) {
		return
	}
	rec := middleware.FromContext(r.Context())
	for i := range a.fields {
		if f := &a.fields[i]; f.Is("Location") {
			f.Value = own.public(f.Value, rec, r.Host)
		}
	}
}

// public returns a Location with the scheme and port at which the client reaches us,
// when it leads to the host of the request, at a port of the website, of ours, or of
// HTTP or HTTPS by default. Any other is returned as it came, one that browsers might
// read in another way than RFC 3986 included.
func (own *redirects) public(location string, rec *middleware.Record, host string) string {
	scheme, rest, absolute := strings.Cut(location, "://")
	if !absolute || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		scheme = rec.Scheme
		if rest, absolute = strings.CutPrefix(location, "//"); !absolute {
			return location
		}
	}
	scheme = strings.ToLower(scheme)
	authority, behind := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, behind = rest[:i], rest[i:]
	}
	name := authority
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && !strings.HasSuffix(authority, "]") {
		name = authority[:i]
	}
	bare := strings.Contains(name, ":") && !strings.HasPrefix(name, "[") // an IPv6 address without brackets
	if bare || rec.Host == "" || middleware.CanonicalHost(authority) != rec.Host {
		return location // so does one with user information, a backslash or a tab: no host holds these
	}
	asked := middleware.HostPort(host)
	at := portOf(scheme, middleware.HostPort(authority))
	switch at {
	case 80, 443, own.inner, own.publicHTTPS, asked:
	default:
		return location
	}
	// What leads to HTTPS goes on doing so, over plain HTTP too: there a website may
	// want its visitors to come by HTTPS.
	to, port := "https", own.publicHTTPS
	switch {
	case rec.Scheme == "https" && asked != 0:
		port = asked
	case rec.Scheme != "https" && scheme != "https":
		to, port = "http", portOf("http", asked)
	}
	if to == scheme && port == at {
		return location
	}
	if port != portOf(to, 0) {
		name += ":" + strconv.Itoa(port)
	}
	return to + "://" + name + behind
}

// portOf returns a port, or for 0 the one that a scheme means by default.
func portOf(scheme string, port int) int {
	switch {
	case port != 0:
		return port
	case scheme == "https", scheme == "h2":
		return 443
	}
	return 80
}
