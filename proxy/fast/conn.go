package fast

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/wire"
)

// What a connection does, in conn.busy.
const (
	waiting int32 = iota // for a request
	serving
	ended // nothing more is to be served
)

// conn is a connection. It holds no buffer while it waits for a request.
type conn struct {
	server *Server
	nc     net.Conn
	tls    *tls.ConnectionState
	client *middleware.Connection
	remote string
	ctx    context.Context
	busy   atomic.Int32

	buf        []byte // from the server's buffers, nil while nothing is in it
	begin, end int    // what was read and not taken
	early      bool   // first is a byte that was read behind buf
	first      [1]byte

	readBy    time.Time // deadlines as last set; zero: none
	writeBy   time.Time
	writeStep time.Duration // how much later a deadline is before it is set anew

	watch watch
}

// serve serves requests until the connection has to be closed. It returns true when what
// comes next is not ordinary, and was not touched.
func (c *conn) serve() (handed bool) {
	limit := c.server.Head
	for {
		if !c.await(limit) {
			return false
		}
		head, err := c.head(limit == c.server.Idle)
		if err != nil {
			return errors.Is(err, errLong)
		}
		r, ok := parse(string(head))
		if !ok {
			return true
		}
		if !c.busy.CompareAndSwap(waiting, serving) {
			return false
		}
		c.take(len(head))
		if c.server.State != nil {
			c.server.State(c.nc, http.StateActive)
		}
		if !c.exchange(&r) || c.server.closing.Load() || !c.busy.CompareAndSwap(serving, waiting) {
			return false
		}
		if c.server.State != nil {
			c.server.State(c.nc, http.StateIdle)
		}
		limit = c.server.Idle
	}
}

// await waits for the first byte of a request, and returns false when none comes.
func (c *conn) await(limit time.Duration) bool {
	// Setting a deadline costs as much as a small write, so it is moved in steps.
	if now := time.Now(); c.readBy.Sub(now) < limit-limit/8 {
		c.readUntil(now.Add(limit))
	}
	if c.begin < c.end || c.early {
		return true
	}
	n, _ := c.nc.Read(c.first[:])
	c.early = n > 0
	return c.early
}

// errLong is a head that does not fit.
var errLong = errors.New("the head is too long")

