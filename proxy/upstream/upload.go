package upstream

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"persona-sidecar/proxy/wire"
)

// How long the website's answer may take when it takes no more of the body: it is
// often on its way.
const brokenTimeout = time.Second

// upload is the sending of a body beside the reading of the answer. It may outlive
// the exchange for as long as the client's next bytes take to come.
type upload struct {
	last   atomic.Bool           // the body has been read to its end
	failed atomic.Pointer[error] // why it is not sent
	left   atomic.Int32          // of upload and answer: how many still use the connection

	writing sync.Mutex
	reset   bool // a write was told that the website has reset the connection
}

// write sends a part of the body.
func (u *upload) write(x *exchange, p []byte) error {
	u.writing.Lock()
	defer u.writing.Unlock()
	_, err := x.conn.Write(p)
	u.reset = errors.Is(err, syscall.ECONNRESET)
	return err
}

// cut reports whether an answer that the end of the connection seems to end was cut by a
// reset: systems tell that once, and where a write was told, reads find an ordinary end.
// A reset behind the end is told as syscall.EPIPE. cut closes the connection, so that no
// write lasts.
func (u *upload) cut(x *exchange) bool {
	_ = x.conn.Close()
	u.writing.Lock()
	defer u.writing.Unlock()
	return u.reset
}

// send begins to send the body.
func (x *exchange) send() {
	x.upload = new(upload)
	x.upload.left.Store(2)
	x.conn.Expect()
	go x.upload.run(x)
}

func (u *upload) run(x *exchange) {
	wait := x.client.timeout
	if err, sending := u.copy(x); err != nil {
		u.failed.Store(&err)
		wait = brokenTimeout
		if !sending || errors.Is(err, os.ErrDeadlineExceeded) {
			_ = x.conn.Close()
		}
	}
	x.conn.Await(wait)
	u.done(x)
}

// answered is called when the answer has ended where it said.
func (u *upload) answered(x *exchange) {
	if !u.last.Load() { // the website wants no more, or cannot know what comes
		_ = x.conn.Close()
		return
	}
	u.done(x)
}

// done gives the connection back when upload and answer are both complete.
func (u *upload) done(x *exchange) {
	switch {
	case u.left.Add(-1) > 0:
	case u.failed.Load() != nil:
		_ = x.conn.Close()
	default:
		x.release()
	}
}

// copy sends the body. sending reports that an error is of the website's connection
// instead of the client's body.
func (u *upload) copy(x *exchange) (err error, sending bool) {
	q := x.request
	chunked := q.length < 0 || q.announce != nil
	passing := passing{pool: &x.client.bodies}
	defer passing.release()
	n := 0
	for left := q.length; ; {
		buf := passing.after(n, n < narrowBuffer/2)
		p := buf[wire.ChunkFront : len(buf)-wire.ChunkBack]
		if !chunked {
			p = p[:min(int64(len(p)), left)]
		}
		n, err = q.body.Read(p)
		left -= int64(n)
		ended := errors.Is(err, io.EOF)
		switch {
		case !chunked && ended && left > 0:
			err = io.ErrUnexpectedEOF
			fallthrough
		case !ended && err != nil:
			return fmt.Errorf("reading the request's body: %w", err), false
		case !chunked:
			ended = left == 0
		}
		out := p[:n]
		if chunked && n > 0 {
			out = wire.Chunk(buf, n)
		}
		if ended {
			u.last.Store(true)
			if chunked {
				var trailer wire.Fields
				if q.trailer != nil {
					trailer = q.trailer()
				}
				if err := trailer.Check(); err != nil {
					return err, false
				}
				out = wire.AppendLastChunk(out, trailer)
			}
		}
		if len(out) > 0 {
			if err := u.write(x, out); err != nil {
				return fmt.Errorf("sending the request's body: %w", err), true
			}
		}
		if ended {
			return nil, false
		}
	}
}
