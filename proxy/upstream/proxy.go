package upstream

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/proxy/middleware"
)

// DefaultTimeout is how long a website may think about a request.
const DefaultTimeout = 5 * time.Minute

// Config is one website.
type Config struct {
	Site    string         // the name that error pages and the log give to the site
	URL     *url.URL       // where the website listens: http or https, and a host; nothing else
	Roots   *x509.CertPool // authorities to trust for an https URL; nil: the system's
	Cookies []string       // names of our own cookies, removed in both directions
	Timeout time.Duration  // longest wait for the website to take the next bytes of a request, and then to begin its answer; 0: DefaultTimeout
	Log     zerolog.Logger
	Failed  func(Failure) // is called for each fault of the website; may be nil
}

// Proxy passes requests to one website.
type Proxy struct {
	site      string
	target    *url.URL
	cookies   cookieNames
	log       zerolog.Logger
	failed    func(Failure)
	transport transport
	reverse   *httputil.ReverseProxy
	upgrades  upgrades
}

// New checks the configuration. It does no I/O: a website that is down never
// keeps the program from starting.
func New(cfg Config) (*Proxy, error) {
	if err := checkURL(cfg.URL); err != nil {
		return nil, fmt.Errorf("upstream of %s: %w", cfg.Site, err)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Failed == nil {
		cfg.Failed = func(Failure) {}
	}
	p := &Proxy{
		site:      cfg.Site,
		target:    &url.URL{Scheme: cfg.URL.Scheme, Host: cfg.URL.Host},
		cookies:   slices.Clone(cfg.Cookies),
		log:       cfg.Log,
		failed:    cfg.Failed,
		transport: newTransport(cfg),
	}
	p.reverse = &httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		ModifyResponse: p.modifyResponse,
		ErrorHandler:   p.fail,
		Transport:      p.transport,
		BufferPool:     &bufferPool{},
		ErrorLog:       middleware.ErrorLog(cfg.Log, "upstream"),
	}
	return p, nil
}

func checkURL(u *url.URL) error {
	switch {
	case u == nil:
		return errors.New("no URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("scheme %q is neither http nor https", u.Scheme)
	case u.Hostname() == "":
		return errors.New("the URL has no host")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		return errors.New("the URL may hold a host and a port only")
	}
	return nil
}

// ServeHTTP passes the request on and streams the answer back.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := middleware.FromContext(r.Context())
	if rec.Handler == "" {
		rec.Handler = "upstream"
	}
	if !rec.Target.Valid() {
		p.page(w, r, http.StatusBadRequest)
		return
	}
	if passes(r) >= maxPasses {
		rec.Fail(errLoop, "the upstream "+p.target.String()+" leads back to this program; set it to the address at which the website itself listens")
		p.page(w, r, http.StatusLoopDetected)
		return
	}
	a := &answer{ResponseWriter: w, proxy: p, rec: rec, interim: r.ProtoAtLeast(1, 1)}
	if r.Body != nil && r.Body != http.NoBody {
		a.body = &requestBody{ReadCloser: r.Body, http1: r.ProtoMajor == 1, trailer: announced(r.Trailer)}
		if a.body.http1 {
			// As over HTTP/2, the body may be read on while the answer is on its way;
			// without this, early answers wait for the body.
			_ = http.NewResponseController(w).EnableFullDuplex()
		}
		r = r.WithContext(r.Context()) // a copy: net/http looks at its own request's body
		r.Body = a.body
	}
	defer func() {
		if a.conn != nil {
			p.upgrades.remove(a.conn)
		}
	}()
	p.reverse.ServeHTTP(a, r)
}

// Close ends upgraded connections as CloseWebsockets does and drops the idle
// connections to the website.
func (p *Proxy) Close() {
	p.CloseWebsockets()
	p.transport.CloseIdleConnections()
}
