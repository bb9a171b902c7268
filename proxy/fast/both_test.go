package fast_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"persona-sidecar/proxy"
	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/proxytest"
	"persona-sidecar/proxy/upstream"
)

// way is one of the two ways to serve a connection, with everything that stands behind it.
type way struct {
	server *proxy.Server
	listen *pipes
	site   string // address of the website
	log    proxytest.Log
	conns  sync.Map     // *net.TCPAddr → *pipe
	direct atomic.Int64 // requests that were served without net/http
	served atomic.Int64 // and in all

	mu      sync.Mutex
	reached []string // what reached the website
}

// pipe is the server's end of a connection. It knows when the server waits for bytes that
// will never come, because the client has sent everything.
type pipe struct {
	net.Conn
	local *net.TCPAddr // its own: requests are found by it

	mu      sync.Mutex
	sent    bool // everything
	coming  int  // bytes that were sent and not read
	reading bool
	state   http.ConnState
	bodies  int // handlers that read their request's body
	ended   bool
}

func (*pipe) RemoteAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1234} }
func (p *pipe) LocalAddr() net.Addr { return p.local }

func (p *pipe) Read(b []byte) (int, error) {
	p.update(func() { p.reading = true })
	n, err := p.Conn.Read(b)
	p.update(func() {
		p.coming -= n
		if p.reading = false; p.ended && err != nil {
			err = io.EOF
		}
	})
	return n, err
}

// update changes what is known, and ends the connection when the server waits in vain.
func (p *pipe) update(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	idle := p.state == http.StateNew || p.state == http.StateIdle || p.bodies > 0
	if p.sent && p.coming == 0 && p.reading && idle && !p.ended {
		p.ended = true
		_ = p.Conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// SetReadDeadline is lifted by nothing once the connection has ended.
func (p *pipe) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return nil
	}
	return p.Conn.SetReadDeadline(t)
}

func (p *pipe) SetDeadline(t time.Time) error {
	_ = p.SetReadDeadline(t)
	return p.SetWriteDeadline(t)
}

// sender is the client's end of a connection.
type sender struct {
	net.Conn
	to *pipe
}

func (s sender) Write(b []byte) (int, error) {
	s.to.update(func() { s.to.coming += len(b) })
	return s.Conn.Write(b)
}

// pipes is a listener.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes {
	return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}
func (*pipes) Addr() net.Addr { return &net.TCPAddr{} }

// pipeOf finds the pipe below a connection.
func pipeOf(conn net.Conn) *pipe {
	for {
		if p, ok := conn.(*pipe); ok {
			return p
		}
		conn = conn.(interface{ NetConn() net.Conn }).NetConn()
	}
}

// watched is a body, and the answer to its request. It tells the pipe when what is left of
// the body is waited for: by the handler, or by the server that drains it.
type watched struct {
	io.ReadCloser
	http.ResponseWriter
	pipe  *pipe
	ended atomic.Bool
}

func (b *watched) wait(change int) {
	if !b.ended.Load() {
		b.pipe.update(func() { b.pipe.bodies += change })
	}
}

func (b *watched) Read(p []byte) (int, error) {
	b.wait(1)
	n, err := b.ReadCloser.Read(p)
	b.wait(-1)
	if err == io.EOF {
		b.ended.Store(true)
	}
	return n, err
}

func (b *watched) Unwrap() http.ResponseWriter { return b.ResponseWriter }

func (b *watched) Write(p []byte) (int, error) {
	b.wait(1)
	defer b.wait(-1)
	return b.ResponseWriter.Write(p)
}

// zeros makes request ids equal.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// newWay serves hosts, all by one website, until the test ends.
func newWay(t testing.TB, fast bool, certificate tls.Certificate, hosts []string) *way {
	t.Helper()
	w := &way{listen: newPipes()}
	w.site = proxytest.Serve(t, &http.Server{Handler: http.HandlerFunc(w.website)})
	to, err := upstream.New(upstream.Config{Site: "site", URL: &url.URL{Scheme: "http", Host: w.site}, Cookies: []string{"__Host-persona"}, IdentityNames: []string{"X-Staff"}, Gated: true, Log: w.log.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(to.Close)
	edge, err := proxy.New(proxy.Config{
		Sites: []proxy.Site{{Name: "site", Hosts: hosts, Handler: to, Gate: gate}},
		Intercepts: []proxy.Intercept{{
			Name:    "own",
			Match:   func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/own/") },
			Handler: http.HandlerFunc(own),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	chain := middleware.New(middleware.Config{
		Log: w.log.Logger(), Rand: zeros{}, Idle: 2 * time.Second, Now: func() time.Time { return began },
	})(edge.Secure())
	w.server = proxy.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.served.Add(1)
		if r.Context().Value(http.ServerContextKey) == nil { // net/http sets it
			w.direct.Add(1)
		}
		if r.Body != nil && r.Body != http.NoBody {
			r = r.WithContext(r.Context())
			below, _ := w.conns.Load(r.Context().Value(http.LocalAddrContextKey))
			body := &watched{ReadCloser: r.Body, ResponseWriter: rw, pipe: below.(*pipe)}
			r.Body, rw = body, body
			defer body.wait(1) // for good, or until the next request
		}
		chain.ServeHTTP(rw, r)
	}), &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}}, w.log.Logger())
	w.server.Fast = fast
	state := w.server.ConnState
	w.server.ConnState = func(conn net.Conn, now http.ConnState) {
		p := pipeOf(conn)
		p.update(func() {
			if p.state = now; now == http.StateIdle {
				p.bodies = 0
			}
		})
		state(conn, now)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = w.server.Serve(w.listen) })
	t.Cleanup(func() {
		w.server.Close()
		serving.Wait()
	})
	return w
}

