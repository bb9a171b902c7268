package idp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/session"
)

// visit is who a request comes from.
type visit struct {
	// session is nil when nobody is signed in.
	session *session.Session
	// unavailable is why the directory could not say who that is; person is
	// empty then, and the session stays.
	unavailable error
	person      identity.Person
}

func (v visit) signedIn() bool { return v.session != nil }

// binding ties sessions to a host and its directory: another host's session,
// or one of an earlier directory, is none.
func (s *site) binding() session.Binding {
	return session.Binding{Host: s.host.Name, Directory: s.host.DirectoryName}
}

// visitor finds out who a request comes from. The directory is asked again
// where its last answer is five minutes old, and always when now is true. An
// account that is no longer in order, or whose password has changed since the
// sign-in, ends the session. The error is an httpError: the store of sessions
// could not answer.
func (s *Server) visitor(w http.ResponseWriter, r *http.Request, site *site, now bool) (visit, error) {
	current, err := s.config.Sessions.Read(r.Context(), r, site.binding())
	if errors.Is(err, session.ErrNone) {
		return visit{}, nil
	}
	if err != nil {
		return visit{}, errSessions(err)
	}
	found, reason := s.reread(r.Context(), site, current, now)
	if reason != "" {
		return visit{}, s.endSession(w, r, site, current, reason)
	}
	if err := s.config.Sessions.Refresh(w, site.binding(), current); err != nil {
		return visit{}, errSessions(err)
	}
	return found, nil
}

// reread finds the person of a session, or the reason why it may not go on.
func (s *Server) reread(ctx context.Context, site *site, current session.Session, now bool) (found visit, reason string) {
	if !now && !s.config.Sessions.Stale(current) {
		if person, ok := s.people.get(current.ID); ok {
			return visit{session: &current, person: person}, ""
		}
	}
	result, err := site.lookup(ctx, current.Person)
	if err != nil {
		return visit{session: &current, unavailable: err}, ""
	}
	if reason := ends(current, result); reason != "" {
		return visit{}, reason
	}
	s.config.Sessions.Confirm(current)
	s.people.put(current.ID, result.Person)
	return visit{session: &current, person: result.Person}, ""
}

// lookup reads a person again. Answers that make no sense are errors.
func (s *site) lookup(ctx context.Context, id string) (identity.Result, error) {
	result, err := s.host.Directory.Lookup(ctx, id)
	if err != nil {
		return identity.Result{}, fmt.Errorf("reading the person from the directory %s: %w", s.host.DirectoryName, err)
	}
	switch result.Status {
	case identity.Gone, identity.NotAllowed, identity.Expired, identity.Locked, identity.MustChange:
		return result, nil
	case identity.OK:
		return result, s.checkPerson(&result.Person, id)
	}
	return identity.Result{}, fmt.Errorf("the directory %s answered %s to a look-up", s.host.DirectoryName, result.Status)
}

// checkPerson demands that the directory answered about the person asked for
// (id "": anybody), and keeps only the addresses that this host may sign for.
func (s *site) checkPerson(person *identity.Person, id string) error {
	if person.Directory != s.host.DirectoryName || person.ID == "" || (id != "" && person.ID != id) {
		return fmt.Errorf("the directory %s answered about another person than the one asked for", s.host.DirectoryName)
	}
	var kept []browserid.Address
	for _, address := range person.Addresses {
		if slices.Contains(s.host.Domains, address.Domain()) && !slices.Contains(kept, address) {
			kept = append(kept, address)
		}
	}
	person.Addresses = kept
	return nil
}

// ends says why a session may not go on, or "".
func ends(current session.Session, result identity.Result) string {
	if result.Status != identity.OK {
		return result.Status.String()
	}
	if current.PasswordChangedSince(result.Person.PasswordChanged) {
		return "password_changed"
	}
	return ""
}

func (s *Server) endSession(w http.ResponseWriter, r *http.Request, site *site, current session.Session, reason string) error {
	s.people.drop(current.ID)
	if err := s.config.Sessions.End(r.Context(), w, site.binding(), current); err != nil {
		return errSessions(err)
	}
	s.about(s.log.Info(), r, site).Str("event", "session_end").Str("person", current.Person).Str("reason", reason).Msg("session ended")
	s.countSessionEnd(site, reason)
	return nil
}
