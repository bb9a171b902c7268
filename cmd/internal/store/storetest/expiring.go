package storetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Expiring is the shape of values that expire.
//
// Keys are slash-separated paths, of their own beside those of lasting values. A
// value is there until its time to live is over, unless it is taken or replaced; a
// value that is not there is fs.ErrNotExist. A store that can be full refuses, or
// drops other values, as it was configured.
type Expiring interface {
	// Add saves a value unless there is one already, and reports whether it did. Of
	// several callers, in all processes, one adds.
	Add(ctx context.Context, key string, value []byte, ttl time.Duration) (added bool, err error)
	// Set saves a value, and replaces an earlier one and its time.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
	Get(ctx context.Context, key string) ([]byte, error)
	// Take is Get, and removes the value: of several callers one gets it.
	Take(ctx context.Context, key string) ([]byte, error)
	// Keys returns the keys below prefix, sorted; none is no error.
	Keys(ctx context.Context, prefix string) ([]string, error)
}

// clock is the time of a store under test.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nanos.Store(time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time { return time.Unix(0, c.nanos.Load()) }

func (c *clock) pass(d time.Duration) { c.nanos.Add(int64(d)) }

// RunExpiring checks a store of values that expire. Each call of open returns a new
// and empty store that reads the time from now, and a second handle to it, as
// another process would have; of a store of one process it is the same.
func RunExpiring(t *testing.T, open func(t *testing.T, now func() time.Time) (store, second Expiring)) {
	t.Helper()
	for name, check := range map[string]func(t *testing.T, c *clock, s, second Expiring){
		"a value is there until its time is over":      expires,
		"add saves where nothing is":                   add,
		"add after the end":                            addAfterTheEnd,
		"one of many adds":                             addOnce,
		"set replaces a value and its time":            set,
		"take removes":                                 takeRemoves,
		"one of many takes":                            takeOnce,
		"keys are listed below a prefix":               keys,
		"values of any bytes are kept":                 expiringBytes,
		"keys of expiring values cannot escape":        expiringEscape,
		"an ended context is an error here, too":       expiringEnded,
		"values that expire are not those that last":   apart,
		"a value that is given stays the caller's own": copied,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			s, second := open(t, c.now)
			check(t, c, s, second)
		})
	}
}

func mustSet(t *testing.T, s Expiring, key, value string, ttl time.Duration) {
	t.Helper()
	if err := s.Set(t.Context(), key, []byte(value), ttl); err != nil {
		t.Fatalf("Set(%q): %v", key, err)
	}
}

func mustAdd(t *testing.T, s Expiring, key, value string, ttl time.Duration, want bool) {
	t.Helper()
	if added, err := s.Add(t.Context(), key, []byte(value), ttl); added != want || err != nil {
		t.Fatalf("Add(%q) = %v, %v; want %v", key, added, err, want)
	}
}

// expect checks the value at key; "-" stands for none.
func expect(t *testing.T, s Expiring, key, want string) {
	t.Helper()
	value, err := s.Get(t.Context(), key)
	switch {
	case want == "-" && (!errors.Is(err, fs.ErrNotExist) || value != nil):
		t.Errorf("Get(%q) = %q, %v; want none", key, value, err)
	case want != "-" && (err != nil || string(value) != want):
		t.Errorf("Get(%q) = %q, %v; want %q", key, value, err, want)
	}
}

func expires(t *testing.T, c *clock, s, second Expiring) {
	expect(t, s, "test/value", "-")
	mustSet(t, s, "test/value", "one", time.Minute)
	mustSet(t, s, "test/other", "two", time.Hour)
	c.pass(time.Minute - time.Millisecond)
	expect(t, second, "test/value", "one")
	c.pass(time.Millisecond)
	expect(t, s, "test/value", "-")
	expect(t, second, "test/value", "-")
	expect(t, second, "test/other", "two")
}

func add(t *testing.T, c *clock, s, second Expiring) {
	mustAdd(t, s, "test/value", "one", time.Minute, true)
	mustAdd(t, s, "test/value", "two", time.Hour, false)
	mustAdd(t, second, "test/value", "two", time.Hour, false)
	mustAdd(t, second, "test/other", "three", time.Hour, true)
	expect(t, s, "test/value", "one")
	c.pass(time.Minute)
	expect(t, s, "test/value", "-")
}

func addAfterTheEnd(t *testing.T, c *clock, s, second Expiring) {
	mustAdd(t, s, "test/value", "one", time.Minute, true)
	c.pass(time.Minute)
	mustAdd(t, second, "test/value", "two", time.Minute, true)
	expect(t, s, "test/value", "two")
}

// once checks that of many calls at once, on both handles, one succeeds.
func once(t *testing.T, s, second Expiring, call func(Expiring) (bool, error)) {
	t.Helper()
	var succeeded atomic.Int32
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			ok, err := call([]Expiring{s, second}[i%2])
			if err != nil {
				t.Error(err)
			}
			if ok {
				succeeded.Add(1)
			}
		})
	}
	wg.Wait()
	if n := succeeded.Load(); n != 1 {
		t.Errorf("%d succeeded", n)
	}
}

