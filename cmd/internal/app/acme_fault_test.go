package app_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/proxy/certs/acmetest"

	"github.com/caddyserver/certmagic"
)

// acmeYAML is the part of a configuration for a name whose certificate Pebble issues. Tests must use
// different names, see acmetest.
func acmeYAML(t *testing.T, folder, name string) (yaml string, pebble *acmetest.Server) {
	t.Helper()
	httpsPort, httpPort := apptest.FreePort(t), apptest.FreePort(t)
	pebble = acmetest.Start(t, acmetest.Options{HTTPPort: httpPort, TLSPort: httpsPort})
	writeRoots(t, filepath.Join(folder, "acme-ca.pem"), pebble)
	return fmt.Sprintf(`
state_dir: state
listen: {https: "127.0.0.1:%d", http: "127.0.0.1:%d", admin: "127.0.0.1:0"}
tls: {acme: {directory: %s, ca_file: acme-ca.pem}}
domains:
  - {name: %s, upstream: %q}
`, httpsPort, httpPort, pebble.Directory(), name, website(t).URL), pebble
}

// TestACMERefusesForAWhile: while an ACME server answers 429 or 500 the website is served, the log has
// a hint, the server is not asked again at once, not even after a restart, and gets its order in the end.
func TestACMERefusesForAWhile(t *testing.T) {
	t.Parallel()
	for status, hint := range map[int]string{
		http.StatusTooManyRequests:     "the ACME server limits how often may be asked",
		http.StatusInternalServerError: "it is tried again by itself",
	} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			name := fmt.Sprintf("refused%d.test", status)
			folder := t.TempDir()
			yaml, pebble := acmeYAML(t, folder, name)
			pebble.AnswerOrders(status)
			p := start(t, folder, yaml)
			apptest.Eventually(t, "the refusal is reported", func() bool {
				status, body := p.admin(t, "/readyz")
				return status == http.StatusOK && strings.Contains(body, "none yet: ") && strings.Contains(body, "as the test wants it")
			})
			for _, want := range []string{"no certificate obtained", hint, `"retry_in":"`} {
				if !strings.Contains(p.log.String(), want) {
					t.Errorf("%q was not logged", want)
				}
			}
			client := p.client(pebble.IssuerRoots())
			if status, body := get(t, client, "http://"+name+"/shop"); status != http.StatusOK || !strings.HasPrefix(body, "website ") {
				t.Errorf("the website answers %d %s", status, body)
			}
			asked := pebble.Asked()
			if asked > 3 { // three is what the client tries for a hiccup of the server
				t.Errorf("one attempt asked for %d orders", asked)
			}

			// A restart does not ask again, even when it would be granted.
			pebble.AnswerOrders(0)
			if err := p.stop(); err != nil {
				t.Fatal(err)
			}
			p = start(t, folder, yaml)
			apptest.Eventually(t, "the wait is reported", func() bool {
				return strings.Contains(p.log.String(), "the next one waits") && strings.Contains(p.log.String(), "as the test wants it")
			})
			if again := pebble.Asked(); again != asked {
				t.Errorf("the restart asked for %d more orders", again-asked)
			}
			if err := p.stop(); err != nil {
				t.Fatal(err)
			}

			// What the hint in the log says.
			if err := os.RemoveAll(filepath.Join(folder, "state", "persona", "orders")); err != nil {
				t.Fatal(err)
			}
			p = start(t, folder, yaml)
			servesTLS(t, p, pebble, name)
		})
	}
}

// servesTLS waits for the first certificate of a name and asks for its website.
func servesTLS(t *testing.T, p *program, pebble *acmetest.Server, name string) {
	t.Helper()
	client := p.client(pebble.IssuerRoots())
	apptest.Eventually(t, name+" has a certificate", func() bool {
		status, _ := get(t, client, "http://"+name+"/shop")
		return status == http.StatusPermanentRedirect
	})
	if status, body := get(t, client, "https://"+name+"/shop"); status != http.StatusOK || !strings.HasPrefix(body, "website ") {
		t.Errorf("the website answers %d %s over TLS", status, body)
	}
}

// TestStaleCertificateLock: a lock that a crash left behind in the middle of an order holds up
// neither the start nor the stop.
func TestStaleCertificateLock(t *testing.T) {
	t.Parallel()
	const name = "stalelock.test"
	folder := t.TempDir()
	yaml, pebble := acmeYAML(t, folder, name)
	locks := filepath.Join(folder, "state", "locks")
	if err := os.MkdirAll(locks, 0o700); err != nil {
		t.Fatal(err)
	}
	fresh := time.Now().Add(time.Hour).Format(time.RFC3339Nano) // taken over never, not after 10 s
	lock := filepath.Join(locks, certmagic.StorageKeys.Safe("issue_cert_"+name)+".lock")
	apptest.Write(t, lock, fmt.Sprintf(`{"created":%q,"updated":%q}`, fresh, fresh))
	p := start(t, folder, yaml)
	client := p.client(pebble.IssuerRoots())
	if status, body := get(t, client, "http://"+name+"/shop"); status != http.StatusOK || !strings.HasPrefix(body, "website ") {
		t.Errorf("the website answers %d %s", status, body)
	}
	apptest.Eventually(t, "the lock is waited for", func() bool {
		return strings.Contains(p.log.String(), "acquiring lock")
	})
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	if pebble.Asked() != 0 {
		t.Error("the lock of another was not respected")
	}

	// A lock whose time is long past is taken over.
	past := time.Now().Add(-time.Hour).Format(time.RFC3339Nano)
	apptest.Write(t, lock, fmt.Sprintf(`{"created":%q,"updated":%q}`, past, past))
	servesTLS(t, start(t, folder, yaml), pebble, name)
}
