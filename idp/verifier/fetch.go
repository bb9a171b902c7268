package verifier

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/memory"
)

// DiscoveryConfig is how domains are looked up.
type DiscoveryConfig struct {
	// Own answers for our own domains; nil if there are none.
	Own Own
	// Ports are the TCP ports that may be asked; none means 443 alone.
	Ports []int
	// AllowPrivate are networks that may be asked although they are not public,
	// and AllowPrivateDomains names that may resolve to such addresses.
	AllowPrivate        []netip.Prefix
	AllowPrivateDomains []string
	// Roots are the certificate authorities that are trusted; nil is the
	// system's.
	Roots *x509.CertPool
	// UserAgent names the program to those who are asked.
	UserAgent string
	// Resolver looks names up; nil is the system's. DefaultPort is where names
	// without a port are asked; 0 is 443. Both are for networks that are not the
	// Internet, such as that of a test.
	Resolver    *net.Resolver
	DefaultPort int
	// DNSTime is how long the addresses of a name may take to come; 0 is two
	// seconds.
	DNSTime time.Duration
	// Transport sends the requests instead of one that is made of the fields
	// above and asks neither private networks nor other ports; nil is that one.
	Transport http.RoundTripper
	// Time is what a whole look-up may take; 0 is [LookupTime].
	Time time.Duration
	// Observe is told each step of each discovery, the last one included; nil
	// for none. It is called by the goroutine that discovers.
	Observe func(Lookup)
	// Cache keeps documents, and failures to get one, for a while; nil is the
	// memory of this process.
	Cache Cache
	// Now is the clock of that memory; nil is time.Now.
	Now func() time.Time
}

func (c DiscoveryConfig) withDefaults() DiscoveryConfig {
	if c.Own == nil {
		c.Own = func(string) (browserid.Document, bool, error) { return nil, false, nil }
	}
	if c.DefaultPort == 0 {
		c.DefaultPort = 443
	}
	if len(c.Ports) == 0 {
		c.Ports = []int{c.DefaultPort}
	}
	if c.Time == 0 {
		c.Time = LookupTime
	}
	if c.DNSTime == 0 {
		c.DNSTime = 2 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Cache == nil {
		c.Cache = memory.New(memory.Config{Now: c.Now, Most: mostKept, Evict: true})
	}
	return c
}

// largest bounds a document in bytes, before it is parsed.
const largest = 64 << 10

// fetcher reads support documents over HTTPS: no redirect, no proxy, no
// cookie, no compression that a small answer could unfold from.
type fetcher struct {
	client    *http.Client
	userAgent string
	observed  bool // so bodies of refused answers are read, too
}

func newFetcher(config DiscoveryConfig) *fetcher {
	transport := config.Transport
	if transport == nil {
		g := &guard{config.Ports, config.AllowPrivate, config.AllowPrivateDomains, resolver(config.Resolver), config.DefaultPort, config.DNSTime}
		transport = &http.Transport{
			Proxy:                  nil,
			DialContext:            g.dial,
			TLSClientConfig:        &tls.Config{RootCAs: config.Roots, MinVersion: tls.VersionTLS12},
			DisableKeepAlives:      true, // a domain is asked once in a while
			DisableCompression:     true,
			MaxResponseHeaderBytes: 16 << 10,
		}
	}
	return &fetcher{
		userAgent: config.UserAgent,
		observed:  config.Observe != nil,
		client: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// fetch reads the document that name publishes about a mail domain, and returns
// how long it may be kept. The error of the step is a [*LookupError].
func (f *fetcher) fetch(ctx context.Context, name, domain string) (step Lookup, age time.Duration) {
	step = Lookup{Name: name, Domain: domain}
	ctx = context.WithValue(ctx, lookupKey{}, ctx)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+name+browserid.DocumentPath+"?domain="+url.QueryEscape(domain), nil)
	if err != nil {
		step.Err = invalidDomain(name, err)
		return step, 0
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", f.userAgent)
	if step.Response, err = f.client.Do(request); err != nil {
		step.Err = connectionError(ctx, name, err)
		return step, 0
	}
	defer func() { _ = step.Response.Body.Close() }()
	refused := checkAnswer(name, step.Response)
	if refused != nil && !f.observed {
		step.Err = refused
		return step, 0
	}
	step.Body, err = io.ReadAll(io.LimitReader(step.Response.Body, largest+1))
	if err == nil {
		err = ctx.Err() // a server may end its answer just as we hang up
	}
	switch {
	case refused != nil:
		step.Err = refused
	case err != nil:
		step.Err = connectionError(ctx, name, err)
	default:
		if step.Document, err = parseForeign(step.Body); err != nil {
			step.Document = nil
			step.Err = &LookupError{Malformed, name, fmt.Sprintf("bad support document for '%s': Error: %v", name, err), nil}
		}
	}
	return step, keepFor(step.Response.Header)
}

// checkAnswer accepts status 200 and JSON, by name and not by meaning: so did
// every historic client, and what passes here should pass there.
func checkAnswer(name string, response *http.Response) error {
	cause := fmt.Errorf("status %d, Content-Type %q, Location %q", response.StatusCode, response.Header.Get("Content-Type"), response.Header.Get("Location"))
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect:
		return notPrimary(NotProvider, name, "redirection not supported for support documents", cause)
	default:
		return notPrimary(NotProvider, name, "non-200 response code to "+browserid.DocumentPath, cause)
	}
	if !strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") {
		return notPrimary(NotProvider, name, `non "application/json" response to `+browserid.DocumentPath, cause)
	}
	return nil
}

// parseForeign reads a document, and passes over keys that are too weak to
// trust: 1024 bits of a domain's key stand for all of its people.
func parseForeign(data []byte) (browserid.Document, error) {
	doc, err := browserid.ParseDocument(data)
	if err != nil {
		return nil, err
	}
	support, ok := doc.(browserid.Support)
	if !ok {
		return doc, nil
	}
	var strong []*browserid.PublicKey
	for _, key := range support.SigningKeys() {
		if !key.Legacy() {
			strong = append(strong, key)
		}
	}
	if len(strong) == 0 {
		return nil, fmt.Errorf("%w: %d", browserid.ErrKeySize, support.PublicKey.Size())
	}
	support.PublicKey, support.Keys = strong[0], strong
	return support, nil
}

// connectionError sorts out why there is no answer.
func connectionError(ctx context.Context, name string, err error) error {
	if ctx.Err() != nil { // whatever failed because of that
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	var (
		timeout net.Error
		refused *errForbidden
	)
	switch {
	case errors.As(err, &refused):
		return notPrimary(Forbidden, name, "cannot be reached", err) // the same words as below
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return timedOut(name, err)
	}
	return notPrimary(Unreachable, name, "cannot be reached", err)
}