// head reads up to the end of a head, and returns it without taking it. bound limits the time.
func (c *conn) head(bound bool) ([]byte, error) {
	searched := 0
	for {
		if c.begin < c.end {
			if n := wire.SectionEnd(c.buf[c.begin:c.end], searched); n > c.server.MaxHead {
				return nil, errLong
			} else if n > 0 {
				return c.buf[c.begin : c.begin+n], nil
			}
			searched = c.end - c.begin
			if bound && !c.early { // else the rest is most probably there
				bound = false
				c.readUntil(time.Now().Add(c.server.Head))
			}
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// fill reads once.
func (c *conn) fill() error {
	switch {
	case c.buf == nil:
		c.buf, c.begin, c.end = c.server.buffers.Get(), 0, 0
	case c.begin > 0:
		c.end = copy(c.buf, c.buf[c.begin:c.end])
		c.begin = 0
	case c.end == len(c.buf):
		return errLong
	}
	if c.early {
		c.early = false
		c.buf[c.end] = c.first[0]
		c.end++
		if c.end > 1 || c.first[0] == '\n' { // an empty line is a whole head by itself
			return nil
		}
	}
	n, err := c.nc.Read(c.buf[c.end:])
	c.end += n
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// take removes the first n bytes of what was read.
func (c *conn) take(n int) {
	c.begin += n
	if c.begin == c.end {
		c.release()
	}
}

func (c *conn) release() {
	if c.buf != nil {
		c.server.buffers.Put(c.buf)
		c.buf, c.begin, c.end = nil, 0, 0
	}
}

// unread returns what was read and not taken.
func (c *conn) unread() []byte {
	rest := append([]byte(nil), c.buf[c.begin:c.end]...)
	if c.early {
		rest = append(rest, c.first[0])
	}
	c.release()
	return rest
}

func (c *conn) readUntil(t time.Time) {
	c.readBy = t
	_ = c.nc.SetReadDeadline(t) // an error shows at the next read
}

// exchange is a request and its answer: one piece of memory in place of many. It is never
// used again, because handlers may keep parts of it.
type exchange struct {
	life     life
	request  request
	http     http.Request
	url      url.URL
	response response
	body     body
}

// exchange answers a request, and reports whether another may follow on the connection.
func (c *conn) exchange(r *request) bool {
	x := &exchange{request: *r}
	x.life.Context.Context, x.life.Connection = c.ctx, c.client
	defer x.life.end()
	var err error
	if x.http, err = x.request.http(&x.life, c, &x.url); err != nil {
		return false // cannot be: its target is ordinary
	}
	w := &x.response
	*w = response{conn: c, life: &x.life, request: &x.request, length: -1}
	if r.length > 0 {
		w.body = &x.body
		w.body.conn, w.body.left, w.body.life = c, r.length, &x.life
		x.http.Body = w.body
		if !c.readBy.IsZero() {
			c.readUntil(time.Time{})
		}
	}
	c.watch.begin(&x.life, w.body == nil)
	finished := c.handle(w, &x.http)
	c.watch.end()
	reusable := w.finish(finished)
	switch {
	case w.body == nil:
		return reusable
	case !finished || w.err != nil:
		w.body.end()
		return false
	case !w.body.drain():
		w.body.end()
		c.linger()
		return false
	}
	return reusable
}

// handle calls the handler, and reports whether it returned.
func (c *conn) handle(w *response, r *http.Request) (finished bool) {
	defer func() {
		if finished {
			return
		}
		if value := recover(); value != http.ErrAbortHandler { //nolint:errorlint // as net/http compares it
			c.server.Log.Printf("http: panic serving %v: %v\n%s", c.remote, value, debug.Stack())
		}
	}()
	c.server.Handler.ServeHTTP(w, r)
	return true
}

// lingering is how long a client whose body was not read to its end may take to read the
// answer: closed at once, the connection would be reset and the answer lost.
const lingering = 500 * time.Millisecond

func (c *conn) linger() {
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.readUntil(time.Now().Add(lingering))
	_, _ = io.Copy(io.Discard, c.nc) // up to the client's end or the deadline
}

// watch notices that a client leaves while its request is served. It reads ahead, in
// another goroutine, once the answer takes longer than most.
type watch struct {
	conn *conn

	mu      sync.Mutex
	timer   *time.Timer
	armed   bool  // the timer runs, for whichever request it was set
	life    *life // of the request that is served, nil without
	since   *life // of the one that was served when the timer was set
	due     bool
	body    bool          // all of the request's body has come
	reading chan struct{} // closed when reading ahead has ended; nil: it has not begun
}

// unwatched is how long a request may take before its client is looked after, or twice
// that: the timer is not set anew for each.
const unwatched = 10 * time.Millisecond

func (w *watch) begin(life *life, body bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.life, w.due, w.body = life, false, body
	if !w.armed {
		w.arm()
	}
}

// arm sets the timer for the request that is served. The caller holds mu.
func (w *watch) arm() {
	w.armed, w.since = true, w.life
	if w.timer == nil {
		w.timer = time.AfterFunc(unwatched, w.tick)
		return
	}
	w.timer.Reset(unwatched)
}

func (w *watch) tick() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = false
	switch w.life {
	case nil:
		w.since = nil
	case w.since:
		w.due = true
		w.read()
	default:
		w.arm()
	}
}

// bodyEnded is called when the last byte of the body was read.
func (w *watch) bodyEnded() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.body = true
	w.read()
}

// read begins to read ahead if it is time. The caller holds mu.
func (w *watch) read() {
	c := w.conn
	if w.life == nil || !w.due || !w.body || w.reading != nil || c.early {
		return
	}
	c.readUntil(time.Time{})
	reading := make(chan struct{})
	w.reading = reading
	go func() {
		defer close(reading)
		n, err := c.nc.Read(c.first[:])
		w.mu.Lock()
		defer w.mu.Unlock()
		if n > 0 {
			c.early = true
		} else if !isTimeout(err) && w.life != nil {
			w.life.end()
		}
	}()
}

// end is called when the handler has returned. Nothing is read ahead from then on.
func (w *watch) end() {
	w.mu.Lock()
	w.life = nil
	reading := w.reading
	w.reading = nil
	w.mu.Unlock()
	if reading != nil {
		w.conn.readUntil(time.Unix(1, 0)) // long past
		<-reading
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
