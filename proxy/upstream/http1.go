package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/upstream/pool"
	"persona-sidecar/proxy/wire"
)

const (
	maxInterims = 1000 // of one request: a long one may be told every few seconds that it goes on

	// How long a website may take to refuse an upload that was announced by
	// Expect: 100-continue. Old ones do not know it and wait for the body.
	continueTimeout = time.Second
)

// http1 exchanges over HTTP/1.1. A request is written and its answer read by the
// goroutine that asks; only a body of which more is to come is sent by another one, so
// that an early answer is seen.
type http1 struct {
	pool    *pool.Pool
	buffers wire.Buffers // for what a request begins with
	bodies  buffers      // for what follows
	timeout time.Duration
	head    int // bytes of the head of an answer, and of its trailer section
}

func newHTTP1(to endpoint) *http1 {
	return &http1{
		timeout: to.timeout, head: to.headerBytes,
		pool: pool.New(pool.Config{Network: to.network, Address: to.address, TLS: to.tls, Timeout: to.timeout, Connections: to.connections}),
	}
}

func (c *http1) close() { c.pool.Close() }

func (c *http1) exchange(ctx context.Context, q *request) (*reply, error) {
	x, err := c.ask(ctx, q, c.pool.Get)
	if err == nil {
		return &x.reply, nil
	}
	silent := new(silence)
	if errors.As(err, &silent) && silent.kept && q.body == nil && q.upgrade == "" && ctx.Err() == nil {
		switch q.method { // those known to us that may be repeated (RFC 9110, section 9.2.2)
		case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
			x, err = c.ask(ctx, q, c.pool.Open)
		}
	}
	if err != nil {
		return nil, err
	}
	return &x.reply, nil
}

// ask sends a request on a connection from a pool and reads up to the head of its
// final answer.
func (c *http1) ask(ctx context.Context, q *request, from func(context.Context, *middleware.Connection) (*pool.Conn, error)) (*exchange, error) {
	x := &exchange{client: c, ctx: ctx, request: q}
	text, err := x.beginning(c.buffers.Get()[:0])
	if err != nil {
		return nil, err
	}
	limit := c.timeout
	if !x.whole {
		limit = 0 // it begins when the body is sent
	}
	for {
		if x.conn, err = from(ctx, q.login); err != nil {
			c.buffers.Put(text[:cap(text)])
			if errors.Is(err, pool.ErrFull) {
				err = &fault{Full, "the website has as many connections as domains[].max_connections allows; is it slow, or is the limit low?", err}
			}
			return nil, err
		}
		x.watch()
		if err = x.conn.Send(text, &c.buffers, limit); !errors.Is(err, pool.ErrStale) {
			break
		}
		x.unwatch()
		_ = x.conn.Close()
	}
	if err == nil {
		err = x.await()
	}
	if err != nil {
		err = x.why(err)
		x.end(false)
		return nil, err
	}
	return x, nil
}

// ender is a context that closes something when it ends, which costs less than a function
// of context.AfterFunc.
type ender interface {
	// CloseAtEnd returns false when it already has something to close.
	CloseAtEnd(c io.Closer) bool
	// Keep ends what CloseAtEnd began, and reports whether it was not too late.
	Keep() bool
}

// watch closes the connection when the context ends.
func (x *exchange) watch() {
	if by, ok := x.ctx.(ender); ok && by.CloseAtEnd(x.conn) {
		x.ender = by
		return
	}
	conn := x.conn
	x.stop = context.AfterFunc(x.ctx, func() { _ = conn.Close() })
}

// unwatch reports whether the connection was not closed.
func (x *exchange) unwatch() bool {
	if x.ender != nil {
		return x.ender.Keep()
	}
	return x.stop()
}

