package session

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"persona-sidecar/idp/identity"
)

const (
	// recheck is the longest time for which a session goes by what the directory said;
	// recheckEarly is when it is asked again beside the requests to a website, which go on.
	recheck      = 5 * time.Minute
	recheckEarly = 4 * time.Minute
	// recheckAgain is the time after a question that failed in which there is no other one, and
	// recheckDoubt that in which requests wait for the next one no longer than recheckShort.
	recheckAgain = 5 * time.Second
	recheckDoubt = 30 * time.Second
	recheckShort = time.Second

	// maxSessions bounds each of the two maps of sessions, at about 1 KiB an entry.
	maxSessions = 10_000
)

// known is what this process remembers of a session. A part of it is the same for all its cookies: Session
// is one of them.
type known struct {
	Session
	host  *identity.Host
	marks marks
	ended func(context.Context) <-chan struct{} // for Visit.Ended

	used atomic.Int64 // when it was last used, Unix milliseconds

	mu      sync.Mutex
	check   check
	subject *Subject      // by check
	flight  chan struct{} // closed when the question to the directory that is under way has its answer; nil: none
	began   time.Time     // when the flight began
	failed  time.Time     // when the last question failed; zero: it has not

	handedOver   int // hand-overs since countedSince
	countedSince time.Time
}

// check is what the directory last said about the person of a session.
type check struct {
	at     time.Time
	person identity.Person
}

// known returns what is remembered of a session, from now on if need be.
func (m *Manager) known(s Session, h *identity.Host) *known {
	if k, ok := m.sessions.get(s.ID); ok {
		return k
	}
	m.mu.Lock()
	watched, ok := m.watched[s.ID]
	m.mu.Unlock()
	if ok { // and pushed out by others
		return m.sessions.add(s.ID, watched.known)
	}
	k := &known{Session: s, host: h, marks: marksOf(s)}
	k.ended = func(ctx context.Context) <-chan struct{} { return m.watch(ctx, k) }
	return m.sessions.add(s.ID, k)
}

// use notes that the session is used.
func (k *known) use(now time.Time) {
	if at := now.UnixMilli(); k.Computer == Shared && at > k.used.Load() {
		k.used.Store(at)
	}
}

// seen returns the time of last use that a cookie of the session tells, or a later one of another cookie:
// on a shared computer the session goes on at each host while it is used at one.
func (k *known) seen(cookie time.Time) time.Time {
	if used := k.used.Load(); used > cookie.UnixMilli() {
		return time.UnixMilli(used).UTC()
	}
	return cookie
}

// last returns the last check, or the zero check when it is not known.
func (k *known) last() check {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.check
}

// failedWithin reports whether the last question to the directory has failed that short a time ago. The
// caller holds k.mu.
func (k *known) failedWithin(d time.Duration, now time.Time) bool {
	age := now.Sub(k.failed)
	return age >= 0 && age < d
}

func (k *known) confirm(latest check) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.check, k.subject, k.failed = latest, subjectOf(k.Session, latest.person), time.Time{}
}

// stale reports whether a check is five minutes old, or not known (the zero check).
func (m *Manager) stale(last check) bool {
	age := m.now().Sub(last.at)
	return age >= recheck || age < -skew
}

// ask reads the person of a session from the directory, and remembers the answer. A
// reason ends the session; an error leaves it.
func (m *Manager) ask(ctx context.Context, k *known) (person identity.Person, reason string, err error) {
	result, err := k.host.Lookup(ctx, k.Person)
	switch {
	case err != nil:
		return identity.Person{Directory: k.Directory, ID: k.Person}, "", err
	case result.Status != identity.OK:
		return identity.Person{}, result.Status.String(), nil
	case k.passwordChangedSince(result.Person.PasswordChanged):
		return identity.Person{}, "password_changed", nil
	case result.Person.PasswordExpired && !k.PasswordExpired:
		return identity.Person{}, identity.PasswordExpired.String(), nil
	}
	k.confirm(check{m.now(), result.Person})
	return result.Person, "", nil
}

// recent returns who a session is by an answer of the directory that is less than five minutes old,
// and waits for one if need be; nil when there is none. From four minutes on the directory is asked
// beside that. The error is that of ctx.
func (m *Manager) recent(ctx context.Context, k *known) (*Subject, error) {
	k.mu.Lock()
	fresh := !m.stale(k.check)
	if fresh && m.now().Sub(k.check.at) < recheckEarly {
		subject := k.subject
		k.mu.Unlock()
		return subject, nil
	}
	m.fly(k)
	subject, flight := k.subject, k.flight
	var enough <-chan time.Time // never, unless the directory may be away
	if now := m.now(); k.failedWithin(recheckDoubt, now) {
		enough = time.After(recheckShort - now.Sub(k.began))
	}
	k.mu.Unlock()
	switch {
	case fresh:
		return subject, nil
	case flight == nil: // it has failed a moment ago
		return nil, nil
	}
	select {
	case <-flight:
	case <-enough:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if m.stale(k.check) {
		return nil, nil
	}
	return k.subject, nil
}

// fly asks the directory about a session in the background, unless that is under way or has failed a
// moment ago. A session that it ends is ended. No request's context ends the question, only Close. The
// caller holds k.mu.
func (m *Manager) fly(k *known) {
	if k.flight != nil || k.failedWithin(recheckAgain, m.now()) {
		return
	}
	done := make(chan struct{})
	began := m.begin(func(ctx context.Context) {
		var err error
		defer func() {
			if fault := recover(); fault != nil { // as around a request
				err = fmt.Errorf("panic: %v", fault)
				m.log.Error().Err(err).Bytes("stack", debug.Stack()).Msg("asking the directory about a session")
			}
			k.mu.Lock()
			k.flight = nil
			if err != nil {
				k.failed = m.now()
			}
			k.mu.Unlock()
			close(done)
			if m.flights.Add(-1) == 0 {
				m.wake()
			}
		}()
		_, reason, failed := m.ask(ctx, k)
		if err = failed; reason != "" {
			m.sessions.forget(k.ID)
			if fault := m.revoked.session(ctx, k.Session); fault != nil {
				m.log.Warn().Err(fault).Str("hint", identity.Hint(fault)).Msg("a sign-out counts in this process only until the store can record it")
			}
			m.ended(nil, k.host, k.Person, reason)
		}
	})
	if began { // it waits for k.mu
		k.flight, k.began = done, m.now()
		m.flights.Add(1)
	}
}

// begin runs work beside requests; it returns false after Close. The context ends with Close.
func (m *Manager) begin(work func(ctx context.Context)) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closing.Err() != nil {
		return false
	}
	m.work.Go(func() { work(m.closing) })
	return true
}

// Close ends what goes on beside requests, and waits for it. Sessions stay as they are.
func (m *Manager) Close() {
	m.mu.Lock()
	m.close()
	m.mu.Unlock()
	m.work.Wait()
}
