// Package fast serves the ordinary requests of HTTP/1.1 on the goroutine of their
// connection, without net/http's server. What is not provably ordinary is handed over to
// it, byte for byte, and the connection with it.
package fast
