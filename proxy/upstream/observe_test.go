package upstream_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"persona-sidecar/proxy/proxytest"
	"persona-sidecar/proxy/upstream"
)

// TestFailures: each fault of the website is reported once, by its kind; what is no
// fault of the website is not.
func TestFailures(t *testing.T) {
	t.Parallel()
	says := func(answer string) func(*testing.T) string {
		return func(t *testing.T) string {
			return rawSite(t, func(_ string, conn net.Conn, _ *bufio.Reader) { io.WriteString(conn, answer) })
		}
	}
	tests := map[string]struct {
		site func(t *testing.T) string
		want []upstream.Failure
	}{
		"well":        {says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), nil},
		"its own 500": {says("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"), nil},
		"refused":     {func(t *testing.T) string { return "http://" + proxytest.Refused(t) }, []upstream.Failure{upstream.Refused}},
		// Not a name at all, so that no DNS server is asked.
		"unresolved": {func(*testing.T) string { return "http://no..such.host" }, []upstream.Failure{upstream.Unresolved}},
		"untrusted": {func(t *testing.T) string {
			server := httptest.NewTLSServer(http.NotFoundHandler())
			t.Cleanup(server.Close)
			return server.URL
		}, []upstream.Failure{upstream.TLS}},
		"no TLS": {func(t *testing.T) string {
			server := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(server.Close)
			return strings.Replace(server.URL, "http:", "https:", 1)
		}, []upstream.Failure{upstream.TLS}},
		"silent": {func(t *testing.T) string {
			return rawSite(t, func(_ string, _ net.Conn, r *bufio.Reader) { r.ReadByte() })
		}, []upstream.Failure{upstream.Timeout}},
		"no answer": {says(""), []upstream.Failure{upstream.Broken}},
		"no HTTP":   {says("220 mail.example.com ESMTP\r\n"), []upstream.Failure{upstream.Broken}},
		"cut":       {says("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nbeginning"), []upstream.Failure{upstream.Cut}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			told := make(chan upstream.Failure, 10)
			s := start(t, test.site(t), options{timeout: 300 * time.Millisecond, failed: func(f upstream.Failure) { told <- f }})
			res, err := s.client(t, true).Get("https://example.com/")
			if err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
			s.line(t) // the request is over
			close(told)
			var got []upstream.Failure
			for failure := range told {
				got = append(got, failure)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
