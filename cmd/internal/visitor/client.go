// Package visitor is an HTTP client that plays a hub, a browser and the pages of
// an identity host: it finds the authority of a domain, opens the sign-in form,
// signs in, asks for the session and a certificate, signs an assertion and signs
// out. Package check and the demo take their steps with it.
package visitor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"

	"persona-sidecar/idp/verifier"
)

const (
	// exchangeTime bounds one request with its answer.
	exchangeTime = 15 * time.Second
	// maxBody is how much of an answer is read, in bytes.
	maxBody = 1 << 20
)

// Client asks web servers. It is safe for concurrent use as far as Observe is.
type Client struct {
	// HTTP must not follow redirects; [NewHTTP] makes such a client.
	HTTP *http.Client
	// UserAgent goes into each request; "": the library's.
	UserAgent string
	// Observe is told each answer before its body is read; nil: none.
	Observe func(*http.Response)
}

// NewHTTP returns a client without proxy, cookies and redirects, which keeps no
// connection. Roots are the CAs to trust (nil: the system's), now is the clock
// for certificates.
func NewHTTP(dial func(ctx context.Context, network, address string) (net.Conn, error), roots *x509.CertPool, now func() time.Time) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:       dial,
			TLSClientConfig:   &tls.Config{RootCAs: roots, Time: now, MinVersion: tls.VersionTLS12},
			DisableKeepAlives: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       exchangeTime,
	}
}

// WithCookies returns a client that keeps cookies as a browser does.
func (c Client) WithCookies() Client {
	jar, _ := cookiejar.New(nil) // without options it cannot fail
	browser := *c.HTTP
	browser.Jar = jar
	c.HTTP = &browser
	return c
}

// Answer is a response, read to its end or to 1 MiB.
type Answer struct {
	*http.Response
	Body []byte
}

// Want returns an error unless the answer has the status.
func (a Answer) Want(status int) error {
	if a.StatusCode == status {
		return nil
	}
	return &Fault{Status: a.StatusCode, message: fmt.Sprintf("%s %s answered %s, not %d: %s", a.Request.Method, a.Request.URL, a.Status, status, Brief(a.Body))}
}

// ToItself reports whether a response redirects to the very URL that was asked
// for: the server took HTTPS for plain HTTP, because a proxy in front does not
// say what it is.
func ToItself(response *http.Response) bool {
	to, err := response.Location()
	if err != nil {
		return false
	}
	asked := *response.Request.URL
	if asked.Path == "" {
		asked.Path = "/"
	}
	return to.String() == asked.String()
}

// markup is what people do not see of a page.
var markup = regexp.MustCompile(`(?is)<!--.*?-->|<head\b.*?</head>|<style\b.*?</style>|<script\b.*?</script>|<[^>]*>`)

// Brief cuts a foreign text, a page's without its markup, down to what fits into a
// line.
func Brief(body []byte) string {
	const most = 160
	text := strings.ToValidUTF8(string(body), "\uFFFD")
	if seen := html.UnescapeString(markup.ReplaceAllString(text, " ")); strings.HasPrefix(strings.TrimSpace(text), "<") && strings.TrimSpace(seen) != "" {
		text = seen
	}
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + " …"
	}
	return text
}

// Get asks for a URL. A Host in header names another host than the URL's. The
// error is a [*Fault].
func (c Client) Get(ctx context.Context, target string, header http.Header) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return Answer{}, Explain(err, "")
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if host := header.Get("Host"); host != "" {
		request.Host = host
		request.Header.Del("Host")
	}
	return c.Do(request)
}

// Post sends a body to a path of an origin as a page of the same origin does.
// The error is a [*Fault].
func (c Client) Post(ctx context.Context, origin, path, contentType string, body io.Reader) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, origin+path, body)
	if err != nil {
		return Answer{}, Explain(err, "")
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Origin", origin)
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	return c.Do(request)
}

// PostForm is Post of a form.
func (c Client) PostForm(ctx context.Context, origin, path string, form url.Values) (Answer, error) {
	return c.Post(ctx, origin, path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
}

// Do sends a request. The error is a [*Fault].
func (c Client) Do(request *http.Request) (Answer, error) {
	if c.UserAgent != "" {
		request.Header.Set("User-Agent", c.UserAgent)
	}
	var came progress
	response, err := c.HTTP.Do(request.WithContext(came.watch(request.Context())))
	if err != nil {
		return Answer{}, explain(err, request.URL.Hostname(), &came)
	}
	defer func() { _ = response.Body.Close() }()
	if c.Observe != nil {
		c.Observe(response)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return Answer{}, explain(fmt.Errorf("reading the answer of %s: %w", request.URL, err), request.URL.Hostname(), &came)
	}
	return Answer{Response: response, Body: body}, nil
}

// FindAuthority finds the authority over a mail domain as hubs and verifiers do,
// from another authority that stands for it, as the domain with a port, or from
// the domain itself, but waits longer for slow servers: as long as for an answer.
// The answers on the way are returned in any case; where none came, with a [*Fault].
// The error is that of [verifier.Discovery.DiscoverFrom].
func (c Client) FindAuthority(ctx context.Context, authority, domain string) (verifier.Authority, []verifier.Lookup, error) {
	var steps []verifier.Lookup
	watched := &watchedTransport{c.HTTP.Transport, new(progress)}
	discovery := verifier.NewDiscovery(verifier.DiscoveryConfig{
		Transport: watched, UserAgent: c.UserAgent, Time: exchangeTime,
		Observe: func(step verifier.Lookup) {
			if failed, ok := errors.AsType[*verifier.LookupError](step.Err); ok && failed.Kind == verifier.Unreachable {
				host, _, _ := strings.Cut(step.Name, ":")
				step.Err = explain(step.Err, host, watched.came)
			}
			watched.came = new(progress)
			steps = append(steps, step)
			if c.Observe != nil && step.Response != nil {
				c.Observe(step.Response)
			}
		},
	})
	defer discovery.Close()
	found, err := discovery.DiscoverFrom(ctx, authority, domain)
	return found, steps, err
}

// watchedTransport notes how far the request of a step came.
type watchedTransport struct {
	http.RoundTripper
	came *progress
}

func (w *watchedTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	return w.RoundTripper.RoundTrip(request.WithContext(w.came.watch(request.Context())))
}
