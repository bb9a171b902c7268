package certs_test

import (
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"persona-sidecar/proxy/certs"
	"persona-sidecar/proxy/certs/acmetest"
)

// TestDownThenUp: an ACME server that is down keeps nothing from starting, is
// told with a hint, and is asked again.
func TestDownThenUp(t *testing.T) {
	t.Parallel()
	site := listen(t)
	server := acmetest.Start(t, acmetest.Options{HTTPPort: port(site.http), TLSPort: port(site.https)})
	server.Down()
	site.start(site.config(server, &certmagic.FileStorage{Path: t.TempDir()}, "downthenup.test"))

	eventually(t, "a problem in the status", func() bool { return site.acme.Status()[0].Problem != "" })
	status := site.acme.Status()[0]
	if !status.NotAfter.IsZero() || status.Retry.IsZero() {
		t.Errorf("status %+v, want no certificate and a time of the next attempt", status)
	}
	if site.acme.HasCertificate("downthenup.test") {
		t.Error("has a certificate that was not issued")
	}
	mustContain(t, "log", site.log.String(), `"level":"error"`, `"domain":"downthenup.test"`, `"hint":"the ACME server cannot be reached`, "no certificate obtained")
	if _, _, err := site.get("downthenup.test", server.IssuerRoots()); err == nil {
		t.Error("a TLS handshake without a certificate")
	}

	server.Up()
	site.mustServe("downthenup.test", server.IssuerRoots())
	if problem := site.acme.Status()[0].Problem; problem != "" {
		t.Errorf("still a problem: %s", problem)
	}
}

// TestRefused: what the ACME server says about a name reaches the operator.
func TestRefused(t *testing.T) {
	t.Parallel()
	site := listen(t)
	server := acmetest.Start(t, acmetest.Options{HTTPPort: port(site.http), TLSPort: port(site.https)})
	server.Refuse(t, "blocked.test")
	site.start(site.config(server, &certmagic.FileStorage{Path: t.TempDir()}, "blocked.test", "refused.test"))

	site.mustServe("refused.test", server.IssuerRoots()) // one name does not hold up the other
	eventually(t, "a problem in the status", func() bool { return site.acme.Status()[0].Problem != "" })
	mustContain(t, "status", site.acme.Status()[0].Problem, "rejectedIdentifier")
	mustContain(t, "log", site.log.String(), `"hint":"the ACME server does not issue for this name`)
}

