//go:build unix

package pool

import "syscall"

// quiet makes a function that reports whether nothing has come on a socket: no byte
// and no end. It takes away what it finds, which does not matter: the connection is
// not used any more then.
func quiet(raw syscall.RawConn) func() bool {
	var p [1]byte
	none := false
	read := func(fd uintptr) bool {
		_, err := syscall.Read(int(fd), p[:]) // the socket does not block
		none = err == syscall.EAGAIN
		return true
	}
	return func() bool {
		none = false
		return raw.Read(read) == nil && none
	}
}
