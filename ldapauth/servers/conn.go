package servers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// conn is one connection with at most one operation in flight.
type conn struct {
	raw  net.Conn // below TLS; closing it ends whatever waits
	ldap *ldap.Conn
	used time.Time // end of the last operation
	// spoilt is set by an operation after which the connection must not be
	// used again although the server answered.
	spoilt bool
}

// dial opens a connection, encrypted unless the server's URL and the
// configuration say otherwise. The context bounds all of it.
func (s *server) dial(ctx context.Context) (*conn, error) {
	raw, err := s.dialer.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, err
	}
	if s.security == implicitTLS {
		encrypted := tls.Client(raw, s.tls)
		if err := encrypted.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, fmt.Errorf("TLS: %w", err)
		}
		return newConn(raw, encrypted, true), nil
	}
	c := newConn(raw, raw, false)
	if s.security == plaintext {
		return c, nil
	}
	if err := c.run(ctx, func(l *ldap.Conn) error { return l.StartTLS(s.tls) }); err != nil {
		c.close()
		return nil, fmt.Errorf("StartTLS: %w", err)
	}
	return c, nil
}

func newConn(raw, spoken net.Conn, encrypted bool) *conn {
	c := &conn{raw: raw, ldap: ldap.NewConn(spoken, encrypted), used: time.Now()}
	c.ldap.Start()
	return c
}

// run does one operation. go-ldap knows no contexts, so the end of the context
// closes the connection under it. A search that was cut off can therefore only
// end in an error, never in "nothing found".
func (c *conn) run(ctx context.Context, do func(*ldap.Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	release := context.AfterFunc(ctx, func() { c.raw.Close() })
	err := do(c.ldap)
	c.used = time.Now()
	if release() {
		return err
	}
	c.spoilt = true // the context ended: closed already, or about to be
	if err == nil || answered(err) {
		return err // the answer was complete before that
	}
	return ctx.Err()
}

// close ends the connection without waiting for the peer: the raw connection
// goes first, because a frozen peer could hold up a writer for ever.
func (c *conn) close() {
	c.raw.Close()
	c.ldap.Close()
}

// answered reports whether the server itself gave this result code, so that the
// connection works and the error is its answer.
func answered(err error) bool {
	var e *ldap.Error
	return errors.As(err, &e) && e.ResultCode < ldap.ErrorNetwork
}

// ConnectError means that there is no connection to ask on, so that a result
// code inside it is never taken for the answer to the question.
type ConnectError struct {
	Doing     string // such as "connecting to ldaps://ldap.example.com"
	Err       error
	hint      string
	elsewhere bool // another server may do better
}

// Error says what was being done.
func (e *ConnectError) Error() string { return e.Doing + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

// Hint returns what the operator can do about it, or "".
func (e *ConnectError) Hint() string { return e.hint }

// Answer returns the result code with which a server refused the question itself, or nil
// for every other error: no server could be asked, or none could do its work.
func Answer(err error) *ldap.Error {
	var e *ldap.Error
	var unconnected *ConnectError
	if !errors.As(err, &e) || unavailable(err) || errors.As(err, &unconnected) {
		return nil
	}
	return e
}

// unavailable reports whether the server could not do its work: another one may.
func unavailable(err error) bool {
	var unconnected *ConnectError
	if errors.As(err, &unconnected) {
		return unconnected.elsewhere
	}
	var e *ldap.Error
	if !errors.As(err, &e) {
		return true // the connection broke, or there was none
	}
	switch code := e.ResultCode; {
	case code == ldap.LDAPResultBusy, code == ldap.LDAPResultUnavailable, code == ldap.LDAPResultOther:
		return true
	case code >= ldap.LDAPResultServerDown && code <= ldap.LDAPResultConnectError:
		return true
	default:
		return code >= ldap.ErrorNetwork
	}
}

// maxIdleTime is how long a connection may lie unused: shorter than the idle
// time-outs of directories and of the firewalls before them.
const maxIdleTime = 30 * time.Second

// pool keeps idle connections of one server and one purpose. The one used last
// is taken first, so that spare ones grow old and go.
type pool struct {
	mu     sync.Mutex
	idle   []*conn
	closed bool
}

// take returns a connection that seems alive, or nil.
func (p *pool) take() *conn {
	var dead []*conn
	defer func() { closeAll(dead) }()
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		last := len(p.idle) - 1
		c := p.idle[last]
		p.idle = p.idle[:last]
		if !c.ldap.IsClosing() && time.Since(c.used) < maxIdleTime {
			return c
		}
		dead = append(dead, c)
	}
	return nil
}

func (p *pool) put(c *conn) {
	p.mu.Lock()
	if !p.closed {
		p.idle = append(p.idle, c)
		c = nil
	}
	p.mu.Unlock()
	if c != nil {
		c.close()
	}
}

func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	closeAll(idle)
}

func closeAll(conns []*conn) {
	for _, c := range conns {
		c.close()
	}
}
