package ldaptest

import (
	"net"
	"sync"
	"testing"
)

// Relay stands between a client and a server, and lets connections die in ways that show only when they are used.
type Relay struct {
	listener net.Listener
	upstream string
	running  sync.WaitGroup

	mu     sync.Mutex
	thawed chan struct{} // closed while data passes
	conns  map[*relayed]bool
	dead   int
}

type relayed struct {
	client, server net.Conn
	doomed, silent bool
}

// StartRelay listens at an address, such as 127.0.0.1:0, until the test ends, and connects to upstream, host:port.
func StartRelay(tb testing.TB, address, upstream string) *Relay {
	tb.Helper()
	listener, err := net.Listen("tcp", address)
	require(tb, err)
	r := &Relay{listener: listener, upstream: upstream, conns: make(map[*relayed]bool), thawed: make(chan struct{})}
	close(r.thawed)
	r.running.Go(r.accept)
	tb.Cleanup(func() {
		r.Thaw()
		listener.Close()
		r.Cut()
		r.running.Wait()
	})
	return r
}

// Address is where the relay listens, host:port.
func (r *Relay) Address() string { return r.listener.Addr().String() }

// DieAtNextUse has each connection that is open now end when the client sends something.
func (r *Relay) DieAtNextUse() {
	r.each(func(c *relayed) { c.doomed = true })
}

// Silence swallows what comes on each connection that is open now, as a firewall does that has forgotten it.
func (r *Relay) Silence() {
	r.each(func(c *relayed) { c.silent = true })
}

// Cut ends all connections that are open now.
func (r *Relay) Cut() {
	r.each((*relayed).close)
}

// Freeze keeps what comes on old and new connections until Thaw.
func (r *Relay) Freeze() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.thawed = make(chan struct{})
}

// Thaw passes on what Freeze has kept, and what comes.
func (r *Relay) Thaw() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.thawed:
	default:
		close(r.thawed)
	}
}

// Died returns how many connections ended by DieAtNextUse.
func (r *Relay) Died() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dead
}

// Open returns how many connections there are.
func (r *Relay) Open() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns)
}

func (r *Relay) each(do func(*relayed)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		do(c)
	}
}

func (r *Relay) accept() {
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
		r.running.Go(func() { r.pass(c, client, server) })
		r.running.Go(func() { r.pass(c, server, client) })
	}
}

// pass copies one direction.
func (r *Relay) pass(c *relayed, from, to net.Conn) {
	defer func() {
		r.mu.Lock()
		delete(r.conns, c)
		r.mu.Unlock()
		c.close()
	}()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		r.mu.Lock()
		thawed := r.thawed
		r.mu.Unlock()
		<-thawed
		r.mu.Lock()
		silent, dies := c.silent, c.doomed && from == c.client
		if dies {
			r.dead++
		}
		r.mu.Unlock()
		if dies {
			return
		}
		if silent {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (c *relayed) close() {
	c.client.Close()
	c.server.Close()
}
