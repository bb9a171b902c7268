package idptest

import (
	"context"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Store keeps lasting things in memory, in the shape that packages keys and
// session ask for. Use NewStore. It is safe for concurrent use.
type Store struct {
	mu     sync.Mutex
	values map[string][]byte
	locks  map[string]chan struct{}
	down   error
}

// NewStore makes an empty store.
func NewStore() *Store {
	return &Store{values: map[string][]byte{}, locks: map[string]chan struct{}{}}
}

// Fail makes every operation end in err, until it is nil.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = err
}

// Load returns a value, or fs.ErrNotExist.
func (s *Store) Load(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return nil, s.down
	}
	value, ok := s.values[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return slices.Clone(value), nil
}

// Store keeps a value.
func (s *Store) Store(_ context.Context, key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	s.values[key] = slices.Clone(value)
	return nil
}

// Delete forgets a value and everything below it, or says fs.ErrNotExist.
func (s *Store) Delete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	before := len(s.values)
	maps.DeleteFunc(s.values, func(other string, _ []byte) bool {
		return other == key || strings.HasPrefix(other, key+"/")
	})
	if len(s.values) == before {
		return fs.ErrNotExist
	}
	return nil
}

// List returns the keys below a prefix, or fs.ErrNotExist; not recursive: the
// next element of each path only.
func (s *Store) List(_ context.Context, prefix string, recursive bool) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return nil, s.down
	}
	found := map[string]bool{}
	for key := range s.values {
		rest, ok := strings.CutPrefix(key, strings.TrimSuffix(prefix, "/")+"/")
		if !ok {
			continue
		}
		if first, _, deeper := strings.Cut(rest, "/"); deeper && !recursive {
			key = strings.TrimSuffix(key, rest) + first
		}
		found[key] = true
	}
	if len(found) == 0 {
		return nil, fs.ErrNotExist
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// Lock waits for a lock.
func (s *Store) Lock(ctx context.Context, name string) error {
	select {
	case s.lock(name) <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Unlock gives a lock back.
func (s *Store) Unlock(_ context.Context, name string) error {
	<-s.lock(name)
	return nil
}

func (s *Store) lock(name string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.locks[name] == nil {
		s.locks[name] = make(chan struct{}, 1)
	}
	return s.locks[name]
}
