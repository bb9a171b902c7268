package app_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
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

// TestStopDrains: after a stop was asked for no new connection is taken, a running request is
// answered to its end, and an open websocket is closed then.
func TestStopDrains(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		fmt.Fprint(w, "the whole answer")
	})
	mux.Handle("/echo", websocket.Handler(func(c *websocket.Conn) { _, _ = io.Copy(c, c) }))
	upstream := httptest.NewServer(mux)
	t.Cleanup(upstream.Close)

	folder := t.TempDir()
	yaml, roots := filesYAML(t, folder, "example.test")
	p := start(t, folder, yaml+fmt.Sprintf("domains:\n  - {name: example.test, upstream: %s}\n", upstream.URL))
	socket := dialWebsocket(t, p, roots)

	answered := make(chan string, 1)
	go func() {
		response, err := p.client(roots).Get("https://example.test/slow")
		if err != nil {
			answered <- err.Error()
			return
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		answered <- fmt.Sprint(string(body), err)
	}()
	<-arrived

	stopped := make(chan error, 1)
	go func() { stopped <- p.stop() }()
	apptest.Eventually(t, "the listeners are closed", func() bool {
		connection, err := net.DialTimeout("tcp", p.Addr("https").String(), time.Second)
		if err == nil {
			connection.Close()
		}
		return err != nil
	})
	if status, body := p.admin(t, "/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, `"stopping"`) {
		t.Errorf("/readyz answers %d %s while requests drain", status, body)
	}
	if status, _ := p.admin(t, "/livez"); status != http.StatusOK {
		t.Errorf("/livez answers %d while requests drain", status)
	}
	close(release)
	if got := <-answered; got != "the whole answer<nil>" {
		t.Errorf("the running request got %q", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("the program ended in an error: %v", err)
	}
	if err := socket.SetReadDeadline(time.Now().Add(apptest.Patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := socket.Read(make([]byte, 1)); err == nil || errors.Is(err, errTimeout(err)) {
		t.Errorf("the websocket is still open: %v", err)
	}
}

// errTimeout returns err itself when it is a time-out.
func errTimeout(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return err
	}
	return nil
}

// dialWebsocket opens a websocket through the program and proves that it echoes.
func dialWebsocket(t *testing.T, p *program, roots *x509.CertPool) *websocket.Conn {
	t.Helper()
	connection, err := tls.Dial("tcp", p.Addr("https").String(), &tls.Config{ServerName: "example.test", RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	settings, err := websocket.NewConfig("wss://example.test/echo", "https://example.test")
	if err != nil {
		t.Fatal(err)
	}
	socket, err := websocket.NewClient(settings, connection)
	if err != nil {
		t.Fatalf("opening a websocket: %v", err)
	}
	if _, err := socket.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	echo := make([]byte, 5)
	if _, err := io.ReadFull(socket, echo); err != nil || string(echo) != "hello" {
		t.Fatalf("the websocket answered %q, %v", echo, err)
	}
	return socket
}
