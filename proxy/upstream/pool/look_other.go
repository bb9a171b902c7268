//go:build !unix

package pool

import "syscall"

// quiet makes a function that never finds a socket quiet: where this cannot be seen,
// connections are used once.
func quiet(syscall.RawConn) func() bool {
	return func() bool { return false }
}
