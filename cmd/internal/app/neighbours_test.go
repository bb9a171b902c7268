package app_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/deploy/relying-party/relyingpartytest"
	"persona-sidecar/idp/idptest"
	"persona-sidecar/ldapauth/ldaptest"

	"github.com/chromedp/chromedp"
)

const (
	wiki           = "https://wiki.example.test"
	neighbourFiles = "../../../deploy/forward-auth/"
)

// neighbour is a real server that serves wiki.example.test, configured by the files of deploy/forward-auth, and asks the
// program who is signed in.
type neighbour struct {
	*program
	folder string
	roots  *x509.CertPool
	trust  string // see idptest.BrowserOptions; of both authorities
	front  string // host:port that passes connections on by their server name
}

// neighbourKinds start each kind of server. listen is where it has to listen, website where the website does.
var neighbourKinds = map[string]func(n *neighbour, t *testing.T, listen, website string){
	"nginx": func(n *neighbour, t *testing.T, listen, website string) {
		n.write(t, "persona-question.conf", "persona-question.conf", nil)
		n.write(t, "nginx.conf", "site.conf", map[string]string{
			"listen 443 ssl http2": "listen " + listen + " ssl http2", "10.0.0.2:443": n.Addr("https").String(), "127.0.0.1:8080": website,
			"wiki.example.com": "wiki.example.test", "id.example.com": "id.example.test",
			"/etc/ssl/wiki.example.test.pem": n.path("wiki/tls.pem"), "/etc/ssl/wiki.example.test.key": n.path("wiki/tls.key"),
			"/etc/ssl/certs/ca-certificates.crt": n.path("tls-authority.pem"), "/etc/nginx/persona-question.conf": n.path("persona-question.conf"),
		})
		apptest.Write(t, n.path("nginx.conf"), strings.ReplaceAll(`
daemon off;
user root;
worker_processes 1;
pid FOLDER/nginx.pid;
error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path FOLDER/body; proxy_temp_path FOLDER/proxy; fastcgi_temp_path FOLDER/fastcgi; uwsgi_temp_path FOLDER/uwsgi; scgi_temp_path FOLDER/scgi;
	include FOLDER/site.conf;
}
`, "FOLDER", n.folder))
		serve(t, listen, "nginx", "-e", "stderr", "-c", n.path("nginx.conf"))
	},
	"caddy": func(n *neighbour, t *testing.T, listen, website string) {
		_, port, _ := net.SplitHostPort(listen)
		n.write(t, "Caddyfile", "Caddyfile", map[string]string{
			"10.0.0.2:443": n.Addr("https").String(), "127.0.0.1:8080": website, "tls_server_name id.example.com": "tls_server_name id.example.test\n\t\t\t\ttls_trusted_ca_certs " + n.path("tls-authority.pem"),
			"wiki.example.com {": "{\n\tadmin off\n\tauto_https disable_redirects\n\thttps_port " + port + "\n}\nwiki.example.test {\n\tbind 127.0.0.1\n\ttls " + n.path("wiki/tls.pem") + " " + n.path("wiki/tls.key"),
		})
		serve(t, listen, "caddy", "run", "--adapter", "caddyfile", "--config", n.path("Caddyfile"))
	},
}

// path names a file of the folder.
func (n *neighbour) path(name string) string { return filepath.Join(n.folder, name) }

// write writes a file of deploy/forward-auth with other names and addresses, each of which has to be there.
func (n *neighbour) write(t *testing.T, from, to string, changes map[string]string) {
	t.Helper()
	text, err := os.ReadFile(neighbourFiles + from)
	if err != nil {
		t.Fatal(err)
	}
	changed := string(text)
	// The longest last: a path holds a host name.
	for _, long := range []bool{false, true} {
		for old, with := range changes {
			if strings.HasPrefix(old, "/") != long {
				continue
			}
			if !strings.Contains(changed, old) {
				t.Fatalf("%s lacks %s", from, old)
			}
			changed = strings.ReplaceAll(changed, old, with)
		}
	}
	apptest.Write(t, n.path(to), changed)
}

// serve runs a server until the test ends, and returns when it listens.
func serve(t *testing.T, listen, name string, arguments ...string) {
	t.Helper()
	program, err := exec.LookPath(name)
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/" + name); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skipf("no %s here", name)
		}
	}
	log := &apptest.Log{}
	command := exec.CommandContext(t.Context(), program, arguments...)
	command.Stdout, command.Stderr = log, log
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Wait() // ended by the signal
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, log)
		}
	})
	apptest.Eventually(t, name+" listens", func() bool {
		connection, err := net.DialTimeout("tcp", listen, time.Second)
		if err != nil {
			return false
		}
		return connection.Close() == nil
	})
}

