package pool

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"persona-sidecar/proxy/wire"
)

// Conn is a connection to the website. One goroutine reads, one writes.
type Conn struct {
	net.Conn // with TLS, if the website speaks it
	Reader   *wire.Reader
	Served   bool // it has carried a request before

	pool    *Pool
	socket  net.Conn
	sight   *sight
	since   time.Time // when it became idle
	counted bool      // in pool.count
	closed  atomic.Bool

	writeBy time.Time // the deadline as last set

	mu      sync.Mutex // for what concerns reading
	expects bool       // the head of an answer
	limited bool       // in its time
	readBy  time.Time  // the deadline as last set
}

// ErrStale is why nothing was sent on a connection that was kept: something has come that
// was not asked for, or its end.
var ErrStale = errors.New("something has come on the connection that was not asked for")

// Send writes what a request begins with, if nothing has come on the connection that was not
// asked for; otherwise it returns ErrStale and has written nothing. limit is how long the head
// of the answer may take, when nothing of the request follows: then Send also waits for the
// first bytes of it, where that costs less than to do so later. 0: more of the request follows.
//
// text is in a buffer of texts, and given back to them, except with ErrStale.
func (c *Conn) Send(text []byte, texts *wire.Buffers, limit time.Duration) error {
	c.expect(limit)
	if c.Served && (c.closed.Load() || len(c.Reader.Buffered()) > 0) {
		return ErrStale
	}
	rest := text
	switch {
	case c.Served && limit > 0 && c.Conn == c.socket && c.sight.raw != nil:
		unsent, buf, n, err := c.sight.exchange(text, texts, &c.pool.buffers)
		switch {
		case err != nil && len(unsent) == 0:
			return fmt.Errorf("reading the website's answer: %w", err)
		case errors.Is(err, ErrStale):
			return err
		case err != nil:
			texts.Put(text[:cap(text)])
			return fmt.Errorf("sending the request: %w", err)
		case len(unsent) == 0:
			c.Reader.Give(buf, n)
			return nil
		}
		rest = unsent
	case c.Served && !c.clean():
		return ErrStale
	}
	_, err := c.Write(rest)
	texts.Put(text[:cap(text)])
	if err != nil {
		return fmt.Errorf("sending the request: %w", err)
	}
	return nil
}

// Write fails when the website takes nothing for longer than the pool's timeout.
func (c *Conn) Write(p []byte) (int, error) {
	// Setting a deadline costs something, so it is moved in steps.
	limit := c.pool.timeout
	if now := time.Now(); c.writeBy.Sub(now) < limit-limit/8 {
		c.writeBy = now.Add(limit)
		if err := c.SetWriteDeadline(c.writeBy); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(p)
}

// Read fails when the head of an answer is late, see Await. What follows it may take
// any time.
func (c *Conn) Read(p []byte) (int, error) {
	if err := c.unlimit(); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// ReadLean waits for bytes without a buffer, if there is no TLS, and reads them into
// one.
func (c *Conn) ReadLean(buffers *wire.Buffers) ([]byte, int, error) {
	if c.Conn != c.socket {
		return nil, 0, errors.ErrUnsupported
	}
	if err := c.unlimit(); err != nil {
		return nil, 0, err
	}
	return c.sight.wait(buffers)
}

// unlimit lifts a deadline for reads that was for an earlier one.
func (c *Conn) unlimit() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limited || c.readBy.IsZero() {
		return nil
	}
	c.readBy = time.Time{}
	return c.SetReadDeadline(c.readBy)
}

// Expect tells that the head of an answer comes next. It may take any time until
// Await is called.
func (c *Conn) Expect() { c.expect(0) }

func (c *Conn) expect(limit time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expects, c.limited = true, false
	if limit > 0 {
		c.limit(limit)
	}
}

// Await bounds how long the head that is expected may take, from now on. It does
// nothing when the head has come, and may be called beside a Read.
func (c *Conn) Await(limit time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.expects {
		c.limit(limit)
	}
}

// limit bounds the time for a head. The caller holds mu.
func (c *Conn) limit(limit time.Duration) {
	c.limited = true
	by := time.Now().Add(limit)
	if sooner := by.Sub(c.readBy); sooner > limit/8 || sooner < 0 { // in steps, as in Write
		c.readBy = by
		_ = c.SetReadDeadline(by) // a closed connection fails anyway
	}
}

// Came tells that the head has come.
func (c *Conn) Came() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expects, c.limited = false, false
}

// CloseWrite ends the direction to the website.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// Close ends the connection at once, without TLS's goodbye, which might wait. It
// may be called more than once and beside all other methods.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	err := c.socket.Close()
	if c.counted {
		c.pool.leave()
	}
	return err
}

// Drop closes a connection whose answer is complete by resetting it. Otherwise its
// port would stay taken for a minute, and a website whose answers all end their
// connection could be asked some 470 times a second only.
func (c *Conn) Drop() {
	if tcp, ok := c.socket.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // fails when the connection is closed
	}
	_ = c.Close()
}

// giveUp closes an idle connection whose place another takes.
func (c *Conn) giveUp() {
	c.counted = false
	_ = c.Close()
}

// clean reports whether nothing has come that was not asked for: not in the Reader,
// not within TLS, not in the socket, and no end either.
func (c *Conn) clean() bool {
	if c.closed.Load() || len(c.Reader.Buffered()) > 0 || !c.sight.nothing() {
		return false
	}
	encrypted, ok := c.Conn.(*tls.Conn)
	if !ok {
		return true
	}
	below := encrypted.NetConn().(*records)
	if below.left > 0 || len(below.header) > 0 {
		return false
	}
	below.shut = true
	var p [1]byte
	n, err := encrypted.Read(p[:])
	below.shut = false
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
}
