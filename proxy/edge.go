package proxy

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"

	"github.com/rs/zerolog"
	"golang.org/x/net/http/httpguts"

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
	Handler http.Handler // the upstream, or a redirect; nil where there are Peers

	// Gate decides what becomes of a request before it goes to Handler. It stands on
	// every way to Handler, plain HTTP included, and behind the intercepts; nil admits
	// all requests. secure reports whether the client came by HTTPS, to us or to a
	// trusted proxy. Who is signed in, it writes into the request's Record.
	Gate func(w http.ResponseWriter, r *http.Request, secure bool) Passage

	// Peers are the addresses of servers that serve the website in our place, and pass on to us
	// what is for an intercept. From them alone a request is taken, by the address of the
	// connection, whatever TLS server name was sent and whatever port the Host names; nil: the
	// website is served here, to all.
	Peers []netip.Addr
}

// Passage is what a gate says of a request.
type Passage int

// The answers of a gate.
const (
	Admitted Passage = iota // goes to the website
	Answered                // the gate has answered it
	TooOpen                 // is not answered in clear text: as with an intercept
)

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
	// StrictTransport is the Strict-Transport-Security of hosts, by canonical name. It
	// goes with answers by HTTPS alone; a browser takes it only over a certificate that
	// it trusts (RFC 6797, section 8.1).
	StrictTransport map[string]string
	// PublicHTTPS is the port at which clients reach us by HTTPS; 0: 443.
	PublicHTTPS int

	Log zerolog.Logger
}

// Edge decides what becomes of a request.
type Edge struct {
	sites      map[string]*Site // by canonical host
	intercepts []Intercept

	challenge      func(http.ResponseWriter, *http.Request) bool
	hasCertificate func(string) bool
	strict         map[string]string
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
		strict:         cfg.StrictTransport,
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
	if site.Peers != nil { // there is nothing but the intercepts
		site.Handler = http.HandlerFunc(misdirected)
	}
	if site.Handler == nil {
		return fmt.Errorf("site %q has no handler", site.Name)
	}
	for _, name := range site.Hosts {
		host := middleware.CanonicalHost(name)
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

// Secure serves requests that came over our own TLS. An unknown host, a host of
// another site than the TLS server name that was sent, or a port at which we are not
// reached gets a 421 (RFC 9110, section 15.5.20).
func (e *Edge) Secure() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		site := e.admit(w, r)
		if site == nil {
			return
		}
		sent := r.TLS
		elsewhere := sent != nil && sent.ServerName != "" && e.sites[middleware.CanonicalHost(sent.ServerName)] != site
		if site.Peers == nil && (elsewhere || !e.servesPort(r)) {
			misdirected(w, r)
			return
		}
		rec := middleware.FromContext(r.Context())
		rec.StrictTransport = e.strict[rec.Host]
		e.serve(w, r, site)
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
		site := e.admit(w, r)
		if site == nil {
			return
		}
		if site.Peers != nil { // a neighbour asks by TLS
			misdirected(w, r)
			return
		}
		if e.hasCertificate(rec.Host) {
			e.redirect(w, r)
			return
		}
		if !e.servesPort(r) {
			misdirected(w, r)
			return
		}
		if in := e.intercepted(r); in != nil {
			rec.Handler = in.Name
			noCertificate(w, r)
			return
		}
		if site.pass(w, r, false) == TooOpen {
			noCertificate(w, r)
		}
	})
}

// Terminated serves plain HTTP behind a proxy that terminates TLS. Only what
// came to a trusted proxy by HTTPS may reach an intercept, and what comes from the
// peers of a site.
func (e *Edge) Terminated() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		site := e.admit(w, r)
		if site == nil {
			return
		}
		if site.Peers != nil {
			e.serve(w, r, site)
			return
		}
		if !e.servesPort(r) {
			misdirected(w, r)
			return
		}
		rec := middleware.FromContext(r.Context())
		if rec.Trusted && rec.Scheme == "https" {
			rec.StrictTransport = e.strict[rec.Host]
			e.serve(w, r, site)
			return
		}
		if in := e.intercepted(r); in != nil {
			rec.Handler = in.Name
		} else if site.pass(w, r, false) != TooOpen {
			return
		}
		if rec.Trusted {
			e.redirect(w, r)
			return
		}
		untrustedTerminator(w, r)
	})
}

