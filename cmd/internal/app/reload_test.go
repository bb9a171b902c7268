package app_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"persona-sidecar/cmd/internal/app"
	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/ldapauth/ldaptest"
	"persona-sidecar/proxy/certs/acmetest"

	"golang.org/x/net/websocket"
)

// reload gives the program another configuration text in the same folder.
func (p *program) reload(t testing.TB, folder, yaml string) error {
	t.Helper()
	path := filepath.Join(folder, "persona.yaml")
	apptest.Write(t, path, yaml)
	return p.Reload(func() (*config.Config, error) { return config.Load(path, nil) })
}

// mustReload is reload with a configuration that is accepted.
func (p *program) mustReload(t testing.TB, folder, yaml string) {
	t.Helper()
	if err := p.reload(t, folder, yaml); err != nil {
		t.Fatalf("reloading: %v", err)
	}
}

// descriptors counts the open descriptors of this process.
func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("no list of descriptors on this system: %v", err)
	}
	return len(entries)
}

// TestReloadUnderLoad: 10,000 requests over HTTP/1.1 and HTTP/2 while the configuration is reloaded
// every 200 ms. None fails, and afterwards no goroutine and no descriptor is left over. It does not run
// in parallel with others because it counts those of the process.
func TestReloadUnderLoad(t *testing.T) {
	const requests, workers = 10_000, 8
	folder := t.TempDir()
	tls, roots := filesYAML(t, folder, "example.test", "www.example.test")
	site := website(t)
	yaml := func(n int) string {
		more := "hosts: []"
		if n%2 == 1 {
			more = "hosts: [www.example.test], identity_headers: true, access: [{path: /closed, allow: signed_in}]"
		}
		return tls + fmt.Sprintf("domains:\n  - {name: example.test, upstream: %s, directory: corp, %s}\n", site.URL, more) + deadDirectory
	}
	p := start(t, folder, yaml(0))
	waitForKeys(t, p)
	first, second := p.client(roots), p.client(roots)
	old := first.Transport.(*http.Transport)
	old.ForceAttemptHTTP2, old.Protocols = false, new(http.Protocols)
	old.Protocols.SetHTTP1(true)
	idle := func() {
		first.CloseIdleConnections()
		second.CloseIdleConnections()
	}
	for _, client := range []*http.Client{first, second} {
		get(t, client, "https://example.test/") // so that what is made once is counted
	}
	idle()
	p.mustReload(t, folder, yaml(1))
	goroutines, files := runtime.NumGoroutine(), descriptors(t)

	reloads := make(chan struct{})
	var load, reloading sync.WaitGroup
	var sent, failed, done atomic.Int64
	for worker := range workers {
		client, proto := first, "HTTP/1.1"
		if worker%2 == 1 {
			client, proto = second, "HTTP/2.0"
		}
		load.Go(func() {
			paths := []string{"/", "/.well-known/browserid", "/persona/api/session", "/shop?x=1"}
			for n := sent.Add(1); n <= requests; n = sent.Add(1) {
				response, err := client.Get("https://example.test" + paths[n%int64(len(paths))])
				if err == nil {
					_, err = io.Copy(io.Discard, response.Body)
					response.Body.Close()
				}
				if (err != nil || response.StatusCode != http.StatusOK || response.Proto != proto) && failed.Add(1) <= 3 {
					t.Errorf("request %d: %v %v", n, response, err)
				}
			}
		})
	}
	reloading.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for n := 2; ; n++ {
			if err := p.reload(t, folder, yaml(n)); err != nil {
				t.Errorf("reload %d: %v", n, err)
			}
			done.Add(1)
			select {
			case <-reloads:
				return
			case <-tick.C:
			}
		}
	})
	load.Wait()
	close(reloads)
	reloading.Wait()
	t.Logf("%d reloads during %d requests, %d failed", done.Load(), requests, failed.Load())
	if done.Load() < 2 {
		t.Errorf("only %d reloads happened", done.Load())
	}
	apptest.Eventually(t, "goroutines and descriptors are as before", func() bool {
		idle()
		site.CloseClientConnections()
		return runtime.NumGoroutine() <= goroutines && descriptors(t) <= files
	})
}

