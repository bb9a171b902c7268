//go:build unix

package servers

import (
	"errors"
	"syscall"
)

// alive reports whether an idle connection has not been closed by the server, as far as is known here, so that no
// password is sent on one that has. Nothing is due on an idle connection: what has come is the notice of its end.
func (c *conn) alive() bool {
	tcp, ok := c.raw.(syscall.Conn)
	if !ok || c.ldap.IsClosing() {
		return !ok
	}
	socket, err := tcp.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = socket.Control(func(fd uintptr) {
		var next [1]byte
		_, _, err := syscall.Recvfrom(int(fd), next[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = errors.Is(err, syscall.EAGAIN)
	})
	return err == nil && quiet
}
