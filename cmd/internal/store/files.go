package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/rs/zerolog"
)

// Files keeps values as files in one directory: lasting ones, as a
// certmagic.Storage, values that expire, and counters.
//
// A value is either the old one or the new one, whole, also after a crash or on
// a full disk: it is written to a temporary file, which is synced and renamed, and
// the directory is synced. Files have mode 0600, directories 0700. Keys under
// "persona/" are secrets, so the mode of their files is checked when they are read.
//
// All methods may be called at once from many goroutines and processes.
type Files struct {
	certmagic.FileStorage

	now func() time.Time
	log zerolog.Logger

	versioned atomic.Bool // the version file is there

	changing sync.Mutex          // held while a value that expires is changed
	locking  sync.Mutex          // guards held
	held     map[string]*os.File // our locks that this process holds, by name
}

var _ certmagic.Storage = (*Files)(nil)

// ours is the first element of the keys that belong to this program; all others
// are certmagic's.
const ours = "persona"

// temporary begins the names of files that are not complete yet. They are never
// listed, and a crash may leave them behind.
const temporary = ".tmp-"

// OpenFiles opens the directory dir, usually the configuration's state_dir, and
// creates it with mode 0700 when it is missing. It leaves nothing in it, because
// another user may open it to look. Temporary files that a crash has left behind
// are removed once they are an hour old.
//
// Of the problems that Inspect reports the warnings are logged and the others are
// errors. All wrong modes are in one error, with one command that corrects them. A
// directory of another layout than this program writes is an error.
func OpenFiles(dir string, now func() time.Time, log zerolog.Logger) (*Files, error) {
	if dir == "" {
		return nil, errors.New("opening the state directory: no directory given")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the state directory: %w", err)
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, &Error{
				Op: "creating the state directory", Err: err,
				fix: fmt.Sprintf("as root: mkdir -p %s && chown %s %[1]s && chmod 0700 %[1]s", Quote(dir), user()),
			}
		}
	}
	for _, p := range inspectAccess(dir) {
		if p.Err != nil {
			return nil, &Error{Op: "opening the state directory", Path: p.Path, Err: p.Err, fix: p.Fix}
		}
		log.Warn().Str("path", p.Path).Str("hint", p.Fix).Msg(p.Text)
	}
	if err := refuseModes(dir, log); err != nil {
		return nil, err
	}
	f := &Files{FileStorage: certmagic.FileStorage{Path: dir}, now: now, log: log, held: map[string]*os.File{}}
	f.removeLeftovers()
	if err := f.checkVersion(context.Background()); err != nil {
		return nil, err
	}
	return f, nil
}

// Store saves value at key, replacing any earlier value. When it returns nil, the
// value outlives a loss of power. When it returns an error, readers find the
// old value or the new one, never a part.
func (f *Files) Store(ctx context.Context, key string, value []byte) error {
	if err := f.admit(ctx, key); err != nil {
		return fmt.Errorf("storing %q: %w", key, err)
	}
	if secret(key) {
		if err := f.writeVersion(); err != nil {
			return f.explain("storing", key, f.Filename(versionKey), err)
		}
	}
	if err := f.write(f.Filename(key), value); err != nil {
		return f.explain("storing", key, f.Filename(key), err)
	}
	return nil
}

// Load returns the value at key; the error wraps fs.ErrNotExist when there is none.
// A file under "persona/" that every user may read or write is refused.
func (f *Files) Load(ctx context.Context, key string) ([]byte, error) {
	if err := f.admit(ctx, key); err != nil {
		return nil, fmt.Errorf("loading %q: %w", key, err)
	}
	name := f.Filename(key)
	value, err := readFile(name, secret(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err // the ordinary answer; it names the file already
	}
	if err != nil {
		return nil, f.explain("loading", key, name, err)
	}
	return value, nil
}

// Delete removes key, or every key below it. A missing key is not an error.
func (f *Files) Delete(ctx context.Context, key string) error {
	if err := f.admit(ctx, key); err != nil {
		return fmt.Errorf("deleting %q: %w", key, err)
	}
	if err := os.RemoveAll(f.Filename(key)); err != nil {
		return f.explain("deleting", key, f.Filename(key), err)
	}
	return nil
}

// List returns the keys below prefix: all of them when recursive (directories
// included, as certmagic wants it), else only the next level. The error wraps
// fs.ErrNotExist when there is nothing called prefix. Keys that appear or vanish
// while it walks may or may not be in the list; they are never an error.
func (f *Files) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	root := f.Filename(prefix)
	var keys []string
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case name == root:
			return err
		case errors.Is(err, fs.ErrNotExist): // deleted or renamed meanwhile
			return nil
		case err != nil:
			return err
		case strings.HasPrefix(entry.Name(), temporary):
			return nil
		}
		below, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		keys = append(keys, path.Join(prefix, filepath.ToSlash(below)))
		if entry.IsDir() && !recursive {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", root, err)
	}
	return keys, nil
}

// readFile reads a file. One that holds a secret may not be exposed.
func readFile(name string, secret bool) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if secret && info.Mode().IsRegular() {
		if p := inspectSecret("", name, info.Mode()); p != nil && p.Err != nil {
			return nil, p.Err
		}
	}
	return io.ReadAll(file)
}

// admit refuses a key that would leave the directory or name the whole of it.
func (f *Files) admit(ctx context.Context, key string) error {
	if !fs.ValidPath(key) || key == "." {
		return errors.New("not a valid key")
	}
	return ctx.Err()
}

// secret reports whether the value at key belongs to this program.
func secret(key string) bool { return strings.HasPrefix(key, ours+"/") }
