package cli_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/cmd/internal/cli"
	"persona-sidecar/ldapauth/ldaptest"
)

// TestDirectoryCommands: the exit code tells whether a real directory is right, and whether a person could sign in.
func TestDirectoryCommands(t *testing.T) {
	t.Parallel()
	slapd := ldaptest.StartSlapd(t, ldaptest.Options{})
	folder := t.TempDir()
	apptest.Write(t, filepath.Join(folder, "ca.pem"), string(slapd.RootsPEM))
	path := filepath.Join(folder, "persona.yaml")
	apptest.Write(t, path, fmt.Sprintf(`
state_dir: state
tls: {mode: "off"}
trusted_proxies: [private]
domains:
  - {name: example.test, directory: corp}
directories:
  corp: {preset: openldap, urls: [%s], bind_dn: %q, bind_password: %q, base_dn: %q, ca_file: ca.pem}
`, slapd.LDAPSURL(), slapd.BindDN, slapd.BindPassword, slapd.BaseDN))
	for _, test := range []struct {
		command string
		code    int
		out     []string
		err     string
	}{
		{"check", 0, []string{"directory corp\n", "  ✓ bind and base           as " + slapd.BindDN, "  ✓ sample addresses        alice@example.test", "\n10 ✓\n"}, ""},
		{"check corp -json", 0, []string{`"status": "ok"`, `"name": "sample addresses"`}, ""},
		{"whois alice", 0, []string{"alice in directory corp\n", "  ✓ entry                   " + ldaptest.PersonDN("alice")}, ""},
		{"whois -directory corp alice@example.test -json", 0, []string{`"status": "ok"`, `"subject": "alice@example.test in directory corp"`}, ""},
		{"whois heidi", 0, []string{"  ! address ", "1 ! (worth a look)"}, ""},
		{"whois dave", 1, []string{"  ✗ account                 locked (pwdAccountLockedTime: 000001010000Z)\n"}, "persona: this person could not sign in (hint: "},
		{"whois leo", 1, []string{"  ✗ addresses "}, "could not sign in"},
		{"whois no-such-person", 1, []string{"  ✗ entry "}, "could not sign in"},
	} {
		var out, errOut strings.Builder
		args := append([]string{"directory"}, strings.Fields(test.command)...)
		code := cli.Main(t.Context(), cli.Program{Args: append(args, "-config", path), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errOut})
		if code != test.code || !strings.Contains(errOut.String(), test.err) {
			t.Errorf("%s: exit code %d, want %d: %s", test.command, code, test.code, errOut.String())
		}
		for _, want := range test.out {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s lacks %q:\n%s", test.command, want, out.String())
			}
		}
		for _, secret := range []string{slapd.BindPassword, ldaptest.Password} {
			if strings.Contains(out.String()+errOut.String(), secret) {
				t.Errorf("%s shows a password", test.command)
			}
		}
	}
	// No attempt was counted, neither there nor here.
	if failures := slapd.Attribute(ldaptest.PersonDN("alice"), "pwdFailureTime"); len(failures) > 0 {
		t.Errorf("the directory counts attempts: %q", failures)
	}
	if _, err := os.Stat(filepath.Join(folder, "state")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the state directory was touched: %v", err)
	}
}
