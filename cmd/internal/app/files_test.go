package app_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/idp/idptest"
)

// filesYAML writes a certificate for the names into the folder and returns the part of a
// configuration that serves it on free ports.
func filesYAML(t testing.TB, folder string, names ...string) (yaml string, roots *x509.CertPool) {
	t.Helper()
	authority := idptest.NewAuthority(t)
	pair := authority.TLS(t, names...).Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	var chain []byte
	for _, der := range pair.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	apptest.Write(t, filepath.Join(folder, "tls.pem"), string(chain))
	apptest.Write(t, filepath.Join(folder, "tls.key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	return `
state_dir: state
listen: {https: "127.0.0.1:0", http: "127.0.0.1:0", admin: "127.0.0.1:0"}
tls: {mode: files, cert_file: tls.pem, key_file: tls.key}
`, authority.Roots()
}

// oneDomain is an identity host with a website.
func oneDomain(upstream string) string {
	return fmt.Sprintf("domains:\n  - {name: example.test, upstream: %s, directory: corp}\n", upstream)
}

// TestCertificateForOtherNames: a served name that the certificate files lack is degraded, and the
// website is not served in clear text.
func TestCertificateForOtherNames(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	yaml, _ := filesYAML(t, folder, "other.example")
	p := start(t, folder, yaml+fmt.Sprintf("domains:\n  - {name: example.test, upstream: %q}\n", website(t).URL))
	if _, body := p.admin(t, "/readyz"); !strings.Contains(body, `"certificate example.test"`) || !strings.Contains(body, "not for this name") || strings.Contains(body, "other.example") {
		t.Errorf("readiness %s", body)
	}
	if p.series(t)["degraded{name=example.test,part=certificate}"] != 1 {
		t.Error("the metric does not say so")
	}
	if !strings.Contains(p.log.String(), "not for all names") {
		t.Error("the log does not say so")
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.Addr("http").String()+"/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "example.test"
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusPermanentRedirect {
		t.Errorf("over plain HTTP: %s", response.Status)
	}
}