// startNeighbour starts the program, the server, and a website behind that.
func startNeighbour(t *testing.T, kind string) *neighbour {
	t.Helper()
	n := &neighbour{folder: t.TempDir()}
	// Two certificates: a browser would send requests for one host over its connection to the other.
	yaml, _ := filesYAML(t, n.folder, "example.test", "id.example.test")
	if err := os.Mkdir(filepath.Join(n.folder, "wiki"), 0o700); err != nil {
		t.Fatal(err)
	}
	filesYAML(t, filepath.Join(n.folder, "wiki"), "wiki.example.test")
	n.roots = x509.NewCertPool()
	var hashes []string
	for _, folder := range []string{n.folder, filepath.Join(n.folder, "wiki")} {
		text, err := os.ReadFile(authorityFile(t, folder))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		authority, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		n.roots.AddCert(authority)
		hash := sha256.Sum256(authority.RawSubjectPublicKeyInfo)
		hashes = append(hashes, base64.StdEncoding.EncodeToString(hash[:]))
	}
	n.trust = strings.Join(hashes, ",")
	n.program = start(t, n.folder, yaml+`
domains: [{name: example.test, directory: corp, authority: id.example.test}]
forward_auth:
  - host: wiki.example.test
    authority: id.example.test
    proxies: [127.0.0.1]
    access:
      - {path: /public/, allow: public}
      - {path: /board/, groups: [board]}
      - {path: /, groups: [staff]}
    identity_headers: true
`+directoryYAML(t, n.folder, ldaptest.StartSlapd(t, ldaptest.Options{})))
	waitForKeys(t, n.program)
	listen := relyingpartytest.FreeAddress(t)
	neighbourKinds[kind](n, t, listen, strings.TrimPrefix(told(t).URL, "http://"))
	n.front = crossroads(t, map[string]string{"wiki.example.test": listen, "id.example.test": n.Addr("https").String()})
	return n
}

// told is a website that answers with the fields that it got, and in a websocket with what it gets.
func told(t *testing.T) *httptest.Server {
	t.Helper()
	fields := mirror(t).Config.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" {
			fields.ServeHTTP(w, r)
			return
		}
		connection, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer connection.Close()
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) // RFC 6455, section 4.2.2
		accept := base64.StdEncoding.EncodeToString(sum[:])
		// One unmasked text frame (RFC 6455, section 5.2): who is signed in.
		user := r.Header.Get("Remote-User")
		fmt.Fprintf(buffered, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n\x81%c%s", accept, len(user), user)
		_ = buffered.Flush()
		_, _ = io.Copy(io.Discard, buffered) // until the client leaves
	}))
	t.Cleanup(server.Close)
	return server
}

// crossroads passes connections on by the server name of their TLS, and returns where it listens.
func crossroads(t *testing.T, to map[string]string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer from.Close()
				var hello bytes.Buffer
				name := ""
				_ = tls.Server(reader{from, io.TeeReader(from, &hello)}, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
					name = h.ServerName
					return nil, errors.New("seen")
				}}).HandshakeContext(context.Background())
				onward, err := net.Dial("tcp", to[name])
				if err != nil {
					return
				}
				defer onward.Close()
				if _, err := onward.Write(hello.Bytes()); err != nil {
					return
				}
				go func() {
					_, _ = io.Copy(onward, from)
					_ = onward.(*net.TCPConn).CloseWrite()
				}()
				_, _ = io.Copy(from, onward)
			}()
		}
	}()
	return listener.Addr().String()
}

// reader is a connection whose writes go nowhere.
type reader struct {
	net.Conn
	from io.Reader
}

func (r reader) Read(p []byte) (int, error)  { return r.from.Read(p) }
func (r reader) Write(p []byte) (int, error) { return len(p), nil }

func (n *neighbour) surfer(t *testing.T) *surfer {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &surfer{t, &http.Client{Jar: jar, Timeout: apptest.Patience, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: n.roots},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, n.front)
		},
	}}}
}

// TestNeighbours: people sign in to the website of a real server, which asks the program about every request.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	for kind := range neighbourKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			n := startNeighbour(t, kind)
			n.strangers(t)
			n.members(t)
		})
	}
}

