package servers

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"persona-sidecar/ldapauth/message"

	"github.com/go-ldap/ldap/v3"
)

// conn is one connection with at most one operation in flight. It has no goroutine of its own: who asks also reads the
// answer.
type conn struct {
	server *server
	raw    net.Conn // TCP
	stream net.Conn // TLS, or raw
	in     *bufio.Reader
	out    []byte // the last request
	answer []byte // the last message
	id     int32  // of the last request
	used   time.Time
	fresh  bool // has done no operation yet
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
	c.in = bufio.NewReader(raw)
	if s.security == startTLS {
		err := c.run(ctx, until, func() error { return c.extended("1.3.6.1.4.1.1466.20037", nil) })
		if err != nil {
			c.close()
			return nil, &tlsError{startTLS: true, refused: answered(err), err: err}
		}
	}
	if s.security != plaintext {
		encrypted := tls.Client(raw, s.tls)
		if err := encrypted.HandshakeContext(dialling); err != nil {
			c.close()
			return nil, &tlsError{startTLS: s.security == startTLS, err: ended(ctx, dialling, began, err)}
		}
		c.stream = encrypted
		c.in.Reset(encrypted)
	}
	return c, nil
}

// ended gives the end of a time its own error.
func ended(ctx, dialling context.Context, began time.Time, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(dialling.Err(), context.DeadlineExceeded):
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

// run does one operation. The end of the context breaks it off, and spoils the connection.
func (c *conn) run(ctx context.Context, until time.Time, do func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	began := time.Now()
	if err := c.stream.SetDeadline(until); err != nil {
		return err
	}
	release := context.AfterFunc(ctx, func() { _ = c.raw.SetDeadline(time.Unix(1, 0)) })
	err := do()
	c.used = time.Now()
	if !release() {
		c.spoilt = true // the context ended
	}
	switch {
	case err == nil || answered(err):
		return err // the answer was complete before that
	case c.spoilt && ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &silentError{after: time.Since(began)}
	}
	return err
}

// send writes the request in c.out.
func (c *conn) send() error {
	_, err := c.stream.Write(c.out)
	return err
}

// next reads one answer to the last request.
func (c *conn) next() (message.Message, error) {
	raw, err := message.Read(c.in, c.answer)
	if err != nil {
		return message.Message{}, err
	}
	c.answer = raw[:0]
	if cap(raw) > maxKeptAnswer {
		c.answer = nil
	}
	m, err := message.Parse(raw)
	switch {
	case err != nil:
		return message.Message{}, err
	case m.ID == 0: // a notice of disconnection, RFC 4511 section 4.4.1
		return message.Message{}, fmt.Errorf("the server ends the connection: %v", m.Result()) //nolint:errorlint // no answer to the question
	case m.ID != int64(c.id):
		return message.Message{}, fmt.Errorf("the server answers question %d, asked was %d", m.ID, c.id)
	}
	return m, nil
}

// maxKeptAnswer is the largest buffer that a connection keeps, in bytes.
const maxKeptAnswer = 64 << 10

// only reads the one answer that an operation has.
func (c *conn) only(want message.Op) (message.Message, error) {
	if err := c.send(); err != nil {
		return message.Message{}, err
	}
	for {
		m, err := c.next()
		switch {
		case err != nil:
			return message.Message{}, err
		case m.Op == want:
			return m, m.Result()
		case m.Op != message.Intermediate:
			return message.Message{}, fmt.Errorf("the server's answer is of another kind: %#x", m.Op)
		}
	}
}

// bind does a simple bind. What the server says of the password comes with the error of a refusal, too.
func (c *conn) bind(dn string, password Secret) (*ldap.ControlBeheraPasswordPolicy, error) {
	c.id++
	c.out = message.AppendBind(c.out[:0], c.id, dn, string(password))
	m, err := c.only(message.BindResponse)
	clear(c.out[:cap(c.out)]) // the password
	return m.Policy(), err
}

// extended does an extended operation whose answer has no value.
func (c *conn) extended(oid string, value []byte) error {
	c.id++
	c.out = message.AppendExtended(c.out[:0], c.id, oid, value)
	_, err := c.only(message.ExtendedResponse)
	return err
}

// search does a search. The result comes with the server's refusal, too; of more entries than were asked for it has one.
func (c *conn) search(req *ldap.SearchRequest) (*ldap.SearchResult, error) {
	c.id++
	out, err := message.AppendSearch(c.out[:0], c.id, req)
	if err != nil {
		return nil, ldap.NewError(ldap.LDAPResultFilterError, err)
	}
	c.out = out
	if err := c.send(); err != nil {
		return nil, err
	}
	res := &ldap.SearchResult{}
	for {
		m, err := c.next()
		if err != nil {
			return nil, err
		}
		switch m.Op {
		case message.SearchEntry:
			if req.SizeLimit > 0 && len(res.Entries) > req.SizeLimit {
				continue
			}
			e, err := m.Entry()
			if err != nil {
				return nil, err
			}
			res.Entries = append(res.Entries, e)
		case message.SearchDone:
			return res, m.Result()
		case message.SearchReference, message.Intermediate: // never followed
		default:
			return nil, fmt.Errorf("the server's answer to a search is of another kind: %#x", m.Op)
		}
	}
}

// close ends the connection without waiting for the peer.
func (c *conn) close() {
	c.server.mu.Lock()
	delete(c.server.open, c)
	c.server.mu.Unlock()
	c.raw.Close()
}
