package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// The bodies that the website serves, by path.
var bodySizes = map[string]int{"/1k": 1 << 10, "/64k": 64 << 10, "/10m": 10 << 20} //nolint:gochecknoglobals // a table

// origin answers GET with a body of a known size, and POST when it has read all.
func origin() http.Handler {
	bodies := map[string][]byte{}
	for path, size := range bodySizes {
		bodies[path] = bytes.Repeat([]byte("x"), size)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, found := bodies[r.URL.Path]
		switch {
		case r.Method == http.MethodPost:
			if n, err := io.Copy(io.Discard, r.Body); err != nil || n != r.ContentLength {
				http.Error(w, "cut", http.StatusBadRequest)
				return
			}
			body = []byte("taken")
		case !found:
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	})
}

// reverseProxy is the best that the standard library does without an own client.
func reverseProxy(website string) (http.Handler, error) {
	target, err := url.Parse(website)
	if err != nil {
		return nil, err
	}
	buffers := &sync.Pool{New: func() any { return new([32 << 10]byte) }}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
			r.Out.Host = r.In.Host
		},
		Transport:  &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true},
		BufferPool: pool{buffers},
	}, nil
}

type pool struct{ *sync.Pool }

func (p pool) Get() []byte  { return p.Pool.Get().(*[32 << 10]byte)[:] }
func (p pool) Put(b []byte) { p.Pool.Put((*[32 << 10]byte)(b)) }

// listenOn is an address to serve TLS on with a certificate and its key in one file.
type listenOn struct{ address, pem string }

// serve serves until ctx ends. Without an address it takes a free port, serves plain
// HTTP, and prints the address.
func serve(ctx context.Context, on *listenOn, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	address := "127.0.0.1:0"
	if on != nil {
		address = on.address
		certificate, err := tls.LoadX509KeyPair(on.pem, on.pem)
		if err != nil {
			return err
		}
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { server.Close() })
	if on != nil {
		return server.ServeTLS(listener, "", "")
	}
	fmt.Println(listener.Addr())
	return server.Serve(listener)
}
