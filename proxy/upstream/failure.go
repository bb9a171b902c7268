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
	bodyErr := a.body.err()
	switch {
	case a.conn != nil:
		rec.Left = true // an upgrade whose client is gone: nothing can be written any more
	case a.refused:
		p.page(w, r, http.StatusServiceUnavailable)
	case rec.SlowBody():
		rec.Fail(errors.New("the client stopped sending in the middle of its request"), "nothing to do, unless it happens often: then look at the client's network")
		p.page(w, r, http.StatusRequestTimeout)
	case r.Context().Err() != nil:
		rec.Left = true
		panic(http.ErrAbortHandler) // nobody is there to read an answer
	case bodyErr != nil:
		rec.Fail(fmt.Errorf("reading the client's request: %w", bodyErr), "the client sent a malformed body")
		p.page(w, r, http.StatusBadRequest)
	case timedOut(err):
		p.failed(failureOf(err))
		rec.Fail(fmt.Errorf("asking %s: %w", p.target, err), p.hint(err))
		p.page(w, r, http.StatusGatewayTimeout)
	default:
		p.failed(failureOf(err))
		rec.Fail(fmt.Errorf("asking %s: %w", p.target, err), p.hint(err))
		p.page(w, r, http.StatusBadGateway)
	}
}

// errLoop is why a request is not passed on once more.
var errLoop = errors.New("the request has passed this program five times")

func timedOut(err error) bool {
	var ne net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}

// hint says what the operator can do about err.
func (p *Proxy) hint(err error) string {
	var (
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		record    tls.RecordHeaderError
	)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "is the website running, and does it listen at " + p.target.Host + "?"
	case errors.As(err, &dns):
		return "the name " + p.target.Hostname() + " does not resolve; check the upstream in the configuration"
	case errors.As(err, &authority):
		return "the website's certificate is not from a trusted authority; use http:// inside a private network, or let the system trust the authority"
	case errors.As(err, &host):
		return "the website's certificate is for another name; use that name in the upstream"
	case errors.As(err, &record) || strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		return "the website does not speak TLS there; use http:// in the upstream"
	case strings.Contains(err.Error(), `malformed HTTP response "\x15\x03`):
		return "the website speaks TLS there; use https:// in the upstream"
	case timedOut(err):
		return "the website did not answer in time; is it overloaded, or is a firewall in between?"
	}
	return "look into the website's own log"
}

// retryAfter is what clients are told to wait when the website is away.
const retryAfter = 30 * time.Second

// page answers with one of our own pages.
func (p *Proxy) page(w http.ResponseWriter, r *http.Request, status int) {
	page := errorpage.Page{Status: status, RequestID: middleware.RequestID(r)}
	switch status {
	case http.StatusBadGateway:
		page.Title = p.site + " is unavailable"
		page.Text = "The website " + p.site + " cannot be reached right now. Try again in a moment."
		page.RetryAfter = retryAfter
	case http.StatusGatewayTimeout:
		page.Title = p.site + " is not answering"
		page.Text = "The website " + p.site + " took too long to answer. Try again in a moment."
		page.RetryAfter = retryAfter
	case http.StatusServiceUnavailable:
		page.Title = p.site + " is restarting"
		page.Text = "The server is being restarted. Try again in a moment."
		page.RetryAfter = retryAfter
	case http.StatusLoopDetected:
		page.Title = p.site + " is misconfigured"
		page.Text = "Requests for the website " + p.site + " come back to the server that sent them. Its operator has to correct this."
	case http.StatusRequestTimeout:
		page.Title = "Request timeout"
		page.Text = "The rest of the request did not arrive."
	default:
		page.Title = "Bad request"
		page.Text = "The request is not well-formed."
	}
	errorpage.Write(w, r, page)
}
