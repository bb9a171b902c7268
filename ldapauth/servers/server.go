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

// security is how a connection is protected.
type security int

const (
	implicitTLS security = iota // ldaps://
	startTLS
	plaintext
)

// purpose keeps searching and password-checking connections apart: after a
// user's bind a connection has that user's rights, or none.
type purpose int

const (
	searchConn purpose = iota // bound as the service account
	bindConn                  // never used for anything but binds
	purposes                  // how many there are
)

const (
	// leastPatience is how long an operation on a connection from the pool may take at least before the connection is
	// taken for dead: a firewall that forgot it drops what is sent on it without a word.
	leastPatience = time.Second
	// patienceFactor is how many times longer than usual an answer may take on such a connection.
	patienceFactor = 4
)

// server is one address of a directory with its connections.
type server struct {
	target
	set      *Set
	security security
	tls      *tls.Config
	dialer   net.Dialer
	pools    [purposes]pool
	turn     chan struct{} // is held for a bind as the service account

	// Guarded by Set.mu.
	down, probing bool
	nextProbe     time.Time

	mu      sync.Mutex
	open    map[*conn]bool
	retired bool
	figures figures
}

func (s *Set) newServer(from *source, t target) *server {
	srv := &server{
		target: t, set: s, security: from.security, turn: make(chan struct{}, 1), open: make(map[*conn]bool),
		dialer: net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}},
		tls:    &tls.Config{ServerName: t.host, RootCAs: s.cfg.Roots, MinVersion: tls.VersionTLS12},
	}
	if from.serverName != "" {
		srv.tls.ServerName = from.serverName
	}
	if read := s.cfg.ClientCertificate; read != nil { // and no resumed sessions, which go on with an old certificate
		srv.tls.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return read() }
	} else {
		srv.tls.ClientSessionCache = tls.NewLRUClientSessionCache(s.cfg.MaxBinds + s.cfg.MaxSearches)
	}
	return srv
}

// do runs one operation on a connection from the pool or a new one. The connection from the pool may have died unnoticed,
// so one that breaks is followed by a new one, once; after one that is silent another server is the better choice where
// there is one. The error names the server and has a hint.
func (s *server) do(ctx context.Context, op operation, until time.Time, others bool) error {
	var c *conn
	if !op.alone {
		c = s.pools[op.purpose].take()
	}
	if c != nil {
		patience := s.patience(op.purpose)
		soon := time.Now().Add(patience)
		if soon.After(until) {
			soon = until
		}
		err := s.try(ctx, c, op, soon)
		var silent *silentError
		switch {
		case err == nil || answered(err):
			return err
		case errors.As(err, &silent):
			silent.pooled = true
			s.dropIdle() // they have gone the same way
			if others || !soon.Before(until) {
				return s.failure(err)
			}
		case ctx.Err() != nil:
			return s.failure(err)
		}
	}
	c, err := s.connect(ctx, until, op.purpose)
	if err != nil {
		return err
	}
	if err = s.try(ctx, c, op, until); err == nil || answered(err) {
		return err
	}
	return s.failure(err)
}

func (s *server) failure(err error) error {
	return fmt.Errorf("%s: %w", s.name, WithHint(err, connectHint(err)))
}

// try runs the operation and keeps the connection if it is still good.
func (s *server) try(ctx context.Context, c *conn, op operation, until time.Time) error {
	s.figures.begin(op.purpose)
	began, used := time.Now(), c.used
	err := c.run(ctx, until, func() error { return op.ask(c) })
	s.figures.end(op.purpose, time.Since(began), err)
	if op.background {
		c.used = used
	}
	if c.spoilt || op.alone || !reusable(op.purpose, err) || c.fresh && op.background {
		c.close()
	} else {
		c.fresh = false
		s.pools[op.purpose].put(c)
	}
	return err
}

// reusable reports whether the server's answer leaves the connection in order.
func reusable(p purpose, err error) bool {
	if p == bindConn {
		return err == nil || ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials)
	}
	return err == nil || !unavailable(err)
}

// patience is how long an answer is waited for on a connection from the pool.
func (s *server) patience(p purpose) time.Duration {
	return max(leastPatience, patienceFactor*s.figures.usual(p))
}

// connect opens a connection and makes it fit for its purpose.
func (s *server) connect(ctx context.Context, until time.Time, p purpose) (*conn, error) {
	s.set.refresh(true)
	if p == searchConn {
		if _, err := s.set.service.current(s); err != nil {
			return nil, err // not even dialled: there is no password to bind with
		}
	}
	began := time.Now()
	c, err := s.dial(ctx, until)
	if err != nil {
		s.figures.failed(p, time.Since(began), err)
		return nil, &ConnectError{Doing: "connecting to " + s.name, Err: err, hint: connectHint(err), elsewhere: true}
	}
	if p == searchConn {
		if err := s.set.service.bind(ctx, until, c); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

// dropIdle closes the connections that lie in the pools.
func (s *server) dropIdle() {
	for i := range s.pools {
		s.pools[i].drop()
	}
}

// retire ends the server: connections in use are closed after their operation.
func (s *server) retire() {
	s.mu.Lock()
	s.retired = true
	s.mu.Unlock()
	for i := range s.pools {
		s.pools[i].close()
	}
}

// end closes all connections, those in use as well.
func (s *server) end() {
	s.retire()
	s.mu.Lock()
	open := s.open
	s.open = make(map[*conn]bool)
	s.mu.Unlock()
	for c := range open {
		c.raw.Close()
	}
}