// beginning adds the first part of a request to b: its head, and its body if all of it
// has come.
func (x *exchange) beginning(b []byte) ([]byte, error) {
	q := x.request
	odd := func(c rune) bool { return c <= ' ' || c == 0x7f }
	if !wire.IsToken(q.method) || q.target == "" || strings.ContainsFunc(q.target, odd) || !wire.IsText(q.host) || q.fields.Check() != nil {
		return nil, &fault{Broken, "the request cannot be written as HTTP/1.1", errors.New("the request holds characters that HTTP/1.1 does not allow")}
	}
	b = append(b, q.method...)
	b = append(b, ' ')
	b = append(b, q.target...)
	b = append(b, " HTTP/1.1\r\n"...)
	b = wire.AppendField(b, "Host", q.host)
	b = wire.AppendFields(b, q.fields)
	switch {
	case q.body != nil && (q.length < 0 || q.announce != nil):
		b = wire.AppendField(b, "Transfer-Encoding", "chunked")
		if q.announce != nil {
			b = wire.AppendField(b, "Trailer", strings.Join(q.announce, ", "))
		}
	case q.body != nil:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, q.length, 10)
		b = append(b, "\r\n"...)
	case q.method == "POST", q.method == "PUT", q.method == "PATCH":
		b = wire.AppendField(b, "Content-Length", "0") // RFC 9110, section 8.6
	}
	b = append(b, "\r\n"...)
	x.whole = q.body == nil
	if x.whole {
		return b, nil
	}
	came, ok := q.body.(interface{ buffered() int })
	if !ok || int64(came.buffered()) != q.length || q.expect || q.announce != nil {
		return b, nil
	}
	head := len(b)
	b = append(b, make([]byte, q.length)...)
	if _, err := io.ReadFull(q.body, b[head:]); err != nil {
		return nil, fmt.Errorf("reading the request's body: %w", err)
	}
	x.whole = true
	return b, nil
}

// silence is that a connection ended before the first byte of an answer. A
// connection that was kept may have ended before the request came to the website.
type silence struct {
	cause error
	kept  bool // the connection had carried another request
}

func (s *silence) Error() string {
	return "the website closed the connection without an answer: " + s.cause.Error()
}
func (s *silence) Unwrap() error { return s.cause }

// exchange is a request on its connection, and then the body of its answer.
type exchange struct {
	reply   reply
	body    wire.Body
	client  *http1
	ctx     context.Context
	conn    *pool.Conn
	request *request
	ender   ender // the watch over ctx; nil: stop ends it
	stop    func() bool
	ended   bool
	last    bool // nothing else may be read from the connection behind the answer
	whole   bool // the request has been sent
	upload  *upload
}

// await sends the rest of the request and reads up to the head of the final answer.
func (x *exchange) await() error {
	q, conn := x.request, x.conn
	wait := time.Duration(0) // it began in Send, or begins when the body is sent
	switch {
	case x.whole:
	case q.expect:
		wait = continueTimeout
	default:
		x.send()
	}
	for range maxInterims {
		if wait > 0 {
			conn.Await(wait)
		}
		head, err := conn.Reader.ReadAnswer(x.client.head)
		late := errors.Is(err, os.ErrDeadlineExceeded)
		if q.expect && x.upload == nil && (late || err == nil && head.Status == 100) {
			wait = 0
			x.send()
			if late {
				continue
			}
		}
		if err != nil {
			return fmt.Errorf("reading the website's answer: %w", err)
		}
		x.last = x.last || head.Last
		if head.Status >= 200 || head.Status == 101 {
			conn.Came()
			return x.answered(&head)
		}
		if err := q.asker.interim(head.Status, head.Fields); err != nil {
			return fmt.Errorf("passing an interim answer on: %w", err)
		}
		if x.whole {
			wait = x.client.timeout
		}
	}
	return &fault{Broken, logHint, fmt.Errorf("the website sent %d interim answers", maxInterims)}
}

