//go:build linux

package applications_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"persona-sidecar/deploy/relying-party/relyingpartytest"
	"persona-sidecar/idp/idptest"
	"persona-sidecar/ldapauth/ldaptest"
)

var program = flag.String("persona", "", "the program; without it it is built")

const (
	// origin is where the application is.
	origin = "https://example.test"
	// sibling is another website of the same domain.
	sibling = "https://shop.example.test"
)

// layout is where the identity host is.
type layout struct {
	name, identity string // its origin
	entry          string // of the application's domain
}

func layouts() []layout {
	return []layout{
		{"shared", origin, "directory: corp"},
		{"authority", "https://id.example.test", "directory: corp, authority: id.example.test"},
	}
}

// world is an application with persona in front of it.
type world struct {
	layout
	app     *application
	address string // host:port of persona's HTTPS
	trust   string // see idptest.BrowserOptions
	client  *http.Client
	pages   *http.ServeMux // of the sibling
}

// newWorld runs persona in front of an application until the test ends.
func newWorld(t *testing.T, app *application, l layout) *world {
	t.Helper()
	w := &world{layout: l, app: app, pages: http.NewServeMux()}
	shop := httptest.NewServer(w.pages)
	t.Cleanup(shop.Close)
	directory := ldaptest.StartSlapd(t, ldaptest.Options{})
	authority := idptest.NewAuthority(t)
	pair := authority.TLS(t, "example.test", "*.example.test").Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	var chain []byte
	for _, der := range pair.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	w.address, w.trust = relyingpartytest.FreeAddress(t), authority.KeyHash()
	w.client = &http.Client{
		Timeout: time.Minute,
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: authority.Roots()},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, w.address)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}

	folder, admin := t.TempDir(), relyingpartytest.FreeAddress(t)
	for name, text := range map[string]string{
		"tls.pem": string(chain), "tls.key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
		"ldap-ca.pem": string(directory.RootsPEM), "ldap-password": directory.BindPassword,
		"persona.yaml": fmt.Sprintf(`
state_dir: state
log: {level: warn}
listen: {https: %q, http: "", admin: %q}
tls: {mode: files, cert_file: tls.pem, key_file: tls.key}
domains:
  - {name: example.test, upstream: "http://%s", %s, identity_headers: %s, access: %s}
  - {name: shop.example.test, upstream: %q}
directories:
  corp: {preset: openldap, urls: [%s], ca_file: ldap-ca.pem, bind_dn: %q, bind_password_file: ldap-password, base_dn: %q}
`, w.address, admin, app.address, l.entry, cmp.Or(app.headers, "true"), app.access, shop.URL, directory.LDAPSURL(), directory.BindDN, directory.BaseDN),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log := &ldaptest.Log{}
	persona := exec.Command(build(t), "serve", "-config", filepath.Join(folder, "persona.yaml"))
	persona.Stdout, persona.Stderr = log, log
	run(t, persona, log.String)
	ldaptest.Eventually(t, "persona has its keys, and the directory answers", func() bool {
		for _, path := range []string{"/.well-known/browserid", "/persona/assertion/jwks.json"} {
			response, err := w.client.Get(l.identity + path)
			if err != nil || response.Body.Close() != nil || response.StatusCode != http.StatusOK {
				return false
			}
		}
		response, err := http.Get("http://" + admin + "/readyz")
		return err == nil && strings.Contains(read(t, response), `"degraded": []`)
	})
	return w
}

// build returns the program.
func build(t *testing.T) string {
	t.Helper()
	if *program != "" {
		return *program
	}
	binary := filepath.Join(t.TempDir(), "persona")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", binary, "persona-sidecar/cmd/persona").CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	return binary
}

// get asks for a path of the application as someone who is not signed in, with these fields.
func (w *world) get(t *testing.T, path string, fields map[string]string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, origin+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range fields {
		request.Header[name] = []string{value} // spelled so
	}
	response, err := w.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, response)
}

func read(t *testing.T, response *http.Response) string {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("reading the answer of %s: %v", response.Request.URL, err)
	}
	return string(body)
}
