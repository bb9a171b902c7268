package verifier_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"persona-sidecar/idp/verifier"

	"github.com/miekg/dns"
)

// silentNames makes the name server of a network silent about names that begin
// with "dead", and returns how many questions to it are open.
func (n *internet) silentNames() (open func() int) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		n.t.Fatal(err)
	}
	started := make(chan struct{})
	server := &dns.Server{PacketConn: conn, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		if !strings.HasPrefix(q.Question[0].Name, "dead") {
			n.resolve(w, q)
		}
	})}
	go func() { _ = server.ActivateAndServe() }()
	<-started
	n.t.Cleanup(func() { _ = server.Shutdown() })
	var mu sync.Mutex
	count := 0
	n.resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "udp", conn.LocalAddr().String())
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		count++
		return &countedConn{Conn: c, closed: sync.OnceFunc(func() { mu.Lock(); defer mu.Unlock(); count-- })}, nil
	}}
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return count
	}
}

type countedConn struct {
	net.Conn
	closed func()
}

// ReadFrom and WriteTo make it a connection of packets, as UDP is.
func (c *countedConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, err := c.Read(p)
	return n, c.RemoteAddr(), err
}

func (c *countedConn) WriteTo(p []byte, _ net.Addr) (int, error) { return c.Write(p) }

func (c *countedConn) Close() error { c.closed(); return c.Conn.Close() }

// TestDiscoverIsShared: a caller who asks for eighty names that no server knows is told so, and does not keep others waiting.
func TestDiscoverIsShared(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	open := n.silentNames()
	n.publish("foreign.test", support(t, foreignKey()))
	d := n.discovery()
	greedy, leave := context.WithCancel(verifier.WithCaller(t.Context(), netip.MustParsePrefix("192.0.2.1/32")))
	ended := make(chan error, 80)
	for i := range 80 {
		go func() {
			_, err := d.Discover(greedy, fmt.Sprintf("dead%d.test", i))
			ended <- err
		}()
	}
	for range 80 - 4 - 8 {
		if err := <-ended; !errors.Is(err, verifier.ErrBusy) {
			t.Errorf("one too many got %v", err)
		}
	}
	for _, domain := range []string{"foreign.test", "example.com"} {
		if _, err := d.Discover(verifier.WithCaller(t.Context(), netip.MustParsePrefix("192.0.2.2/32")), domain); err != nil {
			t.Errorf("another caller's look-up of %s: %v", domain, err)
		}
	}
	// Our own domains, and those that are known, need no place.
	for _, domain := range []string{"foreign.test", "example.com"} {
		if _, err := d.Discover(greedy, domain); err != nil {
			t.Errorf("%s: %v", domain, err)
		}
	}
	leave()
	for range 4 + 8 {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("a look-up that was given up ended with %v", err)
		}
	}
	patience := time.After(30 * time.Second)
	for open() > 0 {
		select {
		case <-patience:
			t.Fatalf("%d questions to the name server go on", open())
		case <-time.After(time.Millisecond):
		}
	}
}

// TestDiscoverTogether: who asks for the same document shares one request, which goes on for those who stay.
func TestDiscoverTogether(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	arrived, answer := make(chan struct{}, 8), make(chan struct{})
	n.publish("slow.test", support(t, foreignKey()))
	publish := n.sites["slow.test"]
	n.handle("slow.test", func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-answer
		publish(w, r)
	})
	d := n.discovery()
	leaving, leave := context.WithCancel(t.Context())
	ask := func(ctx context.Context, caller string) chan error {
		ended := make(chan error, 1)
		go func() {
			_, err := d.Discover(verifier.WithCaller(ctx, netip.MustParsePrefix(caller)), "slow.test")
			ended <- err
		}()
		return ended
	}
	first := ask(leaving, "192.0.2.1/32")
	<-arrived
	var others []chan error
	for i := range 20 { // more than one caller's share
		others = append(others, ask(t.Context(), fmt.Sprintf("192.0.2.%d/32", 1+i/15)))
	}
	leave()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	close(answer)
	for _, other := range others {
		if err := <-other; err != nil {
			t.Error(err)
		}
	}
	if got := n.requests(); len(got) > 2 { // one more if the first left before the others asked
		t.Errorf("%d requests", len(got))
	}
}

// TestDiscoverBoundsNames: a name whose servers never answer takes a part of a look-up's time.
func TestDiscoverBoundsNames(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	n.silentNames()
	d := n.discovery(func(c *verifier.DiscoveryConfig) { c.DNSTime = time.Millisecond })
	_, err := d.Discover(t.Context(), "dead.test")
	var failed *verifier.LookupError
	if !errors.As(err, &failed) || failed.Error() != "timeout trying to load well-known for dead.test" || !failed.Temporary() {
		t.Fatalf("%v", err)
	}
	if cause := failed.Unwrap().Error(); !strings.Contains(cause, "the name server did not answer in time") {
		t.Errorf("the cause is %s", cause)
	}
}
