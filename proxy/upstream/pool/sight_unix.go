//go:build unix

package pool

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"persona-sidecar/proxy/wire"
)

// sight looks at a socket.
type sight struct {
	raw   syscall.RawConn
	peek  func(fd uintptr) bool // made once, as is read
	quiet bool                  // what peek found

	read    func(fd uintptr) bool
	buffers *wire.Buffers
	buf     []byte
	n       int
	err     error
}

func sightOf(socket net.Conn) *sight {
	s := new(sight)
	if conn, ok := socket.(syscall.Conn); ok {
		s.raw, _ = conn.SyscallConn()
	}
	var p [1]byte
	s.peek = func(fd uintptr) bool {
		_, err := syscall.Read(int(fd), p[:]) // the socket does not block
		s.quiet = errors.Is(err, syscall.EAGAIN)
		return true
	}
	s.read = func(fd uintptr) bool {
		s.buf = s.buffers.Get()
		if s.n, s.err = syscall.Read(int(fd), s.buf); s.n > 0 {
			return true
		}
		s.buffers.Put(s.buf)
		s.buf = nil
		return !errors.Is(s.err, syscall.EAGAIN) && !errors.Is(s.err, syscall.EINTR)
	}
	return s
}

// nothing reports whether nothing has come: no byte and no end. It takes away what it
// finds, which does not matter: the connection is not used any more then.
func (s *sight) nothing() bool {
	s.quiet = false
	return s.raw != nil && s.raw.Read(s.peek) == nil && s.quiet
}

// wait waits for bytes and reads them into a new buffer.
func (s *sight) wait(buffers *wire.Buffers) (buf []byte, n int, err error) {
	if s.raw == nil {
		return nil, 0, errors.ErrUnsupported
	}
	s.buffers = buffers
	if err := s.raw.Read(s.read); err != nil {
		return nil, 0, err
	}
	buf, s.buf = s.buf, nil
	switch {
	case buf != nil:
		return buf, s.n, nil
	case s.err != nil:
		return nil, 0, os.NewSyscallError("read", s.err)
	}
	return nil, 0, io.EOF
}
