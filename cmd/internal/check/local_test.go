package check_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/store"
	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/keys"
)

// identityYAML is an identity host without a website, whose directory is down.
const identityYAML = `
state_dir: state
listen: {http: "127.0.0.1:80"}
tls: {mode: "off"}
trusted_proxies: [private]
domains:
  - {name: example.test, directory: corp}
directories:
  corp: {preset: openldap, urls: ["ldap://127.0.0.1:1"], insecure_plaintext: true, bind_dn: "cn=x", bind_password_file: secret, base_dn: "dc=example,dc=test"}
`

func replaced(text, from, to string) string { return strings.ReplaceAll(text, from, to) }

// folder holds the password file that identityYAML names.
func folder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "secret"), "x\n", 0o600)
	return folder
}

// makeKeys makes the keys that the program makes at its first start.
func makeKeys(t *testing.T, folder string) *keys.Ring {
	t.Helper()
	files, err := store.OpenFiles(filepath.Join(folder, "state"), time.Now, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	ring := keys.New(keys.Config{Store: files, Now: time.Now, Rand: rand.Reader, Log: zerolog.Nop()})
	if err := ring.Ensure(t.Context(), keys.Want{Host: "example.test", Use: keys.UseCertificates}, keys.Want{Use: keys.UseSession}); err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	folder := folder(t)
	world := newInternet(t)
	found := look(t, world.checker(load(t, folder, identityYAML)).Everything())
	found.expect(t, want{"read", report.OK, "persona.yaml: 1 domain, 1 directory", ""})
	found.expect(t, want{"secrets", report.OK, filepath.Join(folder, "secret") + ": not readable for other users", ""})
	found.expect(t, want{"state directory", report.Skipped, "not there yet", ""})
	found.expect(t, want{"keys", report.Skipped, "", ""})
	found.expect(t, want{"trusted proxies", report.Warning, "every private address", "instead of the word private"})
	if _, err := os.Stat(filepath.Join(folder, "state")); err == nil {
		t.Error("the state directory was made by looking")
	}

	yaml := replaced(identityYAML, `{http: "127.0.0.1:80"}`, `{http: "127.0.0.1:80", public_https: 8443}`)
	yaml = replaced(yaml, "[private]", "[192.0.2.1]")
	yaml = replaced(yaml, "bind_dn: \"cn=x\", bind_password_file: secret, ", "")
	found = look(t, world.checker(load(t, folder, yaml)).Everything())
	found.expect(t, want{"secrets", report.Skipped, "no secret is in a file", ""})
	found.expect(t, want{"public port", report.Warning, "listen.public_https is 8443", "port 443"})
	found.expect(t, want{"trusted proxies", report.OK, "192.0.2.1/32 may name the client", ""})
	found.expect(t, want{"warning", report.Warning, "bind_dn: is missing", "name an entry that may read"})
}

func TestModesOfSecrets(t *testing.T) {
	t.Parallel()
	folder := folder(t)
	write(t, filepath.Join(folder, "tls.key"), "x", 0o644)
	write(t, filepath.Join(folder, "tls.pem"), "x", 0o644)
	write(t, filepath.Join(folder, "secret"), "x", 0o604)
	yaml := replaced(identityYAML, "{mode: \"off\"}", "{mode: files, cert_file: tls.pem, key_file: tls.key}")
	c := load(t, folder, yaml)
	found := look(t, newInternet(t).checker(c).Everything())
	found.expect(t, want{"secrets", report.Warning, filepath.Join(folder, "secret") + " has mode 0604: every user", "chmod 0600"})
	found.expect(t, want{"secrets", report.Warning, filepath.Join(folder, "tls.key") + " has mode 0644: every user", "chmod 0600"})
	if err := os.Remove(filepath.Join(folder, "secret")); err != nil {
		t.Fatal(err)
	}
	look(t, newInternet(t).checker(c).Everything()).expect(t, want{"secrets", report.Failed, "no such file", "correct the path in the configuration"})
}

// TestCertificateFiles: the files are read as the program reads them, and names
// that the certificate lacks are named.
func TestCertificateFiles(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		names []string
		want  want
	}{
		"another's key": {[]string{"example.test", "*.example.test"}, want{"certificate files", report.Failed, "private key does not match", ""}},
		"all names":     {[]string{"example.test", "*.example.test"}, want{"certificate files", report.OK, "is for all 2 names", ""}},
		"one lacks":     {[]string{"example.test"}, want{"certificate files", report.Failed, "is not for www.example.test", "a certificate for all of them"}},
		"no file":       {nil, want{"certificate files", report.Failed, "tls.pem", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder, world := folder(t), newInternet(t)
			if test.names != nil {
				pair := world.authority.TLS(t, test.names...).Certificates[0]
				if name == "another's key" {
					pair.PrivateKey = world.authority.TLS(t, "example.test").Certificates[0].PrivateKey
				}
				writePair(t, folder, pair)
			}
			yaml := replaced(identityYAML, "{mode: \"off\"}", "{mode: files, cert_file: tls.pem, key_file: tls.key}")
			yaml = replaced(yaml, "directory: corp}", `directory: corp, hosts: [www.example.test], upstream: "http://127.0.0.1:1"}`)
			found := look(t, world.checker(load(t, folder, yaml)).Offline())
			found.expect(t, test.want)
			for _, f := range found.findings {
				if f.Subject != "configuration" {
					t.Errorf("offline, and %s was checked", f.Subject)
				}
			}
		})
	}
}

