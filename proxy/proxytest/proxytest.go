// Package proxytest holds what the tests of proxy and the packages below it share.
package proxytest

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// Patience bounds every wait. No test waits that long unless it fails.
const Patience = 30 * time.Second

// Log is a log that a test reads while it is written. The zero value is ready.
type Log struct {
	mu      sync.Mutex
	text    bytes.Buffer
	read    int           // bytes that Next has passed
	written chan struct{} // closed by the next write; nil: nothing waits
}

// Logger returns a logger that writes all levels to the log.
func (l *Log) Logger() zerolog.Logger { return zerolog.New(l).Level(zerolog.TraceLevel) }

// Write appends to the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.written != nil {
		close(l.written)
		l.written = nil
	}
	return l.text.Write(p)
}

// String returns everything written so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Next waits for the next line with a message and returns its fields. Lines before
// it are passed.
func (l *Log) Next(t testing.TB, message string) map[string]any {
	t.Helper()
	deadline := time.After(Patience)
	for {
		line, written := l.next()
		switch {
		case line != nil && line["message"] == message:
			return line
		case line != nil:
			continue
		}
		select {
		case <-written:
		case <-deadline:
			t.Fatalf("no line %q in the log:\n%s", message, l.String())
		}
	}
}

// next returns the next line, or a channel that is closed by the next write.
func (l *Log) next() (map[string]any, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rest := l.text.Bytes()[l.read:]
	if i := bytes.IndexByte(rest, '\n'); i >= 0 {
		l.read += i + 1
		line := map[string]any{}
		_ = json.Unmarshal(rest[:i], &line) // a line of another form has no message
		return line, nil
	}
	if l.written == nil {
		l.written = make(chan struct{})
	}
	return nil, l.written
}

// Listen opens a port of the loopback interface until the test ends.
func Listen(t testing.TB) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

// Server is an http.Server, or one of ours.
type Server interface {
	Serve(l net.Listener) error
	Close() error
}

// Serve runs a server, with TLS if it has a configuration for it, until the test
// ends. It returns the address.
func Serve(t testing.TB, server Server) string {
	t.Helper()
	listener := Listen(t)
	serve := server.Serve
	if server, ok := server.(*http.Server); ok {
		if server.ErrorLog == nil {
			server.ErrorLog = log.New(io.Discard, "", 0)
		}
		if server.TLSConfig != nil {
			serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
		}
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = serve(listener) })
	t.Cleanup(func() {
		server.Close()
		serving.Wait()
	})
	return listener.Addr().String()
}

// Certificate returns a certificate for example.com and 127.0.0.1, and the roots
// that verify it.
func Certificate() (tls.Certificate, *x509.CertPool) {
	server := httptest.NewTLSServer(http.NotFoundHandler()) // makes one
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return server.TLS.Certificates[0], roots
}

// Refused returns an address of the loopback interface that refuses connections. Its
// port is bound and not listened on, so that no other test is handed it.
func Refused(t testing.TB) string {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(socket) })
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", bound.(*syscall.SockaddrInet4).Port)
}
