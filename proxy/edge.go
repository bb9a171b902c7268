package proxy

import (
	"net/http"

	"github.com/rs/zerolog"
)

// Intercept is a group of requests that the program answers by itself.
type Intercept struct {
	Name    string                   // for the access log
	Match   func(*http.Request) bool // whether the request is one of the group
	Handler http.Handler
}

// Site is one domain entry: host names that share a website.
type Site struct {
	Name    string       // for error pages and the log
	Hosts   []string     // host names in any spelling; no port
	Handler http.Handler // the upstream, or a redirect
}

// Config is what the Edge decides by.
type Config struct {
	Sites      []Site
	Intercepts []Intercept // asked in order, the first match answers

	// Challenge answers ACME HTTP-01 challenges on plain HTTP and reports
	// whether it did; nil: none.
	Challenge func(w http.ResponseWriter, r *http.Request) bool
	// HasCertificate reports whether a usable certificate for the canonical host
	// was ever obtained: from then on plain HTTP redirects. nil: never.
	HasCertificate func(host string) bool
	// PublicHTTPS is the port under which the world reaches us by HTTPS; 0: 443.
	PublicHTTPS int

	Log zerolog.Logger
}

// Edge decides what becomes of a request.
type Edge struct{ cfg Config }

// New checks the sites. A host name that is invalid, or that belongs to two
// sites, is an error.
func New(cfg Config) (*Edge, error) { return &Edge{cfg: cfg}, nil }

// Secure serves requests that came over our own TLS. An unknown host, or a host
// of another site than the TLS server name that was sent, gets a 421
// (RFC 9110, section 15.5.20).
func (e *Edge) Secure() http.Handler { return http.NotFoundHandler() }

// Plain serves plain HTTP beside our own TLS: ACME challenges; a redirect to
// HTTPS once the host has a certificate; until then the website, but never an
// intercept.
func (e *Edge) Plain() http.Handler { return http.NotFoundHandler() }

// Terminated serves plain HTTP behind a proxy that terminates TLS. Only what
// came to a trusted proxy by HTTPS may reach an intercept.
func (e *Edge) Terminated() http.Handler { return http.NotFoundHandler() }
