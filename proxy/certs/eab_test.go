package certs_test

import (
	"strings"
	"testing"

	"github.com/caddyserver/certmagic"

	"persona-sidecar/proxy/certs"
	"persona-sidecar/proxy/certs/acmetest"
)

// TestExternalAccount: an ACME server that serves its customers only gets the
// binding, and reports when there is none or a wrong one. The key reaches no log.
func TestExternalAccount(t *testing.T) {
	t.Parallel()
	const keyID, key = "kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	wrong := strings.Repeat("A", len(key))
	for label, test := range map[string]struct {
		keyID, key string
		want       string // in the log; empty: a certificate
	}{
		"bound":     {keyID, key, ""},
		"unbound":   {"", "", `"hint":"the ACME server serves its customers only: set tls.acme.eab_key_id`},
		"wrong-key": {keyID, wrong, `"hint":"the ACME server does not take the account: check tls.acme.eab_key_id`},
		"wrong-id":  {"kid-2", key, `"hint":"the ACME server does not take the account: check tls.acme.eab_key_id`},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			name := label + ".eab.test"
			site := listen(t)
			server := acmetest.Start(t, acmetest.Options{
				HTTPPort: port(site.http), TLSPort: port(site.https), EABKeyID: keyID, EABMACKey: key,
			})
			config := site.config(server, &certmagic.FileStorage{Path: t.TempDir()}, name)
			config.EABKeyID, config.EABMACKey = test.keyID, test.key
			site.start(config)
			if test.want == "" {
				site.mustServe(name, server.IssuerRoots())
			} else {
				eventually(t, "a problem in the status", func() bool { return site.acme.Status()[0].Problem != "" })
				mustContain(t, "log", site.log.String(), test.want)
			}
			if text := site.log.String(); strings.Contains(text, key) || strings.Contains(text, wrong) {
				t.Error("the MAC key in the log")
			}
		})
	}
}

func TestHalfExternalAccount(t *testing.T) {
	t.Parallel()
	for _, config := range []certs.ACMEConfig{{EABKeyID: "kid"}, {EABMACKey: "key"}, {CertFile: "a"}, {KeyFile: "b"}} {
		config.Names, config.HTTPPort = []string{"example.test"}, 80
		config.Storage = &certmagic.FileStorage{Path: t.TempDir()}
		if acme, err := certs.NewACME(t.Context(), config); err == nil {
			acme.Close()
			t.Errorf("%+v is taken", config)
		}
	}
}
