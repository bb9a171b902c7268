package ldaptest

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
)

// Kind is a make of directory server.
type Kind string

// The makes that can be started.
const (
	Slapd   Kind = "slapd"
	DS389   Kind = "389-ds"
	SambaAD Kind = "Samba AD"
)

// Preset returns the name of the preset that fits the server.
func (k Kind) Preset() string {
	return map[Kind]string{Slapd: "openldap", DS389: "389ds", SambaAD: "activedirectory"}[k]
}

// Server is a running directory of any kind.
type Server struct {
	Kind Kind
	// BindDN and BindPassword are the service account, which may read
	// everything but passwords.
	BindDN, BindPassword string
	// BaseDN is the suffix.
	BaseDN string
	// RootsPEM is the CA that signed the server's certificate.
	RootsPEM []byte

	dir                  string
	rootDN, rootPassword string
	noTLS                bool
	port, tls            int
	process              *process
	launch               func() error // starts the process on the ports
	fatal                func(error)
}

// missing means that this machine cannot run a server.
type missing struct{ reason, hint string }

func (m *missing) Error() string { return m.reason + " (hint: " + m.hint + ")" }

// require skips a test whose server cannot run here, or fails it when the
// environment has CI=true; it fails the test for any other error.
func require(tb testing.TB, err error) {
	tb.Helper()
	var m *missing
	if errors.As(err, &m) && os.Getenv("CI") != "true" {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// Shared is a server that several tests of one binary use; the first of them
// starts it. TestMain calls Stop.
type Shared struct {
	// Start makes the server in an empty directory.
	Start func(dir string) (*Server, error)

	once   sync.Once
	dir    string
	server *Server
	err    error
}

// Server returns the running server. With -short it skips the test; where the
// server cannot run, too, or fails it when the environment has CI=true.
func (s *Shared) Server(tb testing.TB) *Server {
	tb.Helper()
	if testing.Short() {
		tb.Skip("needs a directory server")
	}
	s.once.Do(func() {
		if s.dir, s.err = os.MkdirTemp("", "ldaptest"); s.err == nil {
			s.server, s.err = s.Start(s.dir)
		}
	})
	require(tb, s.err)
	return s.server
}

// Stop ends the server, if one was started, and removes its files.
func (s *Shared) Stop() {
	if s.server != nil {
		s.server.Stop()
	}
	if s.dir != "" {
		os.RemoveAll(s.dir)
	}
}

// launchOnFreePorts tries again when another program took a port between our choice
// and the server's start.
func (s *Server) launchOnFreePorts() error {
	var err error
	for range 5 {
		if s.port, s.tls, err = freePorts(); err != nil {
			return err
		}
		if err = s.launch(); err == nil {
			return nil
		}
	}
	return err
}

func freePorts() (first, second int, err error) {
	a, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, 0, fmt.Errorf("choosing a port: %w", err)
	}
	defer a.Close()
	b, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, 0, fmt.Errorf("choosing a port: %w", err)
	}
	defer b.Close()
	return a.Addr().(*net.TCPAddr).Port, b.Addr().(*net.TCPAddr).Port, nil
}

// run starts a program of the server and waits until its port answers.
func (s *Server) run(program string, args ...string) error {
	p, err := startProcess(s.dir, false, program, args...)
	if err != nil {
		return err
	}
	if err := p.waitReady(s.port); err != nil {
		p.stop()
		return err
	}
	s.process = p
	return nil
}

// URL returns the address for clear text and StartTLS, ldap://127.0.0.1:port.
func (s *Server) URL() string { return "ldap://127.0.0.1:" + strconv.Itoa(s.port) }

// LDAPSURL returns the address for TLS, ldaps://127.0.0.1:port.
func (s *Server) LDAPSURL() string { return "ldaps://127.0.0.1:" + strconv.Itoa(s.tls) }

// Roots returns RootsPEM as a pool.
func (s *Server) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.RootsPEM)
	return pool
}

// Stop ends the server; connections break and the ports are closed. Stopping a
// stopped server does nothing.
func (s *Server) Stop() {
	if s.process != nil {
		s.process.stop()
		s.process = nil
	}
}

// Restart starts the stopped (or running) server again on the same ports with
// the same data.
func (s *Server) Restart() {
	s.Stop()
	if err := s.launch(); err != nil {
		s.fatal(fmt.Errorf("restarting %s: %w", s.Kind, err))
	}
}

// Freeze keeps the process from running without closing anything: the kernel
// still accepts connections and answers none.
func (s *Server) Freeze() { s.signal((*process).freeze) }

// Thaw lets a frozen server go on.
func (s *Server) Thaw() { s.signal((*process).thaw) }

func (s *Server) signal(send func(*process) error) {
	if s.process == nil {
		s.fatal(fmt.Errorf("%s is stopped", s.Kind))
		return
	}
	if err := send(s.process); err != nil {
		s.fatal(fmt.Errorf("signalling %s: %w", s.Kind, err))
	}
}
