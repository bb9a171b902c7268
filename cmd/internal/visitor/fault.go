package visitor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"syscall"
)

// Kind is why no answer came.
type Kind int

// The kinds of a [Fault].
const (
	Other     Kind = iota // none of these; an answer that is wrong, too
	NoName                // DNS knows no address of the host
	NoDNS                 // DNS does not answer
	Refused               // the connection is refused
	Unreached             // no connection in time
	Untrusted             // the server's certificate is not trusted
	NotTLS                // the server speaks no TLS
	NotHTTP               // the server speaks no HTTP
	Silent                // the server takes the connection, and does not answer in time
	Closed                // the server ends the connection without an answer
)

// Fault is what is wrong with an answer, or why there is none, in one line.
type Fault struct {
	// Status is the answer's; 0: there is none.
	Status int
	Kind   Kind

	message, hint string
	cause         error
}

func (f *Fault) Error() string { return f.message }

// Hint is what to do about it, for the operator of the host that was asked; ""
// when that is not known.
func (f *Fault) Hint() string { return f.hint }

func (f *Fault) Unwrap() error { return f.cause }

// progress is how far a request came.
type progress struct {
	connected atomic.Bool // something took the connection
	asked     atomic.Bool // TLS, if any, is done, and the request on its way
}

func (p *progress) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		TLSHandshakeStart: func() { p.connected.Store(true) },
		GotConn:           func(httptrace.GotConnInfo) { p.connected.Store(true); p.asked.Store(true) },
	})
}

// Explain returns what an error of connecting to a host comes down to, with a hint.
// A [*Fault] of asking it is returned as it is.
func Explain(err error, host string) *Fault { return explain(err, host, new(progress)) }

func explain(err error, host string, came *progress) *Fault {
	var (
		known       *Fault
		hinted      interface{ Hint() string }
		dns         *net.DNSError
		authority   x509.UnknownAuthorityError
		name        x509.HostnameError
		invalid     x509.CertificateInvalidError
		notTLS      tls.RecordHeaderError
		urlError    *url.Error
		alert       *net.OpError
		text        = err.Error()
		isTimeout   = errors.Is(err, context.DeadlineExceeded) || errors.As(err, &urlError) && urlError.Timeout()
		isHandshake = errors.As(err, &authority) || errors.As(err, &name) || errors.As(err, &invalid)
		isClosed    = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	)
	if errors.As(err, &known) {
		return known
	}
	if errors.As(err, &urlError) {
		text = urlError.Err.Error() // without the request, which the step names
	}
	fault := func(kind Kind, hint, message string) *Fault {
		return &Fault{Kind: kind, message: message, hint: hint, cause: err}
	}
	switch {
	case errors.As(err, &hinted):
		return fault(NoDNS, hinted.Hint(), text) // only looking names up has hints of its own
	case errors.As(err, &dns) && dns.IsNotFound:
		return fault(NoName, "make an A (and AAAA) record for "+host, "DNS knows no address of "+host)
	case errors.As(err, &dns):
		return fault(NoDNS, "try again; when it stays so, look at the name servers of the domain", "DNS does not answer for "+host+": "+dns.Err)
	case isHandshake:
		return fault(Untrusted, "serve a certificate for "+host+" that is trusted here: persona check "+host+" tells what is wrong with it", "TLS: "+text)
	case errors.As(err, &notTLS), errors.Is(err, http.ErrSchemeMismatch):
		return fault(NotTLS, "something else than HTTPS listens there: look at the port, and at what forwards to it", "the answer is not TLS")
	case errors.As(err, &alert) && alert.Op == "remote error": // as crypto/tls calls an alert
		return fault(Closed, "no certificate for "+host+" there? The log of the server there says why", "TLS: "+text)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault(Refused, "is the server of "+host+" running, and does the port lead to it?", "the connection is refused")
	case isTimeout && came.connected.Load():
		return fault(Silent, "look at the load and the log of the server there: it takes the connection", "it accepts the connection and gives no answer in time")
	case isTimeout:
		return fault(Unreached, "look at the firewall, the router's forwarding and the cloud's security group", "no answer in time")
	case isClosed:
		return fault(Closed, "the log of the server there says why; or is it another program's port?", "the connection ends without an answer: "+text)
	case came.asked.Load():
		return fault(NotHTTP, "something else than a web server listens there: look at the port, and at what forwards to it", text)
	}
	return fault(Other, "look at the network between here and "+host, text)
}
