package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"

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
	maxStreams   = 100
	streamWindow = 256 << 10
	connWindow   = maxStreams * streamWindow
	maxFrame     = 16 << 10 // what every client keeps to by itself (RFC 9113, section 4.2)
)

// NewServer returns a server for handler with all limits set: ten seconds to
// send a request's headers, 64 KiB for them, two minutes for an idle connection.
// How large an upload is and how long it takes are not limited; that it moves at
// all is the middleware's concern. A nil config makes a plain HTTP server; with
// one, call ServeTLS with empty file names.
func NewServer(handler http.Handler, config *tls.Config, log zerolog.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(config != nil)
	server := &http.Server{
		Handler:           handler,
		TLSConfig:         config,
		Protocols:         protocols,
		ReadHeaderTimeout: headerTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		IdleTimeout:       idleTimeout,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreams,
			MaxReadFrameSize:              maxFrame,
			MaxReceiveBufferPerConnection: connWindow,
			MaxReceiveBufferPerStream:     streamWindow,
			SendPingTimeout:               pingAfter,
			WriteByteTimeout:              middleware.DefaultIdle,
		},
		// The Edge answers OPTIONS * as it answers everything else.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     middleware.ErrorLog(log, "http"),
	}
	handshakes := func(net.Conn, http.ConnState) {}
	if config != nil {
		handshakes = logHandshakes(log)
	}
	var open sync.Map // net.Conn → *middleware.Connection
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		c := new(middleware.Connection)
		open.Store(conn, c)
		return middleware.WithConnection(ctx, c)
	}
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		handshakes(conn, state)
		if state != http.StateClosed && state != http.StateHijacked {
			return
		}
		if c, found := open.LoadAndDelete(conn); found {
			c.(*middleware.Connection).End()
		}
	}
	return server
}

// logHandshakes returns a hook that logs handshakes that failed: the only trace of
// a client that cannot connect. Scanners make many, so only a few a minute are
// logged.
func logHandshakes(log zerolog.Logger) func(net.Conn, http.ConnState) {
	log = log.Sample(&zerolog.BurstSampler{Burst: handshakeLines, Period: time.Minute})
	return func(conn net.Conn, state http.ConnState) {
		secure, ok := conn.(*tls.Conn)
		if !ok || state != http.StateClosed {
			return
		}
		shaken := secure.ConnectionState()
		if shaken.HandshakeComplete {
			return
		}
		err := secure.Handshake() // the error of the one that failed
		if errors.Is(err, net.ErrClosed) || shaken.Version == 0 && errors.Is(err, io.EOF) {
			return // the program stops, or a load balancer looks whether the port is open
		}
		log.Info().Str("client", conn.RemoteAddr().String()).Str("server_name", shaken.ServerName).
			AnErr("error", err).Msg("TLS handshake failed")
	}
}
