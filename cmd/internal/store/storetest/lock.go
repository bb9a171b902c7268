package storetest

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
)

// The two kinds of locks: ours, which also have to end with a crash, and certmagic's.
const (
	ourLock   = "persona/test"
	theirLock = "issue_cert_example.test"
)

func take(t *testing.T, s Blobs, name string) {
	t.Helper()
	if err := s.Lock(t.Context(), name); err != nil {
		t.Fatalf("Lock(%q): %v", name, err)
	}
}

func give(t *testing.T, s Blobs, name string) {
	t.Helper()
	if err := s.Unlock(t.Context(), name); err != nil {
		t.Fatalf("Unlock(%q): %v", name, err)
	}
}

func lock(t *testing.T, s, second Blobs) {
	for _, name := range []string{ourLock, theirLock} {
		var inside atomic.Int32
		var wg sync.WaitGroup
		for _, holder := range []Blobs{s, second, s} {
			wg.Go(func() {
				if err := holder.Lock(t.Context(), name); err != nil {
					t.Errorf("Lock: %v", err)
					return
				}
				if inside.Add(1) != 1 {
					t.Error("two hold the lock")
				}
				store(t, holder, "persona/test/value", "one")
				inside.Add(-1)
				if err := holder.Unlock(t.Context(), name); err != nil {
					t.Errorf("Unlock: %v", err)
				}
			})
		}
		wg.Wait()
	}
}

// lockGuards counts in the store, which loses a step whenever two are inside.
func lockGuards(t *testing.T, s, second Blobs) {
	const workers, steps = 4, 5
	store(t, s, "persona/test/count", "0")
	var wg sync.WaitGroup
	for i := range workers {
		holder := []Blobs{s, second}[i%2]
		wg.Go(func() {
			for range steps {
				if err := countUp(t.Context(), holder); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := load(t, s, "persona/test/count"); got != strconv.Itoa(workers*steps) {
		t.Errorf("counted %s, want %d", got, workers*steps)
	}
}

func countUp(ctx context.Context, s Blobs) error {
	if err := s.Lock(ctx, ourLock); err != nil {
		return err
	}
	text, err := s.Load(ctx, "persona/test/count")
	if err == nil {
		var n int
		n, err = strconv.Atoi(string(text))
		err = errors.Join(err, s.Store(ctx, "persona/test/count", []byte(strconv.Itoa(n+1))))
	}
	return errors.Join(err, s.Unlock(ctx, ourLock))
}

func lockContext(t *testing.T, s, second Blobs) {
	for _, name := range []string{ourLock, theirLock} {
		take(t, s, name)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := second.Lock(ctx, name); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Lock(%q): %v", name, err)
		}
		give(t, s, name)
		take(t, second, name)
		give(t, second, name)
	}
}

func lockNames(t *testing.T, s, second Blobs) {
	for _, name := range []string{ourLock, ourLock + "/deeper", theirLock} {
		take(t, s, name)
		take(t, second, name+"2")
	}
	for _, name := range []string{ourLock, ourLock + "/deeper", theirLock} {
		give(t, s, name)
		give(t, second, name+"2")
	}
}

func lockHeld(t *testing.T, s, second Blobs) {
	if err := s.Unlock(t.Context(), ourLock); err == nil {
		t.Error("a lock that is not held was given back")
	}
	take(t, s, ourLock)
	if second != s {
		if err := second.Unlock(t.Context(), ourLock); err == nil {
			t.Error("another's lock was given back")
		}
	}
	if tries, ok := second.(certmagic.TryLocker); ok {
		if taken, err := tries.TryLock(t.Context(), ourLock); taken || err != nil {
			t.Errorf("TryLock of a held lock: %v, %v", taken, err)
		}
	}
	give(t, s, ourLock)
	if err := s.Unlock(t.Context(), ourLock); err == nil {
		t.Error("a lock was given back twice")
	}
	for _, key := range []string{"persona/../escaped", "persona//x", "persona/"} {
		if err := s.Lock(t.Context(), key); err == nil {
			t.Errorf("Lock(%q) succeeded", key)
		}
	}
}
