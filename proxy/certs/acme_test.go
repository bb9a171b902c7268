package certs_test

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"persona-sidecar/proxy/certs"
	"persona-sidecar/proxy/certs/acmetest"
)

func discard() *log.Logger { return log.New(io.Discard, "", 0) }

// TestIssue obtains a first certificate by each challenge alone and by both,
// on ports other than 80 and 443.
func TestIssue(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*certs.ACMEConfig){
		"HTTP-01":     func(c *certs.ACMEConfig) { c.TLSALPNPort = 0 },
		"TLS-ALPN-01": func(c *certs.ACMEConfig) { c.HTTPPort = 0 },
		"both":        func(*certs.ACMEConfig) {},
	}
	for challenge, change := range tests {
		t.Run(challenge, func(t *testing.T) {
			t.Parallel()
			name := strings.ToLower(challenge) + ".issue.test"
			site := listen(t)
			options := acmetest.Options{HTTPPort: port(site.http), TLSPort: port(site.https)}
			// Pebble gets a port where nothing listens for the other challenge.
			config := certs.ACMEConfig{HTTPPort: 1, TLSALPNPort: 1}
			change(&config)
			if config.HTTPPort == 0 {
				options.HTTPPort = 1
			}
			if config.TLSALPNPort == 0 {
				options.TLSPort = 1
			}
			server := acmetest.Start(t, options)
			config = site.config(server, &certmagic.FileStorage{Path: t.TempDir()}, name)
			change(&config)
			site.start(config)

			leaf := site.mustServe(name, server.IssuerRoots())
			if got := leaf.DNSNames; len(got) != 1 || got[0] != name {
				t.Errorf("names in the certificate: %v", got)
			}
			if orders := server.Orders(); orders != 1 {
				t.Errorf("%d orders, want 1", orders)
			}
			status := site.acme.Status()
			if len(status) != 1 || status[0].Name != name || !status[0].NotAfter.Equal(leaf.NotAfter) || status[0].Problem != "" {
				t.Errorf("status %+v, want the certificate's end %v", status, leaf.NotAfter)
			}
			if text := site.log.String(); strings.Contains(text, "PRIVATE KEY") {
				t.Error("a private key in the log")
			}
		})
	}
}

func TestTwoDomains(t *testing.T) {
	t.Parallel()
	site := listen(t)
	server := acmetest.Start(t, acmetest.Options{HTTPPort: port(site.http), TLSPort: port(site.https)})
	site.start(site.config(server, &certmagic.FileStorage{Path: t.TempDir()}, "twodomains.test", "www.twodomains.test", "twodomains.test"))

	for _, name := range []string{"twodomains.test", "www.twodomains.test"} {
		if leaf := site.mustServe(name, server.IssuerRoots()); leaf.VerifyHostname(name) != nil {
			t.Errorf("certificate for %v served for %s", leaf.DNSNames, name)
		}
	}
	if orders := server.Orders(); orders != 2 {
		t.Errorf("%d orders, want 2", orders)
	}
}

