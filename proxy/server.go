package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/proxy/fast"
	"persona-sidecar/proxy/middleware"
)

// Limits of the server.
const (
	headerTimeout  = 10 * time.Second // to send a request's headers, and for the TLS handshake
	maxHeaderBytes = 64 << 10
	idleTimeout    = 2 * time.Minute  // between two requests of a connection
	pingAfter      = 45 * time.Second // of silence on an HTTP/2 connection with open streams
	handshakeLines = 10               // failed handshakes logged in a minute

	// The window of an HTTP/2 connection holds what all its streams may leave
	// unread, so that uploads which the website is slow to take never keep the
	// others of their connection waiting.
	maxStreams = 100
	connWindow = maxStreams * StreamWindow
	maxFrame   = 16 << 10 // what every client keeps to by itself (RFC 9113, section 4.2)
)

// StreamWindow is how many bytes of a body an HTTP/2 server keeps that nothing has
// read yet.
const StreamWindow = 256 << 10

// NewServer returns a server for handler with all limits set: ten seconds to
// send a request's headers, 64 KiB for them, two minutes for an idle connection.
// How large an upload is and how long it takes are not limited; that it moves at
// all is the middleware's concern. A nil config makes a plain HTTP server.
func NewServer(handler http.Handler, config *tls.Config, log zerolog.Logger) *Server {
	if config != nil && len(config.NextProtos) == 0 {
		config = config.Clone()
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(config != nil)
	server := &http.Server{
		Handler:           seen(handler),
		TLSConfig:         config,
		Protocols:         protocols,
		ReadHeaderTimeout: headerTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		IdleTimeout:       idleTimeout,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreams,
			MaxReadFrameSize:              maxFrame,
			MaxReceiveBufferPerConnection: connWindow,
			MaxReceiveBufferPerStream:     StreamWindow,
			SendPingTimeout:               pingAfter,
		},
		// The Edge answers OPTIONS * as it answers everything else.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     middleware.ErrorLog(log, "http"),
	}
	var open sync.Map // net.Conn → *middleware.Connection
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		ctx, c := withFront(ctx, conn)
		open.Store(conn, c)
		return ctx
	}
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		if seen, ok := conn.(*headConn); ok {
			seen.enter(state)
		}
		if state != http.StateClosed && state != http.StateHijacked {
			return
		}
		if c, found := open.LoadAndDelete(conn); found {
			c.(*middleware.Connection).End()
		}
	}
	return &Server{Server: server, Fast: true, handler: handler, log: log}
}

// Server is an http.Server behind its own TLS.
type Server struct {
	*http.Server
	// Fast serves what is ordinary of HTTP/1.1 without net/http. It is set before Serve.
	Fast bool

	handler  http.Handler // as it was given to NewServer
	log      zerolog.Logger
	fast     atomic.Pointer[fast.Server] // nil until Serve, and when it is off
	gathered gathered
}

// Serve serves the connections of a listener, with TLS if the server has a
// configuration for it, until Shutdown or Close; it returns http.ErrServerClosed then.
func (s *Server) Serve(l net.Listener) error {
	var direct *fast.Server
	if s.Fast {
		direct = &fast.Server{
			Handler: s.handler, State: s.ConnState, Log: s.ErrorLog,
			Head: s.ReadHeaderTimeout, Idle: s.IdleTimeout, MaxHead: s.MaxHeaderBytes,
		}
		s.fast.Store(direct)
	}
	return s.Server.Serve(newFront(l, s.Server, direct, &s.gathered, s.log))
}

// Shutdown is as http.Server's.
func (s *Server) Shutdown(ctx context.Context) error {
	direct := s.fast.Load()
	if direct == nil {
		return s.Server.Shutdown(ctx)
	}
	direct.Drain()
	return errors.Join(s.Server.Shutdown(ctx), direct.Wait(ctx))
}

// Close is as http.Server's.
func (s *Server) Close() error {
	s.gathered.cut.Store(true)
	if direct := s.fast.Load(); direct != nil {
		direct.Close()
	}
	return s.Server.Close()
}
