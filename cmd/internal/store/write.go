package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// write puts value into the file called name, whole or not at all.
// certmagic.FileStorage syncs the file too, but not the directory, and the names
// of its temporary files show up in lists.
func (f *Files) write(name string, value []byte) (err error) {
	dir := filepath.Dir(name)
	if err := f.makeDirs(dir); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, temporary+"*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = file.Close()
			_ = os.Remove(file.Name())
		}
	}()
	if _, err := file.Write(value); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), name); err != nil {
		return err
	}
	return syncDir(dir)
}

// leftoverAge is when no process can still be writing a temporary file.
const leftoverAge = time.Hour

// removeLeftovers removes the temporary files that a crash has left behind: they hold
// parts of secrets, and take room. What cannot be read is not ours, such as the
// lost+found of a disk. Their age is by the system's clock, which also dated them.
func (f *Files) removeLeftovers() {
	root := f.Path + string(filepath.Separator) // followed when it is a link
	_ = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || !strings.HasPrefix(entry.Name(), temporary) {
			return nil
		}
		info, err := entry.Info()
		if err != nil || time.Since(info.ModTime()) < leftoverAge {
			return nil // gone meanwhile, or in use
		}
		switch err := os.Remove(name); {
		case err == nil:
			f.log.Info().Str("file", name).Msg("removed a temporary file of an interrupted write")
		case !errors.Is(err, fs.ErrNotExist):
			f.log.Warn().Err(err).Str("hint", fixOwner(f.Path)).Msg("a temporary file of an interrupted write cannot be removed")
		}
		return nil
	})
}

// makeDirs creates dir and what is missing above it, and syncs the directories that
// hold the new names.
func (f *Files) makeDirs(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for above := dir; above != f.Path && strings.HasPrefix(above, f.Path); {
		above = filepath.Dir(above)
		if err := syncDir(above); err != nil {
			return err
		}
	}
	return nil
}

// syncDir makes the names in dir durable, where the system can sync a directory.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("syncing the directory: %w", err)
	}
	return nil
}
