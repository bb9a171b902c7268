package upstream

import (
	"crypto/x509"
	"net/http"
	"net/url"
	"time"

	"github.com/rs/zerolog"
)

// Config is one website.
type Config struct {
	Site          string         // the name that error pages and the log give to the site
	URL           *url.URL       // where the website listens: http or https, host, no path
	Roots         *x509.CertPool // authorities to trust for an https URL; nil: the system's
	Cookies       []string       // names of our own cookies, removed in both directions
	HeaderTimeout time.Duration  // longest wait for the website's first byte once the request is sent; 0: five minutes
	Log           zerolog.Logger
}

// Proxy passes requests to one website.
type Proxy struct{}

// New checks the configuration. It does no I/O: a website that is down never
// keeps the program from starting.
func New(cfg Config) (*Proxy, error) { return &Proxy{}, nil }

// ServeHTTP passes the request on and streams the answer back.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {}

// CloseWebsockets ends every upgraded connection and waits until they are gone.
// Later upgrades are refused. http.Server.Shutdown knows nothing of these
// connections, so call it when the other requests have drained.
func (p *Proxy) CloseWebsockets() {}

// Close ends upgraded connections as CloseWebsockets does and drops the idle
// connections to the website.
func (p *Proxy) Close() {}
