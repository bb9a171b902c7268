package app_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/ldapauth/ldaptest"
	"persona-sidecar/proxy/certs/acmetest"
)

// TestStartFaults: a fault at the start is reported with a hint, and nothing is
// left open.
func TestStartFaults(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	for name, fault := range map[string]struct {
		prepare func(t *testing.T, folder string)
		yaml    string
		want    []string
	}{
		"port taken": {
			yaml: fmt.Sprintf("state_dir: state\nlisten: {http: %q, admin: \"\"}\ntls: {mode: off}\ntrusted_proxies: [private]\n", taken.Addr()),
			want: []string{"listen.http", taken.Addr().String(), "another program listens there"},
		},
		"state_dir is a file": {
			prepare: func(t *testing.T, folder string) { apptest.Write(t, filepath.Join(folder, "state"), "") },
			yaml:    "state_dir: state\nlisten: {http: \"127.0.0.1:0\", admin: \"\"}\ntls: {mode: off}\ntrusted_proxies: [private]\n",
			want:    []string{"state", "hint"},
		},
		"no certificate file": {
			yaml: "state_dir: state\nlisten: {https: \"127.0.0.1:0\", http: \"\", admin: \"\"}\ntls: {mode: files, cert_file: none.pem, key_file: none.key}\n",
			want: []string{"none.pem", "hint: check the path"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			if fault.prepare != nil {
				fault.prepare(t, folder)
			}
			err := runUntilError(t, folder, fault.yaml+"domains:\n  - {name: example.test, upstream: \"http://127.0.0.1:1\"}\n")
			text := err.Error()
			var hinted interface{ Hint() string }
			if errors.As(err, &hinted) {
				text += " (hint: " + hinted.Hint() + ")"
			}
			for _, want := range fault.want {
				if !strings.Contains(text, want) {
					t.Errorf("the error does not say %q: %s", want, text)
				}
			}
		})
	}
}

// TestFailedStartLeavesNothingOpen: when the last listener is taken the others are free again.
func TestFailedStartLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	folder := t.TempDir()
	yaml, _ := filesYAML(t, folder, "example.test")
	https, plain := fmt.Sprintf("127.0.0.1:%d", apptest.FreePort(t)), fmt.Sprintf("127.0.0.1:%d", apptest.FreePort(t))
	yaml = strings.Replace(yaml, `https: "127.0.0.1:0", http: "127.0.0.1:0", admin: "127.0.0.1:0"`,
		fmt.Sprintf("https: %q, http: %q, admin: %q", https, plain, taken.Addr()), 1)
	err = runUntilError(t, folder, yaml+oneDomain(website(t).URL)+deadDirectory)
	if !strings.Contains(err.Error(), "opening listen.admin "+taken.Addr().String()) {
		t.Errorf("got %v", err)
	}
	for _, address := range []string{https, plain} {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Errorf("%s is still open: %v", address, err)
			continue
		}
		listener.Close()
	}
}

// runUntilError returns the error that ends a start.
func runUntilError(t *testing.T, folder, yaml string) error {
	t.Helper()
	built, _, err := build(t, folder, yaml)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), apptest.Patience)
	defer cancel()
	if err := built.Run(ctx); err != nil {
		return err
	}
	t.Fatal("the program started")
	return nil
}

// TestCorruptedKey: a key that cannot be used is named, and never replaced.
func TestCorruptedKey(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	yaml, _ := filesYAML(t, folder, "example.test")
	yaml += oneDomain(website(t).URL) + deadDirectory
	first := start(t, folder, yaml)
	waitForKeys(t, first)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	keyset := filepath.Join(folder, "state", "persona", "keys", "example.test.json")
	if _, err := os.Stat(keyset); err != nil {
		t.Fatal(err)
	}
	apptest.Write(t, keyset, `{"version": 2, "host": "example.test", "keys": [{"kid": "AAAA"}]}`)

	_, _, err := build(t, folder, yaml)
	if err == nil || !strings.Contains(err.Error(), keyset) {
		t.Fatalf("the error does not name the key: %v", err)
	}
	if after, err := os.ReadFile(keyset); err != nil || !strings.Contains(string(after), "AAAA") {
		t.Errorf("the key was touched: %q, %v", after, err)
	}
}

