package proxy

import (
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"persona-sidecar/proxy/middleware"
)

// gather is the connection below TLS. With HTTP/2, Write takes bytes over, and a goroutine
// writes them as soon as those that are ready have had a turn: they are answers on other
// streams of the connection, whose frames go out with the same system call then. Nothing is
// held back: while there are bytes, that goroutine is ready to run or in a write of the
// connection, and waits for no event besides. What there is no room for waits in Write.
type gather struct {
	net.Conn
	on   bool      // set before anything else uses it; off, it is the connection below
	kept *gathered // of its server

	writers atomic.Int32 // calls of Write under way
	closing atomic.Bool

	mu   sync.Mutex // held by a write of the connection
	held *room      // nil: nothing is to be written
	used int        // bytes of held
	due  bool       // the goroutine is there
	err  error      // of the connection
}

// room is what a connection holds while bytes are to be written: some frames of 16 KiB.
type room [48 << 10]byte

// gathered is what the connections of a server share.
type gathered struct {
	spare sync.Pool
	cut   atomic.Bool // connections are closed without their last bytes
}

// NetConn returns the connection below.
func (c *gather) NetConn() net.Conn { return c.Conn }

// Write returns an error of the connection at the call after the one whose bytes met it.
func (c *gather) Write(p []byte) (int, error) {
	if !c.on {
		return c.Conn.Write(p)
	}
	c.writers.Add(1)
	defer c.writers.Add(-1)
	c.mu.Lock()
	defer c.mu.Unlock()
	for taken := 0; taken < len(p) && c.err == nil; {
		if c.held == nil {
			var pooled bool
			if c.held, pooled = c.kept.spare.Get().(*room); !pooled {
				c.held = new(room)
			}
		}
		n := copy(c.held[c.used:], p[taken:])
		taken += n
		if c.used += n; c.used == len(c.held) {
			c.write()
		}
	}
	if c.err != nil {
		return 0, c.err
	}
	if c.held != nil && !c.due {
		c.due = true
		go func() {
			runtime.Gosched()
			c.mu.Lock()
			defer c.mu.Unlock()
			c.due = false
			c.write()
		}()
	}
	return len(p), nil
}

// write writes what is held. A client that takes no byte for a minute is cut off. The
// caller holds mu.
func (c *gather) write() {
	if c.held == nil {
		return
	}
	for written := 0; written < c.used && c.err == nil; {
		_ = c.Conn.SetWriteDeadline(time.Now().Add(middleware.DefaultIdle)) // an error shows at the write
		n, err := c.Conn.Write(c.held[written:c.used])
		written += n
		if n > 0 && errors.Is(err, os.ErrDeadlineExceeded) && !c.closing.Load() {
			continue
		}
		if c.err = err; err != nil {
			_ = c.Conn.Close() // the server notices, because it reads
		}
	}
	c.kept.spare.Put(c.held)
	c.held, c.used = nil, 0
}

// SetWriteDeadline changes nothing with HTTP/2: the one that sets it does not know when
// bytes are written.
func (c *gather) SetWriteDeadline(t time.Time) error {
	if c.on {
		return nil
	}
	return c.Conn.SetWriteDeadline(t)
}

// Close writes what is held and closes the connection. A call of Write that waits is cut
// short instead, as by other connections.
func (c *gather) Close() error {
	if c.on && c.writers.Load() == 0 && !c.kept.cut.Load() {
		c.closing.Store(true)
		c.mu.Lock()
		c.write()
		c.mu.Unlock()
	}
	return c.Conn.Close()
}
