package cli_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"persona-sidecar/cmd/internal/apptest"
)

// disk mounts a disk of its own on a folder that it makes.
func disk(t *testing.T, folder string, flags uintptr, options string) {
	t.Helper()
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", folder, "tmpfs", flags, options); err != nil {
		t.Skipf("mounting a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

func TestReadOnlyState(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	world(t, folder, deadDirectory, "example.test")
	state := filepath.Join(folder, "state")
	disk(t, state, syscall.MS_RDONLY, "")
	code, said := run(t, persona(t, folder, "serve", "-config", "persona.yaml"))
	if code != 1 || !strings.Contains(said, "(hint: mount "+state+" writable)") {
		t.Errorf("it exited with %d and said\n%s", code, said)
	}
}

// TestFullDisk: on a disk without room the website is served and the identity paths say
// that they are not ready; nothing half-written stays, and once there is room the keys
// are made without a restart.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	world(t, folder, deadDirectory, "example.test")
	state := filepath.Join(folder, "state")
	disk(t, state, 0, "size=8k") // two blocks: a keyset fits, and nothing more
	p := serve(t, folder)
	p.ready(t)
	apptest.Eventually(t, "the disk is found full", func() bool {
		return strings.Contains(p.log.String(), `"hint":"make room on the disk that holds `+state)
	})
	if got := p.get(t, "example.test", "/"); got.status != http.StatusOK || got.body != "website example.test" {
		t.Errorf("the website answers %d %s", got.status, got.body)
	}
	if got := p.get(t, "example.test", "/.well-known/browserid"); got.status != http.StatusServiceUnavailable {
		t.Errorf("the document without a key: %d %s", got.status, got.body)
	}
	for name := range files(t, state) {
		if strings.Contains(name, ".tmp-") {
			t.Errorf("left behind: %s", name)
		}
	}
	if err := syscall.Mount("tmpfs", state, "tmpfs", syscall.MS_REMOUNT, "size=1m"); err != nil {
		t.Fatal(err)
	}
	published := p.document(t, "example.test")
	p.terminate(t)
	p = serve(t, folder)
	p.ready(t)
	if again := p.document(t, "example.test"); again != published {
		t.Errorf("after a restart another key is published:\n%s\n%s", published, again)
	}
}
