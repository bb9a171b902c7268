package idp

import (
	"errors"

	"persona-sidecar/idp/identity"
)

// Events is told what happened, for counting. The host is one of Config.Hosts and
// every other word one of few: nothing names a person. Implementations are safe
// for concurrent use and do not block.
type Events interface {
	// SignIn: the form was sent. The result is ok, the reason of a refusal
	// (empty, malformed, throttled, no_address or a Status as text), or the
	// code of an outage (directory_unavailable, sessions_unavailable).
	SignIn(host, result string)
	// Certificate: one was asked for. The result is issued, or the code that
	// the browser was answered.
	Certificate(host, result string)
	// SessionEnded: a session was revoked before its time. The reason is
	// signed_out, signed_out_everywhere, signed_in_again, password_changed or
	// the Status that the directory answered to a re-check.
	SessionEnded(host, reason string)
}

func (s *Server) countSignIn(site *site, refusal *refusal, err error) {
	if s.config.Events == nil {
		return
	}
	result := codeOf(err, identity.OK.String())
	if err == nil && refusal != nil {
		result = refusal.reason
	}
	s.config.Events.SignIn(site.host.Name, result)
}

func (s *Server) countCertificate(site *site, err error) {
	if s.config.Events != nil {
		s.config.Events.Certificate(site.host.Name, codeOf(err, "issued"))
	}
}

func (s *Server) countSessionEnd(site *site, reason string) {
	if s.config.Events != nil {
		s.config.Events.SessionEnded(site.host.Name, reason)
	}
}

// codeOf is the code of an error, one of few words, or well where there is none.
func codeOf(err error, well string) string {
	if err == nil {
		return well
	}
	if e, ok := errors.AsType[*httpError](err); ok {
		return e.code
	}
	return "internal"
}