func addOnce(t *testing.T, c *clock, s, second Expiring) {
	for range 3 {
		once(t, s, second, func(e Expiring) (bool, error) { return e.Add(t.Context(), "test/value", []byte("x"), time.Minute) })
		c.pass(time.Hour)
	}
}

func set(t *testing.T, c *clock, s, second Expiring) {
	mustSet(t, s, "test/value", "a longer value", time.Minute)
	mustSet(t, second, "test/value", "short", time.Hour)
	expect(t, s, "test/value", "short")
	c.pass(time.Minute)
	expect(t, s, "test/value", "short")
	mustSet(t, s, "test/value", "", time.Second)
	expect(t, second, "test/value", "")
	c.pass(time.Second)
	expect(t, second, "test/value", "-")
}

func takeRemoves(t *testing.T, c *clock, s, second Expiring) {
	mustSet(t, s, "test/value", "one", time.Minute)
	mustSet(t, s, "test/old", "two", time.Second)
	if value, err := second.Take(t.Context(), "test/value"); err != nil || string(value) != "one" {
		t.Errorf("Take = %q, %v", value, err)
	}
	c.pass(time.Second)
	for _, key := range []string{"test/value", "test/old", "test/none"} {
		if value, err := s.Take(t.Context(), key); !errors.Is(err, fs.ErrNotExist) || value != nil {
			t.Errorf("Take(%q) = %q, %v; want none", key, value, err)
		}
		expect(t, s, key, "-")
		mustAdd(t, s, key, "again", time.Minute, true)
	}
}

func takeOnce(t *testing.T, _ *clock, s, second Expiring) {
	for range 3 {
		mustSet(t, s, "test/value", "one", time.Minute)
		once(t, s, second, func(e Expiring) (bool, error) {
			_, err := e.Take(t.Context(), "test/value")
			if errors.Is(err, fs.ErrNotExist) {
				return false, nil
			}
			return err == nil, err
		})
	}
}

func keys(t *testing.T, c *clock, s, second Expiring) {
	for _, key := range []string{"a/one", "a/deep/two", "ab/three", "a/old"} {
		ttl := time.Hour
		if strings.HasSuffix(key, "old") {
			ttl = time.Second
		}
		mustSet(t, s, key, "value", ttl)
	}
	c.pass(time.Second)
	for prefix, want := range map[string][]string{
		"a": {"a/deep/two", "a/one"}, "a/deep": {"a/deep/two"}, "ab": {"ab/three"}, "none": nil, "a/one": nil,
	} {
		got, err := second.Keys(t.Context(), prefix)
		if err != nil {
			t.Errorf("Keys(%q): %v", prefix, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Keys(%q) (-want +got):\n%s", prefix, diff)
		}
	}
}

func expiringBytes(t *testing.T, _ *clock, s, second Expiring) {
	for i, value := range []string{"", "\n", "\x00\xff\r\n\n1\n", strings.Repeat("x", 1<<20)} {
		key := fmt.Sprintf("test/%d", i)
		mustSet(t, s, key, value, time.Minute)
		expect(t, second, key, value)
	}
}

func expiringEscape(t *testing.T, _ *clock, s, _ Expiring) {
	for _, key := range []string{"", ".", "..", "../escaped", "/absolute", "a/../../escaped", "a//b", "a/"} {
		if err := s.Set(t.Context(), key, nil, time.Minute); err == nil {
			t.Errorf("Set(%q) succeeded", key)
		}
		if _, err := s.Add(t.Context(), key, nil, time.Minute); err == nil {
			t.Errorf("Add(%q) succeeded", key)
		}
		if _, err := s.Get(t.Context(), key); err == nil {
			t.Errorf("Get(%q) succeeded", key)
		}
		if _, err := s.Take(t.Context(), key); err == nil {
			t.Errorf("Take(%q) succeeded", key)
		}
		if _, err := s.Keys(t.Context(), key); err == nil {
			t.Errorf("Keys(%q) succeeded", key)
		}
	}
}

func expiringEnded(t *testing.T, _ *clock, s, _ Expiring) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, addErr := s.Add(ctx, "test/value", nil, time.Minute)
	_, getErr := s.Get(ctx, "test/value")
	_, takeErr := s.Take(ctx, "test/value")
	_, keysErr := s.Keys(ctx, "test")
	for name, err := range map[string]error{
		"Add": addErr, "Set": s.Set(ctx, "test/value", nil, time.Minute), "Get": getErr, "Take": takeErr, "Keys": keysErr,
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	expect(t, s, "test/value", "-")
}

func apart(t *testing.T, _ *clock, s, _ Expiring) {
	blobs, ok := s.(Blobs)
	if !ok {
		t.Skip("it keeps no lasting values")
	}
	mustSet(t, s, "test/value", "one", time.Minute)
	if _, err := blobs.Load(t.Context(), "test/value"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load: %v", err)
	}
	store(t, blobs, "test/value", "two")
	expect(t, s, "test/value", "one")
}

func copied(t *testing.T, _ *clock, s, _ Expiring) {
	value := []byte("one")
	if err := s.Set(t.Context(), "test/value", value, time.Minute); err != nil {
		t.Fatal(err)
	}
	value[0] = 'x'
	got, err := s.Get(t.Context(), "test/value")
	if err != nil {
		t.Fatal(err)
	}
	got[0] = 'y'
	expect(t, s, "test/value", "one")
}
