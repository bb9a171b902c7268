package app_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"testing"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/proxy/certs/acmetest"
)

// TestOwnCertificateFirst: with an authority that binds accounts to customers, and
// that is down at the start, the website is served over TLS from the first moment with a
// certificate of one's own; later with the authority's.
func TestOwnCertificateFirst(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	_, ownRoots := filesYAML(t, folder, "example.test")
	const keyID, macKey = "customer-7", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	apptest.Write(t, filepath.Join(folder, "eab"), macKey+"\n")
	httpsPort, httpPort := apptest.FreePort(t), apptest.FreePort(t)
	pebble := acmetest.Start(t, acmetest.Options{HTTPPort: httpPort, TLSPort: httpsPort, EABKeyID: keyID, EABMACKey: macKey})
	writeRoots(t, filepath.Join(folder, "acme-ca.pem"), pebble)
	pebble.Down()
	yaml := fmt.Sprintf(`
state_dir: state
listen: {https: "127.0.0.1:%d", http: "127.0.0.1:%d", admin: "127.0.0.1:0"}
tls:
  cert_file: tls.pem
  key_file: tls.key
  acme: {directory: %s, ca_file: acme-ca.pem, eab_key_id: %s, eab_mac_key_file: eab}
`, httpsPort, httpPort, pebble.Directory(), keyID) + oneDomain(website(t).URL) + deadDirectory
	p := start(t, folder, yaml)
	if status, _ := get(t, p.client(ownRoots), "https://example.test/"); status != http.StatusOK {
		t.Errorf("the website answers %d with a certificate of its own", status)
	}
	if status, _ := get(t, p.client(ownRoots), "http://example.test/"); status != http.StatusPermanentRedirect {
		t.Errorf("plain HTTP answers %d", status)
	}
	apptest.Eventually(t, "an order was tried", func() bool { return pebble.Refused() > 0 })
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}

	pebble.Up()
	p = start(t, folder, yaml)
	apptest.Eventually(t, "the authority's certificate is served", func() bool {
		response, err := p.client(pebble.IssuerRoots()).Get("https://example.test/")
		if err == nil {
			read(t, response)
		}
		return err == nil
	})
}
