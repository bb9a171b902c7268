// Package middleware wraps every request before the Edge sees it: a Record in the
// request's context (host, target, request id, client address, scheme), a line in
// the access log, a page when a handler panics, and limits on slow clients.
//
// Everything further in reads the client's address from the Record and never from
// a header.
package middleware
