package session

import (
	"context"
	"net/http"
	"net/http/httptest"
	"time"

	"persona-sidecar/idp/identity"
)

// What Current, SignIn and SignOut are made of, for tests of each part.

// ErrNone is errNone.
var ErrNone = errNone

// Binding is binding.
type Binding = binding

// Start begins a session.
func (m *Manager) Start(ctx context.Context, w http.ResponseWriter, b Binding, person string, changed time.Time, c Computer) (Session, error) {
	return m.start(ctx, w, &identity.Host{Name: b.Host, DirectoryName: b.Directory}, identity.Person{ID: person, PasswordChanged: changed}, c)
}

// Read returns the session of a request.
func (m *Manager) Read(ctx context.Context, r *http.Request, b Binding) (Session, error) {
	return m.read(ctx, r, b)
}

// Refresh sets the cookie anew when that is due.
func (m *Manager) Refresh(w http.ResponseWriter, b Binding, session Session) error {
	return m.refresh(w, b, session)
}

// End ends a session.
func (m *Manager) End(ctx context.Context, w http.ResponseWriter, session Session) error {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/persona/logout", nil)
	return m.endEarly(w, r, at(&identity.Host{}), session, "signed_out")
}

// EndPerson ends all sessions of a person.
func (m *Manager) EndPerson(ctx context.Context, directory, person string) error {
	return m.endPerson(ctx, directory, person)
}

// Confirm notes that the directory has just allowed the session's person.
func (m *Manager) Confirm(session Session) {
	m.confirm(m.known(session, &identity.Host{}), identity.Person{ID: session.Person})
}

// Stale reports whether the directory has to be asked again.
func (m *Manager) Stale(session Session) bool {
	return m.stale(m.known(session, &identity.Host{}).last())
}

// PasswordChangedSince compares with what the directory said when the session began.
func (s Session) PasswordChangedSince(changed time.Time) bool {
	return s.passwordChangedSince(changed)
}

// Expires returns when a session ends if it is not used any more.
func (m *Manager) Expires(session Session) time.Time { return m.expires(session) }

// Watched returns how many sessions are watched; -1 while that goes on for none.
func (m *Manager) Watched() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.watched) == 0 && m.watching {
		return -1
	}
	return len(m.watched)
}
