package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/proxy/fast"
	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/wire"
)

// front is a listener whose connections are ready for net/http. It makes the TLS
// handshakes, each on a goroutine of its own, because what comes over HTTP/1.1 has to be
// seen as it stands on the connection before net/http reads it: it is handed on as a
// *headConn. HTTP/2 is handed on as the *tls.Conn that net/http knows.
type front struct {
	net.Listener
	config   *tls.Config   // nil: plain HTTP
	timeout  time.Duration // for a handshake, and for a head from its first byte
	maxHead  int           // no head is longer that net/http accepts
	log      zerolog.Logger
	fast     *fast.Server // serves what it can of HTTP/1.1; nil: nothing
	gathered *gathered    // for HTTP/2

	ready    chan accepted
	open     context.Context // ends with the listener
	closeNow context.CancelFunc
}

type accepted struct {
	conn net.Conn
	err  error
}

// beyondLimit is how much longer than http.Server.MaxHeaderBytes a head can be that
// net/http accepts: it allows 4096 bytes more, and does not count what it has read
// already, at most its buffer of 4096 bytes and one byte that it read ahead.
const beyondLimit = 2*4096 + 1

func newFront(l net.Listener, server *http.Server, fast *fast.Server, gathered *gathered, log zerolog.Logger) *front {
	config := server.TLSConfig
	f := &front{
		Listener: l, config: config, timeout: server.ReadHeaderTimeout, maxHead: server.MaxHeaderBytes + beyondLimit,
		log: log, fast: fast, gathered: gathered, ready: make(chan accepted),
	}
	f.open, f.closeNow = context.WithCancel(context.Background())
	// Scanners make many failing handshakes, so only a few a minute are logged.
	f.log = log.Sample(&zerolog.BurstSampler{Burst: handshakeLines, Period: time.Minute})
	if config != nil || fast != nil {
		go f.accept()
	}
	return f
}

// Accept returns the next connection, as net.Listener.
func (f *front) Accept() (net.Conn, error) {
	if f.config == nil && f.fast == nil {
		conn, err := f.Listener.Accept()
		if err != nil {
			return nil, err
		}
		return &headConn{Conn: conn, timeout: f.timeout, maxHead: f.maxHead}, nil
	}
	select {
	case next := <-f.ready:
		return next.conn, next.err
	case <-f.open.Done():
		return nil, net.ErrClosed
	}
}

// Close closes the listener and ends the handshakes under way.
func (f *front) Close() error {
	f.closeNow()
	return f.Listener.Close()
}

