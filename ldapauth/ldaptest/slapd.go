package ldaptest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Options describes a slapd. The zero value serves the sample company.
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

// StartSlapd starts a server and stops it when the test ends. With -short it
// skips the test; where slapd is not installed, too, or fails it when the
// environment has CI=true.
func StartSlapd(tb testing.TB, opts Options) *Server {
	tb.Helper()
	if testing.Short() {
		tb.Skip("needs slapd")
	}
	s, err := Start(tb.TempDir(), opts)
	require(tb, err)
	s.fatal = func(err error) { tb.Helper(); tb.Fatal(err) }
	tb.Cleanup(s.Stop)
	return s
}

// Start starts a slapd whose files lie in dir, an empty directory. The caller
// calls Stop. On a Server that was started this way, methods panic where those
// of StartSlapd fail the test.
func Start(dir string, opts Options) (*Server, error) {
	program, err := lookUp("slapd", "slapd", "/usr/sbin/slapd", "/usr/libexec/slapd")
	if err != nil {
		return nil, err
	}
	s := &Server{
		Kind: Slapd, BindDN: serviceDN, BindPassword: servicePassword, BaseDN: BaseDN,
		dir: dir, rootDN: rootDN, rootPassword: rootPassword, noTLS: opts.NoTLS,
		fatal: func(err error) { panic(err) },
	}
	s.launch = func() error {
		urls := s.URL()
		if !s.noTLS {
			urls += " " + s.LDAPSURL()
		}
		return s.run(program, "-h", urls, "-f", "slapd.conf", "-d", "0")
	}
	if s.RootsPEM, err = writeCertificates(dir); err != nil {
		return nil, err
	}
	if err := opts.load(dir, program); err != nil {
		return nil, err
	}
	return s, s.launchOnFreePorts()
}

// lookUp finds a program of a Debian package where Debian puts it, which may
// not be in PATH.
func lookUp(debian string, names ...string) (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", &missing{filepath.Base(names[0]) + " is not installed", "apt-get install " + debian}
}

// load writes the configuration and fills the database.
func (o Options) load(dir, program string) error {
	if o.LDIF == "" {
		o.LDIF = Company()
	}
	conf, err := o.configuration()
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, "db"), 0o700); err != nil {
		return fmt.Errorf("making the database directory: %w", err)
	}
	files := map[string]string{"slapd.conf": conf, "example.schema": schema, "data.ldif": o.LDIF}
	if err := writeFiles(dir, files); err != nil {
		return err
	}
	// slapd is slapadd when told so: the tool itself is not always in PATH.
	return runToEnd(dir, program, "-T", "add", "-q", "-f", "slapd.conf", "-b", BaseDN, "-l", "data.ldif")
}

func writeFiles(dir string, files map[string]string) error {
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("writing the server's files: %w", err)
		}
	}
	return nil
}
