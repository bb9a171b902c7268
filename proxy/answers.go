package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"persona-sidecar/proxy/errorpage"
	"persona-sidecar/proxy/middleware"
)

// handlerName stands in the access log for what the Edge answers itself.
const handlerName = "edge"

// redirectAge bounds how long browsers remember the redirect to HTTPS, so that a
// change of the public port locks no one out.
const redirectAge = "public, max-age=3600"

// redirect sends the client to the same target by HTTPS. The Location is always
// absolute and on the host that was asked for, so that a path like //evil.example
// leads nowhere else.
func (e *Edge) redirect(w http.ResponseWriter, r *http.Request) {
	rec := middleware.FromContext(r.Context())
	if rec.Handler == "" {
		rec.Handler = handlerName
	}
	authority := rec.Host
	if strings.Contains(authority, ":") {
		authority = "[" + authority + "]"
	}
	if e.publicHTTPS != 443 {
		authority += ":" + strconv.Itoa(e.publicHTTPS)
	}
	h := w.Header()
	h.Set("Location", "https://"+authority+escapeHigh(rec.Target.String()))
	h.Set("Cache-Control", redirectAge)
	h.Set("Content-Length", "0")
	h["Content-Type"] = nil
	w.WriteHeader(http.StatusPermanentRedirect)
}

// escapeHigh percent-encodes the bytes that a header field cannot carry. All
// others stay as they were sent.
func escapeHigh(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if s[i] < 0x80 {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", s[i])
		}
	}
	return b.String()
}

// page answers with one of our own pages.
func page(w http.ResponseWriter, r *http.Request, p errorpage.Page) {
	rec := middleware.FromContext(r.Context())
	if rec.Handler == "" {
		rec.Handler = handlerName
	}
	p.RequestID = rec.ID
	errorpage.Write(w, r, p)
}

func misdirected(w http.ResponseWriter, r *http.Request) {
	page(w, r, errorpage.Page{
		Status: http.StatusMisdirectedRequest,
		Code:   "misdirected",
	})
}

// bad answers a request that is malformed: with code "bad_target" in its target, with
// "bad_request" elsewhere. The reason is for the log.
func bad(w http.ResponseWriter, r *http.Request, code, reason string) {
	middleware.FromContext(r.Context()).Refused = reason
	page(w, r, errorpage.Page{Status: http.StatusBadRequest, Code: code})
}

func noTunnel(w http.ResponseWriter, r *http.Request) {
	page(w, r, errorpage.Page{
		Status: http.StatusMethodNotAllowed,
		Code:   "no_tunnel",
		Allow:  "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
	})
}

// asterisk answers OPTIONS *, a ping for the server as a whole
// (RFC 9110, section 9.3.7).
func asterisk(w http.ResponseWriter, r *http.Request) {
	middleware.FromContext(r.Context()).Handler = handlerName
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
}

// Nothing that deals with passwords is answered in clear text. The page says when
// to come back, the log why.

func noCertificate(w http.ResponseWriter, r *http.Request) {
	rec := middleware.FromContext(r.Context())
	rec.Fail(
		fmt.Errorf("no TLS certificate for %s yet", rec.Host),
		"sign-in stays off until there is one; see the log lines of the certificate authority, and whether the name's DNS entry leads here")
	page(w, r, errorpage.Page{
		Status:     http.StatusServiceUnavailable,
		Code:       "no_certificate",
		RetryAfter: time.Minute,
	})
}

var errUntrusted = errors.New("plain HTTP from an address that is not a trusted proxy")

func untrustedTerminator(w http.ResponseWriter, r *http.Request) {
	rec := middleware.FromContext(r.Context())
	rec.Fail(errUntrusted, "if "+rec.Client.String()+" is the proxy that terminates TLS, list its address in trusted_proxies")
	page(w, r, errorpage.Page{
		Status:     http.StatusServiceUnavailable,
		Code:       "untrusted_proxy",
		RetryAfter: time.Minute,
	})
}
