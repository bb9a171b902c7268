package store_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// hinted returns the text of an error with its hint, as the command line prints it.
func hinted(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		text += " (hint: " + h.Hint() + ")"
	}
	return text
}

func noContext() context.Context { return context.Background() }

// write creates a file with a mode, whatever the umask, and returns its name.
func write(t *testing.T, name, text string, mode fs.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	mustChmod(t, name, mode)
	return name
}

func mustChmod(t *testing.T, name string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(name, mode); err != nil {
		t.Error(err)
	}
}

// publicDir creates a directory that other users can reach, unlike t.TempDir.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "persona")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