// TestReloadChangesHosts: what is new is served and gets its keys, what is gone is served no more and
// leaves neither health nor series behind.
func TestReloadChangesHosts(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	tls, roots := filesYAML(t, folder, "example.test", "new.test")
	site := website(t).URL
	directory := func(name string) string { return strings.Replace(deadDirectory, "corp:", name+":", 1) }
	domain := "domains:\n  - {name: %s, upstream: %s, directory: %s}\n"
	p := start(t, folder, tls+fmt.Sprintf(domain, "example.test", site, "corp")+directory("corp"))
	waitForKeys(t, p)
	client := p.client(roots)
	parts := func(name, directory string) func() bool {
		return func() bool {
			_, ready := p.admin(t, "/readyz")
			_, metrics := p.admin(t, "/metrics")
			return strings.Contains(ready, `"directory `+directory+`"`) && strings.Contains(ready, `"certificate `+name+`"`) &&
				strings.Contains(metrics, `site="`+name+`"`)
		}
	}
	if status, _ := get(t, client, "https://example.test/"); status != http.StatusOK {
		t.Fatalf("the website answers %d", status)
	}
	if status, _ := signIn(t, client, "alice", "wrong"); status != http.StatusServiceUnavailable {
		t.Fatalf("a sign-in answers %d", status)
	}
	apptest.Eventually(t, "the first host is reported", parts("example.test", "corp"))

	p.mustReload(t, folder, tls+fmt.Sprintf(domain, "new.test", site, "staff")+directory("staff"))
	if status, _ := get(t, client, "https://example.test/"); status != http.StatusMisdirectedRequest {
		t.Errorf("the removed host answers %d", status)
	}
	if status, _ := get(t, client, "https://new.test/"); status != http.StatusOK {
		t.Errorf("the new host answers %d", status)
	}
	apptest.Eventually(t, "the new host publishes a key", func() bool {
		status, _ := get(t, client, "https://new.test/.well-known/browserid")
		return status == http.StatusOK
	})
	apptest.Eventually(t, "the second host is reported", parts("new.test", "staff"))
	apptest.Eventually(t, "nothing is left of the first host", func() bool {
		_, ready := p.admin(t, "/readyz")
		_, metrics := p.admin(t, "/metrics")
		return !strings.Contains(ready+metrics, "example.test") && !strings.Contains(ready+metrics, "corp")
	})
}

// TestReloadRefused: after a configuration with faults, one that cannot be applied, and one that changes
// what cannot change, everything is as before; /readyz has the cause until a reload succeeds.
func TestReloadRefused(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	tls, roots := filesYAML(t, folder, "example.test")
	good := tls + oneDomain(website(t).URL) + deadDirectory
	p := start(t, folder, good)
	client := p.client(roots)
	for name, test := range map[string]struct {
		yaml string
		want []string
	}{
		"no YAML":  {"domains: [", []string{"persona.yaml"}},
		"faults":   {good + "nonsense: 1\nthrottle: {failures: -1}\n", []string{"nonsense", "throttle.failures"}},
		"no files": {strings.Replace(good, "tls.pem", "none.pem", 1), []string{"none.pem"}},
		"listeners and state_dir": {
			strings.NewReplacer("state_dir: state", "state_dir: other", `http: "127.0.0.1:0"`, `http: "127.0.0.2:0"`, `admin: "127.0.0.1:0"`, `admin: ""`).Replace(good),
			[]string{"state_dir, listen.http, listen.admin cannot change while the program runs"},
		},
		"TLS off": {
			strings.Replace(good, "tls: {mode: files, cert_file: tls.pem, key_file: tls.key}", `tls: {mode: "off"}`, 1) + "trusted_proxies: [private]\n",
			[]string{"tls.mode"},
		},
		"log": {good + "log: {level: debug, format: console}\n", []string{"log.level, log.format cannot change"}},
	} {
		err := p.reload(t, folder, test.yaml)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the error does not say %q: %v", name, want, err)
			}
		}
		if fixed := (*app.UnchangeableError)(nil); errors.As(err, &fixed) && !strings.Contains(fixed.Hint(), "restart") {
			t.Errorf("%s: hint %q", name, fixed.Hint())
		}
		if status, body := p.admin(t, "/readyz"); status != http.StatusOK || !strings.Contains(body, `"configuration": {
      "state": "degraded"`) {
			t.Errorf("%s: /readyz answers %d %s", name, status, body)
		}
		if status, _ := get(t, client, "https://example.test/"); status != http.StatusOK {
			t.Errorf("%s: the website answers %d", name, status)
		}
	}
	p.mustReload(t, folder, good)
	if _, body := p.admin(t, "/readyz"); !strings.Contains(body, `"configuration": {
      "state": "ok"`) {
		t.Errorf("after a good configuration: %s", body)
	}
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	if err := p.reload(t, folder, good); err == nil {
		t.Error("a program that has stopped reloads")
	}
}

