package upstream_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/net/websocket"
)

func echoSocket(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(websocket.Server{Handler: func(ws *websocket.Conn) { io.Copy(ws, ws) }})
	t.Cleanup(server.Close)
	return server.URL
}

func (s *sidecar) openSocket(t *testing.T) *websocket.Conn {
	t.Helper()
	config, err := websocket.NewConfig("wss://"+s.secure+"/socket", "https://example.com")
	if err != nil {
		t.Fatal(err)
	}
	config.TlsConfig = &tls.Config{RootCAs: s.roots, ServerName: "example.com"}
	ws, err := websocket.DialConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	return ws
}

func TestWebsocket(t *testing.T) {
	t.Parallel()
	s := start(t, echoSocket(t), options{})
	ws := s.openSocket(t)
	for _, message := range []string{"hello", strings.Repeat("x", 100<<10)} {
		io.WriteString(ws, message)
		got := make([]byte, len(message))
		if _, err := io.ReadFull(ws, got); err != nil || string(got) != message {
			t.Fatalf("got %.20q, %v", got, err)
		}
	}
	if strings.Contains(s.log.String(), `"message":"request"`) {
		t.Errorf("logged before the end: %s", s.log.String())
	}
	ws.Close()
	line := s.line(t)
	if line["status"] != 101.0 || line["bytes_in"].(float64) < 100<<10 || line["bytes_out"].(float64) < 100<<10 || line["error"] != nil {
		t.Errorf("line %v", line)
	}
}

// What a client sends before it has seen the 101 is not lost.
func TestUpgradeEarlyBytes(t *testing.T) {
	t.Parallel()
	s := start(t, rawSite(t, func(head string, conn net.Conn, r *bufio.Reader) {
		if !strings.Contains(head, "Upgrade: Custom\r\n") {
			t.Errorf("head %q", head)
		}
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: Custom\r\nSet-Cookie: "+ourCookie+"=evil\r\n\r\n")
		line, _ := r.ReadString('\n')
		io.WriteString(conn, "got "+line)
	}), options{})
	conn := s.dial(t)
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: Custom\r\n\r\nearly\n")
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols || res.Header["Set-Cookie"] != nil {
		t.Fatal(res, err)
	}
	if rest, err := io.ReadAll(r); string(rest) != "got early\n" || err != nil {
		t.Errorf("got %q, %v", rest, err)
	}
}

// An upgrade that the website declines is an answer like any other.
func TestUpgradeDeclined(t *testing.T) {
	t.Parallel()
	s := start(t, site(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUpgradeRequired)
		fmt.Fprint(w, r.Header.Get("Upgrade"))
	}), options{})
	res, body := s.send(t, "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	if res.StatusCode != http.StatusUpgradeRequired || body != "websocket" {
		t.Errorf("%d %q", res.StatusCode, body)
	}
}

// http.Server.Shutdown does not see open websockets; CloseWebsockets ends them.
func TestShutdownWithWebsocket(t *testing.T) {
	t.Parallel()
	s := start(t, echoSocket(t), options{})
	ws := s.openSocket(t)
	websocket.Message.Send(ws, "hello")
	var got string
	if err := websocket.Message.Receive(ws, &got); err != nil {
		t.Fatal(err)
	}
	for _, server := range s.servers {
		if err := server.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	closed := make(chan struct{})
	go func() {
		s.proxy.CloseWebsockets()
		close(closed)
	}()
	if err := websocket.Message.Receive(ws, &got); err == nil {
		t.Errorf("still open: %q", got)
	}
	await(t, closed, "the websockets to be gone")
	if line := s.line(t); line["status"] != 101.0 {
		t.Errorf("line %v", line)
	}
}

// The program stops also with a website that does not notice that its client has gone.
func TestShutdownWithDeafWebsite(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	website := httptest.NewServer(websocket.Handler(func(*websocket.Conn) { <-release }))
	t.Cleanup(website.Close)
	t.Cleanup(func() { close(release) })
	s := start(t, website.URL, options{})
	s.openSocket(t).Close()
	closed := make(chan struct{})
	go func() {
		s.proxy.CloseWebsockets()
		close(closed)
	}()
	await(t, closed, "the websockets to be gone")
}

func TestUpgradeWhileStopping(t *testing.T) {
	t.Parallel()
	s := start(t, echoSocket(t), options{})
	s.proxy.CloseWebsockets()
	res, body := s.send(t, "GET / HTTP/1.1\r\nHost: example.com\r\nOrigin: http://example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "restarted") {
		t.Errorf("%d %q", res.StatusCode, body)
	}
}
