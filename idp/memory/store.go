// Package memory is a store of one process: what it holds ends with it.
//
// It has the shapes of package store (lasting values with locks, values that
// expire, counters), so that the same consumer works on memory, on files and on
// a store shared by several machines; the same suite runs on all. It is
// below idp because package verifier, which does not import the program's store,
// uses it, too.
package memory

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrFull means that the store holds as many values as it may, and none of them
// has expired.
var ErrFull = errors.New("the memory is full")

// Config is how a Store is bounded.
type Config struct {
	Now func() time.Time
	// Most is how many values that expire, and how many counters, are kept; 0: any
	// number. Of the counters the least recently used one makes room, but none that
	// is at its limit: who counts many other keys must not be able to reset it.
	// Where all are, one more is ErrFull.
	Most int
	// Evict lets any other value that expires make room. Otherwise one more is
	// ErrFull.
	Evict bool
}

// Store holds values. It is safe for concurrent use.
type Store struct {
	config Config

	mu       sync.Mutex
	blobs    map[string][]byte
	locks    map[string]chan struct{}
	expiring map[string]expiring
	swept    time.Time // when the expired values were last removed
	counters map[string]*list.Element
	recent   *list.List // of *counter below their limit; the one used last is in front
	full     *list.List // of *counter at their limit; the one that reached it last is in front
}

type expiring struct {
	value []byte
	until time.Time
}

type counter struct {
	key    string
	events []int64 // Unix nanoseconds, the oldest first
	until  int64   // when the newest event leaves its window
	in     *list.List
}

// New returns an empty Store.
func New(c Config) *Store {
	return &Store{
		config: c, blobs: map[string][]byte{}, locks: map[string]chan struct{}{},
		expiring: map[string]expiring{}, swept: c.Now(), counters: map[string]*list.Element{}, recent: list.New(), full: list.New(),
	}
}

// Load returns the value at key; the error is fs.ErrNotExist when there is none.
func (s *Store) Load(ctx context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := admit(ctx, key); err != nil {
		return nil, err
	}
	value, ok := s.blobs[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return slices.Clone(value), nil
}

// Store saves value at key, replacing any earlier value.
func (s *Store) Store(ctx context.Context, key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := admit(ctx, key); err != nil {
		return err
	}
	s.blobs[key] = append([]byte{}, value...)
	return nil
}

// Delete removes key, or every key below it. A missing key is not an error.
func (s *Store) Delete(ctx context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := admit(ctx, key); err != nil {
		return err
	}
	maps.DeleteFunc(s.blobs, func(k string, _ []byte) bool { return k == key || strings.HasPrefix(k, key+"/") })
	return nil
}

// List returns the keys below prefix: all of them when recursive, directories
// included, else only the next level. The error is fs.ErrNotExist when there is
// none.
func (s *Store) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := admit(ctx, prefix); err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for key := range s.blobs {
		for ; strings.HasPrefix(key, prefix+"/"); key = path.Dir(key) {
			if recursive || path.Dir(key) == prefix {
				found[key] = true
			}
		}
	}
	if len(found) == 0 {
		return nil, fs.ErrNotExist
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// Lock takes the lock called name and blocks until it has it or ctx ends.
func (s *Store) Lock(ctx context.Context, name string) error {
	s.mu.Lock()
	if err := admit(ctx, name); err != nil {
		s.mu.Unlock()
		return err
	}
	if s.locks[name] == nil {
		s.locks[name] = make(chan struct{}, 1)
	}
	lock := s.locks[name]
	s.mu.Unlock()
	select {
	case lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("locking %q: %w", name, ctx.Err())
	}
}

// Unlock gives the lock called name back.
func (s *Store) Unlock(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.locks[name]:
		return nil
	default:
		return fmt.Errorf("unlocking %q: it is not held", name)
	}
}

// Add saves value at key for a time, unless there is a value already. It reports
// whether it did.
func (s *Store) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := admit(ctx, key); err != nil {
		return false, err
	}
	if _, ok := s.get(key); ok {
		return false, nil
	}
	err := s.set(key, value, ttl)
	return err == nil, err
}

// Set saves value at key for a time, replacing any earlier value and its time.
func (s *Store) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := admit(ctx, key); err != nil {
		return err
	}
	return s.set(key, value, ttl)
}