// answered looks at the head of the final answer.
func (x *exchange) answered(head *wire.Answer) error {
	q := x.request
	framing, err := head.Framing(q.method)
	if err != nil {
		return fmt.Errorf("reading the website's answer: %w", err)
	}
	x.reply = reply{status: head.Status, reason: head.Reason, fields: head.Fields, length: framing.Length, body: x}
	x.body.Start(x.conn.Reader, framing, x.client.head)
	if head.Status == 101 {
		protocol := head.Fields.Get("Upgrade")
		if q.upgrade == "" || !strings.EqualFold(protocol, q.upgrade) {
			return &fault{Broken, "the website switches to another protocol than HTTP without being asked to", fmt.Errorf("the answer is 101 with Upgrade: %q, asked for was %q", protocol, q.upgrade)}
		}
		x.reply.conn = &upgraded{x.conn}
		return nil
	}
	// Behind an answer that has no body whatever its fields say, programs send one
	// all the same, and it may come when another request has gone out. Behind an
	// answer to a request to upgrade, either protocol may follow. And a website that
	// did not ask for a body that it was told of may still take what comes for it.
	bodiless := q.method == "HEAD" || head.Status == 204 || head.Status == 304
	asked := x.whole || x.upload != nil
	x.last = x.last || bodiless || q.upgrade != "" || !asked || q.login == nil && signsIn(head.Fields)
	return nil
}

// signsIn reports whether an answer belongs to a login that signs in a connection
// instead of a request (RFC 4559, section 6). Where one of several challenges begins
// is not looked for; at worst a connection is closed that might have been kept.
func signsIn(fields wire.Fields) bool {
	for _, f := range fields {
		switch {
		case f.Is("Persistent-Auth"):
			return true
		case f.Is("WWW-Authenticate"):
			value := strings.ToLower(f.Value)
			if strings.Contains(value, "ntlm") || strings.Contains(value, "negotiate") {
				return true
			}
		}
	}
	return false
}

// why returns what an error means that ended the exchange.
func (x *exchange) why(err error) error {
	var refused *wire.Error
	var failed *error
	if x.upload != nil {
		failed = x.upload.failed.Load()
	}
	switch {
	case x.ctx.Err() != nil:
		return context.Cause(x.ctx)
	case errors.As(err, &refused):
		return &fault{Broken, refused.Hint(), err}
	case failed != nil:
		return *failed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &fault{Timeout, "the website did not answer in time; is it overloaded? domains[].upstream_timeout is how long it may take", err}
	case x.reply.body == nil && len(x.conn.Reader.Buffered()) == 0 && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)):
		return &silence{err, x.conn.Served}
	}
	return err
}

// Read reads the answer's body. The connection is free for another request as soon
// as it has ended.
func (x *exchange) Read(p []byte) (int, error) {
	n, err := x.body.Read(p)
	switch {
	case err == nil || x.ended:
	case errors.Is(err, io.EOF):
		if !x.body.Complete() && x.upload != nil && x.upload.cut(x) {
			err = syscall.ECONNRESET
		}
		x.end(!x.last && x.body.Complete())
	default:
		err = x.why(err)
		x.end(false)
	}
	return n, err
}

func (x *exchange) ready() bool          { return x.body.Ready() }
func (x *exchange) trailer() wire.Fields { return x.body.Trailer() }

func (x *exchange) cutter() func() {
	x.last = true
	conn := x.conn
	return func() { _ = conn.Close() }
}

func (x *exchange) close() {
	if !x.ended {
		x.end(false)
	}
}

// end gives the connection back, if it may carry another request, or closes it.
func (x *exchange) end(clean bool) {
	x.ended = true
	if !x.unwatch() { // it is being closed
		clean = false
	}
	switch {
	case !clean && x.whole && x.body.Complete() && x.reply.conn == nil:
		x.conn.Drop()
	case !clean:
		_ = x.conn.Close()
	case x.upload != nil:
		x.upload.answered(x)
	default:
		x.release()
	}
}

func (x *exchange) release() {
	if x.request.login != nil {
		x.conn.Hold(x.request.login)
		return
	}
	x.conn.Release()
}

// upgraded is the website's connection behind a 101. It is no HTTP any more.
type upgraded struct{ *pool.Conn }

// Read returns first what came with the 101.
func (u *upgraded) Read(p []byte) (int, error) { return u.Reader.Read(p) }
