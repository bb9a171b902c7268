package pool

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/proxytest"
	"persona-sidecar/proxy/wire"
)

// accept starts a website that opens connections, hands them over and says nothing.
func accept(t *testing.T, listener net.Listener) <-chan net.Conn {
	conns := make(chan net.Conn, 100)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns <- conn
		}
	}()
	return conns
}

func open(t *testing.T, cfg Config) (*Pool, <-chan net.Conn) {
	t.Helper()
	listener := proxytest.Listen(t)
	conns := accept(t, listener)
	cfg.Network, cfg.Address, cfg.Timeout = "tcp", listener.Addr().String(), proxytest.Patience
	p := New(cfg)
	t.Cleanup(p.Close)
	return p, conns
}

func get(t *testing.T, p *Pool, owner *middleware.Connection) *Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), proxytest.Patience)
	defer cancel()
	c, err := p.Get(ctx, owner)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// until waits for a condition on the pool.
func (p *Pool) until(t *testing.T, condition func() bool) {
	t.Helper()
	for end := time.After(proxytest.Patience); ; {
		p.mu.Lock()
		met := condition()
		p.mu.Unlock()
		if met {
			return
		}
		select {
		case <-end:
			t.Fatal("the condition is not met")
		case <-time.After(time.Millisecond):
		}
	}
}

// The connection used last is used next; nothing is sent on one on which the website's end or
// a byte of it has come, and which had carried a request.
func TestReuse(t *testing.T) {
	t.Parallel()
	var texts wire.Buffers
	for _, limit := range []time.Duration{0, proxytest.Patience} {
		p, website := open(t, Config{})
		first, second := get(t, p, nil), get(t, p, nil)
		sites := map[string]net.Conn{}
		for range 2 {
			conn := <-website
			sites[conn.RemoteAddr().String()] = conn
		}
		first.Release()
		second.Release()
		if c := get(t, p, nil); c != second || !c.Served {
			t.Error("the first connection is used first")
		}
		sites[second.LocalAddr().String()].Close()
		io.WriteString(sites[first.LocalAddr().String()], "x")
		for _, c := range []*Conn{second, get(t, p, nil)} {
			if err := c.Send(append(texts.Get()[:0], "text"...), &texts, limit); !errors.Is(err, ErrStale) {
				t.Errorf("with the limit %v: %v", limit, err)
			}
		}
		first.Close()
		var got [1]byte
		if n, err := sites[first.LocalAddr().String()].Read(got[:]); n > 0 {
			t.Errorf("the website got %q, %v", got, err)
		}
	}
}

// What Send writes comes whole, whatever its size, and its answer follows; both on a new
// connection and on a kept one. The time for the answer is bounded.
func TestSend(t *testing.T) {
	t.Parallel()
	p, website := open(t, Config{})
	var texts wire.Buffers
	c := get(t, p, nil)
	site := <-website
	for i, size := range []int{10, 10, 16 << 10, 8 << 20, 10} {
		text := bytes.Repeat([]byte{byte('a' + i)}, size)
		go func() {
			got := make([]byte, size)
			if _, err := io.ReadFull(site, got); err != nil || !bytes.Equal(got, text) {
				t.Errorf("%d bytes: another text has come, %v", size, err)
			}
			io.WriteString(site, "answer")
		}()
		if err := c.Send(append(texts.Get()[:0], text...), &texts, proxytest.Patience); err != nil {
			t.Fatal(err)
		}
		for len(c.Reader.Buffered()) < len("answer") {
			if err := c.Reader.Fill(false); err != nil {
				t.Fatal(err)
			}
		}
		if got := string(c.Reader.Buffered()); got != "answer" {
			t.Errorf("the answer is %q", got)
		}
		c.Came()
		c.Reader.Discard()
		c.Release()
		if again := get(t, p, nil); again != c {
			t.Fatal("another connection is used")
		}
	}
	if err := c.Send(append(texts.Get()[:0], "text"...), &texts, time.Nanosecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("without an answer: %v", err)
	}
}

// No byte of another TLS record or of the same one stays unseen.
func TestReuseOverTLS(t *testing.T) {
	t.Parallel()
	certificate, roots := proxytest.Certificate()
	for name, rest := range map[string]func(over *tls.Conn, socket net.Conn){
		"nothing":                 func(*tls.Conn, net.Conn) {},
		"data in the same record": nil,
		"another record":          func(over *tls.Conn, _ net.Conn) { io.WriteString(over, "x") },
		"the end":                 func(over *tls.Conn, _ net.Conn) { over.CloseWrite() },
		"part of a record":        func(_ *tls.Conn, socket net.Conn) { socket.Write([]byte{0x17, 3, 3, 0, 100, 1, 2}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				p, website := open(t, Config{TLS: func() *tls.Config {
					return &tls.Config{RootCAs: roots, ServerName: "example.com", MaxVersion: version}
				}})
				done := make(chan struct{})
				go func() {
					defer close(done)
					socket := <-website
					over := tls.Server(socket, &tls.Config{Certificates: []tls.Certificate{certificate}})
					answer := "answer"
					if rest == nil {
						answer += "x"
					}
					io.WriteString(over, answer)
					if rest != nil {
						rest(over, socket)
					}
				}()
				c := get(t, p, nil)
				var answer [6]byte
				if _, err := io.ReadFull(c, answer[:]); err != nil || string(answer[:]) != "answer" {
					t.Fatalf("%q, %v", answer, err)
				}
				<-done
				if clean := c.clean(); clean != (name == "nothing") {
					t.Errorf("may be used again: %t", clean)
				}
			}
		})
	}
}

