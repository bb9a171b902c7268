package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// owner is the user that will run persona. It alone can read what setup writes
// for it.
type owner struct {
	name string // as it was typed
	uid  int
	gid  int // -1: whatever the group of the file is
}

// parseOwner reads USER or USER:GROUP, each a name or a number. A number need
// not be known to this machine: containers have users that nobody else has.
func parseOwner(text string) (owner, error) {
	name, group, hasGroup := strings.Cut(text, ":")
	o := owner{name: text, gid: -1}
	found, err := user.Lookup(name)
	if number, isNumber := parseID(name); isNumber {
		o.uid = number
		found, err = user.LookupId(name)
	} else if err != nil {
		return owner{}, fmt.Errorf("there is no user %q on this machine (make it first: useradd --system --user-group --shell /usr/sbin/nologin persona; or write a number)", name)
	}
	if err == nil {
		o.uid, _ = parseID(found.Uid)
		o.gid, _ = parseID(found.Gid)
	}
	if !hasGroup {
		return o, nil
	}
	if number, isNumber := parseID(group); isNumber {
		o.gid = number
		return o, nil
	}
	known, err := user.LookupGroup(group)
	if err != nil {
		return owner{}, fmt.Errorf("there is no group %q on this machine (make it first, or write a number)", group)
	}
	o.gid, _ = parseID(known.Gid)
	return o, nil
}

func parseID(text string) (int, bool) {
	n, err := strconv.ParseUint(text, 10, 31)
	return int(n), err == nil && strconv.FormatUint(n, 10) == text
}

// check looks for what would keep the owner from what is about to be written:
// nothing has been written yet.
func (o *owner) check(a *answers) error {
	if o == nil {
		return nil
	}
	if me := os.Geteuid(); me != 0 && me != o.uid {
		return wrong("only root can give files to "+o.name, "run setup as root, or leave -owner out and run it as that user")
	}
	for _, path := range []string{a.Out, a.stateDir()} {
		if folder := o.barredFrom(filepath.Dir(path)); folder != "" {
			return wrong(fmt.Sprintf("%s could not reach %s: it may not enter %s", o.name, path, folder),
				"choose another place, with -out or -state-dir, or let it in: chmod o+x "+folder)
		}
	}
	return o.checkStateDir(a.stateDir())
}

// checkStateDir refuses a folder of somebody else that has something in it, or
// that a link leads to: that could be anything, so it is not given away.
func (o *owner) checkStateDir(folder string) error {
	info, err := os.Stat(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at the state directory: %w", err)
	}
	if !info.IsDir() {
		return wrong("-state-dir: "+folder+" is a file", "name a folder")
	}
	if uid, _ := ownerOf(info); uid == o.uid {
		return nil
	}
	if link, err := os.Lstat(folder); err != nil || link.Mode()&fs.ModeSymlink != 0 {
		return wrong(fmt.Sprintf("-state-dir: %s is a link to a folder that is not %s's", folder, o.name), "name that folder itself")
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("looking at the state directory: %w", err)
	}
	if len(entries) > 0 {
		return wrong(fmt.Sprintf("-state-dir: %s is not %s's and not empty", folder, o.name),
			fmt.Sprintf("if it holds persona's keys: chown -R %s %s; else name another", o.name, folder))
	}
	return nil
}

// barredFrom returns the first folder on the way to path that the owner may not
// enter, "" for none. Folders that do not exist yet are made so that it may.
func (o *owner) barredFrom(path string) string {
	for _, folder := range ancestors(path) {
		info, err := os.Stat(folder)
		if err != nil {
			return ""
		}
		if !o.mayEnter(info) {
			return folder
		}
	}
	return ""
}

// ancestors returns the folders from the root to path, which is absolute.
func ancestors(path string) []string {
	if parent := filepath.Dir(path); parent != path {
		return append(ancestors(parent), path)
	}
	return []string{path}
}

// mayRead says whether the owner can read a file. A file that is not there yet
// can be made so that it may.
func (o *owner) mayRead(path string) bool {
	if o == nil || o.barredFrom(filepath.Dir(path)) != "" {
		return o == nil
	}
	info, err := os.Stat(path)
	return err != nil || o.may(info, 0o4)
}

func (o *owner) mayEnter(info fs.FileInfo) bool { return o.may(info, 0o1) }

// may looks at the bits of a mode as the kernel does: right is 4 to read, 1 to
// enter. Further groups of the owner are not looked at.
func (o *owner) may(info fs.FileInfo, right fs.FileMode) bool {
	uid, gid := ownerOf(info)
	switch {
	case o.uid == 0:
		return true
	case uid == o.uid:
		return info.Mode().Perm()&(right<<6) != 0
	case gid == o.gid:
		return info.Mode().Perm()&(right<<3) != 0
	}
	return info.Mode().Perm()&right != 0
}

func ownerOf(info fs.FileInfo) (uid, gid int) {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid), int(stat.Gid)
	}
	return os.Geteuid(), os.Getegid()
}
