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
)

// DiscoveryConfig says how domains are looked up.
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
	// Now is the clock of the cache; nil is time.Now.
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
	if c.Now == nil {
		c.Now = time.Now
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
}

func newFetcher(config DiscoveryConfig) *fetcher {
	g := &guard{config.Ports, config.AllowPrivate, config.AllowPrivateDomains, config.Resolver, config.DefaultPort}
	return &fetcher{
		userAgent: config.UserAgent,
		client: &http.Client{
			Transport: &http.Transport{
				Proxy:                  nil,
				DialContext:            g.dial,
				TLSClientConfig:        &tls.Config{RootCAs: config.Roots, MinVersion: tls.VersionTLS12},
				DisableKeepAlives:      true, // a domain is asked once in a while
				DisableCompression:     true,
				MaxResponseHeaderBytes: 16 << 10,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// fetch reads the document that name publishes about a mail domain, and says
// how long it may be kept. The error is a [*LookupError].
func (f *fetcher) fetch(ctx context.Context, name, domain string) (browserid.Document, time.Duration, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+name+browserid.DocumentPath+"?domain="+url.QueryEscape(domain), nil)
	if err != nil {
		return nil, 0, invalidDomain(name, err)
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", f.userAgent)
	response, err := f.client.Do(request)
	if err != nil {
		return nil, 0, connectionError(name, err)
	}
	defer func() { _ = response.Body.Close() }()
	if err := checkAnswer(name, response); err != nil {
		return nil, 0, err
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, largest+1))
	if err == nil {
		err = ctx.Err() // a server may end its answer just as we hang up
	}
	if err != nil {
		return nil, 0, connectionError(name, err)
	}
	doc, err := parseForeign(data)
	if err != nil {
		return nil, 0, malformed(name, err)
	}
	return doc, keepFor(response.Header), nil
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
// believe: 1024 bits of a domain's key stand for all of its people.
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
func connectionError(name string, err error) error {
	var timeout net.Error
	switch {
	case isForbidden(err):
		return forbidden(name, err)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return timedOut(name, err)
	}
	return unreachable(name, err)
}
