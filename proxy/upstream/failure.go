package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"persona-sidecar/proxy/errorpage"
	"persona-sidecar/proxy/middleware"
)

// fail answers a request to which the website gave no answer.
func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	a := w.(*answer)
	rec := a.rec
	var bodyErr error // why the client's body could not be read
	if a.body != nil {
		if failed := a.body.failed.Load(); failed != nil {
			bodyErr = *failed
		}
	}
	switch {
	case a.conn != nil:
		rec.Left = true // an upgrade whose client is gone: nothing can be written now
	case a.refused:
		p.page(w, r, http.StatusServiceUnavailable)
	case rec.SlowBody():
		rec.Fail(errors.New("the client stopped sending in the middle of its request"), "nothing to do, unless it happens often: then look at the client's network")
		p.page(w, r, http.StatusRequestTimeout)
	case r.Context().Err() != nil:
		rec.Left = true
		panic(http.ErrAbortHandler) // there is no client to read an answer
	case bodyErr != nil:
		rec.Fail(fmt.Errorf("reading the client's request: %w", bodyErr), "the client sent a malformed body")
		p.page(w, r, http.StatusBadRequest)
	default:
		kind, hint := p.diagnose(err)
		p.failed(kind)
		rec.Fail(fmt.Errorf("asking %s: %w", p.target, err), hint)
		status := http.StatusBadGateway
		if kind == Timeout {
			status = http.StatusGatewayTimeout
		}
		p.page(w, r, status)
	}
}

// errLoop is why a request is not passed on once more.
var errLoop = errors.New("the request has passed this program five times")

// retryAfter is how long clients shall wait when the website is away.
const retryAfter = 30 * time.Second

// page answers with one of our own pages.
func (p *Proxy) page(w http.ResponseWriter, r *http.Request, status int) {
	page := errorpage.Page{Status: status, Code: "bad_request", Args: map[string]string{"site": p.site}, RequestID: middleware.RequestID(r)}
	switch status {
	case http.StatusBadGateway:
		page.Code, page.RetryAfter = "unreachable", retryAfter
	case http.StatusGatewayTimeout:
		page.Code, page.RetryAfter = "too_slow", retryAfter
	case http.StatusServiceUnavailable:
		page.Code, page.RetryAfter = "restarting", retryAfter
	case http.StatusLoopDetected:
		page.Code = "loop"
	case http.StatusRequestTimeout:
		page.Code = "request_timeout"
	}
	errorpage.Write(w, r, page)
}

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
	Full       Failure = "full"       // all connections that it may have were in use
)

// diagnose returns the kind of a fault and what the operator can do about it. Some
// faults differ in the text of the error only.
func (p *Proxy) diagnose(err error) (kind Failure, hint string) {
	var (
		wait      net.Error
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		alert     tls.AlertError
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &wait) && wait.Timeout():
		return Timeout, "the website did not answer in time; is it overloaded, or is a firewall in between?"
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused, "is the website running, and does it listen at " + p.target.Host + "?"
	case errors.As(err, &dns):
		return Unresolved, "the name " + p.target.Hostname() + " does not resolve; check the upstream in the configuration"
	case errors.As(err, &authority):
		return TLS, "the website's certificate is not from a trusted authority; use http:// inside a private network, or let the system trust the authority"
	case errors.As(err, &host):
		return TLS, "the website's certificate is for another name; use that name in the upstream"
	case errors.As(err, &record), strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		return TLS, "the website does not speak TLS there; use http:// in the upstream"
	case errors.As(err, &invalid), errors.As(err, &alert):
		return TLS, logHint
	case strings.Contains(err.Error(), `malformed HTTP response "\x15\x03`):
		return Broken, "the website speaks TLS there; use https:// in the upstream"
	}
	return Broken, logHint
}

// logHint is what can be done about a fault whose cause only the website knows.
const logHint = "look into the website's own log"
