package app_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/deploy/relying-party/relyingpartytest"
)

// TestBehindATerminator: in mode off a trusted proxy names client and scheme; no one else is
// trusted, and passwords are never taken over plain HTTP.
func TestBehindATerminator(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	settings := "state_dir: state\nlisten: {http: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"}\ntls: {mode: off}\ntrusted_proxies: [%s]\n" +
		oneDomain(website(t).URL) + deadDirectory
	trusting := start(t, folder, fmt.Sprintf(settings, "127.0.0.0/8"))
	waitForKeys(t, trusting)
	wary := start(t, t.TempDir(), fmt.Sprintf(settings, "192.0.2.0/24"))
	waitForKeys(t, wary)

	for name, test := range map[string]struct {
		p      *program
		path   string
		proto  string
		status int
		want   string
	}{
		"website over https":                   {trusting, "/a?b", "https", http.StatusOK, "proto=https for=203.0.113.9"},
		"website over http":                    {trusting, "/a?b", "http", http.StatusOK, "proto=http for=203.0.113.9"},
		"document over https":                  {trusting, "/.well-known/browserid", "https", http.StatusOK, `"public-key"`},
		"sign-in over https":                   {trusting, "/persona/authenticate", "https", http.StatusOK, "password"},
		"sign-in over http":                    {trusting, "/persona/authenticate", "http", http.StatusPermanentRedirect, ""},
		"a stranger's headers are not trusted": {wary, "/a?b", "https", http.StatusOK, "proto=http for=127.0.0.1"},
		"a stranger reaches no identity paths": {wary, "/persona/authenticate", "https", http.StatusServiceUnavailable, ""},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://example.test"+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Forwarded-Proto", test.proto)
		request.Header.Set("X-Forwarded-For", "198.51.100.7, 203.0.113.9")
		response, err := test.p.client(nil).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body := read(t, response)
		if response.StatusCode != test.status || !strings.Contains(body, test.want) {
			t.Errorf("%s: got %d %s", name, response.StatusCode, body)
		}
	}
	if line := `"proxies":"192.0.2.0/24","hops":1`; !strings.Contains(wary.log.String(), line) {
		t.Errorf("no line with %s in the log", line)
	}
}

// TestNothingOfOursReachesTheWebsite sends every odd spelling over a raw connection.
func TestNothingOfOursReachesTheWebsite(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	yaml, roots := filesYAML(t, folder, "example.test")
	p := start(t, folder, yaml+oneDomain(website(t).URL)+deadDirectory)
	waitForKeys(t, p)

	for _, target := range []string{
		"/%70ersona/", "/persona%2f", "/persona//api/session", "/persona/../index", "/persona/..%2findex", "//persona/",
		"/x/../persona/", "/x/%2e%2e/persona/api/session", "/./persona/", "/persona/./", "/persona/%61pi/session",
		"/.well-known//browserid", "/.well-known/%62rowserid", "/.well-known/browserid/", "/.well-known/./browserid",
		"/%2ewell-known/browserid", "/a/../.well-known/browserid", "/persona/none", "https://example.test/%70ersona/",
	} {
		status, body := raw(t, p, roots, "GET "+target+" HTTP/1.1\r\nHost: example.test\r\nConnection: close\r\n\r\n")
		if status != http.StatusNotFound || strings.Contains(body, "website host=") {
			t.Errorf("%s answers %d\n%.200s", target, status, body)
		}
	}
	for target, uri := range map[string]string{
		"/Persona/":             "/Persona/",
		"/personal":             "/personal",
		"/%2570ersona/":         "/%2570ersona/",
		"/a//b/./../%2F?q=;&%":  "/a//b/./../%2F?q=;&%",
		"/.well-known/security": "/.well-known/security",
	} {
		status, body := raw(t, p, roots, "GET "+target+" HTTP/1.1\r\nHost: EXAMPLE.test.:443\r\nConnection: close\r\nCookie: a=1; __Host-persona=stolen; b=2\r\n\r\n")
		if status != http.StatusOK || !strings.Contains(body, "uri="+uri+" ") || strings.Contains(body, "stolen") || !strings.Contains(body, "a=1") {
			t.Errorf("%s answers %d %s", target, status, body)
		}
	}
	for name, request := range map[string]string{
		"an unknown host":            "GET / HTTP/1.1\r\nHost: other.test\r\n\r\n",
		"a bare address":             "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
		"two hosts":                  "GET / HTTP/1.1\r\nHost: example.test\r\nHost: example.test\r\n\r\n",
		"no host":                    "GET / HTTP/1.1\r\n\r\n",
		"a bad escape in the path":   "GET /%zz HTTP/1.1\r\nHost: example.test\r\n\r\n",
		"a connect":                  "CONNECT example.test:443 HTTP/1.1\r\nHost: example.test\r\n\r\n",
		"two different body lengths": "POST / HTTP/1.1\r\nHost: example.test\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
	} {
		if status, body := raw(t, p, roots, request); status < 400 || status >= 500 || strings.Contains(body, "website host=") {
			t.Errorf("%s answers %d\n%.200s", name, status, body)
		}
	}
}

