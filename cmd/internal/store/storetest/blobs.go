package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"testing"

	"github.com/caddyserver/certmagic"
	"github.com/google/go-cmp/cmp"
)

// Blobs is the shape of lasting values, with locks.
//
// Keys are slash-separated paths. Store replaces a value as a whole: a reader sees
// the old one or the new one, and so does the next process after a crash. A missing
// value or prefix is fs.ErrNotExist. A lock is held once among all processes; those
// under "persona/" end with the process that holds them.
type Blobs interface {
	Load(ctx context.Context, key string) ([]byte, error)
	Store(ctx context.Context, key string, value []byte) error
	Delete(ctx context.Context, key string) error
	List(ctx context.Context, prefix string, recursive bool) ([]string, error)
	Lock(ctx context.Context, name string) error
	Unlock(ctx context.Context, name string) error
}

// RunBlobs checks a store of lasting values, and its further methods where it is a
// certmagic.Storage. Each call of open returns a new and empty store, and a second
// handle to it, as another process would have; of a store of one process it is the
// same.
func RunBlobs(t *testing.T, open func(t *testing.T) (store, second Blobs)) {
	t.Helper()
	for name, check := range map[string]func(t *testing.T, s, second Blobs){
		"a stored value is loaded, also by another":  storeLoad,
		"a missing value is fs.ErrNotExist":          missing,
		"the last value stands":                      overwrite,
		"values of any bytes and length are kept":    anyBytes,
		"delete removes a value or all below a name": remove,
		"list gives one level or all":                list,
		"stat tells values from prefixes":            stat,
		"keys cannot leave the store":                escape,
		"an ended context is an error":               ended,
		"a lock excludes others":                     lock,
		"a lock guards a change of several steps":    lockGuards,
		"waiting for a lock ends with the context":   lockContext,
		"locks of other names are free":              lockNames,
		"only a held lock can be given back":         lockHeld,
		"readers never see a part of a value":        torn,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, second := open(t)
			check(t, s, second)
		})
	}
}

func store(t *testing.T, s Blobs, key, value string) {
	t.Helper()
	if err := s.Store(t.Context(), key, []byte(value)); err != nil {
		t.Fatalf("Store(%q): %v", key, err)
	}
}

func load(t *testing.T, s Blobs, key string) string {
	t.Helper()
	value, err := s.Load(t.Context(), key)
	if err != nil {
		t.Fatalf("Load(%q): %v", key, err)
	}
	return string(value)
}

func storeLoad(t *testing.T, s, second Blobs) {
	store(t, s, "persona/test/value", "one")
	store(t, s, "value", "two")
	for _, reader := range []Blobs{s, second} {
		if got := load(t, reader, "persona/test/value"); got != "one" {
			t.Errorf("got %q", got)
		}
		if got := load(t, reader, "value"); got != "two" {
			t.Errorf("got %q", got)
		}
	}
}

func missing(t *testing.T, s, _ Blobs) {
	store(t, s, "persona/test/value", "one")
	for _, key := range []string{"persona/test/other", "persona/none/value", "none"} {
		if value, err := s.Load(t.Context(), key); !errors.Is(err, fs.ErrNotExist) || value != nil {
			t.Errorf("Load(%q) = %q, %v", key, value, err)
		}
		if s, ok := s.(certmagic.Storage); ok {
			if _, err := s.Stat(t.Context(), key); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Stat(%q): %v", key, err)
			}
			if s.Exists(t.Context(), key) {
				t.Errorf("Exists(%q)", key)
			}
		}
		if err := s.Delete(t.Context(), key); err != nil {
			t.Errorf("Delete(%q): %v", key, err)
		}
	}
	if keys, err := s.List(t.Context(), "persona/none", true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("List = %q, %v", keys, err)
	}
}

func overwrite(t *testing.T, s, second Blobs) {
	for _, value := range []string{"a longer value", "short", ""} {
		store(t, s, "persona/test/value", value)
		if got := load(t, second, "persona/test/value"); got != value {
			t.Errorf("got %q, want %q", got, value)
		}
	}
}

func anyBytes(t *testing.T, s, second Blobs) {
	for _, value := range []string{"\x00\xff\r\n", string(bytes.Repeat([]byte{7}, 1<<20))} {
		store(t, s, "persona/test/value", value)
		if got := load(t, second, "persona/test/value"); got != value {
			t.Errorf("%d bytes came back as %d", len(value), len(got))
		}
	}
}

