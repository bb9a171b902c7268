package cli

import (
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
)

// memoryLimit returns how many bytes of memory the control groups of this process
// allow it, or 0 for as many as there are. Of nested groups the smallest limit
// counts, and of a group with two, the one at which the kernel begins to slow the
// program down. root is the root of the file system.
func memoryLimit(root fs.FS) int64 {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0 // another system than Linux
	}
	least := int64(math.MaxInt64)
	for line := range strings.Lines(string(groups)) {
		// hierarchy:controllers:path, see cgroups(7); version 2 names no controllers.
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		mount, files := "sys/fs/cgroup", []string{"memory.max", "memory.high"}
		switch {
		case strings.Contains(","+parts[1]+",", ",memory,"):
			mount, files = "sys/fs/cgroup/memory", []string{"memory.limit_in_bytes"}
		case parts[1] != "":
			continue
		}
		// In a container the path may be the one outside, and only its root is there.
		for group := path.Clean("/" + parts[2]); ; group = path.Dir(group) {
			for _, file := range files {
				text, err := fs.ReadFile(root, mount+path.Join(group, file))
				if err != nil {
					continue
				}
				// "max" is no number, and version 1 has no word for it but the largest multiple of a page.
				if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 && n < 1<<60 {
					least = min(least, n)
				}
			}
			if group == "/" {
				break
			}
		}
	}
	if least == math.MaxInt64 {
		return 0
	}
	return least
}
