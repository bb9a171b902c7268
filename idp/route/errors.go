package route

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/session"
)

// Error is how a handler reports that a request went wrong. [Responder.Fail]
// alone writes it to the browser and to the log.
//
// An Error without a Code takes Status, Code and RetryAfter from the sentinel
// that its Cause wraps.
type Error struct {
	Status int
	// Code is for programs; the sentence that a person reads is looked up by
	// it. Detail tells sentences of one code apart; mostly "".
	Code, Detail string
	// Args fill the places of the sentence; "host" is always known.
	Args map[string]string
	// Cause is for the log only. Repeated reports that it has just been logged, and is not
	// worth a line to each request.
	Cause    error
	Repeated bool
	// RetryAfter is zero when there is no use in trying again.
	RetryAfter time.Duration
	// Link leads a person on; empty: nowhere. Target is where it is opened, as HTML has
	// it; empty: in place of the page.
	Link, Target string
	// Back is the page that a person came from, with what they have typed; empty: unknown.
	Back string
	// SignIn is where programs send a person who has to sign in first; empty: nowhere.
	SignIn string
	// Cancel leads back to the hub that sent the browser; empty: none did.
	Cancel string
}

func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Code
	}
	if e.Code == "" {
		return e.Cause.Error()
	}
	return e.Code + ": " + e.Cause.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// complete returns err as an Error with a code: its own, or that of the
// sentinel it wraps.
func complete(err error) *Error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = &Error{Cause: err}
	}
	if e.Code != "" {
		return e
	}
	filled := *e
	switch {
	case errors.Is(err, session.ErrUnavailable):
		filled.Status, filled.Code, filled.RetryAfter = http.StatusServiceUnavailable, "sessions_unavailable", 5*time.Second
	case errors.Is(err, identity.ErrUnavailable):
		filled.Status, filled.Code, filled.RetryAfter = http.StatusServiceUnavailable, "directory_unavailable", 30*time.Second
	case errors.Is(err, keys.ErrNotReady):
		filled.Status, filled.Code, filled.RetryAfter = http.StatusServiceUnavailable, "keys_not_ready", 5*time.Second
	default:
		filled.Status, filled.Code = http.StatusInternalServerError, "internal"
	}
	return &filled
}

// Code returns the code that an error is answered with, one of a fixed set, or
// success when err is nil.
func Code(err error, success string) string {
	if err == nil {
		return success
	}
	return complete(err).Code
}

// oauth returns the code by which an app knows an error (RFC 6749, sections 4.1.2.1 and 5.2).
func (e *Error) oauth() string {
	switch e.Code {
	case "invalid_request", "invalid_client", "invalid_grant", "invalid_token", "unauthorized_client", "unsupported_grant_type", "invalid_scope":
		return e.Code
	}
	switch {
	case e.Status == http.StatusServiceUnavailable || e.Status == http.StatusTooManyRequests:
		return "temporarily_unavailable"
	case e.Status >= http.StatusInternalServerError:
		return "server_error"
	}
	return "invalid_request"
}

// describable returns a sentence in the characters that an error_description has (RFC 6749, section 5.2).
func describable(sentence string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, sentence)
}

// NotFound is the answer to a path of ours that a host does not have.
func NotFound(h *identity.Host) error {
	e := &Error{Status: http.StatusNotFound, Code: "not_found"}
	switch h.Role {
	case identity.Provider:
		e.Link = "/persona/"
	case identity.Delegating:
		e.Detail, e.Args = "delegating", map[string]string{"authority": h.Authority}
		e.Link = "https://" + h.Authority + "/persona/"
	case identity.Disabled:
		e.Detail = "disabled"
	case identity.Site:
		e.Detail, e.Link = "site", "/"
	}
	return e
}

// Seconds writes a duration for Retry-After, rounded up.
func Seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
