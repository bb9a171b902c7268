package middleware

import (
	"net/http"

	"persona-sidecar/proxy/wire"
)

// A server that keeps heads as they stand on the connection has a ResponseWriter
// with the methods RequestFields and WriteHead, which the functions of these names
// call. net/http's has neither: its fields are in an http.Header, without order
// and spelling. Wrappers in between have Unwrap, as for http.ResponseController.
type (
	fieldsReader interface{ RequestFields() wire.Fields }
	headWriter   interface {
		WriteHead(status int, reason string, fields wire.Fields, length int64) error
	}
	unwrapper interface{ Unwrap() http.ResponseWriter }
)

// RequestFields returns all fields of the request that w answers, in the client's
// order and spelling, or nil when the server does not know them. They are valid
// until the handler returns.
func RequestFields(w http.ResponseWriter) wire.Fields {
	for {
		if server, ok := w.(fieldsReader); ok {
			return server.RequestFields()
		}
		inner, ok := w.(unwrapper)
		if !ok {
			return nil
		}
		w = inner.Unwrap()
	}
}

// WriteHead begins an answer with a head that is sent as it stands, in place of
// w.Header and w.WriteHeader. The server adds what it needs between itself and the
// client: Connection, Transfer-Encoding, and a Date where there is none.
//
// length is how many bytes are written behind the head, -1 when that is not known
// yet: then the answer is chunked, or ends with the connection. It is 0 for an
// answer to HEAD, whatever Content-Length among the fields is. What stands in
// w.Header under http.TrailerPrefix when the handler returns is the trailer section.
//
// An interim answer (1xx, but not 101) is sent at once. A final head may wait for
// the first bytes of the body, for a Flush, or for the end.
//
// The error is http.ErrNotSupported, and nothing was written, when the server takes
// an http.Header only.
func WriteHead(w http.ResponseWriter, status int, reason string, fields wire.Fields, length int64) error {
	for {
		if server, ok := w.(headWriter); ok {
			return server.WriteHead(status, reason, fields, length)
		}
		inner, ok := w.(unwrapper)
		if !ok {
			return http.ErrNotSupported
		}
		w = inner.Unwrap()
	}
}