// strangers: what a client claims is nothing, and what is closed is closed however it is asked for.
func (n *neighbour) strangers(t *testing.T) {
	s := n.surfer(t)
	claims := map[string]string{
		"Remote-User": "alice", "remote_user": "alice", "Remote.User": "alice", "Remote-Groups": "staff", "X-Persona-Assertion": "x", "Remote-Id": "1", "Remote-Email": "a@b", "Remote-Name": "A",
	}
	if p := s.ask(http.MethodGet, wiki+"/public/x?y=z", "", claims); p.status != http.StatusOK || strings.Contains(p.body, "alice") || strings.Contains(strings.ToLower(p.body), "remote") || strings.Contains(p.body, "Persona") {
		t.Errorf("a stranger's claims: %d %s", p.status, p.body)
	}
	for _, claim := range []map[string]string{
		{"X-Forwarded-Uri": "/public/", "X-Forwarded-Method": "GET"},
		{"X-Original-URL": wiki + "/public/", "X-Original-Method": "GET"},
		{"X-Forwarded-Prefix": "/public"},
		{"X-Forwarded-Host": "id.example.test"},
		{"X-Original-Host": "x.test"},
		{"X-Rewrite-URL": "/public/"},
		{"X-Forwarded-For": "127.0.0.1"},
		{"X-Forwarded-Proto": "http"},
	} {
		if p := s.ask(http.MethodGet, wiki+"/secret", "", claim); strings.Contains(p.body, "website GET") || p.status == http.StatusOK && !strings.HasPrefix(p.at, "https://id.example.test/persona/authenticate?") {
			t.Errorf("with %v: %d at %s\n%s", claim, p.status, p.at, p.body)
		}
	}
	for _, path := range []string{"/secret", "/public/%2e%2e/secret", "/public/..%2fsecret", "/PUBLIC/secret", "//public/", "/public;/../secret"} {
		request := "GET " + path + " HTTP/1.1\r\nHost: wiki.example.test\r\nConnection: close\r\n\r\n"
		if response := n.wire(t, request); response.StatusCode < 400 || strings.Contains(read(t, response), "website GET") {
			t.Errorf("%s: %d", path, response.StatusCode)
		}
	}
	// A client cannot ask the question itself.
	if p := s.ask(http.MethodGet, wiki+"/persona/forward-auth", "", map[string]string{"X-Forwarded-Uri": "/public/", "X-Forwarded-Method": "GET"}); p.status != http.StatusNotFound {
		t.Errorf("the question is answered to a client: %d %s", p.status, p.body)
	}
	if p := s.ask(http.MethodGet, wiki+"/secret", "", map[string]string{"Sec-Fetch-Mode": "cors", "Accept": "*/*"}); p.status != http.StatusUnauthorized || !strings.Contains(p.body, "sign_in_required") {
		t.Errorf("a script: %d %s", p.status, p.body)
	}
	if response := n.wire(t, "GET /secret HTTP/1.1\r\nHost: wiki.example.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n\r\n"); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("a websocket: %d", response.StatusCode)
	}
}

