// Package wire reads and writes HTTP/1.1 messages as they stand on a connection
// (RFC 9112): fields keep their order and their spelling. What the standard does not
// allow is refused, never repaired.
package wire