// TestRestart: certificate and key survive, nothing is ordered again, and it
// takes milliseconds.
func TestRestart(t *testing.T) {
	t.Parallel()
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	before := listen(t)
	server := acmetest.Start(t, acmetest.Options{HTTPPort: port(before.http), TLSPort: port(before.https)})
	before.start(before.config(server, storage, "restart.test"))
	old := before.mustServe("restart.test", server.IssuerRoots())
	before.stop()

	server.Down() // the restart needs no ACME server
	after := listen(t)
	config := after.config(server, storage, "restart.test", "new.restart.test")
	acme, err := certs.NewACME(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if !acme.HasCertificate("restart.test") || acme.HasCertificate("new.restart.test") {
		t.Error("before the start, HasCertificate does not say what is stored")
	}
	acme.Close()
	after.start(config)
	body, state, err := after.get("restart.test", server.IssuerRoots())
	if err != nil {
		t.Fatalf("right after the start: %v", err)
	}
	if !state.PeerCertificates[0].Equal(old) {
		t.Errorf("another certificate after the restart, page %q", body)
	}
	if orders := server.Orders(); orders != 1 {
		t.Errorf("%d orders, want 1", orders)
	}
}

// TestEmail: the address is the contact of the account.
func TestEmail(t *testing.T) {
	t.Parallel()
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	site := listen(t)
	server := acmetest.Start(t, acmetest.Options{HTTPPort: port(site.http), TLSPort: port(site.https)})
	config := site.config(server, storage, "email.test")
	config.Email = "admin@email.test"
	site.start(config)
	site.mustServe("email.test", server.IssuerRoots())
	issuer := (&certmagic.ACMEIssuer{CA: server.Directory()}).IssuerKey()
	account, err := storage.Load(t.Context(), "acme/"+certmagic.StorageKeys.Safe(issuer)+"/users/admin@email.test/admin.json")
	if err != nil {
		t.Fatal(err)
	}
	mustContain(t, "account", string(account), "mailto:admin@email.test")
}

// TestRenewal: a short-lived certificate is replaced before it ends.
func TestRenewal(t *testing.T) {
	t.Parallel()
	name := freshName("renewal")
	site := listen(t)
	server := acmetest.Start(t, acmetest.Options{
		HTTPPort: port(site.http), TLSPort: port(site.https), Validity: time.Hour,
	})
	config := site.config(server, &certmagic.FileStorage{Path: t.TempDir()}, name)
	config.RenewalWindow = 0.9999 // due when a ten-thousandth of the hour, 0.36 s, has passed
	config.RenewalCheck = 100 * time.Millisecond
	site.start(config)
	first := site.mustServe(name, server.IssuerRoots())
	eventually(t, "another certificate", func() bool {
		_, state, err := site.get(name, server.IssuerRoots())
		if err != nil {
			t.Fatalf("during renewal: %v", err)
		}
		return !state.PeerCertificates[0].Equal(first)
	})
	if server.Orders() < 2 {
		t.Errorf("%d orders, want two at least", server.Orders())
	}
	mustContain(t, "log", site.log.String(), "certificate renewed")
}

// TestOverdue: what fell due while the program did not run is renewed when it
// starts, long before the next check.
func TestOverdue(t *testing.T) {
	t.Parallel()
	name := freshName("overdue")
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	before := listen(t)
	server := acmetest.Start(t, acmetest.Options{HTTPPort: port(before.http), TLSPort: port(before.https)})
	before.start(before.config(server, storage, name))
	old := before.mustServe(name, server.IssuerRoots())
	before.stop()

	after := listenAgain(t, before) // where the ACME server will look
	config := after.config(server, storage, name)
	config.RenewalWindow = 0.999999999
	after.start(config)
	eventually(t, "another certificate", func() bool {
		_, state, err := after.get(name, server.IssuerRoots())
		if err != nil {
			t.Fatalf("during renewal: %v", err)
		}
		return !state.PeerCertificates[0].Equal(old)
	})
}

// TestHandshake checks the TLS policy and that strangers' names get nothing.
func TestHandshake(t *testing.T) {
	t.Parallel()
	site := listen(t)
	server := acmetest.Start(t, acmetest.Options{HTTPPort: port(site.http), TLSPort: port(site.https)})
	site.start(site.config(server, &certmagic.FileStorage{Path: t.TempDir()}, "handshake.test"))
	site.mustServe("handshake.test", server.IssuerRoots())
	orders := server.Orders()
	checkPolicy(t, site.https.Addr().String(), "handshake.test", server.IssuerRoots())

	for _, name := range []string{"other.test", "sub.handshake.test", ""} {
		config := &tls.Config{ServerName: name, InsecureSkipVerify: true}
		if err := dial(site.https.Addr().String(), config); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("handshake for %q: %v, want unrecognized name", name, err)
		}
		config.NextProtos = []string{"acme-tls/1"}
		if err := dial(site.https.Addr().String(), config); err == nil {
			t.Errorf("challenge handshake for %q succeeded", name)
		}
	}
	if server.Orders() != orders {
		t.Errorf("strangers' handshakes made %d orders", server.Orders()-orders)
	}
	if err := dial(site.https.Addr().String(), &tls.Config{ServerName: "HANDSHAKE.test", RootCAs: server.IssuerRoots()}); err != nil {
		t.Errorf("upper-case server name: %v", err)
	}
}

// TestStrayChallenge: a request that only looks like a challenge is not ours.
func TestStrayChallenge(t *testing.T) {
	t.Parallel()
	site := listen(t)
	server := acmetest.Start(t, acmetest.Options{HTTPPort: port(site.http), TLSPort: port(site.https)})
	site.start(site.config(server, &certmagic.FileStorage{Path: t.TempDir()}, "straychallenge.test"))
	site.mustServe("straychallenge.test", server.IssuerRoots())
	for _, host := range []string{"straychallenge.test", "other.test", "../../etc/passwd", ""} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+site.http.Addr().String()+"/.well-known/acme-challenge/token", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode == http.StatusOK {
			t.Errorf("a challenge for %q was answered", host)
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func TestRetryDelay(t *testing.T) {
	t.Parallel()
	last := time.Duration(0)
	for failures := range 40 {
		delay := certs.RetryDelay(failures)
		if delay < last || delay < time.Minute || delay > time.Hour {
			t.Errorf("after %d failures: %v, after one less: %v", failures, delay, last)
		}
		last = delay
	}
}
