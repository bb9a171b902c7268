package upstream_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Connections to the website are kept, a hundred at a time as well.
func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	const clients = 100
	var opened atomic.Int64
	var together sync.WaitGroup
	website := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		together.Done()
		together.Wait()
	}))
	website.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	website.Start()
	t.Cleanup(website.Close)
	s := start(t, website.URL, options{})
	client := s.client(t, true)
	for range 3 {
		together.Add(clients)
		var asked sync.WaitGroup
		for range clients {
			asked.Go(func() {
				res, err := client.Get("https://example.com/")
				if err != nil {
					t.Error(err)
					return
				}
				res.Body.Close()
			})
		}
		asked.Wait()
	}
	// Go puts a connection back a moment after its answer was read, so a few more may be opened.
	if n := opened.Load(); n > 2*clients {
		t.Errorf("%d connections for %d clients", n, clients)
	}
}

// We give up idle connections before the website does (five seconds in Node and
// Apache), so that no request meets a connection that is just being closed.
func TestIdleConnectionsAreClosedFirst(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes four seconds")
	}
	idle := make(chan time.Duration, 1)
	s := start(t, rawSite(t, func(_ string, conn net.Conn, r *bufio.Reader) {
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		begin := time.Now()
		r.ReadByte()
		idle <- time.Since(begin)
	}), options{})
	get(t, s.client(t, false), "https://example.com/")
	if took := await(t, idle, "the connection to be closed"); took < time.Second || took >= 5*time.Second {
		t.Errorf("closed after %v", took)
	}
}

// A kept connection that the website has closed costs no request.
func TestDeadConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{}, 10)
	s := start(t, rawSite(t, func(_ string, conn net.Conn, _ *bufio.Reader) {
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		conn.Close()
		closed <- struct{}{}
	}), options{})
	client := s.client(t, false)
	for i := range 5 {
		if res, body := get(t, client, fmt.Sprintf("https://example.com/%d", i)); res.StatusCode != http.StatusOK || body != "ok" {
			t.Errorf("%d: %d %q", i, res.StatusCode, body)
		}
		await(t, closed, "the website to close")
	}
}
