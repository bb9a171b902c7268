package middleware

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"persona-sidecar/proxy/wire"
)

// linger is how long a client may go on sending a body that is not read, so that
// it gets to see the answer.
const linger = 5 * time.Second

// limited ends requests whose client keeps us waiting for longer than idle
// between two reads of the request's body, or between two writes of the answer.
// How long the whole takes is not limited.
//
// HTTP/1.1 writes run under a deadline of the connection that is moved on while
// bytes flow. HTTP/2 deadlines fire even while no call waits and so would
// end a silent event stream; there, and for reads, a timer runs while a call
// waits. A hijacked connection is free of all limits.
func limited(idle time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		room := roomOf(r.Context())
		pw := &room.paced
		*pw = pacedWriter{
			pace:   pace{ResponseWriter: w, rec: &room.rec, idle: idle},
			stream: r.ProtoMajor >= 2,
		}
		defer pw.finish()
		if r.Body != nil && r.Body != http.NoBody {
			pw.body = &pacedBody{ReadCloser: r.Body, pace: &pw.pace}
			r.Body = pw.body
			// The server itself writes "100 Continue" when the body is first read,
			// and must not meet the deadline of an earlier request.
			pw.moveDeadline()
		}
		next.ServeHTTP(pw, r)
	})
}

// pace cuts short what waits for too long.
type pace struct {
	http.ResponseWriter
	rec  *Record
	idle time.Duration

	mu   sync.Mutex
	over bool // the handler is done: the connection is no longer ours
}

func (p *pace) control() *http.ResponseController {
	return http.NewResponseController(p.ResponseWriter)
}

// cutRead makes a waiting read of the body fail.
func (p *pace) cutRead() {
	p.rec.slow.Store(true)
	p.cut(p.control().SetReadDeadline)
}

// cutWrite makes a waiting write of the answer fail.
func (p *pace) cutWrite() { p.cut(p.control().SetWriteDeadline) }

func (p *pace) cut(setDeadline func(time.Time) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over {
		_ = setDeadline(time.Unix(1, 0)) // long past
	}
}

// stop ends the guard and reports whether it was still on.
func (p *pace) stop() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := !p.over
	p.over = true
	return was
}

type pacedBody struct {
	io.ReadCloser
	pace  *pace
	timer *time.Timer // made by the first read; reads do not overlap
	ended atomic.Bool // read to its end
}

func (b *pacedBody) Read(p []byte) (int, error) {
	if b.timer == nil {
		b.timer = time.AfterFunc(b.pace.idle, b.pace.cutRead)
	} else {
		b.timer.Reset(b.pace.idle)
	}
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	if err == io.EOF {
		b.ended.Store(true)
	}
	return n, err
}

type pacedWriter struct {
	pace
	stream   bool       // HTTP/2 or later: many requests share the connection
	body     *pacedBody // nil when the request has none
	duplex   bool       // the body may still be read while the answer is written
	deadline time.Time  // of the connection, as last set
	timer    *time.Timer
}

// Unwrap leads http.ResponseController on.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// moveDeadline gives the next write of an HTTP/1.1 connection its time. Setting
// a deadline costs as much as a small write, so it is moved in steps.
func (w *pacedWriter) moveDeadline() {
	if w.stream {
		return
	}
	limit := w.idle
	if w.drains() {
		limit += linger // which passes before anything is written
	}
	now := time.Now()
	if w.deadline.Sub(now) < limit-limit/8 {
		w.deadline = now.Add(limit)
		_ = w.control().SetWriteDeadline(w.deadline)
	}
}

// beginWrite and endWrite stand around everything that may wait for the client
// to read.
func (w *pacedWriter) beginWrite() {
	switch {
	case !w.stream:
		w.moveDeadline()
	case w.timer == nil:
		w.timer = time.AfterFunc(w.idle, w.cutWrite)
	default:
		w.timer.Reset(w.idle)
	}
	if w.drains() {
		w.limitDrain()
	}
}

func (w *pacedWriter) endWrite() {
	if w.stream {
		w.timer.Stop()
	}
	if w.drains() {
		_ = w.control().SetReadDeadline(time.Time{})
	}
}

// drains reports whether net/http may read in the body that the handler did not
// want, as it does before it writes an HTTP/1.1 header.
func (w *pacedWriter) drains() bool {
	return !w.stream && !w.duplex && w.body != nil && !w.body.ended.Load()
}

// limitDrain bounds how long net/http reads in such a body. A client that was
// cut off in the middle of it gets no more time.
func (w *pacedWriter) limitDrain() {
	deadline := time.Now()
	if !w.rec.SlowBody() {
		deadline = deadline.Add(linger)
	}
	_ = w.control().SetReadDeadline(deadline)
}

func (w *pacedWriter) Write(p []byte) (int, error) {
	w.beginWrite()
	n, err := w.ResponseWriter.Write(p)
	w.endWrite()
	return n, err
}

func (w *pacedWriter) Flush() { _ = w.FlushError() }

func (w *pacedWriter) FlushError() error {
	w.beginWrite()
	err := w.control().Flush()
	w.endWrite()
	return err
}

// Settle sends what of an HTTP/2 answer's body is written and not sent yet. It waits
// while the client takes nothing, as writes do. Without it net/http does the same once
// the handler has returned.
func Settle(w http.ResponseWriter) {
	for {
		if paced, ok := w.(*pacedWriter); ok {
			if paced.stream && paced.timer != nil { // else nothing was written
				_ = paced.FlushError() // net/http ends the stream
			}
			return
		}
		inner, ok := w.(unwrapper)
		if !ok {
			return
		}
		w = inner.Unwrap()
	}
}

// WriteHeader sends interim answers at once, hence the deadline.
func (w *pacedWriter) WriteHeader(status int) {
	w.moveDeadline()
	w.ResponseWriter.WriteHeader(status)
}

// WriteHead is called through the function of that name.
func (w *pacedWriter) WriteHead(status int, reason string, fields wire.Fields, length int64) error {
	w.moveDeadline()
	return WriteHead(w.ResponseWriter, status, reason, fields, length)
}

// EnableFullDuplex is called through http.ResponseController.
func (w *pacedWriter) EnableFullDuplex() error {
	err := w.control().EnableFullDuplex()
	w.duplex = err == nil
	return err
}

func (w *pacedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := w.control().Hijack()
	if err == nil {
		w.stop() // net/http has lifted the deadlines
	}
	return conn, buffered, err
}

// finish bounds what net/http does after the handler: sending the rest of the
// answer, and reading the rest of the body.
func (w *pacedWriter) finish() {
	if !w.stop() {
		return
	}
	if w.stream {
		_ = w.control().SetWriteDeadline(time.Now().Add(w.idle))
		return
	}
	w.moveDeadline()
	if w.body != nil && !w.body.ended.Load() {
		w.limitDrain()
	}
}
