package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/caddyserver/certmagic"
)

const (
	lockPoll = 20 * time.Millisecond // how often a taken lock of ours is tried again
	lockLong = 3 * time.Second       // after which waiting for one is logged
)

var _ certmagic.TryLocker = (*Files)(nil)

// Lock takes the lock called name and blocks until it has it or ctx ends.
//
// Locks under "persona/" are the operating system's: it releases them when the
// process ends, however it ends, so none is ever left behind, and no two processes
// hold one. All others are certmagic's, which are files with a time in them: one that a
// crashed process left behind is taken over after 10 s, and then two may hold it.
// Nothing that the start of the program waits for may take one of those.
func (f *Files) Lock(ctx context.Context, name string) error {
	if !kernelLock(name) {
		return f.explainLock(name, f.FileStorage.Lock(ctx, name))
	}
	poll := time.NewTicker(lockPoll)
	defer poll.Stop()
	long := time.NewTimer(lockLong)
	defer long.Stop()
	for {
		taken, err := f.takeLock(ctx, name)
		if taken || err != nil {
			return err
		}
		select {
		case <-poll.C:
		case <-long.C:
			f.log.Warn().Str("lock", f.lockFile(name)).Str("hint", "another persona uses the same state_dir; if it hangs, end it: `fuser` with the name of the lock's file prints its process id").
				Msg("waiting for another process")
		case <-ctx.Done():
			return fmt.Errorf("locking %q: another process holds %s: %w", name, f.lockFile(name), ctx.Err())
		}
	}
}

// TryLock is Lock, but returns false where Lock would block.
func (f *Files) TryLock(ctx context.Context, name string) (bool, error) {
	if kernelLock(name) {
		return f.takeLock(ctx, name)
	}
	taken, err := f.FileStorage.TryLock(ctx, name)
	return taken, f.explainLock(name, err)
}

// Unlock gives back the lock called name, which this process must hold.
func (f *Files) Unlock(ctx context.Context, name string) error {
	if !kernelLock(name) {
		return f.FileStorage.Unlock(ctx, name)
	}
	f.locking.Lock()
	file := f.held[name]
	delete(f.held, name)
	f.locking.Unlock()
	if file == nil {
		return fmt.Errorf("unlocking %q: it is not held", name)
	}
	if err := errors.Join(unlockFile(file), file.Close()); err != nil {
		return fmt.Errorf("unlocking %q: %w", name, err)
	}
	return nil
}

// serving is the lock of the program that serves from the directory.
const serving = ours + "/serve"

// ErrShared is the cause of a Claim that fails because another process serves from the
// same directory.
var ErrShared = errors.New("another persona serves from this state_dir")

// Claim takes the lock of a program that serves, without waiting for it. Two programs
// may serve from one directory, as they do for a moment in a rolling restart: the lock
// only lets the second one know, by an error that wraps ErrShared and has a hint. It
// ends with Release or with the process. Where there are no locks that end with the
// process, Claim does nothing.
func (f *Files) Claim(ctx context.Context) error {
	if !hasLocks {
		return nil
	}
	taken, err := f.takeLock(ctx, serving)
	if err != nil || taken {
		return err
	}
	return &Error{Op: "claiming", Path: f.Path, Err: ErrShared, fix: fmt.Sprintf(
		"stop one of them, or give each its own: each counts failed sign-ins and used assertions for itself; `fuser %s` prints the process id of the other", Quote(f.lockFile(serving)))}
}

// Release gives back what Claim took, if it did.
func (f *Files) Release(ctx context.Context) error {
	f.locking.Lock()
	claimed := f.held[serving] != nil
	f.locking.Unlock()
	if !claimed {
		return nil
	}
	return f.Unlock(ctx, serving)
}

// takeLock takes a lock of ours if it is free. Its file is never removed: a process
// that is about to lock a removed file would not exclude others.
func (f *Files) takeLock(ctx context.Context, name string) (bool, error) {
	if err := f.admit(ctx, name); err != nil {
		return false, fmt.Errorf("locking %q: %w", name, err)
	}
	path := f.lockFile(name)
	if err := f.makeDirs(filepath.Dir(path)); err != nil {
		return false, f.explain("locking", name, path, err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false, f.explain("locking", name, path, err)
	}
	taken, err := lockFile(file)
	if !taken || err != nil {
		_ = file.Close() // nothing was written
		return false, f.explainNoLocks(path, err)
	}
	f.locking.Lock()
	f.held[name] = file
	f.locking.Unlock()
	return true, nil
}

// lockFile is the file of a lock of ours. It lies beside certmagic's, and not
// where values are listed.
func (f *Files) lockFile(name string) string {
	return filepath.Join(f.Path, "locks", filepath.FromSlash(name)+".flock")
}

func (f *Files) explainNoLocks(path string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: "locking", Path: path, Err: err, fix: "put state_dir on a file system that has locks, such as a local disk"}
}

// explainLock is for certmagic's locks; see explain.
func (f *Files) explainLock(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("locking %q: %w", name, err)
	}
	return fmt.Errorf("locking %q: %w (hint: see that %s is writable and has room; when no other persona uses it, remove the files in %s)",
		name, err, f.Path, filepath.Join(f.Path, "locks"))
}

// kernelLock reports whether the lock called name is the operating system's. Where
// there are none that end with the process, certmagic's are used.
func kernelLock(name string) bool { return hasLocks && secret(name) }
