package limit_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/proxy"
	"persona-sidecar/proxy/limit"
	"persona-sidecar/proxy/proxytest"
)

// door is a server whose connections are limited. Its handler answers at once, but
// for /wait, which waits for a release, and /hijack, which keeps the connection.
type door struct {
	addr        string
	log         proxytest.Log
	connections *limit.Connections
	waiting     chan struct{} // receives for each request that waits
	release     chan struct{} // lets one of them go on
	idle        chan struct{} // receives for each connection that becomes idle

	mu      sync.Mutex
	refused map[string]int // by what and bound
}

// open serves with bounds. With late, connections begin with a PROXY header.
func open(t *testing.T, bounds limit.Bounds, secure *tls.Config, late bool) *door {
	t.Helper()
	d := &door{
		waiting: make(chan struct{}, 100), release: make(chan struct{}), idle: make(chan struct{}, 100),
		refused: map[string]int{},
	}
	d.connections = limit.NewConnections(limit.Config{Log: d.log.Logger(), Refused: d.count})
	d.connections.Set(bounds, []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")})
	server := proxy.NewServer(http.HandlerFunc(d.serve), secure, zerolog.Nop())
	state := server.ConnState
	server.ConnState = func(conn net.Conn, now http.ConnState) {
		d.connections.State(conn, now)
		state(conn, now)
		if now == http.StateIdle {
			d.idle <- struct{}{}
		}
	}
	listener := proxytest.Listen(t)
	d.addr = listener.Addr().String()
	if late {
		listener = proxy.ProxyProtocol(listener, []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, proxytest.Patience)
	}
	listener = d.connections.Listener(listener, late)
	var serving sync.WaitGroup
	serving.Go(func() {
		_ = server.Serve(listener)
	})
	t.Cleanup(func() {
		server.Close()
		serving.Wait()
		d.left(t, 0)
	})
	return d
}

func (d *door) serve(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/wait":
		d.waiting <- struct{}{}
		select {
		case <-d.release:
		case <-r.Context().Done():
		}
	case "/hijack":
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			defer conn.Close()
			d.waiting <- struct{}{}
			_, _ = io.Copy(io.Discard, conn) // until the client ends it
		}
	}
}

func (d *door) count(what, bound string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refused[what+" "+bound]++
}

// left waits until so many connections are counted.
func (d *door) left(t *testing.T, want int) {
	t.Helper()
	eventually(t, func() bool { return d.connections.Open() == want })
}

// eventually waits for a condition.
func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(proxytest.Patience); !condition(); {
		if time.Now().After(deadline) {
			t.Fatal("waited for too long")
		}
		time.Sleep(time.Millisecond)
	}
}

// expect checks what was refused so far.
func (d *door) expect(t *testing.T, want map[string]int) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if fmt.Sprint(d.refused) != fmt.Sprint(want) {
		t.Errorf("refused %v, want %v", d.refused, want)
	}
}

type client struct {
	net.Conn
	reader *bufio.Reader
}

// dial opens a connection, and names a client where the door expects it.
func (d *door) dial(t *testing.T, name string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(proxytest.Patience))
	if name != "" {
		family := "TCP4 "
		if strings.Contains(name, ":") {
			family = "TCP6 "
		}
		io.WriteString(conn, "PROXY "+family+name+" "+name+" 1024 443\r\n")
	}
	return &client{conn, bufio.NewReader(conn)}
}

func (c *client) send(path string) {
	more := ""
	if path == "/hijack" { // only then a connection can be kept
		more = "Connection: Upgrade\r\nUpgrade: x\r\n"
	}
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: example.com\r\n%s\r\n", path, more)
}

// served reads one answer.
func (c *client) served(t *testing.T) {
	t.Helper()
	res, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	res.Body.Close()
}

// closed checks that the connection was closed without an answer.
func (c *client) closed(t *testing.T) {
	t.Helper()
	if b, err := c.reader.ReadByte(); err == nil {
		t.Errorf("the connection was answered, first with %q", b)
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection was not closed")
	}
}

// idler opens a connection that has been served and waits.
func (d *door) idler(t *testing.T, name string) *client {
	t.Helper()
	c := d.dial(t, name)
	c.send("/")
	c.served(t)
	await(t, d.idle)
	return c
}

// busy opens a connection with a request in flight.
func (d *door) busy(t *testing.T, name, path string) *client {
	t.Helper()
	c := d.dial(t, name)
	c.send(path)
	await(t, d.waiting)
	return c
}

func await(t *testing.T, happened <-chan struct{}) {
	t.Helper()
	select {
	case <-happened:
	case <-time.After(proxytest.Patience):
		t.Fatal("waited for too long")
	}
}

// A client's own idle connections make way for its new ones, the one first that has
// waited for longest; busy ones never do.
func TestConnectionsOfOneClient(t *testing.T) {
	t.Parallel()
	for name, addr := range map[string]string{"accepted": "", "named later": "198.51.100.7"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := open(t, limit.Bounds{PerClient: 3, Sum: 6}, nil, addr != "")
			one, two, three := d.idler(t, addr), d.idler(t, addr), d.idler(t, addr)
			one.send("/")
			one.served(t)
			await(t, d.idle)
			four := d.idler(t, addr)
			two.closed(t) // one has been used since
			d.expect(t, map[string]int{"idle_connection client": 1})
			if strings.Contains(d.log.String(), "too many") {
				t.Errorf("logged: %s", d.log.String())
			}
			for _, c := range []*client{one, three, four} {
				c.send("/wait")
				await(t, d.waiting)
			}
			d.dial(t, addr).closed(t)
			d.expect(t, map[string]int{"idle_connection client": 1, "connection client": 1})
			line := d.log.Next(t, "a client has too many connections at once")
			if line["limit"] != 3.0 || !strings.Contains(line["hint"].(string), "limits.connections_per_client") || line["client"] == "" {
				t.Errorf("line %v", line)
			}
			d.release <- struct{}{} // any of them
			await(t, d.idle)
			d.idler(t, addr)
		})
	}
}

