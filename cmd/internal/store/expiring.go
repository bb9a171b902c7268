package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// expiringRoot is where values that expire are kept. The first line of each file is
// when, in Unix milliseconds; the value follows.
const expiringRoot = ours + "/expiring"

// changeLock is the store's lock for changes of values that expire.
const changeLock = ours + "/expiring"

// expiringValue is the content of a file. A damaged one does not expire and is a
// value as it is: its presence may be what counts, as with a sign-out.
type expiringValue struct {
	value []byte
	until time.Time // zero: damaged
}

func (v expiringValue) expired(now time.Time) bool {
	return !v.until.IsZero() && !now.Before(v.until)
}

// Add saves value at key for a time, unless there is a value already. It reports
// whether it did.
func (f *Files) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (added bool, err error) {
	err = f.change(ctx, "adding", key, func(name string) error {
		old, err := readExpiring(name)
		if err == nil && !old.expired(f.now()) {
			return nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		added = true
		return f.writeExpiring(name, value, ttl)
	})
	return added && err == nil, err
}

// Set saves value at key for a time, replacing any earlier value and its time.
func (f *Files) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return f.change(ctx, "setting", key, func(name string) error { return f.writeExpiring(name, value, ttl) })
}

// Get returns the value at key; the error wraps fs.ErrNotExist when there is none,
// or it has expired.
func (f *Files) Get(ctx context.Context, key string) ([]byte, error) {
	if err := f.admit(ctx, key); err != nil {
		return nil, fmt.Errorf("getting %q: %w", key, err)
	}
	name := f.expiringFile(key)
	v, err := readExpiring(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, err
	case err != nil:
		return nil, f.explain("getting", expiringRoot+"/"+key, name, err)
	case v.expired(f.now()):
		return nil, fmt.Errorf("getting %q: it has expired: %w", key, fs.ErrNotExist)
	}
	return v.value, nil
}

// Take is Get, and removes the value: of several callers, in all processes, one
// gets it.
func (f *Files) Take(ctx context.Context, key string) (value []byte, err error) {
	err = f.change(ctx, "taking", key, func(name string) error {
		v, err := readExpiring(name)
		if err != nil {
			return err
		}
		if err := os.Remove(name); err != nil {
			return err
		}
		if v.expired(f.now()) {
			return fmt.Errorf("it has expired: %w", fs.ErrNotExist)
		}
		value = v.value
		return syncDir(filepath.Dir(name))
	})
	if err != nil {
		return nil, err
	}
	return value, nil
}

