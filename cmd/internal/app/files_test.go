package app_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"testing"

	"persona-sidecar/idp/idptest"
)

// filesYAML writes a certificate for the names into the folder and returns the part of a
// configuration that serves it on free ports.
func filesYAML(t *testing.T, folder string, names ...string) (yaml string, roots *x509.CertPool) {
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
	write(t, filepath.Join(folder, "tls.pem"), string(chain))
	write(t, filepath.Join(folder, "tls.key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
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
