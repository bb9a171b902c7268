package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// version is the layout of what lies under "persona/". A program refuses a newer
// one, because it could not know what it would break.
//
// 1: keys as PEM files beside an index; 2: keys in keysets.
const version = 2

const versionKey = ours + "/version"

// checkVersion reads the layout's version. A directory without one is new, or holds
// nothing of ours yet.
func (f *Files) checkVersion(ctx context.Context) error {
	text, err := f.Load(ctx, versionKey)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	found, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || found < 1 {
		return f.wrongVersion(errors.New("not a version number"), fmt.Sprintf("restore the file, its content is the line %d", version))
	}
	if found > version {
		return f.wrongVersion(fmt.Errorf("written by a newer persona, layout %d, this one reads %d", found, version),
			"run the newer one, or use another state_dir")
	}
	if found < version {
		return f.wrongVersion(fmt.Errorf("written by an older persona, layout %d, this one reads %d", found, version),
			"run the older one, or use another state_dir: it gets new keys, certificates already issued stop verifying, and everyone has to sign in again")
	}
	f.versioned.Store(true)
	return nil
}

func (f *Files) wrongVersion(err error, fix string) error {
	return &Error{Op: "reading", Path: f.Filename(versionKey), Err: err, fix: fix}
}

// writeVersion comes before the first of our values.
func (f *Files) writeVersion() error {
	if f.versioned.Load() {
		return nil
	}
	if err := f.write(f.Filename(versionKey), []byte(strconv.Itoa(version)+"\n")); err != nil {
		return err
	}
	f.versioned.Store(true)
	return nil
}
