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
		return fmt.Errorf("reading %s: not a version number (hint: restore the file, its content is the line %d)",
			f.Filename(versionKey), version)
	}
	if found > version {
		return fmt.Errorf("reading %s: written by a newer persona, layout %d, this one knows %d (hint: run the newer one, or use another state_dir)",
			f.Filename(versionKey), found, version)
	}
	if found < version {
		return fmt.Errorf("reading %s: written by an older persona, layout %d, this one reads %d (hint: run the older one, or use another state_dir: a new one gets new keys, certificates already issued stop verifying, and everyone has to sign in again)",
			f.Filename(versionKey), found, version)
	}
	f.versioned.Store(true)
	return nil
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
