package certs_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/goleak"

	"persona-sidecar/proxy/certs"
	"persona-sidecar/proxy/certs/acmetest"
	"persona-sidecar/proxy/proxytest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, acmetest.LeakOptions()...)
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(proxytest.Patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("not within %v: %s", proxytest.Patience, what)
		case <-tick.C:
		}
	}
}

// problems returns the first lines of a log that are worse than info.
func problems(log string, limit int) string {
	var found []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, `"level":"warn"`) || strings.Contains(line, `"level":"error"`) {
			found = append(found, line)
		}
	}
	return strings.Join(found[:min(limit, len(found))], "")
}

// site is the program under test: a TLS and a plain listener on ports of their
// own, certificates by ACME, and one page.
type site struct {
	t           *testing.T
	https, http net.Listener
	log         proxytest.Log
	acme        *certs.ACME
	stop        func()
}

// listen opens the listeners of a site. Their ports have to be known to the
// ACME server before the site starts.
func listen(t *testing.T) *site {
	t.Helper()
	return &site{t: t, https: listenOn(t, "127.0.0.1:0"), http: listenOn(t, "127.0.0.1:0")}
}

// listenAgain opens the listeners of a stopped site once more.
func listenAgain(t *testing.T, stopped *site) *site {
	t.Helper()
	return &site{t: t, https: listenOn(t, stopped.https.Addr().String()), http: listenOn(t, stopped.http.Addr().String())}
}

func listenOn(t *testing.T, address string) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

// freshName returns a name that no test used before: certmagic remembers for the
// life of the process which renewal failed or was broken off, by name.
func freshName(label string) string {
	return strings.ToLower(rand.Text()[:8]) + "." + label + ".test"
}

func port(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// config is what a test changes before start. Tests that run at the same time
// must use different names, see acmetest.
func (s *site) config(server *acmetest.Server, storage certmagic.Storage, names ...string) certs.ACMEConfig {
	return certs.ACMEConfig{
		Names:       names,
		Storage:     storage,
		Directory:   server.Directory(),
		Roots:       server.Roots(),
		ListenHost:  "127.0.0.1",
		HTTPPort:    port(s.http),
		TLSALPNPort: port(s.https),
		Log:         s.log.Logger(),
		RetryDelay:  func(int) time.Duration { return 20 * time.Millisecond },
	}
}

// start serves on the listeners, then starts to obtain certificates.
func (s *site) start(config certs.ACMEConfig) {
	s.t.Helper()
	acme, err := certs.NewACME(s.t.Context(), config)
	if err != nil {
		s.t.Fatal(err)
	}
	s.acme = acme
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%s of %s", r.Proto, r.Host) })
	secure := &http.Server{Handler: page, TLSConfig: acme.TLSConfig(), ErrorLog: discard()}
	plain := &http.Server{ErrorLog: discard(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !acme.HandleHTTPChallenge(w, r) {
			http.NotFound(w, r)
		}
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = secure.ServeTLS(s.https, "", "") })
	serving.Go(func() { _ = plain.Serve(s.http) })
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = sync.OnceFunc(func() {
		cancel()
		acme.Close()
		secure.Close()
		plain.Close()
		serving.Wait()
	})
	s.t.Cleanup(func() {
		s.stop()
		if s.t.Failed() {
			s.t.Logf("the first problems in the log:\n%s", problems(s.log.String(), 10))
		}
	})
	if err := acme.Start(ctx); err != nil {
		s.t.Fatal(err)
	}
}

// get asks for the page of a name over TLS, checking the certificate.
func (s *site) get(name string, roots *x509.CertPool) (string, *tls.ConnectionState, error) {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, s.https.Addr().String())
		},
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		ForceAttemptHTTP2: true,
	}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Get("https://" + name + "/")
	if err != nil {
		return "", nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), response.TLS, err
}

// mustServe waits for the certificate of a name and checks the page.
func (s *site) mustServe(name string, roots *x509.CertPool) *x509.Certificate {
	s.t.Helper()
	eventually(s.t, "a certificate for "+name, func() bool { return s.acme.HasCertificate(name) })
	body, state, err := s.get(name, roots)
	if err != nil {
		s.t.Fatalf("asking for https://%s/: %v", name, err)
	}
	if want := "HTTP/2.0 of " + name; body != want {
		s.t.Errorf("page of %s: got %q, want %q", name, body, want)
	}
	return state.PeerCertificates[0]
}

// dial makes a TLS handshake and returns its error.
func dial(address string, config *tls.Config) error {
	conn, err := tls.Dial("tcp", address, config)
	if err != nil {
		return err
	}
	return conn.Close()
}

func mustContain(t *testing.T, what, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%s: %q is missing in\n%s", what, want, text)
		}
	}
}

// fullStorage is a storage on a full disk.
type fullStorage struct{ *certmagic.FileStorage }

func (*fullStorage) Store(context.Context, string, []byte) error {
	return fmt.Errorf("writing: %w", syscall.ENOSPC)
}