// TestReloadKeeps: a session, the failures of a sign-in, a websocket and an event stream outlive
// reloads, and the replaced directory lets the connections go that it had.
func TestReloadKeeps(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	mux := http.NewServeMux()
	mux.Handle("/echo", websocket.Handler(func(c *websocket.Conn) { _, _ = io.Copy(c, c) }))
	mux.HandleFunc("/events", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: first\n\n")
		_ = http.NewResponseController(w).Flush()
		<-release
		fmt.Fprint(w, "data: last\n\n")
	})
	site := httptest.NewServer(mux)
	t.Cleanup(site.Close)
	slapd := ldaptest.StartSlapd(t, ldaptest.Options{})
	folder := t.TempDir()
	tls, roots := filesYAML(t, folder, "example.test")
	yaml := tls + oneDomain(site.URL) + directoryYAML(t, folder, slapd) + "throttle: {failures: 3}\n"
	p := start(t, folder, yaml)
	waitForKeys(t, p)
	client := p.client(roots)

	response := postForm(t, client, "alice", ldaptest.Password)
	read(t, response)
	for range 3 {
		signIn(t, client, "bob", "wrong")
	}
	socket := dialWebsocket(t, p, roots)
	events, err := client.Get("https://example.test/events")
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()

	for range 3 {
		p.mustReload(t, folder, yaml)
	}
	if status, _ := signIn(t, client, "bob", ldaptest.Password); status != http.StatusTooManyRequests {
		t.Errorf("after three failures and a reload the right password answers %d", status)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://example.test/persona/api/session", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range response.Cookies() {
		request.AddCookie(cookie)
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if body := read(t, answer); !strings.Contains(body, `"signed_in":true`) {
		t.Errorf("the session did not survive: %s", body)
	}
	if _, err := socket.Write([]byte("again")); err != nil {
		t.Fatal(err)
	}
	echo := make([]byte, 5)
	if _, err := io.ReadFull(socket, echo); err != nil || string(echo) != "again" {
		t.Errorf("the websocket answered %q, %v", echo, err)
	}
	close(release)
	if body := read(t, events); body != "data: first\n\ndata: last\n\n" {
		t.Errorf("the event stream was %q", body)
	}
}

// TestReloadOrdersCertificates: a name that a reload brings gets its certificate, and the one that was
// there keeps its own.
func TestReloadOrdersCertificates(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	httpsPort, httpPort := apptest.FreePort(t), apptest.FreePort(t)
	pebble := acmetest.Start(t, acmetest.Options{HTTPPort: httpPort, TLSPort: httpsPort})
	writeRoots(t, filepath.Join(folder, "acme-ca.pem"), pebble)
	site := website(t).URL
	yaml := fmt.Sprintf(`
state_dir: state
listen: {https: "127.0.0.1:%d", http: "127.0.0.1:%d", admin: "127.0.0.1:0"}
tls: {acme: {directory: %s, ca_file: acme-ca.pem}}
domains:
  - {name: example.test, upstream: %s}
`, httpsPort, httpPort, pebble.Directory(), site)
	p := start(t, folder, yaml)
	roots := pebble.IssuerRoots()
	serial := func(name string) string {
		leaf := leafOf(p, roots, name)
		if leaf == nil {
			return ""
		}
		return leaf.SerialNumber.String()
	}
	apptest.Eventually(t, "the first name has a certificate", func() bool { return serial("example.test") != "" })
	before := serial("example.test")
	p.mustReload(t, folder, yaml+fmt.Sprintf("  - {name: new.test, upstream: %s}\n", site))
	apptest.Eventually(t, "the new name has a certificate", func() bool { return serial("new.test") != "" })
	if after := serial("example.test"); after != before {
		t.Errorf("the certificate of the name that stayed changed from %s to %s", before, after)
	}
	p.mustReload(t, folder, yaml)
	if got := serial("new.test"); got != "" {
		t.Errorf("the removed name still has certificate %s", got)
	}
}

// leafOf returns the certificate that the program shows for a name; nil: the handshake fails.
func leafOf(p *program, roots *x509.CertPool, name string) *x509.Certificate {
	client := p.client(roots)
	defer client.CloseIdleConnections()
	response, err := client.Get("https://" + name + "/")
	if err != nil {
		return nil
	}
	response.Body.Close()
	return response.TLS.PeerCertificates[0]
}
