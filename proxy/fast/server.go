package fast

import (
	"context"
	"crypto/tls"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/wire"
)

// Server serves connections whose TLS handshake is over. Its fields are set before the
// first call of Serve. The zero value of the others is ready.
type Server struct {
	Handler http.Handler
	State   func(net.Conn, http.ConnState) // as http.Server.ConnState, but for connections that are handed over
	Log     *log.Logger                    // for what net/http's server logs
	Head    time.Duration                  // longest wait for a head from its first byte on, and for the first one at all
	Idle    time.Duration                  // longest wait for the next request
	MaxHead int                            // of a head, in bytes; longer ones are handed over

	buffers wire.Buffers
	date    atomic.Pointer[date]
	closing atomic.Bool // answers end their connections

	mu    sync.Mutex
	conns map[*conn]struct{}
	empty chan struct{} // closed when the last connection has ended after Drain
}

// Serve serves the ordinary requests of a connection until it ends and closes it, or until
// another request comes: then handed is set, and rest is what was read of it and of those
// behind it. Answers to all others have been sent.
func (s *Server) Serve(nc net.Conn, state *tls.ConnectionState, client *middleware.Connection) (rest []byte, handed bool) {
	c := &conn{server: s, nc: nc, tls: state, client: client, remote: nc.RemoteAddr().String()}
	c.watch.conn = c
	c.ctx = context.WithValue(context.Background(), http.LocalAddrContextKey, nc.LocalAddr())
	if !s.enter(c) {
		_ = nc.Close() // nothing was served on it
		client.End()
		return nil, false
	}
	defer s.leave(c)
	if c.serve() {
		return c.unread(), true
	}
	c.release()
	_ = nc.Close() // an error is of no use to anything
	if s.State != nil {
		s.State(nc, http.StateClosed)
	}
	client.End()
	return nil, false
}

func (s *Server) enter(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		return false
	}
	if s.conns == nil {
		s.conns = make(map[*conn]struct{})
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.empty != nil && len(s.conns) == 0 {
		close(s.empty)
		s.empty = nil
	}
}

// Drain takes no more connections, and ends those that wait for a request. The others end
// behind their answer.
func (s *Server) Drain() { s.end(false) }

// Close ends all connections.
func (s *Server) Close() { s.end(true) }

func (s *Server) end(all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing.Store(true)
	for c := range s.conns {
		if c.busy.CompareAndSwap(waiting, ended) || all {
			_ = c.nc.Close() // its own goroutine notices
		}
	}
}

// Wait waits until all connections have ended, after Drain, or until ctx ends.
func (s *Server) Wait(ctx context.Context) error {
	s.mu.Lock()
	if len(s.conns) == 0 {
		s.mu.Unlock()
		return nil
	}
	if s.empty == nil {
		s.empty = make(chan struct{})
	}
	empty := s.empty
	s.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// date is the text of the field Date in one second.
type date struct {
	second int64
	text   string
}

func (s *Server) now() string {
	now := time.Now()
	if d := s.date.Load(); d != nil && d.second == now.Unix() {
		return d.text
	}
	d := &date{now.Unix(), now.UTC().Format(http.TimeFormat)}
	s.date.Store(d)
	return d.text
}
