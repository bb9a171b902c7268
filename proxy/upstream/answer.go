package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"

	"persona-sidecar/proxy/middleware"
)

// answer stands between ReverseProxy and the client and corrects what ReverseProxy
// does not see.
type answer struct {
	http.ResponseWriter
	proxy   *Proxy
	rec     *middleware.Record
	body    *requestBody // nil when the request has none
	interim bool         // the client understands interim answers
	refused bool         // an upgrade came too late
	conn    *upgradedConn
}

// Unwrap leads http.ResponseController on.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader sends final answers, and interim ones such as 103.
func (a *answer) WriteHeader(status int) {
	h := a.Header()
	if status < 200 && status != http.StatusSwitchingProtocols {
		// A 100 is ours to send: net/http does when the body is first read, and that
		// is when the website has asked for it.
		if status == http.StatusContinue || !a.interim {
			return
		}
		for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade", "Content-Length"} {
			delete(h, name)
		}
		a.proxy.cookies.stripResponse(h)
		a.ResponseWriter.WriteHeader(status)
		return
	}
	if _, found := h["Content-Type"]; !found {
		h["Content-Type"] = nil // net/http must not guess what the website left open
	}
	if a.body != nil && a.body.http1 && !a.body.ended.Load() {
		// What is left of the body must not be taken for the next request.
		h.Set("Connection", "close")
	}
	a.ResponseWriter.WriteHeader(status)
}

var errStopping = errors.New("the program is stopping")

// Hijack hands the client's connection over for an upgrade.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if !a.proxy.upgrades.open() {
		a.refused = true
		return nil, nil, errStopping
	}
	conn, buffered, err := http.NewResponseController(a.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	a.conn = &upgradedConn{Conn: conn, early: buffered.Reader}
	a.proxy.upgrades.add(a.conn)
	return a.conn, buffered, nil
}

// requestBody remembers how reading the client's body ended.
type requestBody struct {
	io.ReadCloser
	http1   bool
	trailer trailer
	ended   atomic.Bool
	failed  atomic.Pointer[error]
}

func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == io.EOF:
		b.trailer.keepAnnounced()
		b.ended.Store(true)
	case err != nil:
		b.failed.Store(&err)
	}
	return n, err
}

// responseBody records why the website's answer broke off.
type responseBody struct {
	io.ReadCloser
	ctx    context.Context // of the request: done when the client has left
	rec    *middleware.Record
	failed func(Failure)
}

func (b *responseBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF && b.ctx.Err() == nil {
		b.failed(Cut)
		b.rec.Fail(fmt.Errorf("reading the website's answer: %w", err),
			"the website stopped in the middle of an answer; look into its own log")
	}
	return n, err
}

// modifyResponse is called for every final answer of the website. An error is
// answered as if there had been none.
func (p *Proxy) modifyResponse(res *http.Response) error {
	if res.StatusCode < 100 || res.StatusCode > 999 { // net/http panics when told to send it
		return fmt.Errorf("the answer has the status %03d", res.StatusCode)
	}
	p.cookies.stripResponse(res.Header)
	if res.StatusCode == http.StatusSwitchingProtocols {
		return nil // its body is the connection
	}
	ctx := res.Request.Context()
	res.Body = &responseBody{ReadCloser: res.Body, ctx: ctx, rec: middleware.FromContext(ctx), failed: p.failed}
	return nil
}
