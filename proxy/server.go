package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
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
			MaxConcurrentStreams: 250,
			// Larger than one stream's, so that an upload that the website is slow
			// to take does not stall the others of its connection.
			MaxReceiveBufferPerConnection: 4<<20 - 1,
			MaxReceiveBufferPerStream:     1 << 20,
			SendPingTimeout:               pingAfter,
			WriteByteTimeout:              middleware.DefaultIdle,
		},
		// The Edge answers OPTIONS * as it answers everything else.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     middleware.ErrorLog(log, "http"),
	}
	if config != nil {
		server.ConnState = logHandshakes(log)
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
