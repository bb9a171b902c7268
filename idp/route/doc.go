// Package route is how every path of ours answers: a [Route] names the path,
// its methods and the [Class] that decides its security headers, a [Handler]
// writes a complete answer or returns an error, and a [Responder] writes pages,
// errors and log lines.
package route
