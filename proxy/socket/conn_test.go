//go:build unix

package socket_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"persona-sidecar/proxy/proxytest"
	"persona-sidecar/proxy/socket"
)

// pair returns both ends of a connection: ours, and that of a client of package net.
func pair(t *testing.T) (ours net.Conn, client *net.TCPConn) {
	t.Helper()
	l := socket.Listener(proxytest.Listen(t))
	dialled, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close(); accepted.Close() })
	for _, c := range []net.Conn{dialled, accepted} {
		c.SetDeadline(time.Now().Add(proxytest.Patience))
	}
	return accepted, dialled.(*net.TCPConn)
}

// TestBothDirectionsAtOnce: more than the system keeps goes both ways at the same time, whole
// and in order, up to an end of each direction.
func TestBothDirectionsAtOnce(t *testing.T) {
	t.Parallel()
	ours, client := pair(t)
	data := make([]byte, 8<<20)
	rand.Read(data)
	done := make(chan error, 2)
	send := func(c net.Conn) {
		n, err := c.Write(data)
		if err == nil && n != len(data) {
			err = io.ErrShortWrite
		}
		done <- errors.Join(err, c.(interface{ CloseWrite() error }).CloseWrite())
	}
	receive := func(c net.Conn) {
		if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d of %d bytes, %v", len(got), len(data), err)
		}
	}
	go send(ours)
	go send(client)
	go func() {
		receive(struct{ net.Conn }{client})
		done <- nil
	}()
	receive(struct{ net.Conn }{ours})
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestErrors: what ends a read or a write is told as package net tells it.
func TestErrors(t *testing.T) {
	t.Parallel()
	var p [1]byte
	full := make([]byte, 64<<20)
	for name, test := range map[string]struct {
		meet func(ours net.Conn, client *net.TCPConn) error
		want error
	}{
		"reading behind the end": {func(ours net.Conn, client *net.TCPConn) error {
			client.CloseWrite()
			_, err := ours.Read(p[:])
			return err
		}, io.EOF},
		"reading nothing": {func(ours net.Conn, _ *net.TCPConn) error {
			_, err := ours.Read(nil)
			return err
		}, nil},
		"a read that waits for too long": {func(ours net.Conn, _ *net.TCPConn) error {
			ours.SetReadDeadline(time.Now().Add(time.Millisecond))
			_, err := ours.Read(p[:])
			return err
		}, os.ErrDeadlineExceeded},
		"a write that waits for too long": {func(ours net.Conn, _ *net.TCPConn) error {
			ours.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
			n, err := ours.Write(full)
			if n == 0 || n == len(full) {
				t.Errorf("%d bytes were written", n)
			}
			return err
		}, os.ErrDeadlineExceeded},
		"closing under a read": {func(ours net.Conn, _ *net.TCPConn) error {
			failed := make(chan error)
			go func() {
				_, err := ours.Read(p[:])
				failed <- err
			}()
			ours.Close()
			return <-failed
		}, net.ErrClosed},
		"reading what was reset": {func(ours net.Conn, client *net.TCPConn) error {
			client.SetLinger(0)
			client.Close()
			_, err := ours.Read(p[:])
			return err
		}, syscall.ECONNRESET},
		"writing to what was reset": {func(ours net.Conn, client *net.TCPConn) error {
			client.SetLinger(0)
			client.Close()
			ours.Read(p[:])
			_, err := ours.Write(p[:])
			return err
		}, syscall.EPIPE},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ours, client := pair(t)
			err := test.meet(ours, client)
			if !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
			var told net.Error
			if timeout := errors.As(err, &told) && told.Timeout(); timeout != errors.Is(test.want, os.ErrDeadlineExceeded) {
				t.Errorf("%v is a timeout: %t", err, timeout)
			}
		})
	}
}
