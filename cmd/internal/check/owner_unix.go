//go:build unix

package check

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// asWhom says for whom a folder is writable, when that is not the user that it
// belongs to: root may write everywhere, and proves nothing.
func asWhom(info fs.FileInfo) string {
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(owner.Uid) == os.Geteuid() {
		return ""
	}
	return fmt.Sprintf(" for the user %d, who runs this check; it belongs to the user %d", os.Geteuid(), owner.Uid)
}