// Beyond the limit, requests get connections in the order in which they came.
func TestLimit(t *testing.T) {
	t.Parallel()
	p, _ := open(t, Config{Connections: 2})
	inUse := []*Conn{get(t, p, nil), get(t, p, nil)}
	got := make(chan int)
	for i := range 6 {
		go func() {
			c, err := p.Get(t.Context(), nil)
			if err != nil {
				t.Error(err)
				return
			}
			got <- i
			if i%2 == 0 {
				c.Release()
			} else {
				c.Close() // gives its place on as well
			}
		}()
		p.until(t, func() bool { return len(p.waiting) == i+1 })
	}
	inUse[0].Release() // the other stays in use, so they come one by one
	for i := range 6 {
		if n := <-got; n != i {
			t.Errorf("%d came before %d", n, i)
		}
	}
	p.until(t, func() bool { return p.count == 1 && len(p.waiting) == 0 })
}

// A request that waits leaves when its client does, when it has waited too long, and
// at once when too many wait. What it was to get goes to the next.
func TestLimitGivesUp(t *testing.T) {
	t.Parallel()
	p, _ := open(t, Config{Connections: 1, Wait: 50 * time.Millisecond})
	inUse := get(t, p, nil)
	if _, err := p.Get(t.Context(), nil); !errors.Is(err, ErrFull) {
		t.Errorf("waited too long: %v", err)
	}
	p.wait = proxytest.Patience
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("the client has left")
	left := make(chan error)
	go func() {
		_, err := p.Get(ctx, nil)
		left <- err
	}()
	p.until(t, func() bool { return len(p.waiting) == 1 })
	cancel(reason)
	if err := <-left; !errors.Is(err, reason) {
		t.Errorf("left: %v", err)
	}

	ctx, cancel = context.WithCancelCause(t.Context())
	var waiting sync.WaitGroup
	for range maxWaiting {
		waiting.Go(func() {
			if c, err := p.Get(ctx, nil); err == nil { // it was released before this one has left
				c.Release()
			}
		})
	}
	p.until(t, func() bool { return len(p.waiting) == maxWaiting })
	if _, err := p.Get(t.Context(), nil); !errors.Is(err, ErrFull) {
		t.Errorf("too many wait: %v", err)
	}
	go inUse.Release() // beside those that leave
	cancel(reason)
	waiting.Wait()
	get(t, p, nil)
}

// A connection with a login goes to its owner alone, ends with it, and gives its
// place to others.
func TestHold(t *testing.T) {
	t.Parallel()
	p, _ := open(t, Config{Connections: 2})
	alice, bob := new(middleware.Connection), new(middleware.Connection)
	a := get(t, p, alice)
	a.Hold(alice)
	if get(t, p, alice) != a {
		t.Error("alice does not get her connection")
	}
	a.Hold(alice)
	b := get(t, p, bob)
	if b == a {
		t.Fatal("bob gets alice's connection")
	}
	b.Hold(bob)
	other := get(t, p, nil) // takes the place of the one that was held longest
	if other == a || other == b || !a.closed.Load() || b.closed.Load() {
		t.Error("a login is used by others, or did not give way")
	}
	bob.End()
	if !b.closed.Load() {
		t.Error("a login outlives its owner")
	}
	late := get(t, p, bob)
	late.Hold(bob)
	if !late.closed.Load() {
		t.Error("a login is kept for an owner that has ended")
	}
}

// A request of a login that waits gets a new connection, not one that others have used.
func TestHoldWaits(t *testing.T) {
	t.Parallel()
	p, _ := open(t, Config{Connections: 1})
	shared := get(t, p, nil)
	got := make(chan *Conn)
	go func() {
		c, _ := p.Get(t.Context(), new(middleware.Connection))
		got <- c
	}()
	p.until(t, func() bool { return len(p.waiting) == 1 })
	shared.Release()
	c := <-got
	if c == nil || c == shared || c.Served {
		t.Fatalf("got %v", c)
	}
	_ = c.Close()
}

// All addresses are tried, a slow one does not hold up the next, and those that did
// not answer are tried last for a while.
func TestAddresses(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.3:0")
	if err != nil {
		t.Skip(err) // not every system has all of 127.0.0.0/8
	}
	t.Cleanup(func() { listener.Close() })
	accept(t, listener)
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	p := New(Config{Network: "tcp", Address: "website.test:" + port, Timeout: proxytest.Patience})
	p.dialer.resolve = func(_ context.Context, host string) ([]netip.Addr, error) {
		if host != "website.test" {
			t.Errorf("asked for %s", host)
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")}, nil
	}
	var mu sync.Mutex
	var tried []string
	silent := "127.0.0.2"
	p.dialer.net.ControlContext = func(ctx context.Context, _, address string, _ syscall.RawConn) error {
		host, _, _ := net.SplitHostPort(address)
		mu.Lock()
		tried = append(tried, host)
		waits := host == silent
		mu.Unlock()
		if waits {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	for _, want := range [][]string{{"127.0.0.1", "127.0.0.2", "127.0.0.3"}, {"127.0.0.3"}} {
		get(t, p, nil)
		mu.Lock()
		if !slices.Equal(tried, want) {
			t.Errorf("tried %v, want %v", tried, want)
		}
		tried, silent = nil, ""
		mu.Unlock()
	}
	listener.Close()
	if _, err := p.Get(t.Context(), nil); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("none answers: %v", err)
	}
	p.dialer.resolve = func(context.Context, string) ([]netip.Addr, error) { return nil, nil }
	var unknown *net.DNSError
	if _, err := p.Get(t.Context(), nil); !errors.As(err, &unknown) {
		t.Errorf("no address: %v", err)
	}
	if p.count != 2 {
		t.Errorf("%d connections are counted", p.count)
	}
}