const deadDirectory = `
directories:
  corp: {preset: openldap, urls: ["ldap://127.0.0.1:1"], insecure_plaintext: true, bind_dn: "cn=x,dc=example,dc=test", bind_password: x, base_dn: "dc=example,dc=test"}
`

func waitForKeys(t testing.TB, p *program) {
	t.Helper()
	apptest.Eventually(t, "the keys are made", func() bool {
		_, body := p.admin(t, "/readyz")
		return strings.Contains(body, `"keys": {`)
	})
}

// TestDirectoryDownAtStart: the website is served, sign-in is refused with the reason; when the
// directory comes back people sign in without a restart.
func TestDirectoryDownAtStart(t *testing.T) {
	t.Parallel()
	slapd := ldaptest.StartSlapd(t, ldaptest.Options{})
	slapd.Stop()
	folder := t.TempDir()
	yaml, roots := filesYAML(t, folder, "example.test")
	p := start(t, folder, yaml+oneDomain(website(t).URL)+directoryYAML(t, folder, slapd))
	client := p.client(roots)
	waitForKeys(t, p)

	if status, body := get(t, client, "https://example.test/"); status != http.StatusOK || !strings.HasPrefix(body, "website ") {
		t.Errorf("the website answers %d %s", status, body)
	}
	if status, _ := get(t, client, "https://example.test/.well-known/browserid"); status != http.StatusOK {
		t.Errorf("the support document answers %d", status)
	}
	apptest.Eventually(t, "the directory is degraded and the program is ready", func() bool {
		status, body := p.admin(t, "/readyz")
		return status == http.StatusOK && strings.Contains(body, `"directory corp"`) && strings.Contains(body, `"degraded": [`)
	})
	status, body := signIn(t, client, "alice", ldaptest.Password)
	if status != http.StatusServiceUnavailable {
		t.Errorf("a sign-in answers %d", status)
	}
	if strings.Contains(body, "127.0.0.1") || strings.Contains(body, "refused") {
		t.Errorf("the page shows internals:\n%s", body)
	}

	slapd.Restart()
	apptest.Eventually(t, "people sign in again", func() bool {
		status, _ := signIn(t, client, "alice", ldaptest.Password)
		return status == http.StatusSeeOther
	})
}

// TestServicePasswordChanged: a wrong password of the service account is told in the health with a hint and sent once, and
// the file is read again without a reload.
func TestServicePasswordChanged(t *testing.T) {
	t.Parallel()
	slapd := ldaptest.StartSlapd(t, ldaptest.Options{})
	folder := t.TempDir()
	yaml, roots := filesYAML(t, folder, "example.test")
	yaml += oneDomain(website(t).URL) + directoryYAML(t, folder, slapd)
	file := filepath.Join(folder, "ldap-password")
	apptest.Write(t, file, "hunter2\n")
	p := start(t, folder, yaml)
	client := p.client(roots)
	waitForKeys(t, p)
	apptest.Eventually(t, "the health has the cause and a hint", func() bool {
		_, body := p.admin(t, "/readyz")
		return strings.Contains(body, "binding as the service account") && strings.Contains(body, "check bind_dn and bind_password_file")
	})
	for range 5 {
		if status, _ := signIn(t, client, "alice", ldaptest.Password); status != http.StatusServiceUnavailable {
			t.Errorf("a sign-in answers %d", status)
		}
	}
	if n := len(slapd.Attribute(slapd.BindDN, "pwdFailureTime")); n != 1 {
		t.Errorf("the directory has counted %d wrong passwords", n)
	}
	apptest.Write(t, file, slapd.BindPassword+"\n")
	if status, body := signIn(t, client, "alice", ldaptest.Password); status != http.StatusSeeOther {
		t.Errorf("a sign-in answers %d %s", status, body)
	}
	if _, body := p.admin(t, "/readyz"); strings.Contains(p.log.String()+body, "hunter2") || strings.Contains(p.log.String()+body, slapd.BindPassword) {
		t.Error("a password is in the log or the health")
	}
}

// signIn posts the sign-in form as a browser would.
func signIn(t *testing.T, client *http.Client, username, password string) (status int, body string) {
	t.Helper()
	response := postForm(t, client, username, password)
	return response.StatusCode, read(t, response)
}

