package session

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"sync"
	"time"
)

const (
	// signOutsAge is how old the answer of the store may be by which a request to a website goes:
	// what another process has signed out.
	signOutsAge = 30 * time.Second
	// signOutsMost is how old it may be while the store cannot be read.
	signOutsMost = time.Minute
	// signOutsAgain is the time between two tries to read a store that has failed.
	signOutsAgain = time.Second

	// maxPending bounds the memory of sign-outs that the store has refused.
	maxPending = 10_000
	// maxAnswers bounds each of the two maps of answers, at about 150 bytes an entry.
	maxAnswers = 50_000
)

// SignOuts are the sign-outs as one process knows them: the store's, and those that it
// refuses, because a full disk must not leave a person signed in. What was read is
// remembered, so that not every request to a website reads the store, and what is set
// counts at once, in every Manager. Make one for the process.
type SignOuts struct {
	store Store
	now   func() time.Time

	writing sync.Mutex // held while a value is written: the last one counts
	answers *table[answer]

	mu      sync.Mutex
	kept    map[string]pendingValue // what the store does not hold yet, by key
	sets    uint64                  // how often a value was set
	changed chan struct{}           // closed when a value is set
}

type pendingValue struct {
	value []byte
	until time.Time
}

// answer is what the store last said about a key; the value is nil where there was none.
type answer struct {
	value []byte
	at    time.Time
	tried time.Time // when it was last asked in vain since
}

// NewSignOuts returns the sign-outs of a store.
func NewSignOuts(store Store, now func() time.Time) *SignOuts {
	return &SignOuts{
		store: store, now: now, kept: map[string]pendingValue{},
		answers: newTable[answer](maxAnswers), changed: make(chan struct{}),
	}
}

// Get returns a value that the store has refused, or the store's.
func (s *SignOuts) Get(ctx context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	kept, ok := s.kept[key]
	s.mu.Unlock()
	if ok {
		return kept.value, nil
	}
	return s.store.Get(ctx, key)
}

// recent returns a value by an answer of the store that is less than maxAge old; nil where there is none. A
// store that cannot be read is an error when the last answer is a minute old.
func (s *SignOuts) recent(ctx context.Context, key string, maxAge time.Duration) ([]byte, error) {
	last, known := s.answers.get(key)
	now := s.now()
	age := now.Sub(last.at)
	usable := known && maxAge > 0 && age >= 0 && age < signOutsMost
	if usable && (age < maxAge || !last.tried.IsZero() && now.Sub(last.tried) < signOutsAgain) {
		return last.value, nil
	}
	for {
		s.mu.Lock()
		sets := s.sets
		s.mu.Unlock()
		value, err := s.Get(ctx, key)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			value = nil
		case err != nil && usable:
			last.tried = now
			s.remember(key, last, sets)
			return last.value, nil
		case err != nil:
			return nil, fmt.Errorf("reading whether the session was ended: %w", err)
		case value == nil:
			value = []byte{}
		}
		if s.remember(key, answer{value: value, at: now}, sets) {
			return value, nil
		}
	}
}

// remember keeps an answer unless a value was set since the sets-th one: the answer may be the
// one before it.
func (s *SignOuts) remember(key string, a answer, sets uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sets != sets {
		return false
	}
	s.answers.put(key, a)
	return true
}

// Set makes a value known in this process, and then in the store. When the store
// refuses it, that is the error, and the value stays known. Too many push out others.
func (s *SignOuts) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	if len(s.kept) >= maxPending {
		for other := range s.kept {
			delete(s.kept, other)
			break
		}
	}
	now := s.now()
	kept := pendingValue{value, now.Add(ttl)}
	s.kept[key] = kept
	s.answers.put(key, answer{value: value, at: now})
	s.sets++
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	return s.put(ctx, key, kept)
}

// change returns a channel that is closed when a value is set.
func (s *SignOuts) change() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Retry stores what the store has refused before, up to the first refusal.
func (s *SignOuts) Retry(ctx context.Context) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	all := maps.Clone(s.kept)
	s.mu.Unlock()
	for key, kept := range all {
		if err := s.put(ctx, key, kept); err != nil {
			return fmt.Errorf("recording a sign-out again: %w", err)
		}
	}
	return nil
}

// put stores a value, and forgets it once the store holds it, or it has expired.
func (s *SignOuts) put(ctx context.Context, key string, kept pendingValue) error {
	if ttl := kept.until.Sub(s.now()); ttl > 0 {
		if err := s.store.Set(ctx, key, kept.value, ttl); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.kept, key)
	return nil
}

// table remembers values by key. It is bounded: a full map becomes the old one, and the one before
// is forgotten, but for what was looked at since. Nothing may depend on it but the load of what is
// asked again.
type table[V any] struct {
	limit int

	mu         sync.RWMutex
	young, old map[string]V
}

func newTable[V any](limit int) *table[V] { return &table[V]{limit: limit, young: map[string]V{}} }

func (t *table[V]) get(key string) (V, bool) {
	t.mu.RLock()
	value, ok := t.young[key]
	t.mu.RUnlock()
	if ok {
		return value, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.look(key)
}

// look is get by one who holds mu.
func (t *table[V]) look(key string) (V, bool) {
	if value, ok := t.young[key]; ok {
		return value, true
	}
	value, ok := t.old[key]
	if ok {
		t.insert(key, value)
	}
	return value, ok
}

func (t *table[V]) put(key string, value V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.insert(key, value)
}

// add puts a value where there is none, and returns the one that is there then.
func (t *table[V]) add(key string, value V) V {
	t.mu.Lock()
	defer t.mu.Unlock()
	if there, ok := t.look(key); ok {
		return there
	}
	t.insert(key, value)
	return value
}

func (t *table[V]) insert(key string, value V) {
	if _, known := t.young[key]; !known && len(t.young) >= t.limit {
		t.young, t.old = make(map[string]V), t.young
	}
	t.young[key] = value
}

func (t *table[V]) forget(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.young, key)
	delete(t.old, key)
}
