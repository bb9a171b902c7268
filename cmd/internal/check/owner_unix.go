//go:build unix

package check

import (
	"io/fs"
	"os"
	"syscall"
)

// ownerOf returns whose a folder is, when it is not the user's who runs the
// check.
func ownerOf(info fs.FileInfo) (user int, another bool) {
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(owner.Uid) == os.Geteuid() {
		return 0, false
	}
	return int(owner.Uid), true
}