func writePair(t *testing.T, folder string, pair tls.Certificate) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "tls.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})), 0o644)
	write(t, filepath.Join(folder, "tls.key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})), 0o600)
}

func TestState(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		prepare func(t *testing.T, folder, state string)
		want    want
	}{
		"fine":                {func(*testing.T, string, string) {}, want{"state directory", report.OK, "mode 0700, writable", ""}},
		"keys":                {func(*testing.T, string, string) {}, want{"keys", report.OK, "one for each identity host (1)", ""}},
		"a file":              {func(t *testing.T, _, state string) { remove(t, state); write(t, state, "", 0o600) }, want{"state directory", report.Failed, "is a file", "name a directory"}},
		"below a file":        {func(t *testing.T, _, state string) { remove(t, state); write(t, state, "", 0o600) }, want{"keys", report.Skipped, "", ""}},
		"open for all users":  {func(t *testing.T, _, state string) { chmod(t, state, 0o777) }, want{"state directory", report.Warning, "every user may write", "chmod 0700"}},
		"a newer layout":      {func(t *testing.T, _, state string) { write(t, filepath.Join(state, "persona/version"), "99\n", 0o600) }, want{"state directory", report.Failed, "newer persona", "run the newer one"}},
		"no keys":             {func(t *testing.T, _, state string) { remove(t, filepath.Join(state, "persona/keys")) }, want{"keys", report.Failed, "example.test has no key yet", "start the program"}},
		"a corrupted key":     {func(t *testing.T, _, state string) { write(t, keyFile(t, state), "nonsense", 0o600) }, want{"keys", report.Failed, "example.test.json", "restore the file"}},
		"a key for all users": {func(t *testing.T, _, state string) { chmod(t, keyFile(t, state), 0o644) }, want{"keys", report.Skipped, "cannot be looked into", ""}},
		"a key for all":       {func(t *testing.T, _, state string) { chmod(t, keyFile(t, state), 0o644) }, want{"state directory", report.Failed, "mode 0644", "chmod 0600"}},
		"a restore": {func(t *testing.T, _, state string) {
			chmod(t, keyFile(t, state), 0o644)
			chmod(t, filepath.Join(state, "persona/version"), 0o644)
		}, want{"state directory", report.Failed, "version (mode 0644)", "chmod -R go= "}},
		"a restore for the group": {func(t *testing.T, _, state string) {
			chmod(t, keyFile(t, state), 0o640)
			chmod(t, filepath.Join(state, "persona/version"), 0o640)
		}, want{"state directory", report.Warning, "version: mode 0640", "chmod -R go= "}},
		"a key for the group": {func(t *testing.T, _, state string) { chmod(t, keyFile(t, state), 0o640) }, want{"state directory", report.Warning, "the group may read", "chmod 0600"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := folder(t)
			makeKeys(t, folder)
			test.prepare(t, folder, filepath.Join(folder, "state"))
			found := look(t, newInternet(t).checker(load(t, folder, identityYAML)).Everything())
			found.expect(t, test.want)
			for _, f := range found.of("state directory") {
				if strings.Count(f.Hint, "chmod ") > 1 {
					t.Errorf("more than one command: %s", f.Hint)
				}
			}
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func keyFile(t *testing.T, state string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(state, "persona/keys/example.test.json"))
	if err != nil || len(found) != 1 {
		t.Fatalf("found %v, %v", found, err)
	}
	return found[0]
}

// TestPublishedKey: what the world reads must be what signs.
func TestPublishedKey(t *testing.T) {
	t.Parallel()
	folder := folder(t)
	world := newInternet(t)
	p := newProvider(t)
	world.serve("example.test", p)
	c := load(t, folder, identityYAML)
	look(t, world.checker(c).Domain("example.test")).expect(t, want{"published key", report.Skipped, "cannot be read from here", ""})

	ring := makeKeys(t, folder)
	look(t, world.checker(c).Domain("example.test")).expect(t, want{"published key", report.Failed, "published is ", "another state_dir"})

	own, err := ring.Published("example.test", keys.UseCertificates)
	if err != nil {
		t.Fatal(err)
	}
	public, err := browserid.NewPublicKey(own[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	document, err := browserid.MarshalDocument(browserid.Support{PublicKey: public, Authentication: "/sign-in", Provisioning: "/provision"})
	if err != nil {
		t.Fatal(err)
	}
	p.document = string(document)
	look(t, world.checker(c).Domain("example.test")).expect(t, want{"published key", report.OK, "the one that signs", ""})

	remove(t, filepath.Join(folder, "state/persona/keys"))
	look(t, world.checker(c).Domain("example.test")).expect(t, want{"published key", report.Failed, "holds none for example.test", ""})
}

// TestRoles: what is published must be what the configuration asks for.
func TestRoles(t *testing.T) {
	t.Parallel()
	const yaml = identityYAML + "# further\n"
	more := replaced(yaml, "directories:\n", "  - {name: away.test, authority: id.away.test}\n  - {name: off.test, disabled: true}\ndirectories:\n")
	for name, test := range map[string]struct {
		host     string
		document string
		want     want
	}{
		"delegates elsewhere":   {"away.test", `{"authority":"evil.test"}`, want{"role", report.Failed, "the configuration says delegates to id.away.test, the document delegates to evil.test", "Restart"}},
		"delegates":             {"away.test", `{"authority":"id.away.test"}`, want{"role", report.OK, "delegates to id.away.test", ""}},
		"identity is disabled":  {"example.test", `{"disabled":true}`, want{"role", report.Failed, "identity host, signs for example.test", ""}},
		"disabled delegates":    {"off.test", `{"authority":"id.away.test"}`, want{"role", report.Failed, "the configuration says disabled", ""}},
		"disabled":              {"off.test", `{"disabled":true}`, want{"authority", report.OK, "no authority signs for off.test", ""}},
		"identity switched off": {"example.test", `{"disabled":true}`, want{"authority", report.Warning, "no authority signs for example.test", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := newInternet(t)
			world.serve(test.host, http.HandlerFunc(published(test.document)))
			look(t, world.checker(load(t, folder(t), more)).Domain(test.host)).expect(t, test.want)
		})
	}
}

// TestCertifies: a domain that is served elsewhere must lead to the host that
// signs for it.
func TestCertifies(t *testing.T) {
	t.Parallel()
	yaml := replaced(identityYAML, "directory: corp}", "directory: corp, certifies: [sister.test]}")
	for document, w := range map[string]want{
		`{"authority":"example.test"}`: {"leads here", report.OK, "example.test signs for it", ""},
		`{"authority":"other.test"}`:   {"leads here", report.Failed, "other.test is the authority", `{"authority":"example.test"}`},
		`{"authority":"typo.test"}`:    {"authority", report.Failed, "sister.test → typo.test: DNS knows no address", `publish {"authority":"example.test"} at https://sister.test/.well-known/browserid`},
		`{"disabled":true}`:            {"authority", report.Failed, "no authority signs for it (disabled), so certificates of example.test are refused", `publish {"authority":"example.test"}`},
	} {
		world := newInternet(t)
		world.serve("example.test", newProvider(t))
		world.serve("other.test", newProvider(t))
		world.serve("sister.test", http.HandlerFunc(published(document)))
		c := load(t, folder(t), yaml)
		look(t, world.checker(c).Domain("sister.test")).expect(t, w)
		look(t, world.checker(c).Everything()).expect(t, w)
	}
}
