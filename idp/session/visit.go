package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
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

// opened is a cookie whose seal was opened.
type opened struct {
	binding binding
	session Session
	at      time.Time
	renewed atomic.Int64 // when a newer one was last sent, Unix milliseconds
}

// maxOpened bounds each of the two maps of opened cookies, at about 1 KiB an entry. Only what was
// sealed here gets there.
const maxOpened = 10_000

// Visit returns what a request to a website says of the person. An error wraps
// ErrUnavailable: the store or the keys cannot tell, or the request was given up.
//
// It is on the way of every request to a website: what is known already is looked up in memory alone.
func (m *Manager) Visit(r *http.Request, p Place) (Visit, error) {
	b := p.binding()
	value, err := cookieOf(r, b.cookie())
	if err != nil {
		return Visit{}, nil
	}
	now := m.now()
	cookie, ok := m.cookies.get(value)
	if !ok || cookie.binding != b || now.Before(cookie.at) || now.Sub(cookie.at) >= recheck { // the keys may be others by now
		session, err := m.open(value, b)
		if err != nil {
			return lost(b, err)
		}
		cookie = &opened{binding: b, session: session, at: now}
		m.cookies.put(strings.Clone(value), cookie)
	}
	k := m.known(cookie.session, p.Authority)
	session := cookie.session
	session.Seen = k.seen(session.Seen)
	if err := m.checkTimes(session); err != nil {
		return lost(b, err)
	}
	if err := m.revoked.check(r.Context(), k.marks, session.Epoch, signOutsAge); err != nil {
		return lost(b, err)
	}
	k.use(now)
	visit := Visit{}
	if visit.Subject, err = m.recent(r.Context(), k, false); err != nil {
		return Visit{}, unavailable(err)
	}
	if visit.Subject != nil {
		visit.Ended = k.ended
	} else if err := m.revoked.check(r.Context(), k.marks, session.Epoch, signOutsAge); err != nil { // by the directory
		return lost(b, err)
	} else {
		visit.Away = true
	}
	last := cookie.renewed.Load()
	if session.Computer == Shared && now.Sub(time.UnixMilli(max(last, cookie.session.Seen.UnixMilli()))) >= seenStep &&
		cookie.renewed.CompareAndSwap(last, now.UnixMilli()) {
		session.Seen = now
		if visit.SetCookie, err = m.line(b, session); err != nil {
			return Visit{}, unavailable(fmt.Errorf("refreshing a session: %w", err))
		}
	}
	return visit, nil
}

// lost is the visit of a session that does not hold.
func lost(b binding, err error) (Visit, error) {
	switch {
	case errors.Is(err, errFuture): // it will hold again when the clock is right
		return Visit{}, nil
	case errors.Is(err, errNone):
		return Visit{Lost: true, SetCookie: cookieLine(b.cookie(), "", -1)}, nil
	}
	return Visit{}, unavailable(err)
}
