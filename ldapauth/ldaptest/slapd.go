package ldaptest

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// Options describes a server. The zero value serves the sample company.
type Options struct {
	// LDIF are the entries, the suffix entry (BaseDN) first; empty: Company.
	LDIF string
	// RequireTLS refuses every operation on an unencrypted connection with
	// result 13 (confidentialityRequired).
	RequireTLS bool
	// NoTLS gives the server no certificate: no ldaps, StartTLS fails.
	NoTLS bool
	// Idle is after how long the server closes an idle connection, in whole
	// seconds; zero: never.
	Idle time.Duration
	// ReportLockout makes the server say that an account is locked, instead of
	// calling every password wrong (ppolicy_use_lockout).
	ReportLockout bool
}

// Server is a running slapd.
type Server struct {
	// BindDN and BindPassword are the service account, which may read
	// everything but passwords.
	BindDN, BindPassword string
	// BaseDN is the suffix.
	BaseDN string
	// RootsPEM is the CA that signed the server's certificate.
	RootsPEM []byte

	dir, program string
	opts         Options
	port, tls    int
	process      *process
	fatal        func(error)
}

// StartSlapd starts a server and stops it when the test ends. With -short it
// skips the test; where slapd is not installed, too, or fails it when the
// environment has CI=true.
func StartSlapd(tb testing.TB, opts Options) *Server {
	tb.Helper()
	if testing.Short() {
		tb.Skip("needs slapd")
	}
	if _, err := findSlapd(); err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatal(err)
		}
		tb.Skip(err)
	}
	s, err := Start(tb.TempDir(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	s.fatal = func(err error) { tb.Helper(); tb.Fatal(err) }
	tb.Cleanup(s.Stop)
	return s
}

// Start starts a server whose files lie in dir, an empty directory. The caller
// calls Stop. On a Server that was started this way, methods panic where those
// of StartSlapd fail the test.
func Start(dir string, opts Options) (*Server, error) {
	program, err := findSlapd()
	if err != nil {
		return nil, err
	}
	s := &Server{
		BindDN: serviceDN, BindPassword: servicePassword, BaseDN: BaseDN,
		dir: dir, program: program, opts: opts,
		fatal: func(err error) { panic(err) },
	}
	if s.RootsPEM, err = writeCertificates(dir); err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	return s, s.launchOnFreePorts()
}

// findSlapd looks where Debian puts it, which may not be in PATH.
func findSlapd() (string, error) {
	for _, name := range []string{"slapd", "/usr/sbin/slapd", "/usr/libexec/slapd"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("slapd is not installed (hint: apt-get install slapd)")
}

// load writes the configuration and fills the database.
func (s *Server) load() error {
	if s.opts.LDIF == "" {
		s.opts.LDIF = Company()
	}
	conf, err := s.configuration()
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(s.dir, "db"), 0o700); err != nil {
		return fmt.Errorf("making the database directory: %w", err)
	}
	files := map[string]string{"slapd.conf": conf, "example.schema": schema, "data.ldif": s.opts.LDIF}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("writing the server's files: %w", err)
		}
	}
	// slapd is slapadd when told so: the tool itself is not always in PATH.
	add := exec.Command(s.program, "-T", "add", "-q", "-f", "slapd.conf", "-b", BaseDN, "-l", "data.ldif") //nolint:gosec // a program we looked up
	add.Dir = s.dir
	if out, err := add.CombinedOutput(); err != nil {
		return fmt.Errorf("loading the entries: %w\n%s", err, out)
	}
	return nil
}

// launchOnFreePorts tries again when another program took a port between our choice
// and slapd's start.
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

func (s *Server) launch() error {
	urls := s.URL()
	if !s.opts.NoTLS {
		urls += " " + s.LDAPSURL()
	}
	p, err := startProcess(s.dir, s.program, "-h", urls, "-f", "slapd.conf", "-d", "0")
	if err != nil {
		return err
	}
	if err := p.waitReady("127.0.0.1:" + strconv.Itoa(s.port)); err != nil {
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
		s.fatal(fmt.Errorf("restarting slapd: %w", err))
	}
}

// Freeze keeps the process from running without closing anything: the kernel
// still accepts connections and answers none.
func (s *Server) Freeze() { s.signal((*process).freeze) }

// Thaw lets a frozen server go on.
func (s *Server) Thaw() { s.signal((*process).thaw) }

func (s *Server) signal(send func(*process) error) {
	if s.process == nil {
		s.fatal(errors.New("slapd is stopped"))
		return
	}
	if err := send(s.process); err != nil {
		s.fatal(fmt.Errorf("signalling slapd: %w", err))
	}
}
