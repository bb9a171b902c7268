package visitor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"syscall"
)

// Fault is what is wrong with an answer, or why there is none, in one line.
type Fault struct {
	// Status is the answer's; 0: there is none.
	Status int

	message, hint string
	cause         error
}

func (f *Fault) Error() string { return f.message }

// Hint is what to do about it, for the operator; "" when that is not known.
func (f *Fault) Hint() string { return f.hint }

func (f *Fault) Unwrap() error { return f.cause }

// Explain returns what an error of asking or connecting to a host comes down to,
// with a hint.
func Explain(err error, host string) *Fault {
	var (
		known       *Fault
		dns         *net.DNSError
		authority   x509.UnknownAuthorityError
		name        x509.HostnameError
		invalid     x509.CertificateInvalidError
		notTLS      tls.RecordHeaderError
		urlError    *url.Error
		text        = err.Error()
		isTimeout   = errors.Is(err, context.DeadlineExceeded) || errors.As(err, &urlError) && urlError.Timeout()
		isHandshake = errors.As(err, &authority) || errors.As(err, &name) || errors.As(err, &invalid)
	)
	if errors.As(err, &known) {
		return known
	}
	if errors.As(err, &urlError) {
		text = urlError.Err.Error() // without the request, which the step names
	}
	fault := func(hint, message string) *Fault { return &Fault{message: message, hint: hint, cause: err} }
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return fault("make an A (and AAAA) record for "+host, "DNS knows no address of "+host)
	case errors.As(err, &dns):
		return fault("try again; when it stays so, look at the name servers of the domain", "DNS does not answer for "+host+": "+dns.Err)
	case isHandshake:
		return fault("serve a certificate for "+host+" that is trusted here: persona check "+host+" tells what is wrong with it", "TLS: "+text)
	case errors.As(err, &notTLS), errors.Is(err, http.ErrSchemeMismatch):
		return fault("something else than HTTPS listens there: look at the port, and at what forwards to it", "the answer is not TLS")
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault("is the program running, and does the port lead to it?", "the connection is refused")
	case isTimeout:
		return fault("look at the firewall, the router's forwarding and the cloud's security group", "no answer in time")
	}
	return fault("look at the network between here and "+host, text)
}
