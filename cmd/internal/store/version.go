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
const version = 1

const versionKey = ours + "/version"

// checkVersion reads the layout's version and writes it into a new directory.
func (f *Files) checkVersion(ctx context.Context) error {
	text, err := f.Load(ctx, versionKey)
	if errors.Is(err, fs.ErrNotExist) {
		return f.Store(ctx, versionKey, []byte(strconv.Itoa(version)+"\n"))
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
	return nil
}
