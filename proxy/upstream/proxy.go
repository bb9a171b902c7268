package upstream

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/proxy/field"
	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/upstream/redirect"
)

// DefaultTimeout is how long a website may think about a request.
const DefaultTimeout = 5 * time.Minute

// loginLines is how long the log is silent after it has reported a login that
// cannot last.
const loginLines = 10 * time.Minute

// Config is one website.
type Config struct {
	Site string // the name that error pages and the log give to the site
	// URL is where the website listens: http, https, h2c (HTTP/2 in clear text) or h2
	// (HTTP/2 over TLS) with a host and nothing else, or unix with the path of a socket.
	URL     *url.URL
	TLS     TLSConfig // for https and h2
	Cookies []string  // names of our own cookies, removed in both directions
	// IdentityNames are the names of the fields of a middleware.Visit: no client's field
	// whose name folds to one of them passes (field.KindOf).
	IdentityNames []string
	// Gated is set where a gate decides by the target of a request: fields that name
	// another target do not pass, and those that name another method only with the identity
	// of a person and a method that may change something.
	Gated   bool
	Guarded bool          // answers cannot end sign-ins (Clear-Site-Data, Set-Login): the site shares a registrable domain with a host that signs people in
	Timeout time.Duration // longest wait for the website to take the next bytes of a request, and then to begin its answer; 0: DefaultTimeout
	// Connections is how many connections the website may have at a time; what comes
	// beyond them waits for a moment. 0: no limit. An HTTP/2 website has one.
	Connections int
	HeaderBytes int  // of the head of an answer, at most; 0: 64 KiB
	OddNames    bool // also passes fields on whose names hold other characters than letters, digits and "-"
	// RewriteRedirects corrects the Location of answers that lead to the website's own
	// scheme or port at the host that was asked.
	RewriteRedirects bool
	PublicHTTPS      int // the port at which clients reach us by HTTPS, for RewriteRedirects; 0: 443
	Log              zerolog.Logger
	Failed           func(Failure) // is called for each fault of the website; may be nil
}

// Proxy passes requests to one website.
type Proxy struct {
	site     string
	name     string // of the website, for the log
	endpoint endpoint
	website  exchanger
	cookies  cookieNames
	identity field.Names
	guarded  bool
	gated    bool
	oddNames bool
	redirect *redirect.Rule // nil: redirects pass as they are
	logins   zerolog.Logger // for logins that cannot last, which come in numbers
	failed   func(Failure)
	buffers  buffers
	upgrades upgrades
}

// New checks the configuration. It does no network I/O: a website that is down
// never keeps the program from starting.
func New(cfg Config) (*Proxy, error) {
	to, err := endpointOf(cfg)
	if err != nil {
		return nil, fmt.Errorf("upstream of %s: %w", cfg.Site, err)
	}
	if cfg.Failed == nil {
		cfg.Failed = func(Failure) {}
	}
	p := &Proxy{
		site:     cfg.Site,
		name:     strings.TrimSuffix(cfg.URL.String(), "/"),
		endpoint: to,
		cookies:  slices.Clone(cfg.Cookies),
		identity: field.NamesOf(cfg.IdentityNames),
		guarded:  cfg.Guarded,
		gated:    cfg.Gated,
		oddNames: cfg.OddNames,
		logins:   cfg.Log.Sample(&zerolog.BurstSampler{Burst: 1, Period: loginLines}),
		failed:   cfg.Failed,
	}
	if cfg.RewriteRedirects {
		p.redirect = redirect.New(cfg.URL, cfg.PublicHTTPS)
	}
	switch cfg.URL.Scheme {
	case "h2c", "h2":
		p.website = newHTTP2(to)
	default:
		p.website = newHTTP1(to)
	}
	return p, nil
}

// passage is a request on its way to the website, and who is answered.
type passage struct {
	request
	proxy *Proxy
	w     http.ResponseWriter
	r     *http.Request
}

// ServeHTTP passes the request on and streams the answer back.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := middleware.FromContext(r.Context())
	if rec.Handler == "" {
		rec.Handler = "upstream"
	}
	if !rec.Target.Valid() {
		p.page(w, r, http.StatusBadRequest, "bad_request")
		return
	}
	if passes(r) >= maxPasses {
		rec.Fail(errLoop, "the upstream "+p.name+" leads back to this program; set it to the address at which the website itself listens")
		p.page(w, r, http.StatusLoopDetected, "loop")
		return
	}
	x := &passage{proxy: p, w: w, r: r}
	q := &x.request
	q.asker = x
	body := p.build(q, w, r, rec)
	login, end := p.login(r, rec)
	q.login = login
	defer end()
	if body != nil && body.http1 {
		// As over HTTP/2, the body may be read on while the answer is on its way;
		// without this, early answers wait for the body.
		_ = http.NewResponseController(w).EnableFullDuplex()
	}
	if body != nil && !q.expect {
		// The website is asked when there is something to ask.
		if err := body.await(); err != nil {
			p.fail(w, r, body, err)
			return
		}
		if q.length == 0 && q.announce == nil {
			q.body = nil // there was none
		}
	}
	a, err := p.website.exchange(r.Context(), q)
	if err != nil {
		p.fail(w, r, body, err)
		return
	}
	defer a.body.close()
	if a.conn == nil {
		if p.redirect != nil && redirect.Counts(a.status) {
			for i := range a.fields {
				if f := &a.fields[i]; f.Is("Location") {
					f.Value = p.redirect.Public(f.Value, rec.Scheme, r.Host)
				}
			}
		}
		p.answer(w, r, body, a)
		return
	}
	if err := p.tunnel(w, r, a); err != nil {
		p.fail(w, r, body, err)
	}
}

// login returns the client's connection when it carries a login to the website, or
// this request makes it so. Where requests of many persons may share the client's
// connection, over HTTP/2 or behind a proxy, the request gets a connection to the
// website that ends with it. end ends it.
func (p *Proxy) login(r *http.Request, rec *middleware.Record) (c *middleware.Connection, end func()) {
	signsIn := slices.ContainsFunc(r.Header["Authorization"], signsInConnection)
	c = middleware.ConnectionOf(r.Context())
	shared := c == nil || r.ProtoMajor >= 2 || rec.Trusted
	switch {
	case !signsIn && (shared || !c.Holds(p)):
		return nil, func() {}
	case shared:
		hint := "the proxy in front of this program may send requests of many persons over one connection: such logins cannot pass it"
		if r.ProtoMajor >= 2 {
			hint = "set domains[].http2: false for this domain: over HTTP/1.1 such logins work"
		}
		p.logins.Warn().Str("site", p.site).Str("hint", hint).Msg("a login by NTLM or Negotiate came over a shared connection, where it cannot last")
		c = new(middleware.Connection)
		return c, c.End
	case signsIn:
		c.Keep(p, func() {})
	}
	return c, func() {}
}

// signsInConnection reports whether the value of Authorization is of a scheme that
// signs in a connection instead of a request (RFC 4559, section 6): on that
// connection, other clients' requests would be the person's.
func signsInConnection(value string) bool {
	scheme, _, _ := strings.Cut(value, " ")
	return strings.EqualFold(scheme, "NTLM") || strings.EqualFold(scheme, "Negotiate")
}

// Close ends upgraded connections as CloseWebsockets does and drops the idle
// connections to the website.
func (p *Proxy) Close() {
	p.CloseWebsockets()
	p.website.close()
}
