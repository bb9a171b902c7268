package ldapauth

import (
	"context"
	"sync"
	"time"
)

const (
	// delayMemory is how long a slow refusal slows down the others.
	delayMemory = time.Minute
	// maxDelay is how many steps are remembered at most, so that an hour of
	// trouble with a server does not make every refusal take seconds.
	maxDelay = 4
)

// minDelay gives every refusal the same length: a multiple of step, the same for
// all while the directory is as slow as it is. An unknown name costs a search,
// a wrong password a search and a bind, and on a directory with an expensive
// password hash that difference is longer than one step; so the slowest
// refusal of the last minute sets the length.
type minDelay struct {
	step time.Duration

	mu               sync.Mutex
	current, earlier int // steps of the slowest refusal in this and the last window
	window           time.Time
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
	steps := int(spent/m.step) + 1
	m.mu.Lock()
	defer m.mu.Unlock()
	switch age := time.Since(m.window); {
	case age > 2*delayMemory:
		m.earlier, m.current, m.window = 0, 0, time.Now()
	case age > delayMemory:
		m.earlier, m.current, m.window = m.current, 0, time.Now()
	}
	m.current = max(m.current, min(steps, maxDelay))
	return time.Duration(max(steps, m.current, m.earlier)) * m.step
}