// TestDamagedStorage: what cannot be read is told, never overwritten, and holds
// nothing up; deleted, it is made anew.
func TestDamagedStorage(t *testing.T) {
	t.Parallel()
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	site := listen(t)
	server := acmetest.Start(t, acmetest.Options{HTTPPort: port(site.http), TLSPort: port(site.https)})
	config := site.config(server, storage, "damaged.test", "damagedstorage.test")
	issuer := (&certmagic.ACMEIssuer{CA: server.Directory()}).IssuerKey()
	damaged := map[string]string{
		certmagic.StorageKeys.SiteCert(issuer, "damaged.test"):       "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		certmagic.StorageKeys.SitePrivateKey(issuer, "damaged.test"): "not a key",
		certmagic.StorageKeys.SiteMeta(issuer, "damaged.test"):       "{}",
	}
	for key, value := range damaged {
		if err := storage.Store(t.Context(), key, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	site.start(config)
	site.mustServe("damagedstorage.test", server.IssuerRoots())
	eventually(t, "a problem in the status", func() bool { return site.acme.Status()[0].Problem != "" })
	if site.acme.HasCertificate("damaged.test") {
		t.Error("a damaged certificate counts as usable")
	}
	folder := certmagic.StorageKeys.CertsSitePrefix(issuer, "damaged.test")
	mustContain(t, "log", site.log.String(), "or delete "+folder)
	for key, want := range damaged {
		if got, err := storage.Load(t.Context(), key); err != nil || string(got) != want {
			t.Errorf("%s was changed to %q, error %v", key, got, err)
		}
	}
	if err := storage.Delete(t.Context(), folder); err != nil {
		t.Fatal(err)
	}
	site.mustServe("damaged.test", server.IssuerRoots())
}

// TestHalfAccount: a crash while the first account was being stored, without an
// e-mail address configured. certmagic left alone would take its folder's name
// for an address, which the server always refuses.
func TestHalfAccount(t *testing.T) {
	t.Parallel()
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	site := listen(t)
	server := acmetest.Start(t, acmetest.Options{HTTPPort: port(site.http), TLSPort: port(site.https)})
	issuer := (&certmagic.ACMEIssuer{CA: server.Directory()}).IssuerKey()
	if err := storage.Store(t.Context(), "acme/"+certmagic.StorageKeys.Safe(issuer)+"/users/default/default.json", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	site.start(site.config(server, storage, "halfaccount.test"))
	site.mustServe("halfaccount.test", server.IssuerRoots())
}

func TestUntrustedDirectory(t *testing.T) {
	t.Parallel()
	site := listen(t)
	server := acmetest.Start(t, acmetest.Options{HTTPPort: port(site.http), TLSPort: port(site.https)})
	config := site.config(server, &certmagic.FileStorage{Path: t.TempDir()}, "untrusteddirectory.test")
	config.Roots = nil
	site.start(config)
	eventually(t, "a problem in the status", func() bool { return site.acme.Status()[0].Problem != "" })
	mustContain(t, "log", site.log.String(), "tls.acme.ca_file")
	if server.Orders() != 0 {
		t.Error("an order at a server that is not trusted")
	}
}

// TestUnreachable: the ACME server cannot connect back.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	site := listen(t)
	server := acmetest.Start(t, acmetest.Options{HTTPPort: 1, TLSPort: 1})
	config := site.config(server, &certmagic.FileStorage{Path: t.TempDir()}, "unreachable.test")
	config.TLSALPNPort = 0 // for which Pebble gives a less exact reason
	site.start(config)
	eventually(t, "a problem in the status", func() bool { return site.acme.Status()[0].Problem != "" })
	mustContain(t, "log", site.log.String(), `"hint":"the ACME server cannot connect to the address the name points to`)
}

func TestBadACMEConfig(t *testing.T) {
	t.Parallel()
	good := certs.ACMEConfig{Names: []string{"example.test"}, Storage: &certmagic.FileStorage{Path: t.TempDir()}, HTTPPort: 80, TLSALPNPort: 443}
	tests := map[string]struct {
		change func(*certs.ACMEConfig)
		want   string
	}{
		"no names":      {func(c *certs.ACMEConfig) { c.Names = nil }, "no host names"},
		"empty name":    {func(c *certs.ACMEConfig) { c.Names = []string{"a.test", ""} }, "empty host name"},
		"no storage":    {func(c *certs.ACMEConfig) { c.Storage = nil }, "no storage"},
		"no challenge":  {func(c *certs.ACMEConfig) { c.HTTPPort, c.TLSALPNPort = 0, 0 }, "challenges"},
		"whole renewal": {func(c *certs.ACMEConfig) { c.RenewalWindow = 1 }, "renewal window"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := good
			test.change(&config)
			acme, err := certs.NewACME(t.Context(), config)
			if err == nil {
				acme.Close()
				t.Fatal("no error")
			}
			mustContain(t, "error", err.Error(), test.want)
		})
	}
}

func TestStartOnce(t *testing.T) {
	t.Parallel()
	site := listen(t)
	server := acmetest.Start(t, acmetest.Options{})
	site.start(site.config(server, &certmagic.FileStorage{Path: t.TempDir()}, "startonce.test"))
	if err := site.acme.Start(t.Context()); err == nil {
		t.Error("started twice")
	}
	site.acme.Close()
	site.acme.Close()
	if err := site.acme.Start(t.Context()); err == nil {
		t.Error("started after Close")
	}
}

// TestRenewalDown: when a renewal fails, the old certificate is served on, and
// the log says so.
func TestRenewalDown(t *testing.T) {
	t.Parallel()
	name := freshName("renewaldown")
	site := listen(t)
	server := acmetest.Start(t, acmetest.Options{HTTPPort: port(site.http), TLSPort: port(site.https), Validity: time.Hour})
	config := site.config(server, &certmagic.FileStorage{Path: t.TempDir()}, name)
	config.RenewalWindow = 0.9995 // due after 1.8 s
	config.RenewalCheck = 100 * time.Millisecond
	site.start(config)
	site.mustServe(name, server.IssuerRoots())
	server.Down()
	eventually(t, "a problem in the status", func() bool { return site.acme.Status()[0].Problem != "" })
	_, state, err := site.get(name, server.IssuerRoots())
	if err != nil {
		t.Fatal(err)
	}
	if end := site.acme.Status()[0].NotAfter; !end.Equal(state.PeerCertificates[0].NotAfter) {
		t.Errorf("status says the certificate ends %v, it ends %v", end, state.PeerCertificates[0].NotAfter)
	}
	mustContain(t, "log", site.log.String(), "certificate not renewed", `"hint":"the ACME server cannot be reached`)
}
