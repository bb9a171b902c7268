//go:build unix

package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/cmd/internal/store"
)

// patience bounds what must come about soon. It is below the 10 s after which
// certmagic takes over a lock that was left behind.
const patience = 8 * time.Second

// holdLock is a process that dies while it holds the lock: it prints that it has it, and
// never releases it.
func holdLock(dir string) int {
	f, err := store.OpenFiles(dir, time.Now, zerolog.Nop())
	if err == nil {
		err = f.Lock(noContext(), "persona/keys")
	}
	fmt.Println("locked", err)
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// TestLockEndsWithACrash: while another process lives its lock holds, and when it is
// killed the lock is free at once.
func TestLockEndsWithACrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := open(t, dir)
	for range 3 {
		other := exec.CommandContext(t.Context(), "/proc/self/exe")
		if _, err := os.Stat(other.Path); err != nil {
			other.Path = os.Args[0]
		}
		other.Env = append(os.Environ(), "PERSONA_TEST_LOCK="+dir)
		stdin, err := other.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		defer stdin.Close()
		stdout, err := other.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Start(); err != nil {
			t.Fatal(err)
		}
		said := make([]byte, len("locked <nil>"))
		if _, err := io.ReadFull(stdout, said); err != nil || string(said) != "locked <nil>" {
			t.Fatalf("the other process said %q, %v", said, err)
		}
		if taken, err := f.TryLock(t.Context(), "persona/keys"); taken || err != nil {
			t.Errorf("TryLock beside a living holder: %v, %v", taken, err)
		}
		if err := other.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := f.Lock(ctx, "persona/keys"); err != nil {
			t.Fatalf("after the crash: %v", err)
		}
		if err := f.Unlock(ctx, "persona/keys"); err != nil {
			t.Error(err)
		}
		_ = other.Wait() // killed
	}
}

// TestWaitingForAHungProcessIsLogged: a process that holds the lock and does nothing, such
// as a stopped one, is looked for by the operator.
func TestWaitingForAHungProcessIsLogged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hung := open(t, dir)
	if err := hung.Lock(t.Context(), "persona/keys"); err != nil {
		t.Fatal(err)
	}
	logged := make(chan string, 10)
	waiting, err := store.OpenFiles(dir, time.Now, zerolog.New(lines(logged)))
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() { got <- waiting.Lock(t.Context(), "persona/keys") }()
	select {
	case line := <-logged:
		if !strings.Contains(line, filepath.Join(dir, "locks/persona/keys.flock")) || !strings.Contains(line, "hint") {
			t.Errorf("logged %s", line)
		}
	case <-time.After(patience):
		t.Error("nothing was logged")
	}
	if err := hung.Unlock(t.Context(), "persona/keys"); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// lines hands on what is logged.
type lines chan<- string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func TestGarbageLockHasAHint(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := open(t, dir)
	write(t, filepath.Join(dir, "locks/test.lock"), "\x00\x00\x00", 0o644)
	err := f.Lock(t.Context(), "test")
	if !strings.Contains(hinted(err), "remove the files in "+filepath.Join(dir, "locks")) {
		t.Errorf("got %v", err)
	}
}

// TestGarbageInALockOfOursIsIgnored: only the operating system's lock counts.
func TestGarbageInALockOfOursIsIgnored(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := open(t, dir)
	write(t, filepath.Join(dir, "locks/persona/keys.flock"), "\x00\x00\x00", 0o600)
	if taken, err := f.TryLock(t.Context(), "persona/keys"); !taken || err != nil {
		t.Errorf("TryLock: %v, %v", taken, err)
	}
}

func TestLockInAnUnusablePlaceIsAnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := open(t, dir)
	write(t, filepath.Join(dir, "locks"), "a file", 0o600)
	if err := f.Lock(t.Context(), "persona/keys"); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "locks/persona")) {
		t.Errorf("got %v", err)
	}
}

// TestLeftoversOfACrash: what an interrupted write left behind is never listed, goes
// when it is old, and is left alone as long as a process may be writing it.
func TestLeftoversOfACrash(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "state")
	link := state + "-link"
	if err := os.Symlink(state, link); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	files := map[string]struct {
		age  time.Duration
		stay bool
	}{
		"persona/keys/example.test/.tmp-1": {2 * time.Hour, false},
		"persona/keys/example.test/.tmp-2": {time.Minute, true},
		"persona/keys/.tmp-3":              {-24 * time.Hour, true},
		"certificates/x/.tmp-4":            {61 * time.Minute, false},
		".tmp-5":                           {24 * time.Hour, false},
		"persona/keys/old.json":            {1000 * time.Hour, true},
		".tmp-dir/value":                   {1000 * time.Hour, true},
	}
	for name, file := range files {
		path := write(t, filepath.Join(state, name), "half", 0o600)
		if err := os.Chtimes(path, now, now.Add(-file.age)); err != nil {
			t.Fatal(err)
		}
	}
	mustChmod(t, filepath.Join(state, "persona/keys/example.test"), 0o700)
	var log bytes.Buffer
	f, err := store.OpenFiles(link, time.Now, zerolog.New(&log))
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range files {
		_, err := os.Stat(filepath.Join(state, name))
		if file.stay && err != nil || !file.stay && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s, %v old: %v", name, file.age, err)
		}
		if removed := strings.Contains(log.String(), filepath.Join(link, name)); removed == file.stay {
			t.Errorf("%s: logged %v", name, removed)
		}
	}
	if keys, err := f.List(t.Context(), "persona/keys/example.test", true); err != nil || len(keys) != 0 {
		t.Errorf("listed %q, %v", keys, err)
	}
}
