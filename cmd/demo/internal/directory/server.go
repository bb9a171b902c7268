// Package directory is the demo's LDAP directory: people, groups and a service account in memory, behind ldaps on
// loopback. It answers binds, with the password policy control, and searches as the program asks them; it is read-only.
package directory

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jimlambrt/gldap"
)

const (
	startAttempts = 5                      // ports tried: another program may take the one just found free
	pollInterval  = 2 * time.Millisecond   // between two looks at a server that starts or stops
	closeDeadline = 2 * time.Second        // for connections that do not end when closed
	dialTimeout   = 500 * time.Millisecond // of the look that finds the server ready
)

// Config is what a directory needs.
type Config struct {
	Certificate  tls.Certificate // valid for 127.0.0.1
	Roots        *x509.CertPool  // trusts Certificate; Start proves with it that the server which answers is its own
	BaseDN       string
	BindPassword string // of the service account
	People       []Person
	Now          func() time.Time
}

// Server is a running directory.
type Server struct {
	tree    *tree
	bound   *bound
	server  *gldap.Server
	open    *connections
	address string
	done    chan error // Run's end
	once    sync.Once
	closed  error // how Close went
}

// Start opens the directory on a free port of 127.0.0.1, ldaps only, and returns once it answers.
func Start(ctx context.Context, config Config) (*Server, error) {
	t, err := newTree(config.BaseDN, config.BindPassword, config.People, config.Now())
	if err != nil {
		return nil, fmt.Errorf("laying out the directory: %w", err)
	}
	for range startAttempts {
		var s *Server
		if s, err = start(ctx, config, t); err == nil {
			return s, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("starting the directory: %w", err)
}

// URL is where the directory listens, in the form that the configuration wants.
func (s *Server) URL() string { return "ldaps://" + s.address }

// BaseDN is the entry above all others.
func (s *Server) BaseDN() string { return s.tree.baseDN }

// BindDN is the service account.
func (s *Server) BindDN() string { return serviceDN(s.tree.baseDN) }

// Close stops listening and ends all connections. It may be called twice.
func (s *Server) Close() error {
	s.once.Do(func() { s.closed = s.close() })
	return s.closed
}

func (s *Server) close() error {
	stopped := make(chan error, 1)
	go func() { stopped <- s.server.Stop() }()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	deadline := time.NewTimer(closeDeadline)
	defer deadline.Stop()
	for {
		s.open.closeAll()
		select {
		case err := <-stopped:
			if err != nil {
				return fmt.Errorf("stopping the directory: %w", err)
			}
			return <-s.done
		case <-deadline.C:
			return errors.New("stopping the directory: connections are still open")
		case <-ticker.C:
		}
	}
}

// start makes one attempt. The library opens its port itself and does not tell which it was given, so a free one is
// looked for first; the certificate that answers shows whether this server got it.
func start(ctx context.Context, config Config, t *tree) (*Server, error) {
	var free net.ListenConfig
	listener, err := free.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("looking for a free port: %w", err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, fmt.Errorf("looking for a free port: %w", err)
	}
	s := &Server{
		tree: t, address: address,
		bound: &bound{connections: map[int]identity{}},
		open:  &connections{all: map[net.Conn]struct{}{}},
		done:  make(chan error, 1),
	}
	s.server, err = gldap.NewServer(gldap.WithLogger(hclog.NewNullLogger()), gldap.WithOnClose(func(connection int) {
		s.bound.set(connection, identity{})
		s.open.prune()
	}))
	if err != nil {
		return nil, fmt.Errorf("making the LDAP server: %w", err)
	}
	mux, err := s.routes()
	if err == nil {
		err = s.server.Router(mux)
	}
	if err != nil {
		return nil, err
	}
	serverTLS := &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{config.Certificate},
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			s.open.add(hello.Conn)
			return nil, nil
		},
	}
	go func() { s.done <- s.server.Run(address, gldap.WithTLSConfig(serverTLS)) }()
	if err := s.awaitReady(ctx, config.Roots); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) awaitReady(ctx context.Context, roots *x509.CertPool) error {
	dialer := &tls.Dialer{
		NetDialer: &net.Dialer{Timeout: dialTimeout},
		Config:    &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
	}
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case err := <-s.done:
			s.done <- nil // Close looks for it too
			return fmt.Errorf("listening on %s: %w", s.address, err)
		case <-ctx.Done():
			return fmt.Errorf("waiting for the directory: %w", ctx.Err())
		case <-ticker.C:
		}
		if !s.server.Ready() {
			continue
		}
		if connection, err := dialer.DialContext(ctx, "tcp", s.address); err == nil {
			return connection.Close()
		}
	}
}

// connections are the sockets behind the TLS connections, kept because the library closes only those whose client leaves.
type connections struct {
	mu  sync.Mutex
	all map[net.Conn]struct{}
}

func (c *connections) add(connection net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all[connection] = struct{}{}
}

// prune forgets the sockets that are closed: setting a deadline on them is an error.
func (c *connections) prune() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for connection := range c.all {
		if errors.Is(connection.SetDeadline(time.Time{}), net.ErrClosed) {
			delete(c.all, connection)
		}
	}
}

func (c *connections) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for connection := range c.all {
		_ = connection.Close() // closed twice is as good as closed once
		delete(c.all, connection)
	}
}
