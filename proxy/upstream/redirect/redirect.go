// Package redirect corrects addresses to which a website sends its visitors and at which
// only the website itself listens: many web servers make them of the Host and of their own
// scheme and port.
package redirect

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"persona-sidecar/proxy/middleware"
)

// Rule is what is known of the addresses of a website. Of the fields that hold one, it is about
// Location. Refresh is left alone, as web servers do not make it: applications do,
// and those write the same address into their pages. Content-Location only says what an answer
// is about.
type Rule struct {
	inner       int // port at which the website listens; at a Unix socket 80, which counts anyway
	publicHTTPS int // port at which clients reach us by HTTPS
}

// New returns the rule for the website at a URL, as package upstream takes it. publicHTTPS is
// the port at which clients reach us by HTTPS; 0: 443.
func New(website *url.URL, publicHTTPS int) *Rule {
	return &Rule{inner: portOf(website.Scheme, middleware.HostPort(website.Host)), publicHTTPS: portOf("https", publicHTTPS)}
}

// Counts reports whether the Location of an answer with this status leads anywhere (RFC 9110,
// section 10.2.2).
func Counts(status int) bool {
	return status == http.StatusCreated || status >= 300 && status <= 399
}

// Public returns a Location with the scheme and port at which the client reaches us,
// when it leads to the host of the request, at a port of the website, of ours, or of
// HTTP or HTTPS by default. Any other is returned as it came, one that browsers might
// read in another way than RFC 3986 included. scheme and host are those of the request; the host
// may be spelled in any way and name a port.
func (own *Rule) Public(location, scheme, host string) string {
	named, rest, absolute := strings.Cut(location, "://")
	if !absolute || !strings.EqualFold(named, "http") && !strings.EqualFold(named, "https") {
		named = scheme
		if rest, absolute = strings.CutPrefix(location, "//"); !absolute {
			return location
		}
	}
	named = strings.ToLower(named)
	authority, behind := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, behind = rest[:i], rest[i:]
	}
	name := authority
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && !strings.HasSuffix(authority, "]") {
		name = authority[:i]
	}
	bare := strings.Contains(name, ":") && !strings.HasPrefix(name, "[") // an IPv6 address without brackets
	canonical := middleware.CanonicalHost(host)
	if bare || canonical == "" || middleware.CanonicalHost(authority) != canonical {
		return location // also with user information, a backslash or a tab: no host holds these
	}
	asked := middleware.HostPort(host)
	at := portOf(named, middleware.HostPort(authority))
	switch at {
	case 80, 443, own.inner, own.publicHTTPS, asked:
	default:
		return location
	}
	// What leads to HTTPS goes on doing so, over plain HTTP too: there a website may
	// want its visitors to come by HTTPS.
	to, port := "https", own.publicHTTPS
	switch {
	case scheme == "https" && asked != 0:
		port = asked
	case scheme != "https" && named != "https":
		to, port = "http", portOf("http", asked)
	}
	if to == named && port == at {
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