// Get returns the value at key; the error is fs.ErrNotExist when there is none, or
// it has expired.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := admit(ctx, key); err != nil {
		return nil, err
	}
	value, ok := s.get(key)
	if !ok {
		return nil, fs.ErrNotExist
	}
	return slices.Clone(value), nil
}

// Take is Get, and removes the value: of several callers one gets it.
func (s *Store) Take(ctx context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := admit(ctx, key); err != nil {
		return nil, err
	}
	value, ok := s.get(key)
	delete(s.expiring, key)
	if !ok {
		return nil, fs.ErrNotExist
	}
	return value, nil
}

// Keys returns the keys below prefix that have values which have not expired.
func (s *Store) Keys(ctx context.Context, prefix string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := admit(ctx, prefix); err != nil {
		return nil, err
	}
	var keys []string
	for key := range s.expiring {
		if _, ok := s.get(key); ok && strings.HasPrefix(key, prefix+"/") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

func (s *Store) get(key string) ([]byte, bool) {
	e, ok := s.expiring[key]
	return e.value, ok && s.config.Now().Before(e.until)
}

func (s *Store) set(key string, value []byte, ttl time.Duration) error {
	now := s.config.Now()
	if since := now.Sub(s.swept); since >= time.Minute || since < 0 {
		s.swept = now
		maps.DeleteFunc(s.expiring, func(_ string, e expiring) bool { return !now.Before(e.until) })
	}
	if _, replaced := s.expiring[key]; !replaced && s.config.Most > 0 && len(s.expiring) >= s.config.Most {
		if !s.config.Evict {
			return ErrFull
		}
		for other := range s.expiring {
			delete(s.expiring, other)
			break
		}
	}
	s.expiring[key] = expiring{append([]byte{}, value...), now.Add(ttl)}
	return nil
}

// Count counts one event under key unless limit events lie within the window that
// ends now. It returns 0 when it counted, else how long it takes until there is
// room for one.
func (s *Store) Count(ctx context.Context, key string, limit int, window time.Duration) (wait time.Duration, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.config.Now().UnixNano()
	c := &counter{key: key}
	if element, ok := s.counters[key]; ok {
		c = element.Value.(*counter)
		c.in.Remove(element)
	}
	for len(c.events) > 0 && c.events[0] <= now-int64(window) {
		c.events = c.events[1:]
	}
	if len(c.events) >= limit {
		s.keep(c, s.full)
		return time.Duration(c.events[len(c.events)-limit] + int64(window) - now), nil
	}
	c.events = append(c.events, now)
	c.until = now + int64(window)
	into := s.recent
	if len(c.events) == limit {
		into = s.full
	}
	s.keep(c, into)
	for _, all := range []*list.List{s.recent, s.full} {
		for last := all.Back(); last != nil && last.Value.(*counter).until <= now; last = all.Back() {
			s.forget(last)
		}
	}
	for s.config.Most > 0 && len(s.counters) > s.config.Most {
		last := s.recent.Back()
		if last == nil || last.Value.(*counter) == c {
			s.forget(s.counters[key])
			return 0, ErrFull
		}
		s.forget(last)
	}
	return 0, nil
}

// keep puts a counter in front of a list.
func (s *Store) keep(c *counter, in *list.List) {
	c.in = in
	s.counters[c.key] = in.PushFront(c)
}

// Return takes back the newest event counted under key, if there is one.
func (s *Store) Return(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if element, ok := s.counters[key]; ok {
		c := element.Value.(*counter)
		if len(c.events) > 0 {
			c.events = c.events[:len(c.events)-1]
		}
		c.in.Remove(element)
		s.keep(c, s.recent)
		if len(c.events) == 0 {
			s.forget(s.counters[key])
		}
	}
	return nil
}

// Forget takes back all events counted under key.
func (s *Store) Forget(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if element, ok := s.counters[key]; ok {
		s.forget(element)
	}
	return nil
}

// Len returns how many values that expire and how many counters are kept.
func (s *Store) Len() (expiring, counters int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.expiring), len(s.counters)
}

func (s *Store) forget(element *list.Element) {
	c := element.Value.(*counter)
	c.in.Remove(element)
	delete(s.counters, c.key)
}

// admit refuses what a store of files would refuse.
func admit(ctx context.Context, key string) error {
	if !fs.ValidPath(key) || key == "." {
		return fmt.Errorf("%q is not a valid key", key)
	}
	return ctx.Err()
}
