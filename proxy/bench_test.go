package proxy_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"persona-sidecar/proxy"
	"persona-sidecar/proxy/middleware"
)

// BenchmarkEdge is what the middleware and the Edge cost for a request that is
// not intercepted.
func BenchmarkEdge(b *testing.B) {
	cfg := config()
	cfg.Sites[0].Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	edge, err := proxy.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	handler := middleware.New(middleware.Config{Log: zerolog.New(io.Discard)})(edge.Terminated())
	for _, host := range []string{"example.com", "Example.com:80"} {
		b.Run(host, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "http://example.com/index.html?a=b", http.NoBody)
			r.Host, r.RemoteAddr = host, "192.0.2.1:1234"
			r.RequestURI = strings.TrimPrefix(r.RequestURI, "http://example.com")
			w := discarded{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				handler.ServeHTTP(w, r)
			}
		})
	}
}

// discarded is an answer that is not looked at.
type discarded struct{ header http.Header }

func (d discarded) Header() http.Header       { return d.header }
func (discarded) Write(p []byte) (int, error) { return len(p), nil }
func (discarded) WriteHeader(int)             {}
