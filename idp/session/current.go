package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/identity"
)

// Freshness is how old the directory's answer about a person may be.
type Freshness int

const (
	// Recent means: an answer of the last five minutes is good enough.
	Recent Freshness = iota
	// Now means: the directory is asked each time.
	Now
)

// ErrUnavailable means that the store or the key ring could not tell who is signed in:
// neither signed in nor signed out.
var ErrUnavailable = errors.New("sessions are unavailable")

// Subject is who is signed in by a request.
type Subject struct {
	Person   identity.Person
	ID       string    // of the session
	AuthTime time.Time // when the password was checked
	Ends     time.Time // at the latest
	Shared   bool      // the computer is
}

// Owns reports whether an address is among the person's.
func (s *Subject) Owns(address browserid.Address) bool {
	return slices.Contains(s.Person.Addresses, address)
}

// Current returns who is signed in by a request to a host; nil, and no error, when no
// one is. An account that is no longer in order, or whose password has changed or expired
// since the sign-in, ends the session. One that is locked because of wrong guesses is in
// order: anyone could end a session by guessing.
//
// When the directory has to be asked and cannot answer, the session stays: the error
// wraps identity.ErrUnavailable, and of the Subject's Person only Directory and ID are
// set. Any other error wraps ErrUnavailable, and the Subject is nil.
func (m *Manager) Current(w http.ResponseWriter, r *http.Request, h *identity.Host, f Freshness) (*Subject, error) {
	session, person, err := m.current(w, r, h, f)
	if session.ID == "" {
		return nil, err
	}
	return subjectOf(session, person), err
}

func subjectOf(session Session, person identity.Person) *Subject {
	return &Subject{
		Person: person, ID: session.ID,
		AuthTime: session.Authenticated, Ends: session.Ends, Shared: session.Computer == Shared,
	}
}

// current is Current, with the session itself; one without an ID is none.
func (m *Manager) current(w http.ResponseWriter, r *http.Request, h *identity.Host, f Freshness) (Session, identity.Person, error) {
	current, err := m.read(r.Context(), r, at(h).binding())
	if errors.Is(err, errNone) {
		return Session{}, identity.Person{}, nil
	}
	if err != nil {
		return Session{}, identity.Person{}, unavailable(err)
	}
	k := m.known(current, h)
	k.use(m.now())
	person := identity.Person{Directory: current.Directory, ID: current.Person}
	var outage error
	if f == Now {
		var reason string
		if person, reason, outage = m.ask(r.Context(), k); reason != "" {
			return Session{}, identity.Person{}, m.endEarly(w, r, at(h), current, reason)
		}
	} else if subject, err := m.recent(r.Context(), k, true); subject != nil {
		person = subject.Person
	} else if gone := m.holds(r.Context(), current); errors.Is(gone, errNone) { // by the directory
		clearCookie(w, at(h).binding().cookie())
		return Session{}, identity.Person{}, nil
	} else if outage = k.why(); outage == nil { // the request was given up, or the Manager is closed
		outage = fmt.Errorf("%w: %w", identity.ErrUnavailable, cmp.Or(err, context.Canceled))
	}
	if err := m.refresh(w, at(h).binding(), current); err != nil {
		return Session{}, identity.Person{}, unavailable(err)
	}
	return current, person, outage
}

// SignIn begins a session of a person whose password the directory has just accepted, in
// place of any that the browser had. An error wraps ErrUnavailable.
func (m *Manager) SignIn(w http.ResponseWriter, r *http.Request, h *identity.Host, person identity.Person, c Computer) error {
	if earlier, err := m.read(r.Context(), r, at(h).binding()); err == nil {
		if err := m.endEarly(w, r, at(h), earlier, "signed_in_again"); err != nil {
			return err
		}
	}
	if _, err := m.start(r.Context(), w, h, person, c); err != nil {
		return unavailable(err)
	}
	return nil
}

// SignOut ends the request's session, or all sessions of its person, and clears the
// cookie, be it good or not. After an error, which wraps ErrUnavailable, the person has
// to be told that signing out did not succeed.
func (m *Manager) SignOut(w http.ResponseWriter, r *http.Request, h *identity.Host, everywhere bool) (ended bool, err error) {
	return m.SignOutAt(w, r, at(h), everywhere)
}

// SignOutAt is [Manager.SignOut] at the host of a website: the session ends there, at the
// identity host and at every other website.
func (m *Manager) SignOutAt(w http.ResponseWriter, r *http.Request, p Place, everywhere bool) (ended bool, err error) {
	current, err := m.read(r.Context(), r, p.binding())
	if errors.Is(err, errNone) {
		clearCookie(w, p.binding().cookie())
		return false, nil
	}
	if err != nil {
		return false, unavailable(err)
	}
	if !everywhere {
		return true, m.endEarly(w, r, p, current, "signed_out")
	}
	if err := m.endPerson(r.Context(), current.Directory, current.Person); err != nil {
		return false, unavailable(err)
	}
	m.tell(End{Directory: current.Directory, Person: current.Person})
	return true, m.endEarly(w, r, p, current, "signed_out_everywhere")
}

// PasswordChanged ends all sessions of a person who has just changed their password: they were begun with the old one. The
// request's own goes on under a new id where it is theirs and stays is set, which is reported. person is as the directory
// told them after the change. An error wraps ErrUnavailable.
func (m *Manager) PasswordChanged(w http.ResponseWriter, r *http.Request, h *identity.Host, person identity.Person, stays bool) (renewed bool, err error) {
	current, err := m.read(r.Context(), r, at(h).binding())
	if err != nil && !errors.Is(err, errNone) {
		return false, unavailable(err)
	}
	own := err == nil && current.Person == person.ID
	if err := m.endPerson(r.Context(), h.DirectoryName, person.ID); err != nil {
		return false, unavailable(err)
	}
	m.tell(End{Directory: h.DirectoryName, Person: person.ID})
	if !own {
		return false, nil
	}
	if err := m.endEarly(w, r, at(h), current, "password_changed"); err != nil || !stays {
		return false, err
	}
	if _, err := m.start(r.Context(), w, h, person, current.Computer); err != nil {
		return false, unavailable(err)
	}
	return true, nil
}

// endEarly ends a session before its time: its cookie is cleared, and every copy of it
// is worthless from now on, even when the error is that the store
// could not record it.
func (m *Manager) endEarly(w http.ResponseWriter, r *http.Request, p Place, current Session, reason string) error {
	clearCookie(w, p.binding().cookie())
	return m.end(r, p.Authority, current, reason)
}

// end is endEarly where no browser asks.
func (m *Manager) end(r *http.Request, h *identity.Host, current Session, reason string) error {
	m.forget(h, current.ID)
	offline := reason != "signed_out" && reason != "signed_in_again"
	err := m.revoked.session(r.Context(), current, offline)
	m.tell(endOf(current)) // it counts no more in either case
	if err != nil {
		return unavailable(fmt.Errorf("ending a session: %w", err))
	}
	m.ended(r, h, current.Person, reason)
	return nil
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", ErrUnavailable, err) }
