// Package pool keeps the connections to one website: it opens them, over TLS if
// wanted, at the first of the website's addresses that answers, keeps idle ones for a
// moment, and bounds how many there are. A connection on which anything has come
// unasked is never given out again.
package pool
