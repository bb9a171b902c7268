package session

import (
	"sync"
	"time"
)

const (
	// recheck is the longest time for which a session goes by what the directory said.
	recheck = 5 * time.Minute

	// maxChecks bounds each of the two maps, at about 100 bytes an entry.
	maxChecks = 20_000
)

// checks remembers when the directory last allowed the person of a session. It is
// bounded: a full map becomes the old one, and the one before is forgotten. What is
// forgotten is asked again, so nothing depends on it but the directory's load.
type checks struct {
	mu         sync.Mutex
	young, old map[string]time.Time // by session id
	limit      int
}

func newChecks() *checks {
	return &checks{young: map[string]time.Time{}, limit: maxChecks}
}

// confirm notes the time of a re-check.
func (c *checks) confirm(id string, at time.Time) {
	if id == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.young[id]; !known && len(c.young) >= c.limit {
		c.young, c.old = make(map[string]time.Time), c.young
	}
	c.young[id] = at
}

// last returns the time of the last re-check, or the zero time when it is not known.
func (c *checks) last(id string) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at, known := c.young[id]; known {
		return at
	}
	return c.old[id]
}
