package proxy_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/proxy"
	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/proxytest"
)

// All requests of a client's connection know it, those of another one know
// another, and what it holds ends when it is closed or becomes something else.
func TestClientConnection(t *testing.T) {
	t.Parallel()
	ended := make(chan *middleware.Connection, 1)
	seen := make(chan *middleware.Connection, 1)
	addr := proxytest.Serve(t, proxy.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := middleware.ConnectionOf(r.Context())
		c.Keep("key", func() { ended <- c })
		seen <- c
		if r.URL.Path == "/hijack" {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			conn.Close()
		}
	}), nil, zerolog.Nop()))
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	receive := func(c <-chan *middleware.Connection) *middleware.Connection {
		select {
		case connection := <-c:
			return connection
		case <-time.After(proxytest.Patience):
			t.Fatal("waited for too long")
			return nil
		}
	}
	one, other := dial(), dial()
	io.WriteString(one, "GET /hijack HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
	hijacked := receive(seen)
	if receive(ended) != hijacked {
		t.Error("another connection than the hijacked one ended")
	}
	io.WriteString(other, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
	first := receive(seen)
	io.WriteString(other, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
	if receive(seen) != first || first == hijacked {
		t.Error("the requests of one connection do not share it alone")
	}
	receive(ended) // the second Keep ends what the first one held
	other.Close()
	if receive(ended) != first {
		t.Error("another connection than the closed one ended")
	}
}

// Uploads that are not taken, as many as one HTTP/2 connection may have, never keep
// another upload of the connection waiting.
func TestStalledUploads(t *testing.T) {
	t.Parallel()
	const stalled, window = 99, 256 << 10
	release := make(chan struct{})
	certificate, roots := proxytest.Certificate()
	addr := proxytest.Serve(t, proxy.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stalled" {
			<-release
			return
		}
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	}), &tls.Config{Certificates: []tls.Certificate{certificate}}, zerolog.Nop()))
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	opened := 0
	client := &http.Client{Transport: &http.Transport{
		Protocols: protocols, TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			opened++ // http.Transport dials for one request at a time here
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}}
	t.Cleanup(client.CloseIdleConnections)
	t.Cleanup(func() { close(release) })
	if res, err := client.Get("https://" + addr); err != nil {
		t.Fatal(err)
	} else {
		res.Body.Close()
	}
	full := make(chan struct{}, stalled)
	for range stalled {
		body := &counted{rest: 2 * window, mark: window, reached: full}
		go func() {
			if res, err := client.Post("https://"+addr+"/stalled", "", body); err == nil {
				res.Body.Close()
			}
		}()
	}
	for range stalled {
		select {
		case <-full:
		case <-time.After(proxytest.Patience):
			t.Fatal("the uploads do not fill their windows")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), proxytest.Patience)
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+addr+"/taken", strings.NewReader(strings.Repeat("x", 4*window)))
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got, err := io.ReadAll(res.Body); string(got) != fmt.Sprint(4*window, " <nil>") || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if opened != 1 {
		t.Errorf("%d connections", opened)
	}
}

// counted is a body that reports when mark bytes of it were taken.
type counted struct {
	rest, mark int64
	taken      int64
	reached    chan<- struct{}
}

func (c *counted) Read(p []byte) (int, error) {
	taken := c.taken
	n := min(int64(len(p)), c.rest-taken)
	if n == 0 {
		return 0, io.EOF
	}
	if taken < c.mark && taken+n >= c.mark {
		c.reached <- struct{}{}
	}
	c.taken += n
	return int(n), nil
}
