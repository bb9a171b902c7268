package certs_test

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"persona-sidecar/proxy/certs"
	"persona-sidecar/proxy/certs/acmetest"
)

// TestOwnFirst: the operator's own certificate is served until ACME has succeeded,
// then ACME's, with either challenge, also after a restart without the files.
func TestOwnFirst(t *testing.T) {
	t.Parallel()
	for label, change := range map[string]func(*certs.ACMEConfig){
		"http": func(c *certs.ACMEConfig) { c.TLSALPNPort = 0 },
		"alpn": func(c *certs.ACMEConfig) { c.HTTPPort = 0 },
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			name := label + ".ownfirst.test"
			own := ecdsaPair(t, name)
			files := newFiles(t, own)
			storage := &certmagic.FileStorage{Path: t.TempDir()}
			before := listen(t)
			server := acmetest.Start(t, acmetest.Options{HTTPPort: port(before.http), TLSPort: port(before.https)})
			server.Down()
			configure := func(s *site) certs.ACMEConfig {
				config := s.config(server, storage, name)
				config.CertFile, config.KeyFile = files.cert, files.key
				change(&config)
				return config
			}
			before.start(configure(before))
			if !before.acme.HasCertificate(name) {
				t.Error("its own certificate counts as none")
			}
			if leaf := before.mustServe(name, own.roots()); !leaf.Equal(own.leaf) {
				t.Error("another certificate is served than the one of its own")
			}
			eventually(t, "a problem in the status", func() bool { return before.acme.Status()[0].Problem != "" })
			if status := before.acme.Status()[0]; !status.NotAfter.Equal(own.leaf.NotAfter) {
				t.Errorf("status %+v, want the end of the certificate in use, %v", status, own.leaf.NotAfter)
			}

			server.Up()
			var got *x509.Certificate
			eventually(t, "a certificate by ACME", func() bool {
				_, state, err := before.get(name, server.IssuerRoots())
				if err != nil {
					return false
				}
				got = state.PeerCertificates[0]
				return true
			})
			if status := before.acme.Status()[0]; !status.NotAfter.Equal(got.NotAfter) || status.Problem != "" {
				t.Errorf("status %+v, want the end of the certificate by ACME, %v", status, got.NotAfter)
			}
			before.stop()

			if err := os.Remove(files.cert); err != nil {
				t.Fatal(err)
			}
			server.Down()
			after := listenAgain(t, before)
			after.start(configure(after))
			if leaf := after.mustServe(name, server.IssuerRoots()); !leaf.Equal(got) {
				t.Error("another certificate after the restart")
			}
			mustContain(t, "log", after.log.String(), "tls.cert_file and tls.key_file can be removed")
		})
	}
}

// TestOwnForOthers: each name goes over to ACME by itself; a certificate of its own
// that is for another name is served all the same, reported, and no reason to
// redirect to HTTPS.
func TestOwnForOthers(t *testing.T) {
	t.Parallel()
	own := ecdsaPair(t, "a.ownforothers.test")
	files := newFiles(t, own)
	site := listen(t)
	server := acmetest.Start(t, acmetest.Options{HTTPPort: port(site.http), TLSPort: port(site.https)})
	server.Refuse(t, "b.ownforothers.test")
	config := site.config(server, &certmagic.FileStorage{Path: t.TempDir()}, "a.ownforothers.test", "b.ownforothers.test")
	config.CertFile, config.KeyFile = files.cert, files.key
	site.start(config)
	eventually(t, "ACME's certificate for the one", func() bool {
		_, _, err := site.get("a.ownforothers.test", server.IssuerRoots())
		return err == nil
	})
	_, _, err := site.get("b.ownforothers.test", own.roots())
	if err == nil {
		t.Fatal("a certificate for another name verifies")
	}
	mustContain(t, "error", err.Error(), "valid for a.ownforothers.test")
	if site.acme.HasCertificate("b.ownforothers.test") {
		t.Error("a certificate for another name counts as usable")
	}
	if status := site.acme.Status()[1]; status.Problem == "" {
		t.Errorf("status %+v has no problem", status)
	}
}

// TestOwnReplaced: as long as it is served, a new one of its own is taken up.
func TestOwnReplaced(t *testing.T) {
	t.Parallel()
	const name = "ownreplaced.test"
	first, second := ecdsaPair(t, name), ecdsaPair(t, name)
	files := newFiles(t, first)
	clock := newClock()
	site := listen(t)
	server := acmetest.Start(t, acmetest.Options{})
	server.Down()
	config := site.config(server, &certmagic.FileStorage{Path: t.TempDir()}, name)
	config.CertFile, config.KeyFile, config.Now = files.cert, files.key, clock.Now
	site.start(config)
	site.mustServe(name, first.roots())
	files.write(t, second.cert, second.key)
	clock.add(2 * time.Second)
	site.mustServe(name, second.roots())
}

// TestOwnUnreadable: while it is needed, one that cannot be read is an error of the
// start.
func TestOwnUnreadable(t *testing.T) {
	t.Parallel()
	config := certs.ACMEConfig{
		Names: []string{"ownunreadable.test"}, Storage: &certmagic.FileStorage{Path: t.TempDir()}, HTTPPort: 80,
		CertFile: filepath.Join(t.TempDir(), "none.pem"), KeyFile: "none.key",
	}
	acme, err := certs.NewACME(t.Context(), config)
	if err == nil {
		acme.Close()
		t.Fatal("no error")
	}
	mustContain(t, "error", err.Error(), "until ACME has succeeded", "none.pem")
	mustContain(t, "hint", hintOf(err), "check the path")
}
