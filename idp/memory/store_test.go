package memory_test

import (
	"errors"
	"io/fs"
	"strconv"
	"testing"
	"time"

	"persona-sidecar/idp/memory"
)

// The contract of each method is checked by the suite of package storetest. These
// tests are about what only this store has: its bounds.

func start() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

func TestFullOfValues(t *testing.T) {
	t.Parallel()
	now := start()
	s := memory.New(memory.Config{Now: func() time.Time { return now }, Most: 3})
	for i := range 3 {
		if added, err := s.Add(t.Context(), strconv.Itoa(i), nil, time.Minute); !added || err != nil {
			t.Fatalf("%d: %v, %v", i, added, err)
		}
	}
	if added, err := s.Add(t.Context(), "more", nil, time.Minute); added || !errors.Is(err, memory.ErrFull) {
		t.Errorf("Add to a full store: %v, %v", added, err)
	}
	if err := s.Set(t.Context(), "more", nil, time.Minute); !errors.Is(err, memory.ErrFull) {
		t.Errorf("Set in a full store: %v", err)
	}
	if err := s.Set(t.Context(), "1", []byte("new"), time.Minute); err != nil {
		t.Errorf("replacing a value in a full store: %v", err)
	}
	for i := range 3 {
		if _, err := s.Get(t.Context(), strconv.Itoa(i)); err != nil {
			t.Errorf("it dropped %d when it was full: %v", i, err)
		}
	}
	now = now.Add(time.Minute)
	if added, err := s.Add(t.Context(), "more", nil, time.Minute); !added || err != nil {
		t.Errorf("it stayed full: %v, %v", added, err)
	}
	if n, _ := s.Len(); n != 1 {
		t.Errorf("it keeps %d values", n)
	}
}

func TestEviction(t *testing.T) {
	t.Parallel()
	s := memory.New(memory.Config{Now: start, Most: 3, Evict: true})
	for i := range 100 {
		key := strconv.Itoa(i)
		if err := s.Set(t.Context(), key, []byte(key), time.Minute); err != nil {
			t.Fatal(err)
		}
		if value, err := s.Get(t.Context(), key); err != nil || string(value) != key {
			t.Errorf("Get(%s) = %q, %v", key, value, err)
		}
		if n, _ := s.Len(); n > 3 {
			t.Fatalf("it keeps %d values", n)
		}
	}
}

func TestExpiredValuesAreDropped(t *testing.T) {
	t.Parallel()
	now := start()
	s := memory.New(memory.Config{Now: func() time.Time { return now }})
	for i := range 100 {
		if err := s.Set(t.Context(), strconv.Itoa(i), nil, time.Second); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(-time.Hour) // the clock is set back
	if err := s.Set(t.Context(), "x", nil, time.Second); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Hour)
	if err := s.Set(t.Context(), "y", nil, time.Second); err != nil {
		t.Fatal(err)
	}
	if n, _ := s.Len(); n != 1 {
		t.Errorf("it keeps %d values", n)
	}
}

func TestCountersAreBounded(t *testing.T) {
	t.Parallel()
	now := start()
	s := memory.New(memory.Config{Now: func() time.Time { return now }, Most: 3})
	count := func(key string) time.Duration {
		t.Helper()
		wait, err := s.Count(t.Context(), key, 2, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return wait
	}
	for _, key := range []string{"a", "b", "c"} {
		count(key)
	}
	count("a") // used last
	count("d")
	if _, n := s.Len(); n != 3 {
		t.Errorf("it keeps %d counters", n)
	}
	for range 10 { // "a" is at its limit: no flood of other keys resets it
		for _, key := range []string{"b", "c", "d", "e"} {
			if count(key) != 0 {
				t.Errorf("%s did not make room", key)
			}
		}
		if count("a") == 0 {
			t.Error("a counter at its limit made room")
		}
	}
	if _, n := s.Len(); n != 3 {
		t.Errorf("it keeps %d counters", n)
	}
	count("d")
	count("e")
	if _, err := s.Count(t.Context(), "f", 2, time.Minute); !errors.Is(err, memory.ErrFull) {
		t.Errorf("one more than are at their limit: %v", err)
	}
	if count("a") == 0 || count("d") == 0 || count("e") == 0 {
		t.Error("a counter at its limit made room")
	}
	if err := s.Return(t.Context(), "a"); err != nil { // now below
		t.Fatal(err)
	}
	count("f")
	if count("a") != 0 || count("d") == 0 {
		t.Error("not the counter below its limit made room")
	}
	now = now.Add(time.Minute)
	count("g")
	if _, n := s.Len(); n != 1 {
		t.Errorf("of counters whose events have left the window %d are kept", n-1)
	}
}

func TestBlobsAreNotBounded(t *testing.T) {
	t.Parallel()
	s := memory.New(memory.Config{Now: start, Most: 1})
	for i := range 5 {
		if err := s.Store(t.Context(), strconv.Itoa(i), nil); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Load(t.Context(), "5"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load: %v", err)
	}
}
