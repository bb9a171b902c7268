package servers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// conn is one connection with at most one operation in flight.
type conn struct {
	server *server
	raw    net.Conn // TCP; closing it ends whatever waits
	stream net.Conn // TLS, or raw
	wire   *wire
	ldap   *ldap.Conn
	used   time.Time // end of the last operation
	fresh  bool      // has done no operation yet
	// spoilt is set by an operation after which the connection must not be
	// used again although the server answered.
	spoilt bool
}

// dial opens a connection, encrypted unless the server's URL and the
// configuration say otherwise. The context and the time bound all of it.
func (s *server) dial(ctx context.Context, until time.Time) (*conn, error) {
	began := time.Now()
	dialling, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	release := context.AfterFunc(s.set.closing, cancel)
	defer release()
	raw, err := s.dialer.DialContext(dialling, "tcp", s.address)
	if err != nil {
		return nil, ended(ctx, dialling, began, err)
	}
	c := &conn{server: s, raw: raw, stream: raw, used: time.Now(), fresh: true}
	s.mu.Lock()
	retired := s.retired
	if !retired {
		s.open[c] = true
	}
	s.mu.Unlock()
	if retired {
		raw.Close()
		return nil, errClosed
	}
	stop := context.AfterFunc(dialling, func() { raw.Close() })
	err = c.encrypt(dialling)
	if !stop() && err == nil {
		err = dialling.Err()
	}
	if err != nil {
		c.close()
		var failed *tlsError
		if errors.As(err, &failed) {
			failed.err = ended(ctx, dialling, began, failed.err)
			return nil, failed
		}
		return nil, ended(ctx, dialling, began, err)
	}
	c.wire = &wire{Conn: c.stream}
	c.ldap = ldap.NewConn(c.wire, s.security != plaintext)
	c.ldap.Start()
	return c, nil
}

// encrypt makes a new connection as safe as the server's URL and the configuration want it.
func (c *conn) encrypt(ctx context.Context) error {
	if c.server.security == plaintext {
		return nil
	}
	failed := &tlsError{startTLS: c.server.security == startTLS}
	if failed.startTLS {
		if failed.err = requestTLS(c.raw); failed.err != nil {
			failed.refused = answered(failed.err)
			return failed
		}
	}
	encrypted := tls.Client(c.raw, c.server.tls)
	if failed.err = encrypted.HandshakeContext(ctx); failed.err != nil {
		return failed
	}
	c.stream = encrypted
	return nil
}

// requestTLS asks a server to begin TLS (RFC 4511 section 4.14). Conn.StartTLS of go-ldap is not used, because it keeps of
// a failed handshake the text alone.
func requestTLS(conn net.Conn) error {
	operation := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationExtendedRequest, nil, "")
	operation.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, 0, "1.3.6.1.4.1.1466.20037", ""))
	message := ber.NewSequence("")
	message.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, 1, ""))
	message.AppendChild(operation)
	if _, err := conn.Write(message.Bytes()); err != nil {
		return err
	}
	answer, err := ber.ReadPacket(conn)
	if err != nil {
		return err
	}
	if err = ldap.GetLDAPError(answer); err != nil && !answered(err) {
		return errMalformed
	}
	return err
}

var errMalformed = errors.New("the server's answer is not LDAP")

// ended gives the end of a time its own error.
func ended(ctx, dialling context.Context, began time.Time, err error) error {
	var timer net.Error // that of the connection may be ahead of the context's
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(dialling.Err(), context.DeadlineExceeded), errors.As(err, &timer) && timer.Timeout():
		return &silentError{after: time.Since(began)}
	}
	return err
}

// silentError means that a server did not answer in its share of the time.
type silentError struct {
	after  time.Duration
	pooled bool // on an old connection
}

func (e *silentError) Error() string {
	return fmt.Sprintf("no answer within %s", e.after.Round(time.Millisecond))
}

// Unwrap makes it the end of a time to everyone else.
func (e *silentError) Unwrap() error { return context.DeadlineExceeded }

// run does one operation. go-ldap knows no contexts, so the end of the context closes the connection under it, and the end
// of the time is a deadline of the connection, which costs less than another context. A search that was cut off can
// therefore only end in an error, never in "nothing found".
func (c *conn) run(ctx context.Context, until time.Time, do func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	began := time.Now()
	if err := c.raw.SetDeadline(until); err != nil {
		return err
	}
	release := context.AfterFunc(ctx, func() { c.raw.Close() })
	err := do()
	c.used = time.Now()
	c.spoilt = c.spoilt || !release()
	switch {
	case err == nil || answered(err): // the answer was complete before that
		if noEnd := c.raw.SetDeadline(time.Time{}); noEnd != nil {
			c.spoilt = true
		}
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	cause := c.wire.failed.Load()
	switch {
	case cause == nil:
		return err
	case errors.Is(*cause, os.ErrDeadlineExceeded):
		return &silentError{after: time.Since(began)}
	}
	return *cause
}

// wire remembers why reading from a server or writing to it failed, of which go-ldap keeps the text alone.
type wire struct {
	net.Conn
	failed atomic.Pointer[error]
}

// Read is that of the connection.
func (w *wire) Read(p []byte) (int, error) { return w.note(w.Conn.Read(p)) }

// Write is that of the connection.
func (w *wire) Write(p []byte) (int, error) { return w.note(w.Conn.Write(p)) }

func (w *wire) note(n int, err error) (int, error) {
	if err != nil {
		w.failed.CompareAndSwap(nil, &err)
	}
	return n, err
}

// bind does a simple bind. What the server says of the password comes with the error of a refusal, too.
func (c *conn) bind(dn string, password Secret) (*ldap.ControlBeheraPasswordPolicy, error) {
	res, err := c.ldap.SimpleBind(&ldap.SimpleBindRequest{
		Username: dn, Password: string(password), Controls: []ldap.Control{ldap.NewControlBeheraPasswordPolicy()},
	})
	if res == nil {
		return nil, err
	}
	policy, _ := ldap.FindControl(res.Controls, ldap.ControlTypeBeheraPasswordPolicy).(*ldap.ControlBeheraPasswordPolicy)
	return policy, err
}

// close ends the connection without waiting for the peer: the raw connection
// goes first, because a frozen peer could hold up a writer for ever.
func (c *conn) close() {
	c.server.mu.Lock()
	delete(c.server.open, c)
	c.server.mu.Unlock()
	c.raw.Close()
	if c.ldap != nil {
		c.ldap.Close()
	}
}