// raw sends bytes to example.test over TLS and returns what comes back.
func raw(t *testing.T, p *program, roots *x509.CertPool, request string) (status int, body string) {
	t.Helper()
	response := wire(t, p, roots, "https://example.test", request)
	return response.StatusCode, read(t, response)
}

// wire sends bytes to the host of an origin and returns what comes back.
func wire(t *testing.T, p *program, roots *x509.CertPool, origin, request string) *http.Response {
	t.Helper()
	scheme, host, _ := strings.Cut(origin, "://")
	connection, err := net.Dial("tcp", p.Addr(scheme).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	if err := connection.SetDeadline(time.Now().Add(apptest.Patience)); err != nil {
		t.Fatal(err)
	}
	if scheme == "https" {
		connection = tls.Client(connection, &tls.Config{ServerName: host, RootCAs: roots})
	}
	if _, err := io.WriteString(connection, request); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatalf("%.60q: %v", request, err)
	}
	response.Request = &http.Request{URL: &url.URL{Scheme: scheme, Host: host}}
	return response
}

// TestLogWithoutRequests: log.requests turns off the lines of requests that were served, not those
// of requests that failed.
func TestLogWithoutRequests(t *testing.T) {
	t.Parallel()
	up, down := website(t), website(t)
	down.Close()
	p := start(t, t.TempDir(), "state_dir: state\nlisten: {http: \"127.0.0.1:0\", admin: \"\"}\ntls: {mode: off}\ntrusted_proxies: [private]\nlog: {requests: false}\n"+
		fmt.Sprintf("domains:\n  - {name: up.test, upstream: %q}\n  - {name: down.test, upstream: %q}\n", up.URL, down.URL))
	for _, name := range []string{"up.test", "down.test"} {
		response, err := p.client(nil).Get("http://" + name + "/")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	if log := p.log.String(); strings.Contains(log, `"host":"up.test"`) || strings.Count(log, `"message":"request"`) != 1 || !strings.Contains(log, `"status":502`) {
		t.Errorf("logged %s", log)
	}
}

// TestClaimsBeforePHP: PHP takes X.Forwarded.For for X-Forwarded-For and lets the last one win, so
// no spelling of a field that is made here, or that names a person, reaches it from a client.
func TestClaimsBeforePHP(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("php"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no php is installed (apt-get install php-cli)")
		}
		t.Skip("no php is installed (apt-get install php-cli)")
	}
	folder := t.TempDir()
	apptest.Write(t, filepath.Join(folder, "index.php"), "<?php echo json_encode($_SERVER);")
	listen := relyingpartytest.FreeAddress(t)
	php := exec.CommandContext(t.Context(), "php", "-S", listen, filepath.Join(folder, "index.php"))
	if err := php.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = php.Process.Kill()
		_ = php.Wait()
	})
	apptest.Eventually(t, "PHP listens", func() bool {
		conn, err := net.Dial("tcp", listen)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	p := start(t, folder, "state_dir: state\nlisten: {http: \"127.0.0.1:0\", admin: \"\"}\ntls: {mode: off}\ntrusted_proxies: [private]\n"+
		fmt.Sprintf("domains:\n  - {name: example.test, upstream: \"http://%s\"}\n", listen))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://example.test/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for _, claim := range []string{
		"X.Forwarded.For", "X-Forwarded.For", "X_Forwarded_For", "X.Real.Ip", "X.Forwarded.Proto", "X.Forwarded.Host", "X.Request.Id",
		"X-Forwarded-Prefix", "X-Forwarded-Uri", "x.forwarded.user", "Remote-User", "Remote_User", "X.Remote.User", "X-Webauth-User", "X.Auth.Request.User",
	} {
		request.Header[claim] = []string{"forged!"}
	}
	response, err := p.client(nil).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	var server map[string]any
	if err := json.Unmarshal([]byte(read(t, response)), &server); err != nil {
		t.Fatal(err)
	}
	if server["HTTP_X_FORWARDED_FOR"] != "127.0.0.1" || server["HTTP_X_FORWARDED_HOST"] != "example.test" || server["HTTP_VIA"] != "1.1 persona" {
		t.Errorf("PHP got %v", server)
	}
	for name, value := range server {
		if value == "forged!" {
			t.Errorf("PHP got %s from the client", name)
		}
	}
}

// TestProxyProtocol: a load balancer that is listed names the client of a connection, for the
// website, the log and all limits.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "state_dir: state\nlisten: {http: \"127.0.0.1:0\", admin: \"127.0.0.1:0\", proxy_protocol: [127.0.0.1]}\ntls: {mode: off}\ntrusted_proxies: [127.0.0.1]\n"+
		fmt.Sprintf("domains:\n  - {name: example.test, upstream: %q}\n", website(t).URL))
	conn, err := net.Dial("tcp", p.Addr("http").String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(apptest.Patience)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "PROXY TCP4 192.0.2.9 192.0.2.1 4711 80\r\nGET /a HTTP/1.1\r\nHost: example.test\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: close\r\n\r\n")
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(answer), "for=192.0.2.9") {
		t.Errorf("%q %v", answer, err)
	}
	if status, _ := p.admin(t, "/livez"); status != http.StatusOK {
		t.Errorf("the admin listener answers %d", status)
	}
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(p.log.String(), `"client":"192.0.2.9"`) {
		t.Errorf("logged %s", p.log.String())
	}
}

