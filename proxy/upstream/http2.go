package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"persona-sidecar/proxy/field"
	"persona-sidecar/proxy/wire"
)

// http2Client exchanges over HTTP/2, which net/http speaks.
type http2Client struct {
	transport *http.Transport
	endpoint  endpoint
	scheme    string
}

const (
	dialTimeout = 10 * time.Second
	keepAlive   = 15 * time.Second // between probes, so that a dead machine is noticed

	// An HTTP/2 website says when it closes a connection, so this one may be idle
	// for longer than those of HTTP/1.1.
	http2Idle = time.Minute
	http2Ping = 15 * time.Second // of silence, and for the answer: a dead machine is noticed
)

func newHTTP2(to endpoint) *http2Client {
	c := &http2Client{endpoint: to, scheme: "http"}
	protocols := new(http.Protocols)
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
	c.transport = &http.Transport{
		Proxy: nil, // the website is near; the environment's proxy is for far places
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, to.network, to.address)
		},
		Protocols:              protocols,
		DisableCompression:     true, // bodies pass as they are
		IdleConnTimeout:        http2Idle,
		ResponseHeaderTimeout:  to.timeout,
		ExpectContinueTimeout:  time.Second,
		TLSHandshakeTimeout:    dialTimeout,
		MaxResponseHeaderBytes: int64(to.headerBytes),
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: http2Ping, PingTimeout: http2Ping, WriteByteTimeout: to.timeout},
	}
	if to.tls == nil {
		protocols.SetUnencryptedHTTP2(true)
		return c
	}
	protocols.SetHTTP2(true)
	c.scheme = "https"
	c.transport.TLSClientConfig = to.tls()
	return c
}

func (c *http2Client) close() { c.transport.CloseIdleConnections() }

func (c *http2Client) exchange(ctx context.Context, q *request) (*reply, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	res, err := c.send(ctx, cancel, q)
	if err == nil && (res.StatusCode < 200 || res.StatusCode > 999) {
		err = &fault{Broken, logHint, fmt.Errorf("the answer has the status %03d", res.StatusCode)}
	}
	if err != nil {
		if late := new(fault); errors.As(context.Cause(ctx), &late) {
			err = late
		}
		cancel(nil)
		return nil, err
	}
	a := &reply{status: res.StatusCode, reason: http.StatusText(res.StatusCode), fields: field.FromHeader(res.Header), length: res.ContentLength}
	if q.method == http.MethodHead {
		a.length = 0
	}
	a.body = &http2Body{res: res, left: a.length, cancel: cancel}
	return a, nil
}

// send sends a request and waits for the head of its answer.
func (c *http2Client) send(ctx context.Context, cancel context.CancelCauseFunc, q *request) (*http.Response, error) {
	// Only Opaque sends the target byte for byte: a URL that holds a path escapes
	// what the standard wants escaped. One that begins with "//" would be taken for
	// an authority, so it gets one that is taken off again.
	u := &url.URL{Scheme: c.scheme, Host: c.endpoint.address, Opaque: q.target}
	if strings.HasPrefix(q.target, "//") {
		u.Opaque = "//" + q.host + q.target
	}
	r := &http.Request{
		Method: q.method, URL: u, Host: q.host, Header: make(http.Header, len(q.fields)+1),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	r.Header["User-Agent"] = nil // net/http adds none of its own
	for _, f := range q.fields {
		name := http.CanonicalHeaderKey(f.Name) // HTTP/2 knows one spelling
		r.Header[name] = append(r.Header[name], f.Value)
	}
	delete(r.Header, "Connection") // which HTTP/2 does not know, as it does no upgrades
	delete(r.Header, "Upgrade")
	if q.body != nil {
		taken := &takenBody{q: q, r: r, timeout: c.endpoint.timeout, cancel: cancel}
		defer taken.unwatch()
		r.Body, r.ContentLength = taken, q.length
		if len(q.announce) > 0 {
			r.Trailer = make(http.Header, len(q.announce))
			for _, name := range q.announce {
				r.Trailer[name] = nil
			}
		}
	}
	// Interim answers come on another goroutine, which may outlive the exchange.
	var mu sync.Mutex
	over := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(status int, h textproto.MIMEHeader) error {
		mu.Lock()
		defer mu.Unlock()
		if over {
			return net.ErrClosed
		}
		return q.asker.interim(status, field.FromHeader(http.Header(h)))
	}})
	defer func() {
		mu.Lock()
		over = true
		mu.Unlock()
	}()
	return c.transport.RoundTrip(r.WithContext(ctx))
}

// takenBody is a body on its way to the website. It ends the exchange when the
// website takes nothing for too long before it answers, and hands the trailer section over.
type takenBody struct {
	q       *request
	r       *http.Request
	timeout time.Duration
	cancel  context.CancelCauseFunc

	mu        sync.Mutex
	timer     *time.Timer // runs while what was read last is not taken
	unwatched bool
}

func (b *takenBody) Read(p []byte) (int, error) {
	b.watch(false)
	n, err := b.q.body.Read(p)
	if err == nil {
		b.watch(true)
	}
	if errors.Is(err, io.EOF) && b.q.trailer != nil {
		for _, f := range b.q.trailer() {
			name := http.CanonicalHeaderKey(f.Name)
			b.r.Trailer[name] = append(b.r.Trailer[name], f.Value)
		}
	}
	return n, err
}

func (b *takenBody) watch(on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.unwatched:
	case b.timer != nil && on:
		b.timer.Reset(b.timeout)
	case on:
		b.timer = time.AfterFunc(b.timeout, func() {
			b.cancel(&fault{Timeout, "the website took nothing of the request's body for too long; is it overloaded?", os.ErrDeadlineExceeded})
		})
	case b.timer != nil:
		b.timer.Stop()
	}
}

func (b *takenBody) unwatch() {
	b.watch(false)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unwatched = true
}

// Close leaves the client's body to its server.
func (b *takenBody) Close() error { return nil }

// http2Body is the body of an answer.
type http2Body struct {
	res    *http.Response
	left   int64 // in bytes; negative: not known
	cancel context.CancelCauseFunc
}

func (b *http2Body) Read(p []byte) (int, error) {
	n, err := b.res.Body.Read(p)
	if b.left > 0 {
		b.left -= int64(n)
	}
	return n, err
}

// ready does not know what has come, so only an end is certain.
func (b *http2Body) ready() bool { return b.left == 0 }

func (b *http2Body) cutter() func() { return func() { b.cancel(nil) } }

func (b *http2Body) trailer() wire.Fields { return field.FromHeader(b.res.Trailer) }

func (b *http2Body) close() {
	b.cancel(nil) // or Close waits for the body of the request
	_ = b.res.Body.Close()
}