func postForm(t *testing.T, client *http.Client, username, password string) *http.Response {
	t.Helper()
	form := url.Values{"username": {username}, "password": {password}, "computer": {"private"}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://example.test/persona/authenticate", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", "https://example.test")
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// TestBeforeTheFirstCertificate: as long as the ACME server is down plain HTTP serves the website
// and never the identity paths; afterwards everything is HTTPS.
func TestBeforeTheFirstCertificate(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	httpsPort, httpPort := apptest.FreePort(t), apptest.FreePort(t)
	pebble := acmetest.Start(t, acmetest.Options{HTTPPort: httpPort, TLSPort: httpsPort})
	writeRoots(t, filepath.Join(folder, "acme-ca.pem"), pebble)
	pebble.Down()
	yaml := fmt.Sprintf(`
state_dir: state
listen: {https: "127.0.0.1:%d", http: "127.0.0.1:%d", admin: "127.0.0.1:0"}
tls: {acme: {directory: %s, ca_file: acme-ca.pem}}
`, httpsPort, httpPort, pebble.Directory()) + oneDomain(website(t).URL) + deadDirectory
	p := start(t, folder, yaml)
	client := p.client(pebble.IssuerRoots())

	if status, body := get(t, client, "http://example.test/shop?x=1"); status != http.StatusOK || !strings.Contains(body, "uri=/shop?x=1 proto=http ") {
		t.Errorf("the website answers %d %s", status, body)
	}
	for _, path := range []string{"/.well-known/browserid", "/persona/", "/persona/authenticate"} {
		status, body := get(t, client, "http://example.test"+path)
		if status != http.StatusServiceUnavailable || !strings.Contains(body, "certificate") {
			t.Errorf("%s answers %d and does not say why:\n%s", path, status, body)
		}
	}
	apptest.Eventually(t, "an order was tried", func() bool { return pebble.Refused() > 0 })
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}

	// A restart tries at once; waiting for the next attempt would take a minute.
	pebble.Up()
	p = start(t, folder, yaml)
	client = p.client(pebble.IssuerRoots())
	apptest.Eventually(t, "plain HTTP redirects", func() bool {
		status, _ := get(t, client, "http://example.test/shop")
		return status == http.StatusPermanentRedirect
	})
	if status, _ := get(t, client, "https://example.test/shop"); status != http.StatusOK {
		t.Errorf("the website answers %d over TLS", status)
	}
}

// TestTwoProcesses: the second process on a state directory says so, and one that comes after both does not.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	yaml := `
state_dir: state
listen: {http: "127.0.0.1:0", admin: "127.0.0.1:0"}
tls: {mode: "off"}
trusted_proxies: [private]
domains: [{name: example.test, upstream: "http://127.0.0.1:1"}]
`
	const warning = "another persona serves from this state_dir"
	first := start(t, folder, yaml)
	second := start(t, folder, yaml)
	if !strings.Contains(second.log.String(), warning) {
		t.Error("the second process does not warn")
	}
	for _, p := range []*program{first, second} {
		if err := p.stop(); err != nil {
			t.Fatal(err)
		}
	}
	third := start(t, folder, yaml)
	if err := third.stop(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(first.log.String()+third.log.String(), warning) {
		t.Error("a process that is alone warns")
	}
}

// TestRestart: certificates, domain keys and sign-ins survive a restart.
func TestRestart(t *testing.T) {
	t.Parallel()
	slapd := ldaptest.StartSlapd(t, ldaptest.Options{})
	folder := t.TempDir()
	yaml, roots := filesYAML(t, folder, "example.test")
	yaml += oneDomain(website(t).URL) + directoryYAML(t, folder, slapd)
	p := start(t, folder, yaml)
	waitForKeys(t, p)
	before := document(t, p.client(roots), "example.test")
	response := postForm(t, p.client(roots), "alice", ldaptest.Password)
	read(t, response)
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}

	began := time.Now()
	p = start(t, folder, yaml)
	t.Logf("ready after %v", time.Since(began))
	if after := document(t, p.client(roots), "example.test"); !sameKey(before, after) {
		t.Error("the published key changed")
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://example.test/persona/api/session", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range response.Cookies() {
		request.AddCookie(cookie)
	}
	answer, err := p.client(roots).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if body := read(t, answer); !strings.Contains(body, `"signed_in":true`) {
		t.Errorf("the session did not survive: %s", body)
	}
}
