//go:build unix

package socket

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// Listener returns a listener whose TCP connections read and write by Read and Write.
func Listener(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tcp, ok := accepted.(*net.TCPConn)
	if !ok {
		return accepted, nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return accepted, nil //nolint:nilerr // it works as it is
	}
	c := &conn{TCPConn: tcp, raw: raw}
	c.in.step, c.out.step = c.in.read, c.out.write
	return c, nil
}

// conn is a TCP connection. Deadlines, and all else, are those of package net.
type conn struct {
	*net.TCPConn
	raw     syscall.RawConn
	in, out direction
}

// direction is what is read or written at the moment.
type direction struct {
	mu   sync.Mutex // held by a call
	p    []byte
	n    int // bytes of p that are done
	err  error
	step func(fd uintptr) (done bool) // read or write, made once
}

func (d *direction) read(fd uintptr) bool {
	d.n, d.err = Read(int(fd), d.p)
	return !d.waits()
}

func (d *direction) write(fd uintptr) bool {
	for d.n < len(d.p) {
		var n int
		if n, d.err = Write(int(fd), d.p[d.n:]); d.err != nil {
			return !d.waits()
		}
		d.n += n
	}
	return true
}

// waits reports whether the call is to be made again when the socket is ready.
func (d *direction) waits() bool { return d.err == syscall.EAGAIN } //nolint:errorlint // as Read returns it

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	d := &c.in
	d.mu.Lock()
	defer d.mu.Unlock()
	d.p, d.n, d.err = p, 0, nil
	err := c.raw.Read(d.step)
	d.p = nil
	switch {
	case err != nil: // a deadline, or it is closed
	case d.err != nil:
		err = c.failed("read", d.err)
	case d.n == 0 && len(p) > 0:
		err = io.EOF
	}
	return d.n, err
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	d := &c.out
	d.mu.Lock()
	defer d.mu.Unlock()
	d.p, d.n, d.err = p, 0, nil
	err := c.raw.Write(d.step)
	d.p = nil
	if err == nil && d.err != nil {
		err = c.failed("write", d.err)
	}
	return d.n, err
}

func (c *conn) failed(call string, err error) error {
	return &net.OpError{Op: call, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(call, err)}
}