// members: alice, who is in the group, signs in, comes back to the page that she asked for, and out; bob is refused.
func (n *neighbour) members(t *testing.T) {
	alice := n.surfer(t)
	if p := alice.signIn(wiki+"/secret?a=b&c=%26", "alice"); p.at != wiki+"/secret?a=b&c=%26" || p.told("Remote-User") != "alice" || p.told("X-Persona-Assertion") == "" ||
		!strings.Contains(p.told("Remote-Groups"), "staff") || strings.Contains(p.body, "__Host-persona") {
		t.Fatalf("signed in: %d at %s\n%s", p.status, p.at, p.body)
	}
	if p := alice.ask(http.MethodGet, wiki+"/public/", "", map[string]string{"Remote-User": "bob", "Cookie": "theme=dark"}); p.told("Remote-User") != "alice" || strings.Contains(p.body, "bob") || p.told("Cookie") != "theme=dark" {
		t.Errorf("with a claim: %s", p.body)
	}
	if p := alice.ask(http.MethodPost, wiki+"/save", "text=x", map[string]string{"Sec-Fetch-Site": "same-origin", "Content-Type": "text/plain"}); p.status != http.StatusOK || p.told("Remote-User") != "alice" || !strings.Contains(p.body, "website POST /save") {
		t.Errorf("a form: %d %s", p.status, p.body)
	}
	if p := alice.ask(http.MethodPost, wiki+"/save", "text=x", map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "https://shop.example.test"}); p.status != http.StatusForbidden || strings.Contains(p.body, "website") && !strings.Contains(p.body, "another website") {
		t.Errorf("a sibling's form: %d %s", p.status, p.body)
	}
	if p := alice.open(wiki + "/board/"); p.status != http.StatusForbidden || !strings.Contains(p.body, "board") || !strings.Contains(p.body, "signed in as alice") {
		t.Errorf("a group that she is not in: %d %s", p.status, p.body)
	}
	if p := alice.open(wiki + "/a%2fb"); p.status != http.StatusBadRequest || !strings.Contains(p.body, "This address cannot be used") {
		t.Errorf("an odd target: %d %s", p.status, p.body)
	}
	bob := n.surfer(t)
	if p := bob.signIn(wiki+"/secret", "bob"); p.status != http.StatusForbidden || !strings.Contains(p.body, "staff") {
		t.Errorf("a person in no group: %d %s", p.status, p.body)
	}
	alice.signOut(wiki)
	if p := alice.open(wiki + "/secret"); !strings.HasPrefix(p.at, "https://id.example.test/persona/authenticate?") || !strings.Contains(p.body, "wiki.example.test") {
		t.Errorf("after signing out: %d at %s", p.status, p.at)
	}
	if user := alice.told(wiki+"/public/", "Remote-User"); user != "" {
		t.Errorf("after signing out %s is signed in", user)
	}
}

// wire sends bytes to the server and returns what comes back.
func (n *neighbour) wire(t *testing.T, request string) *http.Response {
	t.Helper()
	connection, err := tls.Dial("tcp", n.front, &tls.Config{ServerName: "wiki.example.test", RootCAs: n.roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	if err := connection.SetDeadline(time.Now().Add(apptest.Patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(connection, request); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatalf("%.60q: %v", request, err)
	}
	response.Request = httptest.NewRequest(http.MethodGet, "/", nil)
	return response
}

// TestBrowserNeighbours: the same in Chromium, with a websocket.
func TestBrowserNeighbours(t *testing.T) {
	for _, kind := range []string{"nginx", "caddy"} {
		t.Run(kind, func(t *testing.T) {
			n := startNeighbour(t, kind)
			person := func(t *testing.T) *shopper {
				return &shopper{t, idptest.NewBrowser(t, idptest.BrowserOptions{Address: n.front, Trust: n.trust})}
			}
			signIn := func(p *shopper, login string) {
				do(
					p.t, p.ctx, chromedp.Navigate(wiki+"/secret?a=b"), idptest.Type("#username", login), idptest.Type("#password", ldaptest.Password),
					idptest.Leave(idptest.Click("#submit")),
				)
			}
			alice := person(t)
			signIn(alice, "alice")
			alice.until(`location.href === "` + wiki + `/secret?a=b" && document.body.innerText.includes("Remote-User: alice")`)
			if _, err := chromedp.Run(alice.ctx, chromedp.Evaluate[bool](`new WebSocket("wss://wiki.example.test/socket").onmessage = (e) => { document.title = "socket of " + e.data }; true`)); err != nil {
				t.Fatal(err)
			}
			alice.until(`document.title === "socket of alice"`)
			do(t, alice.ctx, chromedp.Navigate(wiki+"/board/"))
			alice.until(`document.body.innerText.includes("You are signed in as alice")`)
			idptest.SaveScreenshot(alice.ctx, t, "forward-auth/"+kind+"-wrong-group")
			do(t, alice.ctx, chromedp.Navigate(wiki+"/persona/logout?return=%2Fpublic%2F"))
			alice.until(`document.readyState === 'complete' && document.querySelector('#logout')?.getAttribute('aria-disabled') !== 'true'`)
			do(t, alice.ctx, idptest.Leave(idptest.Click("#logout")))
			alice.until(`location.href === "` + wiki + `/public/" && document.readyState === 'complete'`)
			do(t, alice.ctx, chromedp.Navigate(wiki+"/secret"))
			alice.until(`location.origin === "https://id.example.test" && document.querySelector('#username') !== null`)

			bob := person(t)
			signIn(bob, "bob")
			bob.until(`location.origin === "` + wiki + `" && document.body.innerText.includes("staff")`)
		})
	}
}
