package upstream

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"persona-sidecar/proxy/middleware"
)

// closeLinger is how long a client may hold on to an upgraded connection that
// the website has ended.
const closeLinger = 30 * time.Second

// errStopping is why an upgrade is not made.
var errStopping = errors.New("the program is stopping")

// tunnel passes the website's 101 on, and then bytes both ways until both sides
// have ended theirs. The error is one before the 101 was sent.
func (p *Proxy) tunnel(w http.ResponseWriter, r *http.Request, a *reply) error {
	defer a.conn.Close()
	if !p.upgrades.open() {
		return errStopping
	}
	head := []byte("HTTP/1.1 101 " + a.reason + "\r\nConnection: Upgrade\r\n")
	for _, f := range a.fields {
		if f.Is("Upgrade") {
			head = append(head, "Upgrade: "+f.Value+"\r\n"...)
		}
	}
	rec := middleware.FromContext(r.Context())
	for _, f := range append(setCookies(rec.Visit), p.answered(a.fields)...) {
		if !f.Is("Content-Length") && !f.Is("Trailer") {
			head = append(head, f.Name+": "+f.Value+"\r\n"...)
		}
	}
	head = append(head, "\r\n"...)
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	client := &upgradedConn{Conn: conn, early: buffered.Reader, website: a.conn}
	p.upgrades.add(client)
	defer p.upgrades.remove(client)
	defer client.Close()
	stop := endWith(r.Context(), rec.Visit, client.end)
	defer func() {
		if stop() {
			rec.Refused = sessionEnded
		}
	}()
	if _, err := client.Write(head); err != nil {
		rec.Left = true
		return nil
	}
	var upward sync.WaitGroup
	upward.Go(func() { p.relay(a.conn, client) })
	p.relay(client, a.conn)
	upward.Wait()
	return nil
}

// relay passes bytes on until their source ends, and ends that direction. Where
// that is not possible, or a side has failed, both connections are closed.
func (p *Proxy) relay(to, from net.Conn) {
	buf := passing{pool: &p.buffers}
	defer buf.release()
	n, err := 0, error(nil)
	for err == nil {
		into := buf.after(n, true)
		if n, err = from.Read(into); n > 0 {
			if _, failed := to.Write(into[:n]); failed != nil {
				err = failed
			}
		}
	}
	if errors.Is(err, io.EOF) {
		err = closeWrite(to)
	}
	if err != nil {
		_ = to.Close() // err says why
		_ = from.Close()
	}
}

// closeWrite ends the sending direction of a connection, or all of it where the
// connection knows no directions.
func closeWrite(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return conn.Close()
}

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
		conn.end()
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
		conn.end()
	}
	u.mu.Unlock()
	u.served.Wait()
}

// upgradedConn is a client's connection after the upgrade.
type upgradedConn struct {
	net.Conn
	early *bufio.Reader // may hold what the client sent before it saw the 101

	website io.Closer // the other end of the tunnel
}

// end closes both ends of the tunnel: a website need not notice that its client has gone.
func (c *upgradedConn) end() {
	c.website.Close() // at once; the client's end may have to say goodbye
	c.Close()
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
