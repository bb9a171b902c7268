package signin

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// Counters remember recent events by key. All methods are atomic and safe for
// concurrent use. An error means that the counters could not answer; nobody is
// admitted then.
type Counters interface {
	// Take counts one event under key unless limit events lie within the
	// window that ends now. It returns 0 when the event was counted, else how
	// long it takes until the oldest of them has left the window.
	Take(ctx context.Context, key string, limit int, window time.Duration) (wait time.Duration, err error)
	// Return takes back the newest event counted under key, if there is one.
	Return(ctx context.Context, key string) error
	// Forget takes back all events counted under key.
	Forget(ctx context.Context, key string) error
}

// maxCounted bounds how many keys MemoryCounters remember. When more are
// counted, the key that was used least recently is forgotten.
const maxCounted = 1 << 17

// MemoryCounters are Counters of one process.
type MemoryCounters struct {
	now func() time.Time

	mu     sync.Mutex
	counts map[string]*list.Element // of *count
	recent *list.List               // the key used last stands in front
}

type count struct {
	key    string
	events []time.Time // the oldest first
	ends   time.Time   // when the newest event leaves its window
}

// NewMemoryCounters makes empty counters that read the time from now.
func NewMemoryCounters(now func() time.Time) *MemoryCounters {
	return &MemoryCounters{now: now, counts: map[string]*list.Element{}, recent: list.New()}
}

// Take implements Counters. Its error is always nil.
func (m *MemoryCounters) Take(_ context.Context, key string, limit int, window time.Duration) (time.Duration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	c := m.find(key)
	c.leave(now.Add(-window))
	if len(c.events) >= limit {
		return c.events[len(c.events)-limit].Add(window).Sub(now), nil
	}
	c.events = append(c.events, now)
	c.ends = now.Add(window)
	m.trim(now)
	return 0, nil
}

// Return implements Counters. Its error is always nil.
func (m *MemoryCounters) Return(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	element, ok := m.counts[key]
	if !ok {
		return nil
	}
	c := element.Value.(*count)
	c.events = c.events[:max(0, len(c.events)-1)]
	if len(c.events) == 0 {
		m.remove(element)
	}
	return nil
}

// Forget implements Counters. Its error is always nil.
func (m *MemoryCounters) Forget(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if element, ok := m.counts[key]; ok {
		m.remove(element)
	}
	return nil
}

// Len returns how many keys are remembered.
func (m *MemoryCounters) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.counts)
}

func (m *MemoryCounters) find(key string) *count {
	if element, ok := m.counts[key]; ok {
		m.recent.MoveToFront(element)
		return element.Value.(*count)
	}
	c := &count{key: key}
	m.counts[key] = m.recent.PushFront(c)
	return c
}

// trim forgets keys from the far end whose events have all left their window,
// and as many more as the bound demands.
func (m *MemoryCounters) trim(now time.Time) {
	for last := m.recent.Back(); last != nil; last = m.recent.Back() {
		if len(m.counts) <= maxCounted && last.Value.(*count).ends.After(now) {
			return
		}
		m.remove(last)
	}
}

func (m *MemoryCounters) remove(element *list.Element) {
	m.recent.Remove(element)
	delete(m.counts, element.Value.(*count).key)
}

// leave drops the events up to and including the time given.
func (c *count) leave(until time.Time) {
	kept := c.events[:0]
	for _, event := range c.events {
		if event.After(until) {
			kept = append(kept, event)
		}
	}
	c.events = kept
}
