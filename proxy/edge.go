package proxy

import (
	"fmt"
	"net/http"

	"github.com/rs/zerolog"

	"persona-sidecar/proxy/middleware"
)

// Intercept is a group of requests that the program answers by itself.
type Intercept struct {
	Name    string                   // for the access log
	Match   func(*http.Request) bool // whether the request is one of the group
	Handler http.Handler
}

// Site is one domain entry: host names that share a website.
type Site struct {
	Name    string       // for error pages and the log; two sites never share one
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
type Edge struct {
	sites      map[string]*Site // by canonical host
	intercepts []Intercept

	challenge      func(http.ResponseWriter, *http.Request) bool
	hasCertificate func(string) bool
	publicHTTPS    int
}

// New checks the sites. A host name that is invalid, or that belongs to two
// sites, is an error.
func New(cfg Config) (*Edge, error) {
	e := &Edge{
		sites:          make(map[string]*Site),
		intercepts:     cfg.Intercepts,
		challenge:      cfg.Challenge,
		hasCertificate: cfg.HasCertificate,
		publicHTTPS:    cfg.PublicHTTPS,
	}
	if e.challenge == nil {
		e.challenge = func(http.ResponseWriter, *http.Request) bool { return false }
	}
	if e.hasCertificate == nil {
		e.hasCertificate = func(string) bool { return false }
	}
	if e.publicHTTPS == 0 {
		e.publicHTTPS = 443
	}
	for i := range cfg.Sites {
		if err := e.add(&cfg.Sites[i]); err != nil {
			return nil, err
		}
		cfg.Log.Debug().Str("site", cfg.Sites[i].Name).Strs("hosts", cfg.Sites[i].Hosts).Msg("serving")
	}
	return e, nil
}

func (e *Edge) add(site *Site) error {
	if site.Handler == nil {
		return fmt.Errorf("site %q has no handler", site.Name)
	}
	for _, name := range site.Hosts {
		host := CanonicalHost(name)
		if host == "" {
			return fmt.Errorf("site %q: %q is not a host name", site.Name, name)
		}
		if other, taken := e.sites[host]; taken {
			return fmt.Errorf("host %q belongs to site %q and to site %q", host, other.Name, site.Name)
		}
		e.sites[host] = site
	}
	return nil
}

// Secure serves requests that came over our own TLS. An unknown host, or a host
// of another site than the TLS server name that was sent, gets a 421
// (RFC 9110, section 15.5.20).
func (e *Edge) Secure() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := e.admit(w, r)
		if !ok {
			return
		}
		if sent := r.TLS; sent != nil && sent.ServerName != "" && e.sites[CanonicalHost(sent.ServerName)] != a.site {
			misdirected(w, r)
			return
		}
		e.serve(w, r, a)
	})
}

// Plain serves plain HTTP beside our own TLS: ACME challenges; a redirect to
// HTTPS once the host has a certificate; until then the website, but never an
// intercept.
func (e *Edge) Plain() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := middleware.FromContext(r.Context())
		if e.challenge(w, r) {
			rec.Handler = "acme-challenge"
			return
		}
		a, ok := e.admit(w, r)
		if !ok {
			return
		}
		if e.hasCertificate(a.host) {
			e.redirect(w, r, a)
			return
		}
		if in := e.intercepted(r); in != nil {
			rec.Handler = in.Name
			noCertificate(w, r, a.host)
			return
		}
		a.site.Handler.ServeHTTP(w, r)
	})
}

// Terminated serves plain HTTP behind a proxy that terminates TLS. Only what
// came to a trusted proxy by HTTPS may reach an intercept.
func (e *Edge) Terminated() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := e.admit(w, r)
		if !ok {
			return
		}
		rec := middleware.FromContext(r.Context())
		if rec.Trusted && rec.Scheme == "https" {
			e.serve(w, r, a)
			return
		}
		in := e.intercepted(r)
		if in == nil {
			a.site.Handler.ServeHTTP(w, r)
			return
		}
		rec.Handler = in.Name
		if rec.Trusted {
			e.redirect(w, r, a)
			return
		}
		untrustedTerminator(w, r)
	})
}

// admitted is a request for one of our hosts.
type admitted struct {
	site   *Site
	host   string // canonical
	target middleware.Target
}

// admit answers what is not a request for one of our websites, and reports
// whether the request is to be served.
func (e *Edge) admit(w http.ResponseWriter, r *http.Request) (admitted, bool) {
	if r.Method == http.MethodConnect {
		noTunnel(w, r)
		return admitted{}, false
	}
	target, ok := middleware.ParseTarget(r)
	if !ok {
		badTarget(w, r)
		return admitted{}, false
	}
	host := HostName(r)
	site := e.sites[host]
	if site == nil {
		misdirected(w, r)
		return admitted{}, false
	}
	middleware.FromContext(r.Context()).Site = site.Name
	if target.Path == "*" {
		asterisk(w, r)
		return admitted{}, false
	}
	return admitted{site: site, host: host, target: target}, true
}

// serve gives the request to the first intercept that wants it, else to the site.
func (e *Edge) serve(w http.ResponseWriter, r *http.Request, a admitted) {
	if in := e.intercepted(r); in != nil {
		middleware.FromContext(r.Context()).Handler = in.Name
		in.Handler.ServeHTTP(w, r)
		return
	}
	a.site.Handler.ServeHTTP(w, r)
}

func (e *Edge) intercepted(r *http.Request) *Intercept {
	for i := range e.intercepts {
		if e.intercepts[i].Match(r) {
			return &e.intercepts[i]
		}
	}
	return nil
}
