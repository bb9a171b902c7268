package ldapauth_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// relay stands between a Directory and its server and lets connections die
// the way that only shows when they are used again.
type relay struct {
	listener net.Listener
	upstream string
	running  sync.WaitGroup

	mu    sync.Mutex
	conns map[*relayed]bool
	dead  int
}

type relayed struct {
	client, server net.Conn
	doomed         bool
}

func newRelay(t *testing.T, upstream string) *relay {
	t.Helper()
	return newRelayOn(t, "127.0.0.1:0", upstream)
}

func newRelayOn(t *testing.T, address, upstream string) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: listener, upstream: upstream, conns: make(map[*relayed]bool)}
	r.running.Go(r.accept)
	t.Cleanup(func() {
		listener.Close()
		r.mu.Lock()
		for c := range r.conns {
			c.close()
		}
		r.mu.Unlock()
		r.running.Wait()
	})
	return r
}

func (r *relay) address() string { return r.listener.Addr().String() }

// dieAtNextUse dooms all connections that are open now.
func (r *relay) dieAtNextUse() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		c.doomed = true
	}
}

func (r *relay) died() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dead
}

func (r *relay) open() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns)
}

func (r *relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", r.upstream)
		if err != nil {
			client.Close()
			continue
		}
		c := &relayed{client: client, server: server}
		r.mu.Lock()
		r.conns[c] = true
		r.mu.Unlock()
		r.running.Go(func() { r.requests(c) })
		r.running.Go(func() {
			_, _ = io.Copy(client, server)
			r.end(c)
		})
	}
}

func (r *relay) requests(c *relayed) {
	defer r.end(c)
	buffer := make([]byte, 32<<10)
	for {
		n, err := c.client.Read(buffer)
		if err != nil {
			return
		}
		if r.dies(c) {
			return
		}
		if _, err := c.server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (r *relay) dies(c *relayed) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.doomed {
		r.dead++
	}
	return c.doomed
}

func (r *relay) end(c *relayed) {
	r.mu.Lock()
	delete(r.conns, c)
	r.mu.Unlock()
	c.close()
}

func (c *relayed) close() {
	c.client.Close()
	c.server.Close()
}
