package ldapauth

import (
	"context"
	"sync"
	"time"
)

const (
	// paceMemory is how long a slow refusal slows down the others.
	paceMemory = time.Minute
	// maxPace is how many steps are remembered at most, so that an hour of
	// trouble with a server does not make every refusal take seconds.
	maxPace = 4
)

// pace gives every refusal the same length: a multiple of step, the same for
// all while the directory is as slow as it is. An unknown name costs a search,
// a wrong password a search and a bind, and on a directory with an expensive
// password hash that difference is longer than one step; so the slowest
// refusal of the last minute sets the pace.
type pace struct {
	step time.Duration

	mu               sync.Mutex
	current, earlier int // steps of the slowest refusal in this and the last window
	window           time.Time
}

// wait sleeps until a refusal that began at started may be told, or until the
// context ends.
func (p *pace) wait(ctx context.Context, started time.Time) {
	spent := time.Since(started)
	timer := time.NewTimer(p.length(spent) - spent)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// length returns how long a refusal that has taken spent must take in all.
func (p *pace) length(spent time.Duration) time.Duration {
	steps := int(spent/p.step) + 1
	p.mu.Lock()
	defer p.mu.Unlock()
	switch age := time.Since(p.window); {
	case age > 2*paceMemory:
		p.earlier, p.current, p.window = 0, 0, time.Now()
	case age > paceMemory:
		p.earlier, p.current, p.window = p.current, 0, time.Now()
	}
	p.current = max(p.current, min(steps, maxPace))
	return time.Duration(max(steps, p.current, p.earlier)) * p.step
}
