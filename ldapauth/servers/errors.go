package servers

import (
	"errors"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// answered reports whether the server itself gave this result code, so that the
// connection works and the error is its answer.
func answered(err error) bool {
	var e *ldap.Error
	return errors.As(err, &e) && e.ResultCode < ldap.ErrorNetwork
}

// ConnectError means that there is no connection to ask on, so that a result
// code inside it is never taken for the answer to the question.
type ConnectError struct {
	Doing     string // such as "connecting to ldaps://ldap.example.com"
	Err       error
	hint      string
	elsewhere bool // another server may do better
}

// Error says what was being done.
func (e *ConnectError) Error() string { return e.Doing + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

// Hint returns what the operator can do about it, or "".
func (e *ConnectError) Hint() string {
	var known interface{ Hint() string }
	if e.hint == "" && errors.As(e.Err, &known) {
		return known.Hint()
	}
	return e.hint
}

// tlsError means that a connection could not be encrypted.
type tlsError struct {
	startTLS bool
	refused  bool // by the server's own answer to StartTLS
	err      error
}

func (e *tlsError) Error() string {
	if e.startTLS {
		return "StartTLS: " + e.err.Error()
	}
	return "TLS: " + e.err.Error()
}

func (e *tlsError) Unwrap() error { return e.err }

// Answer returns the result code with which a server refused the question itself, or nil
// for every other error: no server could be asked, or none could do its work.
func Answer(err error) *ldap.Error {
	var e *ldap.Error
	var unconnected *ConnectError
	if !errors.As(err, &e) || unavailable(err) || errors.As(err, &unconnected) {
		return nil
	}
	return e
}

// unavailable reports whether the server could not do its work: another one may.
func unavailable(err error) bool {
	var unconnected *ConnectError
	if errors.As(err, &unconnected) {
		return unconnected.elsewhere
	}
	var e *ldap.Error
	if !errors.As(err, &e) {
		return true // the connection broke, or there was none
	}
	switch code := e.ResultCode; {
	case code == ldap.LDAPResultFilterError:
		return false // ours
	case code == ldap.LDAPResultBusy, code == ldap.LDAPResultUnavailable, code == ldap.LDAPResultOther:
		return true
	case code >= ldap.LDAPResultServerDown && code <= ldap.LDAPResultConnectError:
		return true
	default:
		return code >= ldap.ErrorNetwork
	}
}

// hinted is an error with what the operator can do about it.
type hinted struct {
	error
	hint string
}

func (h *hinted) Hint() string  { return h.hint }
func (h *hinted) Unwrap() error { return h.error }

// WithHint adds a hint to an error, unless it is "".
func WithHint(err error, hint string) error {
	if hint == "" {
		return err
	}
	return &hinted{err, hint}
}

// failures are the errors of several servers, on one line as logs want it.
type failures []error

func (f failures) Error() string {
	if len(f) == 0 {
		return "there is no server to ask"
	}
	texts := make([]string, len(f))
	for i, err := range f {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (f failures) Unwrap() []error { return f }

// Hint returns the hints of all servers, each once.
func (f failures) Hint() string {
	var hints []string
	for _, err := range f {
		var known interface{ Hint() string }
		if errors.As(err, &known) && known.Hint() != "" && !slices.Contains(hints, known.Hint()) {
			hints = append(hints, known.Hint())
		}
	}
	return strings.Join(hints, "; ")
}
