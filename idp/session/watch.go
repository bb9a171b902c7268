package session

import (
	"context"
	"errors"
	"time"
)

const (
	// watchEvery is the time between two looks at the sessions that are watched, and watchAge how old
	// the store's answers may be: together less than a minute.
	watchEvery = 30 * time.Second
	watchAge   = 20 * time.Second

	// maxFollowed is how many sessions may be watched for one of which only an app holds tokens to be
	// watched as well: each costs two looks into the store every half minute.
	maxFollowed = 5000

	// maxFlights bounds the questions to directories at one time that watching adds to.
	maxFlights = 16
)

// watch is a session of which someone waits for the end.
type watch struct {
	*known
	ended   chan struct{}
	waiting int
}

// watch returns a channel that is closed when a session has ended. One goroutine looks at all sessions
// that are watched, while there are any.
func (m *Manager) watch(ctx context.Context, k *known) <-chan struct{} {
	m.mu.Lock()
	w, ok := m.watched[k.ID]
	if !ok {
		w = &watch{known: k, ended: make(chan struct{})}
		m.watched[k.ID] = w
	}
	w.waiting++
	first := !m.watching
	m.watching = true
	m.mu.Unlock()
	if first {
		m.begin(m.look)
	}
	switch left, ended := m.lookAt(ctx, w); { // look may have gone round without it
	case ended:
		m.over(w)
	case left < watchEvery:
		m.wake()
	}
	context.AfterFunc(ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if w.waiting--; w.waiting == 0 && m.watched[k.ID] == w {
			delete(m.watched, k.ID)
			if len(m.watched) == 0 { // else look, which looks at all of them, would go round for each that leaves
				m.wake()
			}
		}
	})
	return w.ended
}

// follow watches a session of which an app holds tokens until it ends: the directory ends it within five
// minutes then, though the app does not ask. Where too many are watched, its next question does.
func (m *Manager) follow(k *known) {
	m.mu.Lock()
	full := len(m.watched) >= maxFollowed
	m.mu.Unlock()
	if !full && k.followed.CompareAndSwap(false, true) {
		m.watch(context.Background(), k)
	}
}

// over tells that a session has ended, once.
func (m *Manager) over(w *watch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.watched[w.ID] == w {
		delete(m.watched, w.ID)
		close(w.ended)
	}
}

// wake makes look go round at once.
func (m *Manager) wake() {
	select {
	case m.woken <- struct{}{}:
	default:
	}
}

// look looks at the watched sessions until there are none.
func (m *Manager) look(ctx context.Context) {
	timer := time.NewTimer(watchEvery)
	defer timer.Stop()
	for ctx.Err() == nil {
		changed := m.revoked.signOuts.change()
		m.mu.Lock()
		all := make([]*watch, 0, len(m.watched))
		for _, w := range m.watched {
			all = append(all, w)
		}
		m.watching = len(all) > 0
		m.mu.Unlock()
		if len(all) == 0 {
			return
		}
		next, over := watchEvery, 0
		for _, w := range all {
			left, ended := m.lookAt(ctx, w)
			if ended {
				m.over(w)
				over++
				continue
			}
			next = min(next, left)
		}
		if over == len(all) {
			continue
		}
		timer.Reset(next)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-m.woken:
		case <-timer.C:
		}
	}
}

// lookAt reports whether a session has ended, else how long it lasts if it is not used any more, and has the
// directory asked when that is due. Where the store cannot tell, the session goes on: it is the next
// request that fails.
func (m *Manager) lookAt(ctx context.Context, w *watch) (left time.Duration, ended bool) {
	session := w.Session
	session.Seen = w.seen(session.Seen)
	err := m.checkTimes(session)
	if err == nil {
		err = m.revoked.check(ctx, w.marks, w.Epoch, watchAge)
	}
	if errors.Is(err, errNone) {
		return 0, true
	}
	now := m.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch last := w.last(); {
	case !m.stale(last) && now.Sub(last.at) < recheckEarly:
	case m.flights.Load() < maxFlights:
		m.fly(w.known, false)
	default:
		m.heldBack.Store(true)
	}
	return m.expires(session).Sub(now), false
}
