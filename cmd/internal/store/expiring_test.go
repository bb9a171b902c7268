//go:build unix

package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"persona-sidecar/cmd/internal/store"
)

const expiringDir = "persona/expiring"

func set(t *testing.T, f *store.Files, key, value string, ttl time.Duration) {
	t.Helper()
	if err := f.Set(t.Context(), key, []byte(value), ttl); err != nil {
		t.Fatal(err)
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	var log bytes.Buffer
	f, err := store.OpenFiles(dir, func() time.Time { return now }, zerolog.New(&log))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Sweep(t.Context()); err != nil {
		t.Errorf("of nothing: %v", err)
	}
	set(t, f, "test/short", "one", time.Minute)
	set(t, f, "test/long", "two", time.Hour)
	if _, err := f.Count(t.Context(), "key", 3, time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := f.Store(t.Context(), "persona/test/value", []byte("1\nlasting")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, expiringDir, "test/damaged"), "", 0o600)
	left := func() (names []string) {
		err := filepath.WalkDir(filepath.Join(dir, "persona"), func(name string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				names = append(names, filepath.Base(name))
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		return names
	}
	for _, step := range []struct {
		pass time.Duration
		left int
	}{{time.Minute - 1, 6}, {1, 4}, {time.Hour, 3}} { // the version, the lasting and the damaged one stay
		now = now.Add(step.pass)
		if err := f.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
		if got := left(); len(got) != step.left {
			t.Errorf("after %v there are %q, want %d", step.pass, got, step.left)
		}
	}
	if !strings.Contains(log.String(), "damaged") {
		t.Errorf("logged %s", log.String())
	}
}

// TestDamagedExpiringValues: a damaged value is there, does not expire, and can be
// replaced.
func TestDamagedExpiringValues(t *testing.T) {
	t.Parallel()
	for _, damaged := range []string{"", "\x00\x00", "17953489200", "tomorrow\nvalue", "\nvalue", `{"until":"2026`} {
		dir := t.TempDir()
		f := open(t, dir)
		write(t, filepath.Join(dir, expiringDir, "test/value"), damaged, 0o600)
		if value, err := f.Get(t.Context(), "test/value"); err != nil || string(value) != damaged {
			t.Errorf("%q: Get = %q, %v", damaged, value, err)
		}
		if added, err := f.Add(t.Context(), "test/value", nil, time.Minute); added || err != nil {
			t.Errorf("%q: Add = %v, %v", damaged, added, err)
		}
		if keys, err := f.Keys(t.Context(), "test"); err != nil || len(keys) != 1 {
			t.Errorf("%q: Keys = %q, %v", damaged, keys, err)
		}
		set(t, f, "test/value", "whole", time.Minute)
		if value, err := f.Get(t.Context(), "test/value"); err != nil || string(value) != "whole" {
			t.Errorf("%q: replaced, Get = %q, %v", damaged, value, err)
		}
	}
}

// TestDamagedCounter: a counter that was cut short counts from 0.
func TestDamagedCounter(t *testing.T) {
	t.Parallel()
	for _, damaged := range []string{"", "x", "99999999999999\n1234567"} {
		dir := t.TempDir()
		f := open(t, dir)
		for range 2 {
			if wait, err := f.Count(t.Context(), "key", 1, time.Hour); wait != 0 || err != nil {
				t.Errorf("%q: %v, %v", damaged, wait, err)
			}
			files, err := filepath.Glob(filepath.Join(dir, expiringDir, "counters/*"))
			if err != nil || len(files) != 1 {
				t.Fatalf("found %q, %v", files, err)
			}
			write(t, files[0], damaged, 0o600)
		}
	}
}

func TestExposedExpiringValueIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := open(t, dir)
	set(t, f, "test/value", "secret", time.Minute)
	file := filepath.Join(dir, expiringDir, "test/value")
	mustChmod(t, file, 0o604)
	_, getErr := f.Get(t.Context(), "test/value")
	_, takeErr := f.Take(t.Context(), "test/value")
	_, addErr := f.Add(t.Context(), "test/value", nil, time.Minute)
	for name, err := range map[string]error{"Get": getErr, "Take": takeErr, "Add": addErr} {
		if text := hinted(err); !strings.Contains(text, "mode 0604") || !strings.HasSuffix(text, "(hint: chmod 0600 "+file+")") {
			t.Errorf("%s: %s", name, text)
		}
	}
	mustChmod(t, file, 0o600)
	if value, err := f.Take(t.Context(), "test/value"); err != nil || string(value) != "secret" {
		t.Errorf("Take = %q, %v", value, err)
	}
}

func TestExpiringValuesOutliveTheProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	set(t, open(t, dir), "test/value", "one", time.Hour)
	f := open(t, dir)
	if value, err := f.Get(t.Context(), "test/value"); err != nil || string(value) != "one" {
		t.Errorf("Get = %q, %v", value, err)
	}
	for name, want := range map[string]fs.FileMode{expiringDir: 0o700, expiringDir + "/test/value": 0o600} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestManyValues(t *testing.T) {
	t.Parallel()
	f := open(t, t.TempDir())
	var want []string
	for i := range 200 {
		key := fmt.Sprintf("test/%03d", i)
		want = append(want, key)
		set(t, f, key, key, time.Hour)
	}
	got, err := f.Keys(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := f.Get(t.Context(), "test/200"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Get: %v", err)
	}
}
