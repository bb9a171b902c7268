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
	*said
	ended func(context.Context) <-chan struct{} // for Visit.Ended

	followed atomic.Bool // it is watched, and stays so until it ends

	mu      sync.Mutex
	flight  chan struct{} // closed when the question to the directory that is under way has its answer; nil: none
	began   time.Time     // when the flight began
	failed  time.Time     // when the last question failed; zero: it has not
	failure error         // of that question; it wraps identity.ErrUnavailable

	handedOver   int // hand-overs since countedSince
	countedSince time.Time
}

// Answers are what directories last said of the people of sessions, so that a reload while a directory is away signs no
// one out. Make one for the process: Managers share it, and only for identity.Hosts with the same Answers number.
type Answers struct{ table *table[*said] }

// NewAnswers returns Answers that hold nothing yet.
func NewAnswers() *Answers { return &Answers{newTable[*said](maxSessions)} }

// said is what a process remembers of a session, in all Managers.
type said struct {
	check atomic.Pointer[check]
	used  atomic.Int64 // when it was last used, Unix milliseconds
}

// check is what the directory last said about the person of a session. It is not changed.
type check struct {
	at      time.Time
	subject *Subject
}

// answersKey is where a session is among the Answers.
func answersKey(h *identity.Host, id string) string { return fmt.Sprintf("%d/%s", h.Answers, id) }

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
	k := &known{Session: s, host: h, marks: marksOf(s), said: m.answers.table.add(answersKey(h, s.ID), &said{})}
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
	if last := k.check.Load(); last != nil {
		return *last
	}
	return check{}
}

// failedWithin reports whether the last question to the directory has failed that short a time ago. The
// caller holds k.mu.
func (k *known) failedWithin(d time.Duration, now time.Time) bool {
	age := now.Sub(k.failed)
	return age >= 0 && age < d
}

// why returns the error of the last question to the directory; nil: it has not failed.
func (k *known) why() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failure
}

// confirm notes what the directory has just said.
func (m *Manager) confirm(k *known, person identity.Person) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.check.Store(&check{m.now(), subjectOf(k.Session, person)})
	k.failed, k.failure = time.Time{}, nil
	m.answers.table.put(answersKey(k.host, k.ID), k.said) // it may have been pushed out by others
}

// forget forgets a session that has ended.
func (m *Manager) forget(h *identity.Host, id string) {
	m.sessions.forget(id)
	m.answers.table.forget(answersKey(h, id))
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
	m.confirm(k, result.Person)
	return result.Person, "", nil
}

// recent returns who a session is by an answer of the directory that is less than five minutes old,
// and waits for one if need be; nil when there is none. From four minutes on the directory is asked
// beside that. One that has failed a moment ago is not asked again, unless the caller insists. The error is that of ctx.
func (m *Manager) recent(ctx context.Context, k *known, insist bool) (*Subject, error) {
	k.mu.Lock()
	last := k.last()
	fresh := !m.stale(last)
	if fresh && m.now().Sub(last.at) < recheckEarly {
		k.mu.Unlock()
		return last.subject, nil
	}
	m.fly(k, insist)
	flight := k.flight
	var enough <-chan time.Time // never, unless the directory may be away
	if now := m.now(); !insist && k.failedWithin(recheckDoubt, now) {
		enough = time.After(recheckShort - now.Sub(k.began))
	}
	k.mu.Unlock()
	switch {
	case fresh:
		return last.subject, nil
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
	if last = k.last(); m.stale(last) {
		return nil, nil
	}
	return last.subject, nil
}

// fly asks the directory about a session in the background, unless that is under way or, where the caller does
// not insist, has failed a moment ago. A session that it ends is ended. No request's context ends the question, only Close. The
// caller holds k.mu.
func (m *Manager) fly(k *known, insist bool) {
	if k.flight != nil || !insist && k.failedWithin(recheckAgain, m.now()) {
		return
	}
	done := make(chan struct{})
	began := m.begin(func(ctx context.Context) {
		var err error
		defer func() {
			if fault := recover(); fault != nil { // as around a request
				err = fmt.Errorf("%w: panic: %v", identity.ErrUnavailable, fault)
				m.log.Error().Err(err).Bytes("stack", debug.Stack()).Msg("asking the directory about a session")
			}
			k.mu.Lock()
			k.flight = nil
			if err != nil {
				k.failed, k.failure = m.now(), err
			}
			k.mu.Unlock()
			close(done)
			if m.flights.Add(-1) == 0 && m.heldBack.Swap(false) {
				m.wake()
			}
		}()
		_, reason, failed := m.ask(ctx, k)
		if err = failed; reason != "" {
			m.forget(k.host, k.ID)
			if fault := m.revoked.session(ctx, k.Session, true); fault != nil {
				m.log.Warn().Err(fault).Str("hint", identity.Hint(fault)).Msg("a sign-out counts in this process only until the store can record it")
			}
			m.tell(endOf(k.Session))
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
