package app_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"persona-sidecar/cmd/internal/apptest"

	"golang.org/x/net/websocket"
)

// TestLimits: the limits of the configuration hold in the whole program, a reload changes them while what is
// in flight goes on counting, and the metrics tell.
func TestLimits(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}, 10), make(chan struct{})
	mux := http.NewServeMux()
	mux.Handle("/socket", websocket.Handler(func(*websocket.Conn) {
		arrived <- struct{}{}
		<-release
	}))
	mux.HandleFunc("/slow", func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-release
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, len(r.Header.Get("X-Long"))) })
	upstream := httptest.NewServer(mux)
	t.Cleanup(upstream.Close)
	t.Cleanup(func() { close(release) })
	folder := t.TempDir()
	yaml := func(limits string) string {
		return fmt.Sprintf(`
state_dir: state
listen: {http: "127.0.0.1:0", admin: "127.0.0.1:0"}
tls: {mode: "off"}
trusted_proxies: [127.0.0.1]
limits: {header_bytes: 131072, %s}
domains: [{name: example.test, upstream: %q}]
`, limits, upstream.URL)
	}
	p := start(t, folder, yaml("requests_per_client: 2, connections: 16"))
	client := p.client(nil)
	ask := func(ctx context.Context, from, path, long string) (int, string) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://example.test"+path, nil)
		if err != nil {
			return 0, err.Error()
		}
		request.Header.Set("X-Forwarded-For", from)
		request.Header.Set("X-Long", long)
		response, err := client.Do(request)
		if err != nil {
			return 0, err.Error()
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return 0, err.Error()
		}
		return response.StatusCode, string(body)
	}
	reached := func() {
		select {
		case <-arrived:
		case <-time.After(apptest.Patience):
			t.Fatal("the request does not reach the website")
		}
	}
	socket, err := websocket.NewConfig("ws://example.test/socket", "http://example.test")
	if err != nil {
		t.Fatal(err)
	}
	socket.Header.Set("X-Forwarded-For", "198.51.100.1")
	conn, err := net.Dial("tcp", p.Addr("http").String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := websocket.NewClient(socket, conn); err != nil {
		t.Fatal(err)
	}
	reached()
	go ask(t.Context(), "198.51.100.1", "/slow", "")
	reached()
	if status, body := ask(t.Context(), "198.51.100.1", "/", ""); status != http.StatusTooManyRequests {
		t.Errorf("the third request at once: %d %s", status, body)
	}
	if status, body := ask(t.Context(), "198.51.100.2", "/", ""); status != http.StatusOK {
		t.Errorf("another client: %d %s", status, body)
	}
	p.mustReload(t, folder, yaml("requests_per_client: 3, connections: 16"))
	go ask(t.Context(), "198.51.100.1", "/slow", "")
	reached()
	if status, body := ask(t.Context(), "198.51.100.1", "/", ""); status != http.StatusTooManyRequests {
		t.Errorf("the fourth request at once, after a reload: %d %s", status, body)
	}
	if status, body := ask(t.Context(), "198.51.100.2", "/", strings.Repeat("x", 100<<10)); status != http.StatusOK || body != fmt.Sprint(100<<10) {
		t.Errorf("a long head: %d %s", status, body)
	}
	if status, body := ask(t.Context(), "198.51.100.2", "/", strings.Repeat("x", 140<<10)); status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a head that is too long: %d %s", status, body)
	}

	// The connections that wait make way.
	for i := range 20 {
		conn, err := net.Dial("tcp", p.Addr("http").String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(apptest.Patience))
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: example.test\r\n\r\n")
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		read(t, response)
	}
	_, metrics := p.admin(t, "/metrics")
	for _, want := range []string{
		`persona_limit_refusals_total{bound="client",what="request"} 2`, `persona_limit_refusals_total{bound="sum",what="idle_connection"} `,
		"persona_connections 16", "persona_requests_in_flight 3",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}
