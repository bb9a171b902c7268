package website

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// The limits of the server. Writing has none: the clock streams for as long as the page is open.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = time.Minute
	stopDeadline  = 2 * time.Second
)

// Server is a website on a socket of its own.
type Server struct {
	server  *http.Server
	address string
	cancel  context.CancelFunc
	done    chan error
	once    sync.Once
	closed  error // how Close went
}

// Start serves handler on a free port of 127.0.0.1, plain HTTP, as a website behind a proxy does.
func Start(ctx context.Context, handler http.Handler) (*Server, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("opening the website's port: %w", err)
	}
	return Serve(ctx, listener, handler), nil
}

// Serve serves handler on a listener, which the server closes with itself.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler) *Server {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &Server{
		server: &http.Server{
			Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
			BaseContext: func(net.Listener) context.Context { return base },
		},
		address: listener.Addr().String(), cancel: cancel, done: make(chan error, 1),
	}
	go func() { s.done <- s.server.Serve(listener) }()
	return s
}

// URL is where a website that was started listens.
func (s *Server) URL() string { return "http://" + s.address }

// Close ends the streams, lets other answers finish for a moment, and closes the port. Closing twice is as good as
// closing once.
func (s *Server) Close() error {
	s.once.Do(func() { s.closed = s.close() })
	return s.closed
}

func (s *Server) close() error {
	s.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), stopDeadline)
	defer cancel()
	if err := s.server.Shutdown(ctx); err != nil {
		return fmt.Errorf("stopping the website: %w", errors.Join(err, s.server.Close()))
	}
	if err := <-s.done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the website: %w", err)
	}
	return nil
}
