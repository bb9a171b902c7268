package fast_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/proxy"
	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/proxytest"
	"persona-sidecar/proxy/wire"
)

// serve runs a server with a handler, over TLS, and returns how to connect to it.
func serve(t testing.TB, fast bool, handler http.HandlerFunc) (server *proxy.Server, dial func() net.Conn) {
	t.Helper()
	certificate, roots := proxytest.Certificate()
	server = proxy.NewServer(handler, &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}}, zerolog.Nop())
	server.Fast = fast
	addr := proxytest.Serve(t, server)
	return server, func() net.Conn {
		t.Helper()
		conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "example.com", RootCAs: roots})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(proxytest.Patience))
		return conn
	}
}

const get = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"

// answer reads one answer and its body.
func answer(t testing.TB, in *bufio.Reader) (*http.Response, string) {
	t.Helper()
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// TestClientLeaves: a handler learns that its client has left, while it thinks, in the
// middle of its answer, and behind a body that it has read.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	begun, left := make(chan bool), make(chan error)
	_, dial := serve(t, true, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		if r.Header.Get("X-Begin") != "" {
			io.WriteString(w, "some")
			http.NewResponseController(w).Flush()
		}
		begun <- r.Context().Value(http.ServerContextKey) == nil // net/http sets it
		<-r.Context().Done()
		left <- r.Context().Err()
	})
	for _, request := range []string{get, strings.Replace(get, "Host", "X-Begin: 1\r\nHost", 1), "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3\r\n\r\nabc"} {
		conn := dial()
		io.WriteString(conn, request)
		if !<-begun {
			t.Error("the request was handed over")
		}
		closed := time.Now()
		conn.Close()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if took := time.Since(closed); took > 2*time.Second { // 20 ms and what the machine takes
			t.Errorf("%.20q: the client's end was noticed after %v", request, took)
		}
	}
}

// TestBodyAfterHandler: a goroutine that reads the body beside the handler gets nothing once
// that is over, whichever way: the connection's buffer is another's then.
func TestBodyAfterHandler(t *testing.T) {
	t.Parallel()
	head := "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1000000\r\n"
	for name, fields := range map[string]string{"returned": "", "closing": "Connection: close\r\n", "panicked": "X-Panic: 1\r\n"} {
		over, read := make(chan bool), make(chan error, 1)
		_, dial := serve(t, true, func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).EnableFullDuplex()
			body := r.Body
			_, _ = body.Read(make([]byte, 1))
			go func() {
				<-over
				_, err := body.Read(make([]byte, 1))
				read <- err
			}()
			if r.Header.Get("X-Panic") != "" {
				panic(http.ErrAbortHandler)
			}
			io.WriteString(w, "no")
		})
		conn := dial()
		io.WriteString(conn, head+fields+"\r\n"+strings.Repeat("a", 2000))
		_, _ = io.ReadAll(conn)
		over <- true
		if err := <-read; !errors.Is(err, http.ErrBodyReadAfterClose) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReadAhead: what a client sends early, while its request is served for long, is the
// beginning of its next request.
func TestReadAhead(t *testing.T) {
	t.Parallel()
	wait := make(chan struct{})
	certificate, _ := proxytest.Certificate()
	server := proxy.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			<-wait
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, r.URL.Path, " ", string(body), r.Context().Value(http.ServerContextKey) == nil)
	}), &tls.Config{Certificates: []tls.Certificate{certificate}, SessionTicketsDisabled: true}, zerolog.Nop())
	listener := newPipes()
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })
	for _, next := range []struct{ request, want string }{
		{"GET /a HTTP/1.1\r\nHost: example.com\r\n\r\n", "/a true"},
		{"POST /b HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3\r\n\r\nabc", "/b abctrue"},
		{"POST /c HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "/c abcfalse"},
	} {
		near, far := net.Pipe()
		listener.conns <- &pipe{Conn: far, local: &net.TCPAddr{}}
		conn := tls.Client(near, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
		defer near.Close()
		near.SetDeadline(time.Now().Add(proxytest.Patience))
		in := bufio.NewReader(conn)
		for range 2 {
			io.WriteString(conn, get)
			io.WriteString(conn, next.request[:1]) // over a pipe, until the server has read it
			sent := make(chan struct{})
			go func() {
				io.WriteString(conn, next.request[1:7])
				io.WriteString(conn, next.request[7:])
				close(sent)
			}()
			wait <- struct{}{}
			if _, body := answer(t, in); body[:2] != "/ " {
				t.Errorf("%q", body)
			}
			if _, body := answer(t, in); body != next.want {
				t.Errorf("%.20q: %q", next.request, body)
			}
			<-sent
		}
	}
}

// TestShutdown: a server that is shut down ends idle connections, waits for those under
// way, whose answers say so, and serves no new ones.
func TestShutdown(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{get, "GET / HTTP/1.1\r\nHost: example.com\r\nX_Y: 1\r\n\r\n"} {
		begun, wait := make(chan struct{}), make(chan struct{})
		server, dial := serve(t, true, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				begun <- struct{}{}
				<-wait
			}
		})
		idle, fresh, busy := dial(), dial(), dial()
		io.WriteString(idle, strings.Replace(kind, "/ ", "/x ", 1))
		answer(t, bufio.NewReader(idle))
		io.WriteString(busy, kind)
		<-begun
		late, cancel := context.WithCancel(t.Context())
		cancel()
		if err := server.Shutdown(late); !errors.Is(err, context.Canceled) {
			t.Errorf("shut down with a request under way: %v", err)
		}
		if n, err := idle.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Error("the idle connection is open")
		}
		if kind == get { // net/http gives a connection without a request five seconds
			if n, err := fresh.Read(make([]byte, 1)); n > 0 || err == nil {
				t.Error("the fresh connection is open")
			}
		}
		fresh.Close()
		down := make(chan error)
		go func() { down <- server.Shutdown(t.Context()) }()
		wait <- struct{}{}
		if res, _ := answer(t, bufio.NewReader(busy)); !res.Close {
			t.Error("the answer does not say that the connection ends")
		}
		if err := <-down; err != nil {
			t.Error(err)
		}
	}
}