func remove(t *testing.T, s, second Blobs) {
	for _, key := range []string{"persona/a/one", "persona/a/two", "persona/b/three"} {
		store(t, s, key, "value")
	}
	for _, step := range []struct{ remove, gone, stays string }{
		{"persona/a/one", "persona/a/one", "persona/a/two"},
		{"persona/a", "persona/a/two", "persona/b/three"},
	} {
		if err := s.Delete(t.Context(), step.remove); err != nil {
			t.Fatal(err)
		}
		if _, err := second.Load(t.Context(), step.gone); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", step.gone, err)
		}
		load(t, second, step.stays)
	}
}

func list(t *testing.T, s, second Blobs) {
	for _, key := range []string{"persona/a/one", "persona/a/deep/two", "persona/ab/three"} {
		store(t, s, key, "value")
	}
	for _, want := range []struct {
		prefix    string
		recursive bool
		keys      []string
	}{
		{"persona/a", false, []string{"persona/a/deep", "persona/a/one"}},
		{"persona/a", true, []string{"persona/a/deep", "persona/a/deep/two", "persona/a/one"}},
	} {
		keys, err := second.List(t.Context(), want.prefix, want.recursive)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(keys)
		if diff := cmp.Diff(want.keys, keys); diff != "" {
			t.Errorf("List(%q, %v) (-want +got):\n%s", want.prefix, want.recursive, diff)
		}
	}
}

func stat(t *testing.T, blobs, _ Blobs) {
	s, ok := blobs.(certmagic.Storage)
	if !ok {
		t.Skip("not a certmagic.Storage")
	}
	store(t, s, "persona/test/value", "four")
	value, err := s.Stat(t.Context(), "persona/test/value")
	if err != nil || !value.IsTerminal || value.Key != "persona/test/value" || value.Size != 0 && value.Size != 4 {
		t.Errorf("a value: %+v, %v", value, err)
	}
	prefix, err := s.Stat(t.Context(), "persona/test")
	if err != nil || prefix.IsTerminal {
		t.Errorf("a prefix: %+v, %v", prefix, err)
	}
}

func escape(t *testing.T, s, _ Blobs) {
	store(t, s, "persona/test/value", "one")
	for _, key := range []string{"", ".", "..", "../escaped", "/absolute", "persona/../../escaped", "persona//test", "persona/"} {
		if err := s.Store(t.Context(), key, []byte("x")); err == nil {
			t.Errorf("Store(%q) succeeded", key)
		}
		if _, err := s.Load(t.Context(), key); err == nil {
			t.Errorf("Load(%q) succeeded", key)
		}
		if err := s.Delete(t.Context(), key); err == nil {
			t.Errorf("Delete(%q) succeeded", key)
		}
	}
	load(t, s, "persona/test/value")
}

func ended(t *testing.T, s, _ Blobs) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Store(ctx, "persona/test/value", []byte("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("Store: %v", err)
	}
	if _, err := s.Load(ctx, "persona/test/value"); !errors.Is(err, context.Canceled) {
		t.Errorf("Load: %v", err)
	}
	if _, err := s.Load(t.Context(), "persona/test/value"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it was stored: %v", err)
	}
}

func torn(t *testing.T, s, second Blobs) {
	value := func(i int) string { return fmt.Sprintf("%0*d", 4000, i) }
	store(t, s, "persona/test/value", value(0))
	done := make(chan struct{})
	var wg sync.WaitGroup
	for _, reader := range []Blobs{s, second} {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if got, err := reader.Load(t.Context(), "persona/test/value"); err != nil || len(got) != 4000 {
					t.Errorf("loaded %d bytes, %v", len(got), err)
				}
				if keys, err := reader.List(t.Context(), "persona", true); err != nil || len(keys) < 2 || len(keys) > 4 {
					t.Errorf("listed %q, %v", keys, err)
				}
			}
		})
	}
	var writers sync.WaitGroup
	for _, writer := range []Blobs{s, second} {
		writers.Go(func() {
			for i := range 50 {
				store(t, writer, "persona/test/value", value(i))
			}
		})
	}
	writers.Wait()
	close(done)
	wg.Wait()
}
