package ldapauth

import (
	"context"
	"sync"
	"time"
)

const (
	// refusalMemory is how long a slow refusal slows down the others, and
	// signInMemory how long a sign-in does.
	refusalMemory = time.Minute
	signInMemory  = 24 * time.Hour
	// maxDelay is how many steps are remembered at most, so that an hour of
	// trouble with a server does not make every refusal take seconds.
	maxDelay = 4
	// headroom is how many times longer than a sign-in a refusal takes, so that
	// one that is slower by chance shows nothing.
	headroom = 2
)

// minDelay gives every refusal the same length: a multiple of step, the same for
// all while the directory is as slow as it is. An unknown name costs a search,
// a wrong password a search and a bind, and on a directory that is far away or
// has an expensive password hash that difference is longer than one step.
//
// So the sign-ins of the last day set the length, which cost a search and a bind,
// too. Until there was one it is the longest: it must not depend on refusals,
// because the first of a known name would then change it for all to see. Those
// that are slower still set it for a minute.
type minDelay struct {
	step time.Duration

	mu                sync.Mutex
	signIns, refusals slowest
}

// slowest remembers the largest of the numbers of steps of a while.
type slowest struct {
	current, earlier int // in this and the last window; 0: none
	window           time.Time
}

// note takes a number into account, 0 for none, and returns the largest of the
// last one or two times of memory.
func (s *slowest) note(steps int, memory time.Duration) int {
	switch age := time.Since(s.window); {
	case age > 2*memory:
		s.earlier, s.current, s.window = 0, 0, time.Now()
	case age > memory:
		s.earlier, s.current, s.window = s.current, 0, time.Now()
	}
	s.current = max(s.current, min(steps, maxDelay))
	return max(s.current, s.earlier)
}

// steps is how many it takes to hide a time.
func (m *minDelay) steps(spent time.Duration) int { return int(spent/m.step) + 1 }

// learn takes a sign-in with the right password into account.
func (m *minDelay) learn(spent time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.signIns.note(m.steps(headroom*spent), signInMemory)
}

// wait sleeps until a refusal that began at started may be told, or until the
// context ends.
func (m *minDelay) wait(ctx context.Context, started time.Time) {
	spent := time.Since(started)
	timer := time.NewTimer(m.length(spent) - spent)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// length returns how long a refusal that has taken spent must take in all.
func (m *minDelay) length(spent time.Duration) time.Duration {
	steps := m.steps(spent)
	m.mu.Lock()
	defer m.mu.Unlock()
	usual := m.signIns.note(0, signInMemory)
	if usual == 0 {
		usual = maxDelay
	}
	return time.Duration(max(steps, usual, m.refusals.note(steps, refusalMemory))) * m.step
}
