package upstream

import (
	"bufio"
	"net"
	"sync"
	"time"
)

// closeLinger is how long a client may hold on to an upgraded connection that
// the website has ended.
const closeLinger = 30 * time.Second

// upgrades are the connections that have become something other than HTTP,
// nearly always websockets. net/http forgets about them.
type upgrades struct {
	mu     sync.Mutex
	closed bool
	conns  map[*upgradedConn]struct{}
	served sync.WaitGroup // one for each connection until its handler is done with it
}

// open reports whether upgrades are still accepted.
func (u *upgrades) open() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return !u.closed
}

// add records the connection, or ends it when it comes too late.
func (u *upgrades) add(conn *upgradedConn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		conn.Close()
		return
	}
	if u.conns == nil {
		u.conns = make(map[*upgradedConn]struct{})
	}
	u.conns[conn] = struct{}{}
	u.served.Add(1)
}

// remove forgets a connection whose handler is done with it.
func (u *upgrades) remove(conn *upgradedConn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, kept := u.conns[conn]; kept {
		delete(u.conns, conn)
		u.served.Done()
	}
}

// CloseWebsockets ends every upgraded connection and waits until they are gone.
// Later upgrades are refused. http.Server.Shutdown knows nothing of these
// connections, so call it when the other requests have drained.
func (p *Proxy) CloseWebsockets() {
	u := &p.upgrades
	u.mu.Lock()
	u.closed = true
	for conn := range u.conns {
		conn.Close()
	}
	u.mu.Unlock()
	u.served.Wait()
}

// upgradedConn is a client's connection after the upgrade.
type upgradedConn struct {
	net.Conn
	early *bufio.Reader // may hold what the client sent before it saw the 101
}

func (c *upgradedConn) Read(p []byte) (int, error) {
	if c.early.Buffered() > 0 {
		return c.early.Read(p[:min(len(p), c.early.Buffered())])
	}
	return c.Conn.Read(p)
}

// CloseWrite passes on that the website has ended its side. The client gets some
// time to end its own, so that nothing on the way to it is lost.
func (c *upgradedConn) CloseWrite() error {
	_ = c.Conn.SetReadDeadline(time.Now().Add(closeLinger))
	return closeWrite(c.Conn)
}
