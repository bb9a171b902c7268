package network

import (
	"crypto/x509"
	"errors"
	"time"
)

// OutOfTime reports whether a certificate, perhaps not the server's own, is refused
// for the time, and whether its time is still to come.
func OutOfTime(err error, now time.Time) (refused *x509.Certificate, early bool) {
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		return nil, false
	}
	return invalid.Cert, now.Before(invalid.Cert.NotBefore)
}

// EarlyHint is what to do about a certificate whose time is still to come.
const EarlyHint = "set this machine's clock, if it is behind; otherwise wait, or have the certificate issued anew"

// UntrustedHint is what to do about the certificate of a server that the key of the
// configuration names, and about an authority that is not trusted.
func UntrustedHint(err error, now time.Time, name, key, unknown string) string {
	var other x509.HostnameError
	refused, early := OutOfTime(err, now)
	switch {
	case early:
		return EarlyHint
	case refused != nil:
		return "have the certificate of " + name + " renewed; when it is not expired, set this machine's clock"
	case errors.As(err, &other):
		return "write the name that stands in its certificate into " + key
	}
	return unknown
}
