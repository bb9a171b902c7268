package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"syscall"
)

// Failure is the kind of a fault of the website, for counting.
type Failure string

// The kinds of faults.
const (
	Refused    Failure = "refused"    // nothing listens there
	Unresolved Failure = "unresolved" // its name has no address
	TLS        Failure = "tls"        // its certificate or its TLS is not in order
	Timeout    Failure = "timeout"    // it did not answer in time
	Broken     Failure = "broken"     // it ended the connection, or spoke no HTTP, before it answered
	Cut        Failure = "cut"        // it ended in the middle of its answer
)

// failureOf sorts the error of a request that the website did not answer.
func failureOf(err error) Failure {
	var (
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		alert     tls.AlertError
	)
	switch {
	case timedOut(err):
		return Timeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.As(err, &dns):
		return Unresolved
	case errors.As(err, &authority), errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &record), errors.As(err, &alert),
		strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		return TLS
	}
	return Broken
}
