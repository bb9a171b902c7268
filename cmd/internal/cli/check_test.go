//go:build unix

package cli_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/idp/idptest"
	"persona-sidecar/ldapauth/ldaptest"
)

// checked is a running persona with a certificate of an internal authority and a real directory.
type checked struct {
	folder, https string
	slapd         *ldaptest.Server
}

// newChecked returns a folder with a certificate, and a directory.
func newChecked(t *testing.T) checked {
	t.Helper()
	c := checked{folder: t.TempDir(), slapd: ldaptest.StartSlapd(t, ldaptest.Options{})}
	writeCertificate(t, c.folder, "example.test")
	for name, text := range map[string]string{
		"ldap.pem": string(c.slapd.RootsPEM), "bind": c.slapd.BindPassword, "password": ldaptest.Password + "\n", "wrong": "wrong\n",
	} {
		put(t, filepath.Join(c.folder, name), text)
	}
	return c
}

// writeCertificate writes tls.pem with its key, tls.key, and the authority's ca.pem.
func writeCertificate(t *testing.T, folder, name string) {
	t.Helper()
	settings := idptest.NewAuthority(t).TLS(t, name).Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(settings.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		"tls.pem": {Type: "CERTIFICATE", Bytes: settings.Certificate[0]},
		"ca.pem":  {Type: "CERTIFICATE", Bytes: settings.Certificate[1]},
		"tls.key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		put(t, filepath.Join(folder, file), string(pem.EncodeToMemory(block)))
	}
}

// serve starts persona for example.test and waits for its keys.
func (c checked) serve(t *testing.T, listenAndTLS string) *process {
	t.Helper()
	put(t, filepath.Join(c.folder, "persona.yaml"), fmt.Sprintf(`
state_dir: state
%s
domains:
  - {name: example.test, directory: corp}
directories:
  corp: {preset: openldap, urls: [%q], ca_file: ldap.pem, bind_dn: %q, bind_password_file: bind, base_dn: %q}
`, listenAndTLS, c.slapd.LDAPSURL(), c.slapd.BindDN, c.slapd.BaseDN))
	p := serve(t, c.folder)
	apptest.Eventually(t, "it has a key", func() bool { return strings.Count(p.log.String(), "created a new key") == 2 })
	p.ready(t)
	return p
}

func startChecked(t *testing.T) checked {
	t.Helper()
	c := newChecked(t)
	p := c.serve(t, "listen: {https: \"127.0.0.1:0\", http: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"}\ntls: {mode: files, cert_file: tls.pem, key_file: tls.key}")
	c.https = regexp.MustCompile(`"https":"([^"]+)"`).FindStringSubmatch(p.log.String())[1]
	return c
}

// check runs persona check and returns what it printed and its exit code.
func (c checked) check(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	command := persona(t, c.folder, append([]string{"check", "-config", "persona.yaml", "-resolve", c.https, "-ca-file", "ca.pem"}, args...)...)
	var out, complaints bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaints
	err := command.Run()
	exit := (*exec.ExitError)(nil)
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), complaints.String(), command.ProcessState.ExitCode()
}

// TestCheckCommand looks at a running persona before any DNS points to it.
func TestCheckCommand(t *testing.T) {
	t.Parallel()
	c := startChecked(t)
	for name, test := range map[string]struct {
		args   []string
		code   int
		stdout []string
		stderr string
	}{
		"everything": {nil, 0, []string{
			"configuration\n  ✓ read                    persona.yaml: 1 domain, 1 directory\n", "  ✓ keys ", "directory corp\n", "  ✓ sample addresses        alice@example.test, ",
			"example.test\n  – DNS                     asking 127.0.0.1 instead, as -resolve says\n", "  ✓ certificate ", "  ✓ published key           it is the one that signs\n", "  ✓ provisioning page ",
		}, ""},
		"one domain":      {[]string{"example.test"}, 0, []string{"  ✓ published key "}, ""},
		"one person":      {[]string{"alice@example.test", "-password-file", "password"}, 0, []string{`"email": "alice@example.test"`, `"aud": "https://relying-party.example"`, "  ✓ sign-out "}, ""},
		"by another name": {[]string{"alice@example.test", "-password-file", "password", "-login", "alice"}, 0, []string{"  ✓ sign-in                 as alice\n"}, ""},
		"wrong password":  {[]string{"-password-file", "wrong", "bob.brown@example.test"}, 1, []string{"  ✗ sign-in                 403: The user name or the password is wrong.\n      → is it the right password"}, "persona: 1 step failed (hint: fix the first one first: others may follow from it)\n"},
		"both":            {[]string{"example.test", "alice@example.test", "-password-file", "password"}, 0, []string{"  ✓ published key ", "  ✓ sign-out "}, ""},
		"no terminal":     {[]string{"alice@example.test"}, 2, nil, "persona: check: the password of alice@example.test cannot be asked for without a terminal"},
		"offline":         {[]string{"-offline"}, 0, []string{"  ✓ read ", "  ✓ certificate files ", "  ✓ keys "}, ""},
		"offline domain":  {[]string{"-offline", "example.test"}, 2, nil, "persona: check: -offline checks no domain and no address"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := c.check(t, test.args...)
			if code != test.code || !strings.Contains(stderr, test.stderr) || test.stderr == "" && stderr != "" {
				t.Errorf("it exited with %d and said %q", code, stderr)
			}
			for _, want := range test.stdout {
				if !strings.Contains(stdout, want) {
					t.Errorf("no line says %q", want)
				}
			}
			if strings.Contains(stdout+stderr, ldaptest.Password) || strings.Contains(stdout+stderr, c.slapd.BindPassword) {
				t.Error("a password is shown")
			}
			if t.Failed() {
				t.Log(stdout)
			}
		})
	}

	t.Run("JSON", func(t *testing.T) {
		stdout, _, code := c.check(t, "-json", "alice@example.test", "-password-file", "password")
		var report struct {
			Status   string
			Findings []struct {
				Subject, Name, Status string
				Shown                 struct{ Payload map[string]any }
			}
		}
		if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != 0 || report.Status != "ok" {
			t.Fatalf("%v, %d: %s", err, code, stdout)
		}
		found := false
		for _, f := range report.Findings {
			found = found || f.Name == "certificate" && f.Shown.Payload["iss"] == "example.test"
		}
		if !found {
			t.Errorf("no certificate is shown:\n%s", stdout)
		}
	})

	c.slapd.Stop()
	stdout, _, code := c.check(t)
	if code != 1 || !strings.Contains(stdout, "  ✗ reach ") || !strings.Contains(stdout, "– sample addresses") || !strings.Contains(stdout, "✓ published key") {
		t.Errorf("a directory that is down: exit %d\n%s", code, stdout)
	}
}

// TestCheckAsAnotherUser: a user who may not read the state directory is not told to chown it.
func TestCheckAsAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can run it as another user")
	}
	folder := publicFolder(t)
	world(t, folder, deadDirectory, "example.test")
	if err := os.Chmod(filepath.Join(folder, "persona.yaml"), 0o644); err != nil {
		t.Fatal(err)
	}
	mkdir(t, filepath.Join(folder, "state"), 0o755)
	command := persona(t, folder, "check", "-config", "persona.yaml", "-resolve", "127.0.0.1:1", "example.test")
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	var out bytes.Buffer
	command.Stdout = &out
	code, _ := run(t, command)
	if code != 1 || !strings.Contains(out.String(), "state belongs to the user 0, and the user 65532 may not write there") || !strings.Contains(out.String(), "→ run the check as that user, or as root") {
		t.Errorf("it exited with %d and said\n%s", code, out.String())
	}
}
