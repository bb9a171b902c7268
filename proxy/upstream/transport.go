package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	dialTimeout = 10 * time.Second
	keepAlive   = 15 * time.Second // between probes, so that a dead machine is noticed

	// A website closes idle connections after five seconds (Node, Apache) or
	// more. A request that meets such a close fails, and only some may be sent
	// again; so we are the first to close.
	idleTimeout = 4 * time.Second

	// The default of two idle connections costs a factor of three in CPU time.
	idlePerHost = 1024

	// How long a website may take to refuse an upload that was announced by
	// Expect: 100-continue.
	continueTimeout = time.Second

	maxResponseHeaderBytes = 1 << 20
)

// transport sends requests to the website over connections that it keeps.
type transport interface {
	http.RoundTripper
	CloseIdleConnections()
}

// transports are two ways to the website.
type transports struct {
	shared *http.Transport // keeps connections and uses them for all clients
	single *http.Transport // closes a connection after one request
}

func newTransport(to endpoint) transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // upgrades need HTTP/1.1
	d := &dialer{
		dialer: net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive},
		limit:  to.timeout,
		to:     to,
	}
	shared := &http.Transport{
		Proxy:                  nil, // the website is near; the environment's proxy is for far places
		DialContext:            func(ctx context.Context, _, addr string) (net.Conn, error) { return d.dial(ctx, addr, false) },
		DialTLSContext:         func(ctx context.Context, _, addr string) (net.Conn, error) { return d.dial(ctx, addr, true) },
		DisableCompression:     true, // bodies pass as they are
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        idleTimeout,
		ResponseHeaderTimeout:  to.timeout,
		ExpectContinueTimeout:  continueTimeout,
		MaxResponseHeaderBytes: maxResponseHeaderBytes,
		Protocols:              protocols,
	}
	single := shared.Clone()
	single.DisableKeepAlives = true
	return &transports{shared: shared, single: single}
}

func (t *transports) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodHead || slices.ContainsFunc(r.Header["Authorization"], signsInConnection) {
		return t.single.RoundTrip(r)
	}
	return t.shared.RoundTrip(r)
}

func (t *transports) CloseIdleConnections() {
	t.shared.CloseIdleConnections()
	t.single.CloseIdleConnections()
}

// asksConnection reports whether the value of Authorization or WWW-Authenticate
// names a scheme that signs in a connection instead of a request (RFC 4559, section
// 6): on that connection, other clients' requests would be the person's. Where one
// of several challenges begins is not looked for; at worst a connection is closed
// that might have been kept.
func asksConnection(value string) bool {
	value = strings.ToLower(value)
	return strings.Contains(value, "ntlm") || strings.Contains(value, "negotiate")
}

// dialer opens connections to the website.
type dialer struct {
	dialer net.Dialer
	limit  time.Duration // of pacedConn
	to     endpoint
}

// dial opens a connection; with TLS when secure is set.
func (d *dialer) dial(ctx context.Context, addr string, secure bool) (net.Conn, error) {
	conn, err := d.dialer.DialContext(ctx, d.to.network, d.to.address)
	if err != nil {
		return nil, err
	}
	paced := &pacedConn{Conn: conn, limit: d.limit}
	if !secure {
		return &framedConn{Conn: paced}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	config := d.to.tls()
	encrypted := tls.Client(paced, config)
	if err := encrypted.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // the handshake's error says more
		return nil, err
	}
	return &framedConn{Conn: encrypted}, nil
}

// pacedConn is a connection that fails when the website takes nothing for longer
// than limit. http.Transport itself would wait without end.
type pacedConn struct {
	net.Conn
	limit    time.Duration
	deadline time.Time // as last set; writes do not overlap
}

func (c *pacedConn) Write(p []byte) (int, error) {
	// Setting a deadline costs something, so it is moved in steps.
	if now := time.Now(); c.deadline.Sub(now) < c.limit-c.limit/8 {
		c.deadline = now.Add(c.limit)
		if err := c.SetWriteDeadline(c.deadline); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(p)
}

// CloseWrite ends one direction of an upgraded connection.
func (c *pacedConn) CloseWrite() error { return closeWrite(c.Conn) }

// http1Client exchanges over HTTP/1.1 as http.Transport speaks it.
type http1Client struct {
	http2Client
	transport transport
}

func newHTTP1(to endpoint) *http1Client {
	c := &http1Client{http2Client{endpoint: to, scheme: "http"}, newTransport(to)}
	if to.tls != nil {
		c.scheme = "https"
	}
	return c
}

func (c *http1Client) close() { c.transport.CloseIdleConnections() }

func (c *http1Client) exchange(ctx context.Context, q *request) (*reply, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	res, err := c.send(ctx, cancel, q, c.transport)
	if err == nil && (res.StatusCode < 100 || res.StatusCode > 999) {
		err = &fault{Broken, logHint, fmt.Errorf("the answer has the status %03d", res.StatusCode)}
	}
	if err == nil && res.StatusCode == http.StatusSwitchingProtocols && (q.upgrade == "" || !strings.EqualFold(res.Header.Get("Upgrade"), q.upgrade)) {
		err = &fault{Broken, logHint, errors.New("the answer switches to a protocol that was not asked for")}
		_ = res.Body.Close()
	}
	if err != nil {
		cancel(nil)
		return nil, err
	}
	a := &reply{status: res.StatusCode, reason: http.StatusText(res.StatusCode), fields: inOrder(res.Header), length: res.ContentLength}
	if res.StatusCode == http.StatusSwitchingProtocols {
		a.conn = &upgradedSide{ReadWriteCloser: res.Body.(io.ReadWriteCloser)}
	}
	if q.method == http.MethodHead {
		a.length = 0
	}
	a.body = &http2Body{res: res, left: a.length, cancel: cancel}
	return a, nil
}

// upgradedSide is the website's connection behind a 101.
type upgradedSide struct {
	net.Conn // nil: a tunnel asks for no more than the methods below
	io.ReadWriteCloser
}

func (c *upgradedSide) Read(p []byte) (int, error)  { return c.ReadWriteCloser.Read(p) }
func (c *upgradedSide) Write(p []byte) (int, error) { return c.ReadWriteCloser.Write(p) }
func (c *upgradedSide) Close() error                { return c.ReadWriteCloser.Close() }

func (c *upgradedSide) CloseWrite() error {
	if half, ok := c.ReadWriteCloser.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}
