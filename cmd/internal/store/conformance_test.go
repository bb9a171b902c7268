//go:build unix

package store_test

import (
	"testing"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/cmd/internal/store"
	"persona-sidecar/cmd/internal/store/storetest"
	"persona-sidecar/idp/memory"
)

// twice opens a new directory twice, as two processes do.
func twice(t *testing.T, now func() time.Time) (first, second *store.Files) {
	t.Helper()
	dir := t.TempDir()
	for _, f := range []**store.Files{&first, &second} {
		var err error
		if *f, err = store.OpenFiles(dir, now, zerolog.Nop()); err != nil {
			t.Fatal(err)
		}
	}
	return first, second
}

func TestFilesConform(t *testing.T) {
	t.Parallel()
	storetest.RunBlobs(t, func(t *testing.T) (storetest.Blobs, storetest.Blobs) {
		first, second := twice(t, time.Now)
		return first, second
	})
	storetest.RunExpiring(t, func(t *testing.T, now func() time.Time) (storetest.Expiring, storetest.Expiring) {
		first, second := twice(t, now)
		return first, second
	})
	storetest.RunCounters(t, func(t *testing.T, now func() time.Time) (storetest.Counters, storetest.Counters) {
		first, second := twice(t, now)
		return first, second
	})
}

func TestMemoryConforms(t *testing.T) {
	t.Parallel()
	storetest.RunBlobs(t, func(*testing.T) (storetest.Blobs, storetest.Blobs) {
		s := memory.New(memory.Config{Now: time.Now})
		return s, s
	})
	storetest.RunExpiring(t, func(_ *testing.T, now func() time.Time) (storetest.Expiring, storetest.Expiring) {
		s := memory.New(memory.Config{Now: now})
		return s, s
	})
	storetest.RunCounters(t, func(_ *testing.T, now func() time.Time) (storetest.Counters, storetest.Counters) {
		s := memory.New(memory.Config{Now: now})
		return s, s
	})
}
