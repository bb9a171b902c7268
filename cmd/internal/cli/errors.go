package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	checkreport "persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/config"
)

// failure is an error with what to do about it and how to exit.
type failure struct {
	problem string // what was being done or is wrong; may be "" with a cause
	cause   error  // may be nil
	hint    string
	detail  []string // further lines
	code    int
}

// Error returns the problem and its cause.
func (f *failure) Error() string {
	if f.cause == nil {
		return f.problem
	}
	return strings.TrimPrefix(f.problem+": "+f.cause.Error(), ": ")
}

func (f *failure) Unwrap() error { return f.cause }

// Hint returns what the operator can do: its own hint, or that of the cause.
func (f *failure) Hint() string {
	if hinted, ok := errors.AsType[hinter](f.cause); ok && f.hint == "" {
		return hinted.Hint()
	}
	return f.hint
}

// Detail returns the lines below the message: its own, or those of the cause.
func (f *failure) Detail() []string {
	if detailed, ok := errors.AsType[detailer](f.cause); ok && f.detail == nil {
		return detailed.Detail()
	}
	return f.detail
}

// hinter is an error that knows what the operator can do about it.
type hinter interface {
	error
	Hint() string
}

// detailer is an error with several lines.
type detailer interface {
	error
	Detail() []string
}

// wrong returns an error of usage or configuration.
func wrong(problem, hint string) error {
	return &failure{problem: problem, hint: hint, code: exitUsage}
}

// configPath returns the file that -config names, or the default one if it
// exists; "" for the environment alone.
func configPath(path string) string {
	if path != "" {
		return path
	}
	if _, err := os.Stat(config.DefaultPath); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return config.DefaultPath
}

// load reads the configuration that -config names, the default file if there is
// one, or the environment. Its errors are those of config.Load in the words of
// the command line.
func load(sh shell, path string) (*config.Config, error) {
	path = configPath(path)
	c, err := config.Load(path, sh.environ)
	if err == nil {
		return c, nil
	}
	f := &failure{cause: err, hint: "give the path of a file with -config", code: exitUsage}
	var faults config.Faults
	switch {
	case errors.As(err, &faults):
		f = &failure{problem: "the configuration has " + checkreport.Counted(len(faults), "fault"), hint: "fix the errors listed; nothing was started", code: exitUsage}
		for _, fault := range faults {
			f.detail = append(f.detail, fault.String())
		}
	case errors.Is(err, fs.ErrNotExist):
		f.problem, f.cause = "no file "+path, nil
		f.hint = fmt.Sprintf("\"persona setup -out %s\" writes one; its flags: persona help setup", path)
	case errors.Is(err, fs.ErrPermission):
		f.hint = "make the file readable for the user that runs persona"
	case errors.Is(err, config.ErrNone):
		f.hint = `"persona setup" writes one; its flags: persona help setup`
	}
	return nil, f
}

// whatIsMissing explains on one screen how to give a configuration. The tests load
// both of its examples.
const whatIsMissing = `persona needs the domain that it signs for, the address of the website, and the directory with the people.

By file, /etc/persona/persona.yaml or another with -config ("persona setup" writes one with comments):

    domains:
      - name: example.com
        upstream: http://127.0.0.1:8080
        directory: corp
    directories:
      corp:
        preset: openldap
        urls: [ldaps://ldap.example.com]
        bind_dn: cn=persona,dc=example,dc=com
        bind_password_file: /run/secrets/ldap
        base_dn: dc=example,dc=com

By environment, for one domain:

    PERSONA_DOMAIN=example.com
    PERSONA_UPSTREAM=http://127.0.0.1:8080
    PERSONA_LDAP_PRESET=openldap
    PERSONA_LDAP_URLS=ldaps://ldap.example.com
    PERSONA_LDAP_BIND_DN=cn=persona,dc=example,dc=com
    PERSONA_LDAP_BIND_PASSWORD_FILE=/run/secrets/ldap
    PERSONA_LDAP_BASE_DN=dc=example,dc=com

It listens on ports 80 and 443, keeps its keys in /var/lib/persona, and gets TLS certificates from
Let's Encrypt, to whose terms of service running it agrees. Each of these can be configured.`
