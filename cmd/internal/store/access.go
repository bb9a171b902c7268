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
)

// makeStateDir creates dir when it is missing.
func makeStateDir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return fmt.Errorf("opening the state directory: %s is a file (hint: name a directory)", dir)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("opening the state directory: %w (hint: %s)", err, cureOwner(dir))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("creating the state directory: %w (hint: %s)", err, cureMissing(dir))
	}
	return nil
}

// checkWritable tries to create a file in the directory and in those of its
// sub-directories that are written later. A program once started as another user
// leaves sub-directories that only that user may write. A full disk is a warning: what
// is there can still be served.
func (f *Files) checkWritable() error {
	for _, name := range []string{".", ours, "locks", "certificates", "acme", "ocsp"} {
		dir := filepath.Join(f.Path, name)
		if info, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
			continue
		}
		err := tryWrite(dir)
		if full(err) {
			f.log.Warn().Err(f.explain("writing into the state directory", dir, err)).Msg("new keys and certificates cannot be kept")
			return nil
		}
		if err != nil {
			return f.explain("writing into the state directory", dir, err)
		}
	}
	return nil
}

func tryWrite(dir string) error {
	file, err := os.CreateTemp(dir, temporary+"*")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// warnOpenDir warns of a state directory that others may write: they could
// replace what is in it. Some volumes are made so, hence no error.
func (f *Files) warnOpenDir() {
	info, err := os.Stat(f.Path)
	if err != nil || !hasModes() || info.Mode().Perm()&0o002 == 0 {
		return
	}
	f.log.Warn().Str("dir", f.Path).Str("mode", octal(info.Mode())).
		Msgf("everybody may write into the state directory (hint: chmod 0700 %s)", quote(f.Path))
}

// checkMode refuses a secret that everybody may read or write, and warns once of
// one that its group may.
func (f *Files) checkMode(file *os.File) error {
	info, err := file.Stat()
	if err != nil || !hasModes() || info.IsDir() {
		return err
	}
	mode := info.Mode()
	if mode.Perm()&0o007 != 0 {
		return fmt.Errorf("mode %s: others may read or change this secret (hint: chmod 0600 %s)", octal(mode), quote(file.Name()))
	}
	if mode.Perm()&0o070 == 0 {
		return nil
	}
	if _, before := f.warned.LoadOrStore(file.Name(), struct{}{}); !before {
		f.log.Warn().Str("file", file.Name()).Str("mode", octal(mode)).
			Msgf("the group may read or change this secret (hint: chmod 0600 %s)", quote(file.Name()))
	}
	return nil
}

// explain wraps err with what was being done to the file or directory called
// name, and with the command that mends it when there is one.
func (f *Files) explain(doing, name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s %s: %w (hint: %s)", doing, name, err, cureOwner(f.Path))
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s %s: %w (hint: mount %s writable)", doing, name, err, quote(f.Path))
	case full(err):
		return fmt.Errorf("%s %s: %w (hint: make room on the disk that holds %s)", doing, name, err, quote(f.Path))
	}
	return fmt.Errorf("%s %s: %w", doing, name, err)
}

func full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// cureMissing is the command that makes dir for the user of this process.
func cureMissing(dir string) string {
	return fmt.Sprintf("as root: mkdir -p %s && chown %s %[1]s && chmod 0700 %[1]s", quote(dir), user())
}

// cureOwner is the command that gives dir, with all in it, to the user of this
// process. In a container it is for the host, whose name for dir cannot be known.
func cureOwner(dir string) string {
	if inContainer() {
		return fmt.Sprintf("on the host, as root, for the folder that is mounted at %s: chown -R %s FOLDER && chmod -R u+rwX FOLDER", quote(dir), user())
	}
	return fmt.Sprintf("as root: chown -R %s %s && chmod -R u+rwX %[2]s", user(), quote(dir))
}

// inContainer tells whether this process is the first of its machine, which a
// program like this is in a container alone. There are no commands to type in an
// image of nothing but the program.
func inContainer() bool { return os.Getpid() == 1 }

func user() string { return fmt.Sprintf("%d:%d", os.Geteuid(), os.Getegid()) }

func octal(mode fs.FileMode) string { return fmt.Sprintf("%04o", mode.Perm()) }

// hasModes tells whether the bits of a file's mode say who may read it.
func hasModes() bool { return runtime.GOOS != "windows" }

// quote writes name so that a shell takes it as one word.
func quote(name string) string {
	plain := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%,", r))
	}
	if name != "" && !strings.ContainsFunc(name, plain) {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}
