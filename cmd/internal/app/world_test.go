package app_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"persona-sidecar/cmd/internal/app"
	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/ldapauth/ldaptest"

	"github.com/rs/zerolog"
)

// program is an App that runs.
type program struct {
	*app.App
	log  *apptest.Log
	stop func() error // asks it to stop and waits; a second call returns the same
}

// build makes an App of a configuration text. Its folder holds everything relative.
func build(t testing.TB, folder, yaml string) (*app.App, *apptest.Log, error) {
	t.Helper()
	return buildAt(t, folder, yaml, time.Now)
}

// buildAt is build with a clock.
func buildAt(t testing.TB, folder, yaml string, now func() time.Time) (*app.App, *apptest.Log, error) {
	t.Helper()
	path := filepath.Join(folder, "persona.yaml")
	apptest.Write(t, path, yaml)
	loaded, err := config.Load(path, nil)
	if err != nil {
		t.Fatalf("the test's configuration: %v", err)
	}
	log := &apptest.Log{}
	built, err := app.New(app.Options{Config: loaded, Log: zerolog.New(log).Level(zerolog.DebugLevel), Version: "test", Now: now})
	return built, log, err
}

// start runs an App of a configuration text until the test ends, and waits until it is ready.
func start(t testing.TB, folder, yaml string) *program {
	t.Helper()
	return startAt(t, folder, yaml, time.Now)
}

// startAt is start with a clock.
func startAt(t testing.TB, folder, yaml string, now func() time.Time) *program {
	t.Helper()
	built, log, err := buildAt(t, folder, yaml, now)
	if err != nil {
		t.Fatalf("building the program: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	var result error
	go func() {
		defer close(done)
		result = built.Run(ctx)
	}()
	p := &program{App: built, log: log, stop: func() error {
		cancel()
		<-done
		return result
	}}
	t.Cleanup(func() {
		if err := p.stop(); err != nil {
			t.Errorf("the program ended in an error: %v", err)
		}
		if t.Failed() {
			t.Logf("the program logged:\n%s", log)
		}
	})
	select {
	case <-built.Ready():
	case <-done:
		t.Fatalf("the program ended before it was ready: %v", result)
	case <-time.After(apptest.Patience):
		t.Fatal("the program did not become ready")
	}
	return p
}

// client reaches every host name at the program's listeners, follows no redirect, keeps no cookie.
func (p *program) client(roots *x509.CertPool) *http.Client {
	to := map[string]string{}
	for name, port := range map[string]string{"https": "443", "http": "80"} {
		if address := p.Addr(name); address != nil {
			to[port] = address.String()
		}
	}
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return new(net.Dialer).DialContext(ctx, network, to[port])
		},
	}
	return &http.Client{
		Transport:     transport,
		Timeout:       apptest.Patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// admin asks the admin listener.
func (p *program) admin(t testing.TB, path string) (status int, body string) {
	t.Helper()
	return get(t, http.DefaultClient, "http://"+p.Addr("admin").String()+path)
}

// get returns what a URL answers.
func get(t testing.TB, client *http.Client, url string) (status int, body string) {
	t.Helper()
	response, err := client.Get(url)
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	return response.StatusCode, read(t, response)
}

func read(t testing.TB, response *http.Response) string {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("reading the answer of %s: %v", response.Request.URL, err)
	}
	return string(body)
}

// website is a real upstream that answers with what reached it.
func website(t testing.TB) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Website", "yes")
		fmt.Fprintf(w, "website host=%s uri=%s proto=%s for=%s cookies=%q",
			r.Host, r.RequestURI, r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-For"), r.Header["Cookie"])
	}))
	t.Cleanup(server.Close)
	return server
}

// directoryYAML is the configuration of a real directory, over TLS.
func directoryYAML(t testing.TB, folder string, server *ldaptest.Server) string {
	t.Helper()
	apptest.Write(t, filepath.Join(folder, "ldap-ca.pem"), string(server.RootsPEM))
	apptest.Write(t, filepath.Join(folder, "ldap-password"), server.BindPassword+"\n")
	return fmt.Sprintf(`
directories:
  corp:
    preset: %s
    urls: [%s]
    ca_file: ldap-ca.pem
    bind_dn: %s
    bind_password_file: ldap-password
    base_dn: %s
`, server.Kind.Preset(), server.LDAPSURL(), server.BindDN, server.BaseDN)
}
