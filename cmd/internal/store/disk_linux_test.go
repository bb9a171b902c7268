package store_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/cmd/internal/store"
)

// smallDisk mounts a disk of its own with the options given.
func smallDisk(t *testing.T, options string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("mounting a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "size=64k")
	f := open(t, dir)
	if err := f.Store(t.Context(), "persona/test/value", []byte("old")); err != nil {
		t.Fatal(err)
	}
	err := f.Store(t.Context(), "persona/test/value", make([]byte, 1<<17))
	if !strings.Contains(hinted(err), "(hint: make room on the disk that holds "+dir+")") {
		t.Errorf("got %v", err)
	}
	if value, err := f.Load(t.Context(), "persona/test/value"); err != nil || string(value) != "old" {
		t.Errorf("the value is now %.20q, %v", value, err)
	}
	expectOnly(t, filepath.Join(dir, "persona/test"), "value")
}

// TestStartOnADiskWithoutRoom needs a disk on which no file can be created.
func TestStartOnADiskWithoutRoom(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "nr_inodes=2")
	write(t, filepath.Join(dir, "certificates"), "old", 0o600) // the last one that fits
	var log bytes.Buffer
	f, err := store.OpenFiles(dir, time.Now, zerolog.New(&log))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "make room on the disk that holds "+dir) {
		t.Errorf("logged %s", log.String())
	}
	if value, err := f.Load(t.Context(), "certificates"); err != nil || string(value) != "old" {
		t.Errorf("Load: %q, %v", value, err)
	}
	if err := f.Store(t.Context(), "persona/test/value", nil); !strings.Contains(hinted(err), "make room") {
		t.Errorf("Store: %v", err)
	}
}

// TestFullDiskAtEachStepOfCreatingKeys lets the disk fill up after each page, and each
// file, that the creation of keys writes. Nothing half-made is ever loaded, and once
// there is room the keys are created, without a restart.
func TestFullDiskAtEachStepOfCreatingKeys(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"size=%dk", "nr_inodes=%d"} {
		faults := 0
		for room := 1; ; room++ {
			limit := fmt.Sprintf(what, 4*room)
			if strings.HasPrefix(what, "nr_inodes") {
				limit = fmt.Sprintf(what, room)
			}
			dir := smallDisk(t, limit)
			f, err := store.OpenFiles(dir, time.Now, zerolog.Nop())
			if err != nil {
				t.Fatalf("%s: opening: %v", limit, err)
			}
			r := newRing(f)
			err = r.Ensure(t.Context(), wanted()...)
			if err == nil {
				break
			}
			faults++
			if !strings.Contains(hinted(err), "(hint: make room on the disk that holds "+dir+")") {
				t.Errorf("%s: the error has no hint: %v", limit, err)
			}
			expectSound(t, f, limit)
			if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=1m,nr_inodes=100"); err != nil {
				t.Fatal(err)
			}
			if err := r.Ensure(t.Context(), wanted()...); err != nil {
				t.Fatalf("%s: with room again: %v", limit, err)
			}
			expectSameRing(t, r, f, limit)
		}
		if faults < 2 { // at least one for each keyset
			t.Errorf("%s: only %d different faults", what, faults)
		}
	}
}

// expectSound checks that a program that starts now finds nothing wrong, and no
// half-written file.
func expectSound(t *testing.T, f *store.Files, when string) {
	t.Helper()
	if err := newRing(f).Load(t.Context()); err != nil {
		t.Errorf("%s: a start finds: %v", when, err)
	}
	err := filepath.WalkDir(f.Path, func(name string, entry os.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(entry.Name(), ".tmp-") {
			t.Errorf("%s: left behind: %s", when, name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
