package idptest

import (
	"context"
	"time"

	"persona-sidecar/idp/memory"
)

type memoryStore = memory.Store

// Store is a store in memory that can fail at any step. Several rings and managers
// can share one, as processes share a directory.
type Store struct {
	*memoryStore

	// Fail, when set, is called before each operation of the key ring and of sessions
	// (load, store, list, lock, get, set, add, take); its error is the operation's, which then
	// does nothing. Set it while nothing else uses the store.
	Fail func(op, key string) error
	// After, when set, is called after each store; its error is the operation's, which
	// has taken place nevertheless.
	After func(op, key string) error
}

// NewStore returns an empty store that reads the time from now.
func NewStore(now func() time.Time) *Store {
	return &Store{memoryStore: memory.New(memory.Config{Now: now})}
}

func (s *Store) fail(op, key string) error {
	if s.Fail == nil {
		return nil
	}
	return s.Fail(op, key)
}

// Load returns a value.
func (s *Store) Load(ctx context.Context, key string) ([]byte, error) {
	if err := s.fail("load", key); err != nil {
		return nil, err
	}
	return s.memoryStore.Load(ctx, key)
}

// Store saves a value.
func (s *Store) Store(ctx context.Context, key string, value []byte) error {
	if err := s.fail("store", key); err != nil {
		return err
	}
	if err := s.memoryStore.Store(ctx, key, value); err != nil || s.After == nil {
		return err
	}
	return s.After("store", key)
}

// List returns the keys below a prefix.
func (s *Store) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	if err := s.fail("list", prefix); err != nil {
		return nil, err
	}
	return s.memoryStore.List(ctx, prefix, recursive)
}

// Lock waits for a lock.
func (s *Store) Lock(ctx context.Context, name string) error {
	if err := s.fail("lock", name); err != nil {
		return err
	}
	return s.memoryStore.Lock(ctx, name)
}

// Get returns a value that expires.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	if err := s.fail("get", key); err != nil {
		return nil, err
	}
	return s.memoryStore.Get(ctx, key)
}

// Set saves a value that expires.
func (s *Store) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := s.fail("set", key); err != nil {
		return err
	}
	return s.memoryStore.Set(ctx, key, value, ttl)
}

// Add saves a value that expires, unless there is one.
func (s *Store) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	if err := s.fail("add", key); err != nil {
		return false, err
	}
	return s.memoryStore.Add(ctx, key, value, ttl)
}

// Take returns a value that expires, and removes it.
func (s *Store) Take(ctx context.Context, key string) ([]byte, error) {
	if err := s.fail("take", key); err != nil {
		return nil, err
	}
	return s.memoryStore.Take(ctx, key)
}
