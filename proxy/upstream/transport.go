package upstream

import (
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

func newTransport(cfg Config) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // upgrades need HTTP/1.1
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
	return &http.Transport{
		Proxy:                  nil, // the website is near; the environment's proxy is for far places
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    dialTimeout,
		DisableCompression:     true, // bodies pass as they are
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        idleTimeout,
		ResponseHeaderTimeout:  cfg.HeaderTimeout,
		ExpectContinueTimeout:  continueTimeout,
		MaxResponseHeaderBytes: maxResponseHeaderBytes,
		Protocols:              protocols,
	}
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
