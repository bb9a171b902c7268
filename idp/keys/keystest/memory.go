// Package keystest has a store for the tests of the key ring and of sessions that
// can fail at any step.
package keystest

import (
	"context"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
)

// Memory is a store that several rings can share, as processes share a directory.
type Memory struct {
	// Fail, when set, is asked before each operation ("load", "store", "delete", "list",
	// "lock"); its error is the operation's, which then does nothing. Set it while
	// nothing else uses the store.
	Fail func(op, key string) error
	// After, when set, is asked after each "store"; its error is the operation's, which
	// yet has taken place.
	After func(op, key string) error

	mu     sync.Mutex
	values map[string][]byte
	locks  map[string]chan struct{}
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{values: map[string][]byte{}, locks: map[string]chan struct{}{}}
}

// Load returns a value, or fs.ErrNotExist.
func (m *Memory) Load(ctx context.Context, key string) ([]byte, error) {
	if err := m.fail(ctx, "load", key); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	value, ok := m.values[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return slices.Clone(value), nil
}

// Store saves a value.
func (m *Memory) Store(ctx context.Context, key string, value []byte) error {
	if err := m.fail(ctx, "store", key); err != nil {
		return err
	}
	m.mu.Lock()
	m.values[key] = slices.Clone(value)
	m.mu.Unlock()
	if m.After != nil {
		return m.After("store", key)
	}
	return nil
}

// Delete removes a value and all below it.
func (m *Memory) Delete(ctx context.Context, key string) error {
	if err := m.fail(ctx, "delete", key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.values, func(k string, _ []byte) bool { return k == key || strings.HasPrefix(k, key+"/") })
	return nil
}

// List returns what lies below a prefix, directories included, or fs.ErrNotExist.
func (m *Memory) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	if err := m.fail(ctx, "list", prefix); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[string]bool{}
	for key := range m.values {
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

// Lock waits for a lock.
func (m *Memory) Lock(ctx context.Context, name string) error {
	if err := m.fail(ctx, "lock", name); err != nil {
		return err
	}
	select {
	case m.lock(name) <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Unlock gives a lock back.
func (m *Memory) Unlock(_ context.Context, name string) error {
	<-m.lock(name)
	return nil
}

// Keys returns the names of all values, sorted.
func (m *Memory) Keys() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.values))
}

func (m *Memory) lock(name string) chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[name] == nil {
		m.locks[name] = make(chan struct{}, 1)
	}
	return m.locks[name]
}

func (m *Memory) fail(ctx context.Context, op, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.Fail != nil {
		return m.Fail(op, key)
	}
	return nil
}