// TestClose ends connections of both kinds.
func TestClose(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	server, dial := serve(t, true, func(_ http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-r.Context().Done()
	})
	busy, fresh := dial(), dial()
	io.WriteString(busy, get)
	<-begun
	server.Close()
	for _, conn := range []net.Conn{busy, fresh} {
		if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Error("a connection is open")
		}
	}
}

// TestSlowHead: a head has its time from the first byte on, and the first one from the
// beginning of the connection.
func TestSlowHead(t *testing.T) {
	t.Parallel()
	certificate, roots := proxytest.Certificate()
	handler := func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // as handlers do that bound a body
		http.NotFound(w, r)
	}
	server := proxy.NewServer(http.HandlerFunc(handler), &tls.Config{Certificates: []tls.Certificate{certificate}}, zerolog.Nop())
	server.ReadHeaderTimeout, server.IdleTimeout = 2*time.Second, 200*time.Millisecond // the first bounds the handshakes, too
	addr := proxytest.Serve(t, server)
	var open []net.Conn
	all := []string{"", get[:20], get, get + get[:20]}
	for _, sent := range all {
		conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "example.com", RootCAs: roots})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(proxytest.Patience))
		io.WriteString(conn, sent)
		open = append(open, conn)
	}
	for i, sent := range all {
		if got, err := io.ReadAll(open[i]); err != nil || strings.Count(string(got), "404 Not Found") != strings.Count(sent, "\r\n\r\n") {
			t.Errorf("%q: %q %v", sent, got, err)
		}
	}
}

// TestMalformedHead: a head that cannot be sent ends the connection, and no body goes out
// without it.
func TestMalformedHead(t *testing.T) {
	t.Parallel()
	result := make(chan error, 2)
	_, dial := serve(t, true, func(w http.ResponseWriter, _ *http.Request) {
		result <- middleware.WriteHead(w, http.StatusForbidden, "", wire.Fields{{Name: "X", Value: "a\r\nb: c"}}, -1)
		_, err := io.WriteString(w, "secret")
		result <- err
	})
	conn := dial()
	io.WriteString(conn, get)
	if got, err := io.ReadAll(conn); err != nil || len(got) > 0 {
		t.Errorf("%q %v", got, err)
	}
	if head, body := <-result, <-result; head == nil || body == nil {
		t.Error(head, body)
	}
}

// TestIdleMemory: an idle connection holds none of the buffers that net/http keeps for it.
func TestIdleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("opens many connections")
	}
	cost := func(fast bool) int {
		const n = 300
		_, dial := serve(t, fast, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
		request := func(conn net.Conn) {
			io.WriteString(conn, get)
			res, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), nil)
			if err != nil || res.StatusCode != http.StatusNoContent {
				t.Fatal(err)
			}
		}
		request(dial())
		used := func() int {
			runtime.GC()
			runtime.GC() // the first has put buffers of pools aside
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return int(m.HeapAlloc)
		}
		before := used()
		for range n {
			request(dial())
		}
		return (used() - before) / n
	}
	direct, other := cost(true), cost(false)
	t.Logf("%d bytes for a connection and its client, %d through net/http", direct, other)
	if direct > other-6<<10 {
		t.Error("an idle connection holds buffers")
	}
}

// BenchmarkServer compares the two ways for a small page.
func BenchmarkServer(b *testing.B) {
	page := strings.Repeat("x", 1024)
	for _, fast := range []bool{true, false} {
		b.Run(fmt.Sprintf("fast=%v", fast), func(b *testing.B) {
			_, dial := serve(b, fast, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, page) })
			conn := dial()
			buf := make([]byte, 4096)
			b.ReportAllocs()
			for b.Loop() {
				io.WriteString(conn, get)
				if n, err := conn.Read(buf); err != nil || n < len(page) {
					b.Fatal(n, err)
				}
			}
		})
	}
}
