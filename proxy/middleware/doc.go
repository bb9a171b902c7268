// Package middleware holds what happens to every request before the Edge sees
// it: a Record in the request's context (request id, client address, scheme),
// one line in the access log when it is over, a page instead of a dropped
// connection when a handler panics, and limits on clients that are too slow.
//
// New composes the whole chain. It stands directly behind the listener, so that
// everything further in, the website's handler and the identity provider alike,
// reads the client's address from the Record and never from a header.
package middleware