// TestSessionTickets: a TLS session resumes after a restart, and at another process that shares
// the state directory.
func TestSessionTickets(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	yaml, roots := filesYAML(t, folder, "example.test")
	yaml += fmt.Sprintf("domains:\n  - {name: example.test, upstream: %q}\n", website(t).URL)
	settings := &tls.Config{ServerName: "example.test", RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	visit := func(p *program) bool {
		connection, err := tls.Dial("tcp", p.Addr("https").String(), settings)
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		if _, err := io.WriteString(connection, "GET / HTTP/1.1\r\nHost: example.test\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(connection); err != nil { // the ticket comes first
			t.Fatal(err)
		}
		return connection.ConnectionState().DidResume
	}
	stored := filepath.Join(folder, "state", "persona", "tickets.json")
	first := start(t, folder, yaml)
	apptest.Eventually(t, "the keys are in the store", func() bool { _, err := os.Stat(stored); return err == nil })
	second := start(t, folder, yaml)
	apptest.Eventually(t, "both processes resume what either made", func() bool {
		visit(first)
		there := visit(second)
		return visit(first) && there
	})
	if err := errors.Join(first.stop(), second.stop()); err != nil {
		t.Fatal(err)
	}
	third := start(t, folder, yaml)
	if !visit(third) {
		t.Error("the session does not resume after a restart")
	}
	if info, err := os.Stat(stored); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
}

// TestAddressesAsHosts: addresses of both families among hosts are served like names, on every
// way in, and their sites may use the hub.
func TestAddressesAsHosts(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	yaml, roots := filesYAML(t, folder, "example.test", "::1", "127.0.0.1", "2001:db8::5")
	p := start(t, folder, yaml+fmt.Sprintf("domains:\n  - {name: example.test, upstream: %q, hosts: [\"::1\", \"2001:db8::5\", 127.0.0.1], directory: corp}\n", website(t).URL)+deadDirectory)
	waitForKeys(t, p)
	client := p.client(roots)
	for _, host := range []string{"[::1]", "[2001:db8::5]", "[2001:DB8:0::5]:443", "127.0.0.1", "127.0.0.1:443"} {
		if status, body := get(t, client, "https://"+host+"/a"); status != http.StatusOK || !strings.Contains(body, "website host="+strings.TrimSuffix(host, ":443")) {
			t.Errorf("https://%s answers %d %s", host, status, body)
		}
		origin := "https://" + strings.TrimSuffix(strings.Replace(host, "DB8:0::5", "db8::5", 1), ":443")
		response, err := client.Get("http://" + strings.TrimSuffix(host, ":443") + "/a?b")
		if err != nil {
			t.Fatal(err)
		}
		read(t, response)
		if got := response.Header.Get("Location"); response.StatusCode != http.StatusPermanentRedirect || got != origin+"/a?b" {
			t.Errorf("http://%s answers %d, leads to %q", host, response.StatusCode, got)
		}
		if _, body := get(t, client, "https://example.test/persona/wsapi/relying_party?origin="+url.QueryEscape(origin)); !strings.Contains(body, "true") {
			t.Errorf("%s may not use the hub: %s", origin, body)
		}
	}
	for _, origin := range []string{"https://x.127.0.0.1", "https://[2001:db8::6]", "https://[::1]:8443"} {
		if _, body := get(t, client, "https://example.test/persona/wsapi/relying_party?origin="+url.QueryEscape(origin)); strings.Contains(body, "true") {
			t.Errorf("%s may use the hub: %s", origin, body)
		}
	}
	for _, host := range []string{"[::2]", "[::ffff:7f00:1]", "127.0.0.2"} {
		if status, body := raw(t, p, roots, "GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n"); status != http.StatusMisdirectedRequest {
			t.Errorf("%s answers %d %s", host, status, body)
		}
	}
}

// TestProtocolsByName: a domain that turns HTTP/2 off does so for all of its names; others keep it.
func TestProtocolsByName(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	names := []string{"example.test", "old.test", "www.old.test", "id.old.test"}
	yaml, roots := filesYAML(t, folder, names...)
	p := start(t, folder, yaml+fmt.Sprintf(`domains:
  - {name: example.test, upstream: %[1]q}
  - {name: old.test, upstream: %[1]q, hosts: [www.old.test], http2: false, authority: id.old.test, directory: corp}
`, website(t).URL)+deadDirectory)
	for _, name := range names {
		connection, err := tls.Dial("tcp", p.Addr("https").String(), &tls.Config{ServerName: name, RootCAs: roots, NextProtos: []string{"h2", "http/1.1"}})
		if err != nil {
			t.Fatal(err)
		}
		connection.Close()
		want := "http/1.1"
		if name == "example.test" {
			want = "h2"
		}
		if got := connection.ConnectionState().NegotiatedProtocol; got != want {
			t.Errorf("%s speaks %q, want %q", name, got, want)
		}
	}
}
