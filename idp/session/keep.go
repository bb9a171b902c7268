package session

import (
	"errors"
	"fmt"
	"net/http"

	"persona-sidecar/idp/identity"
)

// keepPurpose begins what a kept session is bound to.
const keepPurpose = "persona kept session"

// Keep is [Manager.Current], and returns the session in a form in which an app can refer to it
// without the browser: see [Manager.Recall]. It is sealed, and of no use anywhere else.
func (m *Manager) Keep(w http.ResponseWriter, r *http.Request, h *identity.Host, f Freshness) (*Subject, []byte, error) {
	session, person, err := m.current(w, r, h, f)
	if err != nil || session.ID == "" {
		return nil, nil, err
	}
	bound, err := associated(keepPurpose, h.Name, h.DirectoryName)
	if err != nil {
		return nil, nil, fmt.Errorf("keeping a session: %w", err)
	}
	kept, err := m.seal(session, bound)
	if err != nil {
		return nil, nil, unavailable(fmt.Errorf("keeping a session: %w", err))
	}
	return subjectOf(session, person), kept, nil
}

// Recall returns who a kept session is, by what the directory says now; nil, and no error, where
// it has ended. What the directory says can end it, as it does by [Manager.Current], and the
// errors are the same. The request is the app's. From then on the session's person is read every
// five minutes until the session ends, of up to some thousand sessions: see [Manager.OnEnd].
func (m *Manager) Recall(r *http.Request, h *identity.Host, kept []byte) (*Subject, error) {
	return m.recall(r, h, kept, false)
}

// RecallOffline is Recall for an app that may go on when the session is over by time, or because the
// person has signed out or in again. Signing out everywhere, a new password and the directory end it.
func (m *Manager) RecallOffline(r *http.Request, h *identity.Host, kept []byte) (*Subject, error) {
	return m.recall(r, h, kept, true)
}

func (m *Manager) recall(r *http.Request, h *identity.Host, kept []byte, offline bool) (*Subject, error) {
	bound, err := associated(keepPurpose, h.Name, h.DirectoryName)
	if err != nil {
		return nil, fmt.Errorf("recalling a session: %w", err)
	}
	session, err := m.unseal(kept, bound, h.DirectoryName)
	over := false
	if err == nil {
		if k, ok := m.sessions.get(session.ID); ok {
			session.Seen = k.seen(session.Seen)
		}
		err = m.holds(r.Context(), session)
		if over = errors.Is(err, errNone); over && offline {
			err = m.revoked.checkOffline(r.Context(), marksOf(session), session.Epoch)
		}
	}
	if errors.Is(err, errNone) {
		return nil, nil
	}
	if err != nil {
		return nil, unavailable(fmt.Errorf("recalling a session: %w", err))
	}
	k := m.known(session, h)
	person, reason, err := m.ask(r.Context(), k)
	switch {
	case err != nil:
		return nil, err
	case reason != "" && over:
		return nil, nil
	case reason != "":
		return nil, m.end(r, h, session, reason)
	case !over:
		m.follow(k)
	}
	return subjectOf(session, person), nil
}