// Keys returns the keys below prefix that have values which have not expired.
func (f *Files) Keys(ctx context.Context, prefix string) ([]string, error) {
	if err := f.admit(ctx, prefix); err != nil {
		return nil, fmt.Errorf("listing %q: %w", prefix, err)
	}
	var keys []string
	err := f.eachExpiring(ctx, prefix, func(key, name string) error {
		v, err := readExpiring(name)
		if err == nil && !v.expired(f.now()) {
			keys = append(keys, key)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing %q: %w", prefix, err)
	}
	slices.Sort(keys)
	return keys, nil
}

// Sweep deletes what has expired. Call it from time to time.
func (f *Files) Sweep(ctx context.Context) error {
	now := f.now()
	return f.eachExpiring(ctx, "", func(key, name string) error {
		v, err := readExpiring(name)
		if err != nil || !v.expired(now) {
			if err == nil && v.until.IsZero() {
				f.log.Warn().Str("path", name).Str("hint", "it may be deleted after 30 days").Msg("a value is damaged; it is kept")
			}
			return err
		}
		return f.change(ctx, "sweeping", key, func(name string) error { // it may have been replaced meanwhile
			if v, err := readExpiring(name); err != nil || !v.expired(now) {
				return err
			}
			return os.Remove(name)
		})
	})
}

// eachExpiring calls visit for each value below prefix ("": for all). A value that
// vanishes meanwhile is not an error.
func (f *Files) eachExpiring(ctx context.Context, prefix string, visit func(key, name string) error) error {
	root := f.Filename(expiringRoot)
	return filepath.WalkDir(filepath.Join(root, filepath.FromSlash(prefix)), func(name string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case entry.IsDir() || strings.HasPrefix(entry.Name(), temporary):
			return nil
		}
		below, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		key := filepath.ToSlash(below)
		if key == prefix {
			return nil
		}
		if err := visit(key, name); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

// change runs a change of the value at key alone among all processes.
func (f *Files) change(ctx context.Context, op, key string, do func(name string) error) (err error) {
	if err := f.admit(ctx, key); err != nil {
		return fmt.Errorf("%s %q: %w", op, key, err)
	}
	f.changing.Lock()
	defer f.changing.Unlock()
	if err := f.Lock(ctx, changeLock); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Unlock(context.WithoutCancel(ctx), changeLock)) }()
	name := f.expiringFile(key)
	err = do(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f.explain(op, expiringRoot+"/"+key, name, err)
	}
	return err
}

func (f *Files) expiringFile(key string) string { return f.Filename(expiringRoot + "/" + key) }

func readExpiring(name string) (expiringValue, error) {
	data, err := readFile(name, true)
	if err != nil {
		return expiringValue{}, err
	}
	line, value, ok := bytes.Cut(data, []byte("\n"))
	until, err := strconv.ParseInt(string(line), 10, 64)
	if !ok || err != nil {
		return expiringValue{value: data}, nil
	}
	return expiringValue{value: value, until: time.UnixMilli(until)}, nil
}

func (f *Files) writeExpiring(name string, value []byte, ttl time.Duration) error {
	if err := f.writeVersion(); err != nil {
		return err
	}
	line := strconv.AppendInt(nil, f.now().Add(ttl).UnixMilli(), 10)
	return f.write(name, slices.Concat(line, []byte("\n"), value))
}

// counterKey is where the events of a counter are kept: a value that expires, of 8
// bytes for each event, Unix nanoseconds, the oldest first.
func counterKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "counters/" + hex.EncodeToString(sum[:16])
}

// Count counts one event under key unless limit events lie within the window that
// ends now. It returns 0 when it counted, else how long it takes until there is
// room for one.
func (f *Files) Count(ctx context.Context, key string, limit int, window time.Duration) (wait time.Duration, err error) {
	err = f.changeCounter(ctx, key, window, func(events []int64) ([]int64, bool) {
		now := f.now().UnixNano()
		for len(events) > 0 && events[0] <= now-int64(window) {
			events = events[1:]
		}
		if len(events) >= limit {
			wait = time.Duration(events[len(events)-limit] + int64(window) - now)
			return events, false
		}
		return append(events, now), true
	})
	return wait, err
}

// Return takes back the newest event counted under key, if there is one.
func (f *Files) Return(ctx context.Context, key string) error {
	return f.changeCounter(ctx, key, 0, func(events []int64) ([]int64, bool) {
		return events[:max(0, len(events)-1)], len(events) > 0
	})
}

// Forget takes back all events counted under key.
func (f *Files) Forget(ctx context.Context, key string) error {
	return f.changeCounter(ctx, key, 0, func(events []int64) ([]int64, bool) { return nil, len(events) > 0 })
}

// changeCounter replaces the events of a counter, if change reports that it changed
// them. The counter expires after ttl, or when it did before if that is later. A
// damaged one counts from 0.
func (f *Files) changeCounter(ctx context.Context, key string, ttl time.Duration, change func([]int64) ([]int64, bool)) error {
	return f.change(ctx, "counting", counterKey(key), func(name string) error {
		old, err := readExpiring(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		var events []int64
		if !old.until.IsZero() {
			events = make([]int64, len(old.value)/8)
			for i := range events {
				events[i] = int64(binary.BigEndian.Uint64(old.value[8*i:]))
			}
		}
		events, changed := change(events)
		if !changed {
			return nil
		}
		if len(events) == 0 {
			return os.Remove(name)
		}
		data := make([]byte, 0, 8*len(events))
		for _, event := range events {
			data = binary.BigEndian.AppendUint64(data, uint64(event))
		}
		return f.writeExpiring(name, data, max(ttl, old.until.Sub(f.now())))
	})
}