// accept takes connections until the listener is closed. Its errors go to Accept, whose
// caller waits for a while when they may pass.
func (f *front) accept() {
	for {
		conn, err := f.Listener.Accept()
		if err == nil {
			go f.take(conn)
			continue
		}
		if !f.hand(accepted{err: err}) || errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

// hand gives a connection or an error to Accept, and reports whether it was taken.
func (f *front) hand(next accepted) bool {
	select {
	case f.ready <- next:
		return true
	case <-f.open.Done():
		return false
	}
}

// take makes the TLS handshake, if there is one, serves what it can of HTTP/1.1 by the
// fast server, and hands on the rest.
func (f *front) take(conn net.Conn) {
	defer func() { // as net/http does for what it serves
		if value := recover(); value != nil {
			f.log.Error().Str("panic", fmt.Sprint(value)).Bytes("stack", debug.Stack()).Msg("serving a connection panicked")
			_ = conn.Close()
		}
	}()
	var state *tls.ConnectionState
	if f.config != nil {
		below := &gather{Conn: conn, kept: f.gathered}
		secure := tls.Server(below, f.config)
		_ = secure.SetDeadline(time.Now().Add(f.timeout)) // an error shows at the next read
		if err := secure.HandshakeContext(f.open); err != nil {
			f.failed(secure, err)
			_ = secure.Close() // nothing was served on it
			return
		}
		_ = secure.SetDeadline(time.Time{})
		shaken := secure.ConnectionState()
		below.on = shaken.NegotiatedProtocol == "h2"
		conn, state = secure, &shaken
	}
	next := accepted{conn: conn}
	if state == nil || state.NegotiatedProtocol != "h2" {
		seen := &headConn{Conn: conn, timeout: f.timeout, maxHead: f.maxHead, tls: state, client: new(middleware.Connection)}
		if f.fast != nil {
			var handed bool
			if seen.pending, handed = f.fast.Serve(conn, state, seen.client); !handed {
				return
			}
		}
		next.conn = seen
	}
	if !f.hand(next) {
		_ = conn.Close()
	}
}

// failed logs a handshake that failed: the only trace of a client that cannot connect.
func (f *front) failed(conn *tls.Conn, err error) {
	shaken := conn.ConnectionState()
	if errors.Is(err, net.ErrClosed) || f.open.Err() != nil || shaken.Version == 0 && errors.Is(err, io.EOF) {
		return // a limit was reached, the program stops, or a load balancer looks whether the port is open
	}
	if odd, ok := errors.AsType[tls.RecordHeaderError](err); ok && odd.Conn != nil && wire.IsToken(string(odd.RecordHeader[:3])) {
		_, _ = io.WriteString(odd.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nThis port speaks HTTPS.\n")
	}
	f.log.Info().Str("client", conn.RemoteAddr().String()).Str("server_name", shaken.ServerName).
		AnErr("error", err).Msg("TLS handshake failed")
}

// headConn is a connection that carries HTTP/1.x. It looks at the head of each request
// before net/http does. In the place of a malformed one net/http is given one that
// middleware answers with a page, and nothing after it.
//
// Reads do not overlap, and net/http reports a state of the connection, but the last, only
// while none waits: that is all the locking there is, but for what handlers ask for.
type headConn struct {
	net.Conn
	timeout time.Duration
	maxHead int
	tls     *tls.ConnectionState // nil: plain HTTP
	client  *middleware.Connection
	seen    heads

	part    connPart
	pending []byte // read from Conn and not handed on; the first clear bytes of it may be
	clear   int
	left    int64 // of a body with a length
	chunks  chunks
	upgrade bool // the head asked for another protocol
	idle    bool // net/http waits for a request; it bounds the time for its head when it has begun
	timed   bool // the time for the head is bounded here
}

type connPart int

const (
	partHead connPart = iota
	partBody
	partChunks
	partUpgrade   // behind an upgrade: held back until it is clear what it is
	partRaw       // not HTTP/1.x, or broken so that net/http will say so: handed on as it is
	partRefused   // no more of it is handed on
	partBroken    // ends when all before it was read
	partMalformed // a chunked body goes on with what net/http refuses as well, and then ends
)

// Read returns the next bytes that net/http may see.
func (c *headConn) Read(p []byte) (int, error) {
	for {
		if c.clear > 0 {
			n := copy(p, c.pending[:c.clear])
			c.take(n)
			c.clear -= n
			return n, nil
		}
		if len(c.pending) > 0 && c.look() {
			continue
		}
		switch {
		case c.part == partMalformed: // an error would mean to net/http that the client has left
			c.pending, c.part = []byte("\x00\r\n\x00\r\n\r\n"), partBroken // neither a chunk nor a trailer
			c.clear = len(c.pending)
			continue
		case c.part == partBroken:
			return 0, io.ErrUnexpectedEOF
		case len(c.pending) == 0 && c.part == partBody:
			p = p[:min(int64(len(p)), c.left)]
			n, err := c.Conn.Read(p)
			if c.left -= int64(n); c.left == 0 {
				c.bodyEnded()
			}
			return n, err
		case len(c.pending) == 0 && c.part == partChunks:
			n, err := c.Conn.Read(p)
			if n == 0 {
				return 0, err
			}
			ours := c.followed(p[:n])
			c.pending = bytes.Clone(p[ours:n])
			return ours, nil // an error comes again
		case c.part == partRaw:
			return c.Conn.Read(p)
		}
		// The beginning of a head is read on until its end has come.
		if len(c.pending) > 0 && c.idle && !c.timed {
			c.timed = true
			_ = c.Conn.SetReadDeadline(time.Now().Add(c.timeout))
		}
		buf := p
		if c.part == partRefused || c.part == partUpgrade || len(c.pending) > 0 && len(p) < 512 {
			buf = make([]byte, 4096)
		}
		n, err := c.Conn.Read(buf)
		switch {
		case c.part == partRefused:
		case len(c.pending) == 0 && c.part == partHead && n > len("\r\n") && wire.SectionEnd(p[:n], 0) == n:
			c.pending = p[:n] // nearly all requests: a whole head, at once and alone
			if c.judge(n); c.part != partRefused {
				c.pending, c.clear = nil, 0
				return n, nil
			}
		default:
			c.pending = append(c.pending, buf[:n]...)
		}
		if n == 0 && err != nil {
			return 0, err
		}
	}
}

// take removes the first bytes of what is pending. An idle connection keeps no buffer.
func (c *headConn) take(n int) {
	if c.pending = c.pending[n:]; len(c.pending) == 0 {
		c.pending = nil
	}
}

// look decides what becomes of pending bytes. It returns false when more is needed.
func (c *headConn) look() bool {
	switch c.part {
	case partBody:
		c.clear = int(min(int64(len(c.pending)), c.left))
		if c.left -= int64(c.clear); c.left == 0 {
			c.bodyEnded()
		}
	case partChunks:
		c.clear = c.followed(c.pending)
	case partUpgrade:
		if len(c.pending) <= c.maxHead {
			return false
		}
		c.part = partRaw // a client that sends this much early takes the upgrade for granted
	case partRaw:
		c.clear = len(c.pending)
	case partRefused, partBroken, partMalformed:
		c.pending = nil
		return false
	case partHead:
		// Some clients send an empty line behind a body (RFC 9112, section 2.2).
		for len(c.pending) > 1 && string(c.pending[:2]) == "\r\n" {
			c.take(2)
		}
		end := wire.SectionEnd(c.pending, 0)
		if end == 0 && len(c.pending) <= c.maxHead {
			return false
		}
		c.timed = false
		if end == 0 || end > c.maxHead {
			c.clear, c.part = len(c.pending), partRaw // net/http answers 431 and closes
			return true
		}
		c.judge(end)
	}
	return true
}

// followed returns how many bytes belong to a chunked body: of a malformed one those up to
// the fault. net/http, which is less strict, would find a request behind it that was not
// looked at.
func (c *headConn) followed(p []byte) int {
	n, ended, err := c.chunks.follow(p)
	switch {
	case err != nil:
		c.part = partMalformed
	case ended:
		c.bodyEnded()
	}
	return n
}

// judge clears a head, or puts a refused request in its place.
func (c *headConn) judge(end int) {
	head, err := readHead(c.pending[:end])
	if err != nil {
		why := middleware.Refusal{Code: "bad_request", Reason: err.Error()}
		if errors.As(err, new(malformedTarget)) {
			why.Code = "bad_target"
		}
		c.client.Refuse(why)
		c.pending = refusal(c.pending[:end])
		c.clear, c.part = len(c.pending), partRefused
		return
	}
	c.clear, c.upgrade = end, head.upgrade
	c.seen.add(head)
	switch {
	case head.foreign:
		c.part = partRaw
	case head.chunked:
		c.part, c.chunks = partChunks, chunks{}
	case head.length > 0:
		c.part, c.left = partBody, head.length
	default:
		c.bodyEnded()
	}
}

// bodyEnded goes on to the next head. What follows an upgrade may be anything.
func (c *headConn) bodyEnded() {
	c.part = partHead
	if c.upgrade {
		c.part = partUpgrade
	}
}

// enter is told the state in which net/http has the connection.
func (c *headConn) enter(state http.ConnState) {
	if state == http.StateClosed {
		return // a Read may be under way
	}
	c.idle = state == http.StateIdle
	switch {
	case state == http.StateHijacked:
		c.part = partRaw
	case c.idle && c.part == partUpgrade:
		c.part = partHead // it was refused
	case c.idle && c.upgrade && c.part == partRaw:
		// It was refused. What net/http has of the bytes behind it may be half a head.
		c.part, c.pending, c.clear = partBroken, nil, 0
	}
}

// NetConn returns the connection below.
func (c *headConn) NetConn() net.Conn { return c.Conn }

// CloseWrite ends what is sent, where the connection can.
func (c *headConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return fmt.Errorf("closing one direction: %w", errors.ErrUnsupported)
}
