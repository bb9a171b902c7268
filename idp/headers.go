package idp

import (
	"net/http"
	"strings"

	"persona-sidecar/idp/identity"
)

// class is the kind of a route. It alone decides the security headers; no
// handler sets one of them.
//
// None has a Cross-Origin-Opener-Policy: it would cut the popup from the page
// that opened it, and with it the way back for the assertion.
type class int

const (
	// page is read by a person: it may not be framed by anybody.
	page class = iota
	// framedPage is the provisioning page, which hubs frame.
	framedPage
	// api answers our own pages in JSON.
	api
	// document is the support document, which anybody's server reads.
	document
	// script is loaded by pages of other authors.
	script
	// static is a file under a name that changes with its content.
	static
	// dialog is the hub's own page, in a popup.
	dialog
	// silentFrame is the hub's page inside a relying party's.
	silentFrame
	// verification answers the servers of relying parties.
	verification
)

// policies are the header values of one site, by class.
type policies map[class]http.Header

// newPolicies writes the headers of a site. Scripts, styles and requests are
// allowed by path and not by 'self', because a website behind us shares the
// origin, and what may be uploaded there must not become a script here.
func newPolicies(origin string, hubs []string) policies {
	own := []string{
		"default-src 'none'",
		"script-src " + origin + "/persona/static/ " + origin + "/persona/provisioning_api.js " + origin + "/persona/authentication_api.js",
		"style-src " + origin + "/persona/static/",
		"img-src " + origin + "/persona/static/",
		"connect-src " + origin + "/persona/api/",
		"form-action " + origin + "/persona/",
		"base-uri 'none'",
		"require-trusted-types-for 'script'",
	}
	ancestors := []string{"frame-ancestors 'self'"}
	for _, hub := range hubs {
		if origin, err := identity.HubOrigin(hub); err == nil {
			ancestors = append(ancestors, origin)
		}
	}
	csp := func(directives ...string) string { return strings.Join(directives, "; ") }
	nothing := csp("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'")
	return policies{
		page:       header(csp(append(own[:len(own):len(own)], "frame-ancestors 'none'")...), "no-store", "same-origin"),
		framedPage: header(csp(append(own[:len(own):len(own)], strings.Join(ancestors, " "))...), "no-store", "cross-origin"),
		api:        header(nothing, "no-store", "same-origin"),
		document:   header(nothing, "public, max-age=3600", "cross-origin"),
		script:     header(nothing, "public, max-age=300", "cross-origin"),
		static:     header(nothing, "public, max-age=31536000, immutable", "same-origin"),

		verification: verificationHeader(nothing),
	}
}

func header(csp, cache, resource string) http.Header {
	return http.Header{
		"Content-Security-Policy":      {csp},
		"Cache-Control":                {cache},
		"Cross-Origin-Resource-Policy": {resource},
		"X-Content-Type-Options":       {"nosniff"},
		"Referrer-Policy":              {"same-origin"},
	}
}

// apply writes the headers of a class. An answer that is an error is never
// kept by a cache.
func (p policies) apply(w http.ResponseWriter, c class) {
	for name, values := range p[c] {
		w.Header()[name] = values[:1:1]
	}
}

// read says whether a person sees what a route of the class answers.
func (c class) read() bool {
	return c == page || c == framedPage || c == dialog || c == silentFrame
}

func doNotCache(w http.ResponseWriter) { w.Header().Set("Cache-Control", "no-store") }
