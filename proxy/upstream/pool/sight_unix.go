//go:build unix

package pool

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"persona-sidecar/proxy/socket"
	"persona-sidecar/proxy/wire"
)

// sight looks at a socket.
type sight struct {
	raw   syscall.RawConn             // nil: it cannot look
	peek  func(fd uintptr) bool       // made once, as are read and ask
	quiet bool                        // what peek found
	read  func(fd uintptr) (got bool) // into a new buffer
	ask   func(fd uintptr) (got bool)

	unsent  []byte        // of what ask writes
	texts   *wire.Buffers // where ask gives it back
	buffers *wire.Buffers // for what is read
	buf     []byte
	n       int
	err     error
}

func sightOf(of net.Conn) *sight {
	s := new(sight)
	if conn, ok := of.(syscall.Conn); ok {
		s.raw, _ = conn.SyscallConn()
	}
	var p [1]byte
	s.peek = func(fd uintptr) bool {
		_, err := socket.Read(int(fd), p[:]) // the socket does not block
		s.quiet = errors.Is(err, syscall.EAGAIN)
		return true
	}
	s.read = func(fd uintptr) bool {
		s.buf = s.buffers.Get()
		if s.n, s.err = socket.Read(int(fd), s.buf); s.n > 0 {
			return true
		}
		s.buffers.Put(s.buf)
		s.buf = nil
		return !errors.Is(s.err, syscall.EAGAIN)
	}
	s.ask = func(fd uintptr) bool {
		if len(s.unsent) == 0 {
			return s.read(fd)
		}
		if s.peek(fd); !s.quiet {
			return true
		}
		n, err := socket.Write(int(fd), s.unsent)
		if n < len(s.unsent) {
			if s.unsent = s.unsent[n:]; !errors.Is(err, syscall.EAGAIN) {
				s.err = err
			}
			return true
		}
		s.texts.Put(s.unsent[:cap(s.unsent)])
		s.unsent = nil
		return false
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
	return s.got()
}

func (s *sight) got() (buf []byte, n int, err error) {
	buf, s.buf = s.buf, nil
	switch {
	case buf != nil:
		return buf, s.n, nil
	case s.err != nil:
		return nil, 0, os.NewSyscallError("read", s.err)
	}
	return nil, 0, io.EOF
}

// exchange looks whether nothing has come, writes, and waits for bytes as wait does. All
// is one operation, which is told of whatever comes after the look: so there is no need to
// try to read once more between writing and waiting. unsent is what the socket did not take
// at once; nothing was waited for then. text goes to texts as soon as all of it was written.
func (s *sight) exchange(text []byte, texts, buffers *wire.Buffers) (unsent, buf []byte, n int, err error) {
	s.unsent, s.texts, s.buffers, s.quiet, s.err = text, texts, buffers, false, nil
	err = s.raw.Read(s.ask)
	unsent, s.unsent = s.unsent, nil
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, nil, 0, err
	case !s.quiet:
		return text, nil, 0, ErrStale // also when it is closed
	case len(unsent) > 0 && s.err != nil:
		return unsent, nil, 0, os.NewSyscallError("write", s.err)
	case err != nil || len(unsent) > 0:
		return unsent, nil, 0, err
	}
	buf, n, err = s.got()
	return nil, buf, n, err
}