// admit returns the site that a request is for. It returns nil when the request
// is for none, or is not one for a website, and has answered it then.
func (e *Edge) admit(w http.ResponseWriter, r *http.Request) *Site {
	rec := middleware.FromContext(r.Context())
	if r.Method == http.MethodConnect {
		noTunnel(w, r)
		return nil
	}
	if !httpguts.ValidHeaderFieldName(r.Method) { // both are tokens; over HTTP/2 net/http takes any text
		bad(w, r, "bad_request", "the method is no token")
		return nil
	}
	if r.ProtoMajor >= 2 && !framed(r) {
		bad(w, r, "bad_request", "Content-Length is not the length of the body")
		return nil
	}
	if hosts := r.Header["Host"]; len(hosts) > 1 || len(hosts) == 1 && hosts[0] != r.Host { // HTTP/2: beside :authority
		bad(w, r, "bad_request", "there are two hosts")
		return nil
	}
	if !rec.Target.Valid() || rec.Target.Path == "*" && r.Method != http.MethodOptions {
		bad(w, r, "bad_target", "the target is malformed")
		return nil
	}
	site := e.sites[rec.Host]
	if site == nil || site.Peers != nil && !slices.Contains(site.Peers, middleware.PeerAddr(r.RemoteAddr)) {
		misdirected(w, r)
		return nil
	}
	rec.Site = site.Name
	if rec.Target.Path == "*" {
		asterisk(w, r)
		return nil
	}
	return site
}

// framed reports whether the Content-Length of a request over HTTP/2 is the one length
// that its body has, which net/http does not see to (RFC 9113, section 8.1.1).
func framed(r *http.Request) bool {
	lengths := r.Header["Content-Length"]
	if len(lengths) == 0 {
		return true
	}
	length, err := strconv.ParseUint(lengths[0], 10, 63)
	return len(lengths) == 1 && err == nil && int64(length) == r.ContentLength
}

// servesPort reports whether clients reach us at the port that the Host names, by
// the scheme of the request: at the scheme's own port, at the public one, or at the
// one that the connection came to. Any other port was made up, and a website that
// builds addresses from it would lead elsewhere.
func (e *Edge) servesPort(r *http.Request) bool {
	port := middleware.HostPort(r.Host)
	if port == 0 {
		return true
	}
	secure := middleware.FromContext(r.Context()).Scheme == "https"
	if secure && (port == 443 || port == e.publicHTTPS) || !secure && port == 80 {
		return true
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return local != nil && local.Port == port && secure == (r.TLS != nil)
}

// serve gives the request to the first intercept that matches, else to the site.
func (e *Edge) serve(w http.ResponseWriter, r *http.Request, site *Site) {
	if in := e.intercepted(r); in != nil {
		middleware.FromContext(r.Context()).Handler = in.Name
		in.Handler.ServeHTTP(w, r)
		return
	}
	site.pass(w, r, true)
}

// pass is the only way to the site's handler: through its gate. What is TooOpen has
// not been answered.
func (s *Site) pass(w http.ResponseWriter, r *http.Request, secure bool) Passage {
	passage := Admitted
	if s.Gate != nil {
		passage = s.Gate(w, r, secure)
	}
	if passage == Admitted {
		s.Handler.ServeHTTP(w, r)
	}
	return passage
}

func (e *Edge) intercepted(r *http.Request) *Intercept {
	for i := range e.intercepts {
		if e.intercepts[i].Match(r) {
			return &e.intercepts[i]
		}
	}
	return nil
}
