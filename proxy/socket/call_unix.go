//go:build unix && (!linux || race)

package socket

import (
	"errors"
	"syscall"
)

// Read reads from a socket that does not block, as it does on Linux. The race detector
// learns from ordinary system calls what happens before what.
func Read(fd int, p []byte) (n int, err error) {
	for {
		if n, err = syscall.Read(fd, p); !errors.Is(err, syscall.EINTR) {
			return max(n, 0), err
		}
	}
}

// Write writes to a socket that does not block, as Read reads.
func Write(fd int, p []byte) (n int, err error) {
	for {
		if n, err = syscall.Write(fd, p); !errors.Is(err, syscall.EINTR) {
			return max(n, 0), err
		}
	}
}
