package proxy

import (
	"net"
	"runtime"
)

// gather is the connection below TLS. With HTTP/2 each write on it first lets the
// goroutines run that are ready: answers to other streams of the connection, which
// net/http's server collects while a write is under way and then sends as one. Nothing is
// held back, because the goroutine that writes stays ready itself: it waits for a turn of
// the processor, and for no event.
type gather struct {
	net.Conn
	on bool // set before the first request
}

// NetConn returns the connection below.
func (c *gather) NetConn() net.Conn { return c.Conn }

func (c *gather) Write(p []byte) (int, error) {
	if c.on {
		runtime.Gosched()
	}
	return c.Conn.Write(p)
}
