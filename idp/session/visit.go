package session

import (
	"context"
	"errors"
	"net/http"
)

// Visit is what a request to a website says of the person.
type Visit struct {
	// Subject is who is signed in; it is shared by requests and must not be changed. It is nil
	// where no one is, or where the directory has been away for longer than five minutes.
	Subject *Subject
	// Away reports that the request has a session, and that the directory cannot say about its
	// person and has not done so for five minutes. The session stays.
	Away bool
	// Lost reports that the request carries a cookie of ours for this host that no longer
	// holds.
	Lost bool
	// SetCookie is a Set-Cookie line for the answer: the refreshed cookie, or one that clears
	// what no longer holds; "": none.
	SetCookie string
	// Ended returns a channel that is closed when the session ends: at once where that
	// happens in this process, within a minute elsewhere, within five where the directory ends
	// it, and at its own end. The session is watched until the context ends. It is nil without
	// a Subject.
	Ended func(context.Context) <-chan struct{}
}

// Visit returns what a request to a website says of the person. An error wraps
// ErrUnavailable: the store or the keys cannot tell, or the request was given up.
func (m *Manager) Visit(r *http.Request, p Place) (Visit, error) {
	b := p.binding()
	current, err := m.read(r.Context(), r, b)
	switch {
	case errors.Is(err, errNoCookie), errors.Is(err, errCookies):
		return Visit{}, nil
	case errors.Is(err, errNone):
		return Visit{Lost: true, SetCookie: cookieLine(b.cookie(), "", -1)}, nil
	case err != nil:
		return Visit{}, unavailable(err)
	}
	last := m.checks.last(current.ID)
	if m.stale(last) {
		var reason string
		last.person, reason, err = m.ask(r.Context(), p.Authority, current)
		if reason != "" {
			m.ended(r, p.Authority, current.Person, reason)
			if err := m.revoked.session(r.Context(), current); err != nil {
				return Visit{}, unavailable(err)
			}
			return Visit{Lost: true, SetCookie: cookieLine(b.cookie(), "", -1)}, nil
		}
		if err != nil {
			return Visit{Away: true}, nil
		}
	}
	return Visit{Subject: subjectOf(current, last.person), Ended: func(ctx context.Context) <-chan struct{} { return ctx.Done() }}, nil
}