// Where all connections together are too many, the one goes that has waited for
// longest, of any client.
func TestConnectionsInAll(t *testing.T) {
	t.Parallel()
	d := open(t, limit.Bounds{PerClient: 4, Sum: 4}, nil, true)
	first := d.idler(t, "198.51.100.1")
	d.busy(t, "198.51.100.2", "/wait")
	d.busy(t, "198.51.100.3", "/wait")
	d.busy(t, "198.51.100.3", "/hijack")
	d.busy(t, "198.51.100.5", "/wait")
	first.closed(t)
	d.expect(t, map[string]int{"idle_connection sum": 1})
	last := d.dial(t, "198.51.100.6")
	last.send("/")
	last.closed(t)
	d.expect(t, map[string]int{"idle_connection sum": 1, "connection sum": 1})
	line := d.log.Next(t, "no room for more connections")
	if line["limit"] != 4.0 || line["refused"] != false || line["hint"] != "raise limits.connections if there is memory for more" {
		t.Errorf("line %v", line)
	}
}

// Connections that have sent nothing wait as well: a flood of them pushes out its
// own.
func TestSilentConnections(t *testing.T) {
	t.Parallel()
	d := open(t, limit.Bounds{PerClient: 2, Sum: 4}, nil, false)
	first := d.dial(t, "")
	d.left(t, 1)
	for range 5 {
		d.dial(t, "")
	}
	d.idler(t, "")
	first.closed(t)
	if got := d.connections.Open(); got > 2 {
		t.Errorf("%d connections", got)
	}
}

// IPv6 clients have a /56 each. Trusted proxies and the unknown count in the sum
// alone, addresses that are not public may be gateways.
func TestClientNetworks(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		clients []string
		refused int
	}{
		"one address":               {[]string{"198.51.100.1", "198.51.100.1", "198.51.100.1"}, 1},
		"neighbours":                {[]string{"198.51.100.1", "198.51.100.2", "198.51.100.3"}, 0},
		"mapped":                    {[]string{"198.51.100.1", "::ffff:198.51.100.1", "198.51.100.1"}, 1},
		"one /56":                   {[]string{"2001:db8:0:100::1", "2001:db8:0:1ff::1", "2001:db8:0:123:4:5:6:7"}, 1},
		"another /56":               {[]string{"2001:db8:0:100::1", "2001:db8:0:100::2", "2001:db8:0:200::1"}, 0},
		"trusted proxy":             {[]string{"203.0.113.1", "203.0.113.1", "203.0.113.1"}, 0},
		"private, and so a gateway": {[]string{"10.1.1.1", "10.1.1.1", "10.1.1.1", "10.1.1.1", "10.1.1.1"}, 1},
		"loopback":                  {[]string{"::1", "::1", "::1", "::1", "::1"}, 1},
		"unique local":              {[]string{"fd00::1", "fd00::1", "fd00::1", "fd00::1", "fd00::1"}, 1},
		"carrier's":                 {[]string{"100.64.1.1", "100.64.1.1", "100.64.1.1", "100.64.1.1", "100.64.1.1"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := open(t, limit.Bounds{PerClient: 2, Sum: 8}, nil, true)
			for i, addr := range test.clients {
				if i < len(test.clients)-test.refused {
					d.busy(t, addr, "/wait")
				} else {
					d.dial(t, addr).closed(t)
				}
			}
		})
	}
}

// Over TLS nothing is answered to a connection that is refused. One with HTTP/2 is
// idle while it has no stream.
func TestConnectionsOverTLS(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"http/1.1", "h2"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			certificate, roots := proxytest.Certificate()
			d := open(t, limit.Bounds{PerClient: 1, Sum: 2}, &tls.Config{Certificates: []tls.Certificate{certificate}}, false)
			visit := func() *http.Client {
				protocols := new(http.Protocols)
				protocols.SetHTTP1(protocol != "h2")
				protocols.SetHTTP2(protocol == "h2")
				transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, Protocols: protocols}
				t.Cleanup(transport.CloseIdleConnections)
				return &http.Client{Transport: transport, Timeout: proxytest.Patience}
			}
			get := func(client *http.Client, path string) {
				if res, err := client.Get("https://" + d.addr + path); err != nil {
					t.Error(err)
				} else {
					res.Body.Close()
				}
			}
			get(visit(), "/")
			await(t, d.idle)
			if protocol == "h2" {
				await(t, d.idle) // before the first stream, and after it
			}
			var waits sync.WaitGroup
			waits.Go(func() { get(visit(), "/wait") }) // in place of the idle one
			await(t, d.waiting)
			d.expect(t, map[string]int{"idle_connection client": 1})
			d.dial(t, "").closed(t)
			d.expect(t, map[string]int{"idle_connection client": 1, "connection client": 1})
			d.release <- struct{}{}
			waits.Wait()
		})
	}
}
