package fast

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// drained is how much of a body that the handler did not want is read, so that the
// connection can be kept, in bytes; as much as net/http reads.
const drained = 256 << 10

// body is the body of a request. One goroutine reads it at a time.
type body struct {
	conn *conn
	life *life // of the request

	whole atomic.Bool // all was read; by itself, because a read that waits holds mu

	mu     sync.Mutex
	left   int64
	err    error // of the connection
	closed bool
}

// Read returns io.EOF with the last bytes.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	return b.read(p)
}

// read does so. The caller holds mu.
func (b *body) read(p []byte) (n int, err error) {
	c := b.conn
	switch {
	case b.left == 0:
		return 0, io.EOF
	case b.err != nil:
		return 0, b.err
	case len(p) == 0:
		return 0, nil
	}
	p = p[:min(int64(len(p)), b.left)]
	switch {
	case c.begin < c.end:
		n = copy(p, c.buf[c.begin:c.end])
		c.take(n)
	case c.early:
		c.early = false
		n = copy(p, c.first[:])
	default:
		n, err = c.nc.Read(p)
	}
	if b.left -= int64(n); b.left == 0 {
		b.whole.Store(true)
		c.watch.bodyEnded()
		return n, io.EOF
	}
	if n == 0 && err != nil {
		if err == io.EOF { //nolint:errorlint // as connections return it
			err = io.ErrUnexpectedEOF
		}
		b.err = err
		b.life.end()
		return 0, err
	}
	return n, nil
}

// Close ends reading by the handler.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

// end ends a read that another goroutine than the handler's has under way, and lets none
// begin: what was read of the connection and not taken is the connection's again.
func (b *body) end() {
	b.conn.readUntil(time.Unix(1, 0)) // long past
	_ = b.Close()                     // never fails
}

// ended reports whether all was read. It does not wait for a read under way.
func (b *body) ended() bool { return b.whole.Load() }

// drain reads on to the end, if it is near and comes before the connection's deadline,
// and reports whether it did. It also does when the handler has found that the client has
// ended its side: then no other request comes anyway.
func (b *body) drain() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == io.ErrUnexpectedEOF { //nolint:errorlint // as read keeps it
		return true
	}
	var buf [4 << 10]byte
	for b.left > 0 && b.left <= drained {
		if _, err := b.read(buf[:]); err != nil && err != io.EOF { //nolint:errorlint // as read returns it
			break
		}
	}
	return b.left == 0
}
