package app_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"persona-sidecar/cmd/internal/apptest"
)

// TestFullDiskWhileStoringACertificate lets the disk fill up after some of the blocks that the first
// certificate, its key and the account need. Nothing half-written is ever served or in the way: with
// room the next start has its certificate.
func TestFullDiskWhileStoringACertificate(t *testing.T) {
	t.Parallel()
	var faults atomic.Int32
	t.Run("blocks", func(t *testing.T) {
		// The note of the order, the check of the storage, the account's key, the
		// certificate, what is kept beside it; with twelve nothing fails.
		for _, blocks := range []int{1, 4, 5, 6, 7, 12} {
			t.Run(strconv.Itoa(blocks), func(t *testing.T) {
				t.Parallel()
				if failed := fillWhileStoring(t, blocks); failed {
					faults.Add(1)
				} else if blocks < 5 {
					t.Error("a certificate was stored where there is no room")
				}
			})
		}
	})
	if got := faults.Load(); !t.Failed() && got != 0 && (got < 4 || got > 5) {
		t.Errorf("%d faults", got)
	}
}

// fillWhileStoring reports whether the certificate could not be stored on a disk of some blocks of 4 KiB.
func fillWhileStoring(t *testing.T, blocks int) (failed bool) {
	name := fmt.Sprintf("fulldisk%d.test", blocks)
	folder := t.TempDir()
	state := filepath.Join(folder, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", state, "tmpfs", 0, fmt.Sprintf("mode=700,size=%dk", 4*blocks)); err != nil {
		t.Skipf("mounting a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(state, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	yaml, pebble := acmeYAML(t, folder, name)
	p := start(t, folder, yaml)
	client := p.client(pebble.IssuerRoots())
	redirects := false
	apptest.Eventually(t, "an attempt ends", func() bool {
		status, _ := get(t, client, "http://"+name+"/")
		redirects = status == http.StatusPermanentRedirect
		return redirects || strings.Contains(p.log.String(), "no certificate obtained")
	})
	if redirects {
		servesTLS(t, p, pebble, name)
		return false
	}
	if !strings.Contains(p.log.String(), "make room on the disk that holds "+state) {
		t.Error("no hint was logged")
	}
	if status, body := get(t, client, "http://"+name+"/"); status != http.StatusOK || !strings.HasPrefix(body, "website ") {
		t.Errorf("the website answers %d %s", status, body)
	}
	expectNothingHalf(t, state)
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}

	if err := syscall.Mount("tmpfs", state, "tmpfs", syscall.MS_REMOUNT, "size=1m"); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(state, "persona", "orders")); err != nil { // else it waits
		t.Fatal(err)
	}
	servesTLS(t, start(t, folder, yaml), pebble, name)
	return true
}

// expectNothingHalf checks that each stored certificate is complete.
func expectNothingHalf(t *testing.T, state string) {
	t.Helper()
	err := filepath.WalkDir(state, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasPrefix(filepath.Base(path), ".tmp-") {
			t.Errorf("left behind: %s", path)
		}
		if filepath.Ext(path) != ".crt" {
			return err
		}
		_, pairErr := tls.LoadX509KeyPair(path, strings.TrimSuffix(path, ".crt")+".key")
		return errors.Join(err, pairErr)
	})
	if err != nil {
		t.Error(err)
	}
}
