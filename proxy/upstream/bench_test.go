package upstream_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/proxy"
	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/proxytest"
)

// One KiB over HTTP/1.1 keep-alive on loopback, through the whole chain with its
// access log: over net/http in clear text, over TLS by the way for ordinary requests,
// and directly. What the proxy costs is the difference to that. In "told" the website is
// told who is signed in, and the answer kept from shared caches; what it costs to know that is not part of it.
func BenchmarkProxy1KiB(b *testing.B) {
	log := zerolog.New(io.Discard)
	certificate, roots := proxytest.Certificate()
	secure := &tls.Config{Certificates: []tls.Certificate{certificate}}
	dial := func(addr string, secure bool) func() (net.Conn, error) {
		return func() (net.Conn, error) {
			if secure {
				return tls.Dial("tcp", addr, &tls.Config{RootCAs: roots, ServerName: "example.com"})
			}
			return net.Dial("tcp", addr)
		}
	}
	s := start(b, kibibyte(b), options{identityNames: []string{"X-Staff"}, gated: true})
	handler := middleware.New(middleware.Config{Log: log})(s.proxy)
	b.Run("plain", func(b *testing.B) { benchmark(b, dial(s.serve(b, proxy.NewServer(handler, nil, log)), false)) })
	b.Run("TLS", func(b *testing.B) { benchmark(b, dial(s.serve(b, proxy.NewServer(handler, secure, log)), true)) })
	told := middleware.New(middleware.Config{Log: log})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		middleware.FromContext(r.Context()).Visit = &middleware.Visit{Private: true, Fields: []middleware.VisitField{
			{Name: "Remote-User", Value: "anna"},
			{Name: "Remote-Email", Value: "anna@example.com"},
			{Name: "Remote-Name", Value: "\xc3\x84nne M\xc3\xbcller"},
			{Name: "Remote-Groups", Value: "staff,editors,wiki-admins"},
			{Name: "Remote-Id", Value: "6f9619ff-8b86-d011-b42d-00cf4fc964ff"},
			{Name: "X-Persona-Assertion", Value: assertion},
		}}
		s.proxy.ServeHTTP(w, r)
	}))
	b.Run("TLS, told", func(b *testing.B) { benchmark(b, dial(s.serve(b, proxy.NewServer(told, secure, log)), true)) })
	b.Run("direct", func(b *testing.B) { benchmark(b, dial(strings.TrimPrefix(kibibyte(b), "http://"), false)) })
}

// assertion is as long as a signed one.
var assertion = strings.Repeat("eyJh", 225)

func kibibyte(b *testing.B) string {
	b.Helper()
	body := []byte(strings.Repeat("x", 1024))
	website := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Write(body)
	}))
	b.Cleanup(website.Close)
	return website.URL
}

// benchmark asks with as little work of its own as possible.
func benchmark(b *testing.B, dial func() (net.Conn, error)) {
	b.Helper()
	b.ReportAllocs()
	b.SetBytes(1024)
	request := []byte("GET /index.html?a=b HTTP/1.1\r\nHost: example.com\r\nUser-Agent: benchmark\r\nAccept: */*\r\nCookie: a=1; b=2\r\n\r\n")
	b.RunParallel(func(pb *testing.PB) {
		conn, err := dial()
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Minute))
		r := bufio.NewReader(conn)
		for pb.Next() {
			conn.Write(request)
			if err := discardAnswer(r); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// discardAnswer reads an answer of 1024 bytes and checks its status.
func discardAnswer(r *bufio.Reader) error {
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && string(line[9:12]) != "200" {
			return io.ErrUnexpectedEOF
		}
		if len(line) == 2 {
			break
		}
	}
	_, err := r.Discard(1024)
	return err
}
