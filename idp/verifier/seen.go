package verifier

import (
	"context"
	"sync"
	"time"
)

// Seen remembers what was used. First is atomic: of all who ask with one key
// before its time is over, exactly one is told that it is the first. An error
// means that it cannot be said; nobody is believed then.
type Seen interface {
	First(ctx context.Context, key string, until time.Time) (first bool, err error)
}

// mostSeen bounds the memory, at about 150 bytes each. Assertions live for ten
// minutes at most.
const mostSeen = 1 << 18

// MemorySeen is a Seen of one process. When it is full of what has not ended it
// refuses, because forgetting would let assertions be used again.
type MemorySeen struct {
	now func() time.Time

	mu    sync.Mutex
	until map[string]time.Time
	sweep time.Time // when something may have ended
}

// NewMemorySeen makes an empty memory that reads the time from now.
func NewMemorySeen(now func() time.Time) *MemorySeen {
	return &MemorySeen{now: now, until: map[string]time.Time{}}
}

// First implements [Seen]. Its error is nil or [ErrBusy].
func (m *MemorySeen) First(_ context.Context, key string, until time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if ends, ok := m.until[key]; ok && !now.After(ends) {
		return false, nil
	}
	m.forget(now)
	if len(m.until) >= mostSeen {
		return false, ErrBusy
	}
	m.until[key] = until
	return true, nil
}

// forget drops what has ended, once a minute.
func (m *MemorySeen) forget(now time.Time) {
	if now.Before(m.sweep) {
		return
	}
	m.sweep = now.Add(time.Minute)
	for key, until := range m.until {
		if now.After(until) {
			delete(m.until, key)
		}
	}
}
