package limit_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/rs/zerolog"

	"persona-sidecar/proxy"
	"persona-sidecar/proxy/limit"
	"persona-sidecar/proxy/middleware"
)

// BenchmarkRequests is what the middleware costs, without the limits and with them.
func BenchmarkRequests(b *testing.B) {
	requests := limit.NewRequests(limit.Config{Log: zerolog.Nop()}, proxy.StreamWindow, limit.NewConnections(limit.Config{}))
	requests.Set(limit.Bounds{PerClient: 256, Sum: 4096})
	served := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for name, handler := range map[string]http.Handler{"without": served, "with": requests.Handler(served)} {
		b.Run(name, func(b *testing.B) {
			handler := middleware.New(middleware.Config{Log: zerolog.New(io.Discard)})(handler)
			r := httptest.NewRequest(http.MethodGet, "http://example.com/", http.NoBody)
			for _, name := range []string{"Accept", "Accept-Encoding", "Accept-Language", "Cookie", "Referer", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "User-Agent"} {
				r.Header.Set(name, "something of a usual length")
			}
			r.RemoteAddr, r.RequestURI = "198.51.100.1:1234", "/"
			w := httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				handler.ServeHTTP(w, r)
			}
		})
	}
}
