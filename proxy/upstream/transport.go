package upstream

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
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

func newTransport(cfg Config) transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // upgrades need HTTP/1.1
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
	return &http.Transport{
		Proxy:                  nil, // the website is near; the environment's proxy is for far places
		DialContext:            pacedDial(dialer, cfg.Timeout),
		TLSClientConfig:        &tls.Config{RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    dialTimeout,
		DisableCompression:     true, // bodies pass as they are
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        idleTimeout,
		ResponseHeaderTimeout:  cfg.Timeout,
		ExpectContinueTimeout:  continueTimeout,
		MaxResponseHeaderBytes: maxResponseHeaderBytes,
		Protocols:              protocols,
	}
}

// pacedDial opens connections that fail when the website takes nothing for
// longer than limit. http.Transport itself would wait for ever.
func pacedDial(dialer *net.Dialer, limit time.Duration) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &pacedConn{Conn: conn, limit: limit}, nil
	}
}

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
func (c *pacedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

const bufferSize = 32 << 10

// bufferPool keeps the buffers through which bodies are copied. Array pointers,
// not slices, so that putting one back allocates nothing.
type bufferPool struct{ pool sync.Pool }

func (p *bufferPool) Get() []byte {
	if buf, ok := p.pool.Get().(*[bufferSize]byte); ok {
		return buf[:]
	}
	return make([]byte, bufferSize)
}

func (p *bufferPool) Put(buf []byte) { p.pool.Put((*[bufferSize]byte)(buf)) }
