package setup_test

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/setup"
)

// entries returns everything below a folder, with modes.
func entries(t *testing.T, folder string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == folder {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		b.WriteString(strings.TrimPrefix(path, folder+"/") + " " + info.Mode().String() + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestModes: the password is for the user alone, the configuration for the group
// too, and folders are made as they are needed.
func TestModes(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	typed := strings.Join(conversations()["behind a proxy"].lines(false), "\n") + "\n"
	if got := converse(t, folder, strings.ReplaceAll(typed, "IN/conf", "IN/deep/conf"), true); got.err != nil {
		t.Fatal(got.err)
	}
	want := "deep drwxr-xr-x\ndeep/conf drwxr-xr-x\ndeep/conf/ldap_password -rw-------\ndeep/conf/persona.yaml -rw-r-----\n"
	if got := entries(t, folder); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestNothingLeft: when a file cannot be written, or the configuration has a
// fault, no file and no folder is left.
func TestNothingLeft(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"a name of 300 bytes":          {[]string{"-out", "IN/new/conf/" + strings.Repeat("x", 300)}, "writing the configuration: "},
		"a file where a folder should": {[]string{"-out", "IN/file/persona.yaml"}, "writing the configuration: "},
		"two listeners on one address": {[]string{"-out", "IN/new/persona.yaml", "-listen-admin", ":443"}, "the flags have faults"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, "file"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			args := append([]string{"-domain", "example.com", "-authority", "id.example.org"}, test.args...)
			got := call(t, folder, setup.Env{Screen: io.Discard, Out: io.Discard}, args)
			if got.err == nil || !strings.HasPrefix(got.err.Error(), test.want) {
				t.Errorf("got %v, want %s", got.err, test.want)
			}
			if left := entries(t, folder); left != "file -rw-------\n" {
				t.Errorf("left behind:\n%s", left)
			}
		})
	}
}

// TestPasswordNotLeft: a typed password does not stay where the configuration
// that names it was refused.
func TestPasswordNotLeft(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	typed := strings.Join(conversations()["behind a proxy"].lines(false), "\n") + "\n"
	got := converse(t, folder, typed, true, "-listen-admin", "127.0.0.1:8081")
	if refusal := got.refusal(t); !strings.Contains(refusal, `-listen-admin: "127.0.0.1:8081" is the address of listen.http too`) {
		t.Errorf("got %s", refusal)
	}
	if left := entries(t, folder); left != "" {
		t.Errorf("left behind:\n%s", left)
	}
}
