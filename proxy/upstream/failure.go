package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/textproto"
	"syscall"
	"time"

	"persona-sidecar/proxy/errorpage"
	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/wire"
)

// fail answers a request to which the website gave no answer.
func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, body *requestBody, err error) {
	rec := middleware.FromContext(r.Context())
	var bodyErr error // why the client's body could not be read
	if body != nil {
		if failed := body.failed.Load(); failed != nil {
			bodyErr = *failed
		}
	}
	if body != nil && body.http1 && !body.ended.Load() {
		w = &lastAnswer{w} // what is left of the body must not be taken for the next request
	}
	switch {
	case errors.Is(err, errStopping):
		p.page(w, r, http.StatusServiceUnavailable, "restarting")
	case rec.SlowBody():
		rec.Fail(errors.New("the client stopped sending in the middle of its request"), "nothing to do, unless it happens often: then look at the client's network")
		p.page(w, r, http.StatusRequestTimeout, "request_timeout")
	case r.Context().Err() != nil:
		rec.Left = true
		panic(http.ErrAbortHandler) // there is no client to read an answer
	case bodyErr != nil:
		if errors.As(bodyErr, new(textproto.ProtocolError)) {
			bodyErr = errors.New("its trailer section is malformed") // which bodyErr quotes
		}
		rec.Fail(fmt.Errorf("reading the client's request: %w", bodyErr), "the client sent a malformed body")
		p.page(w, r, http.StatusBadRequest, "bad_request")
	default:
		kind, hint := p.diagnose(err)
		p.failed(kind)
		rec.Fail(fmt.Errorf("asking %s: %w", p.name, err), hint)
		switch kind {
		case Timeout:
			p.page(w, r, http.StatusGatewayTimeout, "too_slow")
		case Full:
			p.page(w, r, http.StatusServiceUnavailable, "full")
		default:
			p.page(w, r, http.StatusBadGateway, "unreachable")
		}
	}
}

// lastAnswer closes the client's connection behind the answer.
type lastAnswer struct{ http.ResponseWriter }

// WriteHeader adds to the header what closes the connection.
func (w *lastAnswer) WriteHeader(status int) {
	w.Header().Set("Connection", "close")
	w.ResponseWriter.WriteHeader(status)
}

// errLoop is why a request is not passed on once more.
var errLoop = errors.New("the request has passed this program five times")

// retryAfter is how long clients shall wait when the website is away.
const retryAfter = 30 * time.Second

// page answers with one of our own pages.
func (p *Proxy) page(w http.ResponseWriter, r *http.Request, status int, code string) {
	rec := middleware.FromContext(r.Context())
	page := errorpage.Page{Status: status, Code: code, Args: map[string]string{"site": p.site}, RequestID: rec.ID}
	if rec.Visit != nil {
		page.SetCookies = rec.Visit.SetCookies
	}
	switch status {
	case http.StatusBadGateway, http.StatusGatewayTimeout, http.StatusServiceUnavailable:
		page.RetryAfter = retryAfter
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

// diagnose returns the kind of a fault and what the operator can do about it.
func (p *Proxy) diagnose(err error) (kind Failure, hint string) {
	var (
		known     *fault
		malformed *wire.Error
		wait      net.Error
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		remote    *net.OpError
	)
	switch {
	case errors.As(err, &known):
		return known.kind, known.hint
	case errors.As(err, &malformed):
		return Broken, malformed.Hint()
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &wait) && wait.Timeout():
		return Timeout, "the website did not answer in time; is it overloaded, or is a firewall in between?"
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return Refused, "is the website running, and does it listen at " + p.endpoint.address + "?"
	case errors.Is(err, syscall.EACCES):
		return Refused, "let the program's user write to the socket " + p.endpoint.address
	case errors.As(err, &dns):
		return Unresolved, "the name " + dns.Name + " does not resolve; check the upstream in the configuration"
	case errors.As(err, &authority):
		return TLS, "the website's certificate is not from a trusted authority; name its authority in upstream_tls.ca_file, or use http:// inside a private network"
	case errors.As(err, &host):
		return TLS, "the website's certificate is for another name; use that name in the upstream, or give it in upstream_tls.server_name"
	case errors.As(err, &record):
		return TLS, "the website does not speak TLS there; use http:// in the upstream"
	case errors.As(err, &invalid):
		return TLS, "the website's certificate is not valid; has it expired?"
	case errors.As(err, &remote) && remote.Op == "remote error": // an alert, as crypto/tls reports it
		return TLS, "the website refused the TLS connection; if it asks for a certificate, give one by upstream_tls.client_cert_file; its own log says why"
	}
	return Broken, logHint
}

// logHint is what can be done about a fault whose cause only the website knows.
const logHint = "look into the website's own log"
