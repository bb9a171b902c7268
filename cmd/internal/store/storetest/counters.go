package storetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Counters is the shape of what counts events by key. All methods are atomic among
// all processes.
type Counters interface {
	// Count counts one event under key unless limit events, at least 1, lie within
	// the window that ends now. It returns 0 when it counted, else how long it takes
	// until there is room for one.
	Count(ctx context.Context, key string, limit int, window time.Duration) (wait time.Duration, err error)
	// Return takes back the newest event counted under key, if there is one.
	Return(ctx context.Context, key string) error
	// Forget takes back all events counted under key.
	Forget(ctx context.Context, key string) error
}

// RunCounters checks counters. Each call of open returns new ones that read the
// time from now, and a second handle to them, as another process would have.
func RunCounters(t *testing.T, open func(t *testing.T, now func() time.Time) (counters, second Counters)) {
	t.Helper()
	for name, check := range map[string]func(t *testing.T, c *clock, s, second Counters){
		"events count until they leave the window": window,
		"a return makes room for one":              returns,
		"a key is forgotten alone":                 forgets,
		"nothing counted, nothing to take back":    takesBackNothing,
		"a limit may change":                       limits,
		"many at once stay within the limit":       countsAtOnce,
		"keys are any text":                        countsAnyKey,
		"an ended context is an error":             countEnded,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			s, second := open(t, c.now)
			check(t, c, s, second)
		})
	}
}

// count counts under key, three a minute, and checks how long to wait.
func count(t *testing.T, s Counters, key string, want time.Duration) {
	t.Helper()
	if wait, err := s.Count(t.Context(), key, 3, time.Minute); wait != want || err != nil {
		t.Errorf("Count(%q) = %v, %v; want %v", key, wait, err, want)
	}
}

func window(t *testing.T, c *clock, s, second Counters) {
	count(t, s, "key", 0)
	c.pass(10 * time.Second)
	count(t, second, "key", 0)
	count(t, s, "key", 0)
	count(t, s, "key", 50*time.Second)
	count(t, second, "key", 50*time.Second)
	count(t, second, "other", 0)
	c.pass(50*time.Second - 1)
	count(t, s, "key", 1)
	c.pass(1)
	count(t, second, "key", 0)
	count(t, s, "key", 10*time.Second)
	c.pass(time.Hour)
	for range 3 {
		count(t, s, "key", 0)
	}
	count(t, s, "key", time.Minute)
}

func returns(t *testing.T, c *clock, s, second Counters) {
	for range 3 {
		count(t, s, "key", 0)
		c.pass(time.Second)
	}
	count(t, s, "key", 57*time.Second)
	if err := second.Return(t.Context(), "key"); err != nil {
		t.Fatal(err)
	}
	count(t, s, "key", 0) // the newest was taken back, the oldest stays
	count(t, s, "key", 57*time.Second)
}

func forgets(t *testing.T, _ *clock, s, second Counters) {
	for _, key := range []string{"key", "other"} {
		for range 3 {
			count(t, s, key, 0)
		}
	}
	if err := second.Forget(t.Context(), "key"); err != nil {
		t.Fatal(err)
	}
	count(t, s, "other", time.Minute)
	for range 3 {
		count(t, s, "key", 0)
	}
	count(t, s, "key", time.Minute)
}

func takesBackNothing(t *testing.T, _ *clock, s, _ Counters) {
	for range 2 {
		if err := errors.Join(s.Return(t.Context(), "key"), s.Forget(t.Context(), "key")); err != nil {
			t.Error(err)
		}
		count(t, s, "key", 0)
		if err := s.Return(t.Context(), "key"); err != nil {
			t.Error(err)
		}
	}
	for range 3 {
		count(t, s, "key", 0)
	}
	count(t, s, "key", time.Minute)
}

func limits(t *testing.T, c *clock, s, _ Counters) {
	for range 3 {
		count(t, s, "key", 0)
		c.pass(10 * time.Second)
	}
	if wait, err := s.Count(t.Context(), "key", 1, time.Minute); wait != 50*time.Second || err != nil {
		t.Errorf("of one: %v, %v", wait, err)
	}
	if wait, err := s.Count(t.Context(), "key", 4, time.Minute); wait != 0 || err != nil {
		t.Errorf("of four: %v, %v", wait, err)
	}
}

func countsAtOnce(t *testing.T, _ *clock, s, second Counters) {
	var counted atomic.Int32
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			wait, err := []Counters{s, second}[i%2].Count(t.Context(), "key", 3, time.Minute)
			if err != nil {
				t.Error(err)
			}
			if wait == 0 {
				counted.Add(1)
			}
		})
	}
	wg.Wait()
	if n := counted.Load(); n != 3 {
		t.Errorf("counted %d", n)
	}
}

func countsAnyKey(t *testing.T, _ *clock, s, second Counters) {
	for _, key := range []string{"", "network 2001:db8::/56", "../x", "a/b", "a", "\x00", string(make([]byte, 5000))} {
		for range 3 {
			count(t, s, key, 0)
		}
		count(t, second, key, time.Minute)
	}
}

func countEnded(t *testing.T, _ *clock, s, _ Counters) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Count(ctx, "key", 3, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	for range 3 {
		count(t, s, "key", 0)
	}
}