// outcome is all that can be seen of what was made of a connection.
type outcome struct {
	direct  int64    // requests that were served without net/http
	served  int64    // and in all
	client  []string // answers, and then what is none
	log     []string
	reached []string
}

// send sends bytes, in one TLS record a part, and returns what they came to.
func (w *way) send(t testing.TB, parts ...string) outcome {
	t.Helper()
	near, far := net.Pipe()
	below := &pipe{Conn: far, local: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 9), Port: 443}}
	w.conns.Store(below.local, below)
	defer w.conns.Delete(below.local)
	logged, direct, served := len(w.log.String()), w.direct.Load(), w.served.Load()
	w.listen.conns <- below
	client := tls.Client(sender{near, below}, &tls.Config{ServerName: "example.com", InsecureSkipVerify: true}) // one certificate for all names
	near.SetDeadline(time.Now().Add(proxytest.Patience))
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	answers := make(chan []byte)
	go func() {
		all, _ := io.ReadAll(client) // some connections are cut
		answers <- all
	}()
	for _, part := range parts {
		if _, err := io.WriteString(client, part); err != nil {
			break // it was closed
		}
	}
	below.update(func() { below.sent = true })
	o := outcome{client: normal(<-answers)}
	o.direct, o.served = w.direct.Load()-direct, w.served.Load()-served
	near.Close()
	for line := range strings.Lines(w.log.String()[logged:]) {
		fields := map[string]any{}
		if json.Unmarshal([]byte(line), &fields) != nil || fields["level"] == "debug" {
			continue
		}
		delete(fields, "stack")
		text, _ := json.Marshal(fields)
		o.log = append(o.log, strings.ReplaceAll(string(text), w.site, "website"))
	}
	w.mu.Lock()
	o.reached, w.reached = w.reached, nil
	w.mu.Unlock()
	return o
}

// normal splits what a client got into heads and bodies. What net/http cannot keep is not
// compared: the order and the spelling of fields, the reason, where chunks end, and the Date.
func normal(got []byte) (all []string) {
	for len(got) > 0 {
		head, rest, found := bytes.Cut(got, []byte("\r\n\r\n"))
		lines := strings.Split(string(head), "\r\n")
		if !found || !strings.HasPrefix(lines[0], "HTTP/1.") {
			return append(all, string(got))
		}
		lines[0] = lines[0][:min(len(lines[0]), len("HTTP/1.1 200"))]
		length, chunked := 0, false
		for i, line := range lines[1:] {
			name, value, _ := strings.Cut(line, ":")
			name = strings.ToLower(name)
			switch name {
			case "content-length":
				length, _ = strconv.Atoi(strings.TrimSpace(value))
			case "transfer-encoding":
				chunked = true
			case "date":
				value = ""
			}
			lines[i+1] = name + ":" + value
		}
		if slices.Contains(lines, "x-streamed: 1") { // net/http gives a length to what comes at once
			lines = slices.DeleteFunc(lines, func(line string) bool {
				return strings.HasPrefix(line, "content-length:") || strings.HasPrefix(line, "transfer-encoding:")
			})
		}
		slices.Sort(lines[1:])
		all = append(all, strings.Join(lines, "\n")+"|")
		got = rest
		if bytes.HasPrefix(got, []byte("HTTP/1.1 ")) { // an answer to HEAD
			continue
		}
		for chunked {
			line, rest, found := bytes.Cut(got, []byte("\r\n"))
			n, err := strconv.ParseUint(string(line), 16, 31)
			if !found || err != nil || len(rest) < int(n)+2 {
				break
			}
			if n == 0 {

				if !bytes.HasPrefix(rest, []byte("\r\n")) {
					var trailer []byte
					trailer, rest, _ = bytes.Cut(rest, []byte("\r\n\r\n"))
					all = append(all, string(trailer))
					got = rest
					break
				}
				got = rest[2:]
				break
			}
			all[len(all)-1] += string(rest[:n])
			got = rest[n+2:]
		}
		n := min(length, len(got))
		all[len(all)-1] += string(got[:n])
		got = got[n:]
	}
	return all
}

// difference returns where two outcomes differ, "" when they do not.
func difference(direct, other outcome) string {
	for _, d := range []struct {
		what   string
		direct []string
		other  []string
	}{{"the client got", direct.client, other.client}, {"logged was", direct.log, other.log}, {"the website got", direct.reached, other.reached}} {
		if !slices.Equal(d.direct, d.other) {
			return fmt.Sprintf("%s\n\t%.3000q\nand through net/http\n\t%.3000q", d.what, d.direct, d.other)
		}
	}
	return ""
}
