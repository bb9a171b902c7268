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
	"maps"
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
	"persona-sidecar/ldapauth/ldaptest"
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
	"haproxy": func(n *neighbour, t *testing.T, listen, website string) {
		names := map[string]string{"10.0.0.2:443": n.Addr("https").String(), "id.example.com": "id.example.test"}
		n.write(t, "persona.lua", "persona.lua", names)
		maps.Copy(names, map[string]string{
			"bind :443": "bind " + listen, "127.0.0.1:8080": website, "wiki.example.com": "wiki.example.test", "/etc/haproxy/persona.lua": n.path("persona.lua"),
			"/etc/haproxy/wiki.example.test.pem": n.path("wiki/both.pem"), "/etc/ssl/certs/ca-certificates.crt": n.path("tls-authority.pem"),
		})
		n.write(t, "haproxy.cfg", "haproxy.cfg", names)
		certificate, err := os.ReadFile(n.path("wiki/tls.pem"))
		if err != nil {
			t.Fatal(err)
		}
		key, err := os.ReadFile(n.path("wiki/tls.key"))
		if err != nil {
			t.Fatal(err)
		}
		apptest.Write(t, n.path("wiki/both.pem"), string(certificate)+string(key))
		serve(t, listen, "haproxy", "-f", n.path("haproxy.cfg"), "-db")
	},
	"apache2": func(n *neighbour, t *testing.T, listen, website string) {
		for _, file := range []string{"/usr/lib/apache2/modules/mod_lua.so", "/usr/share/lua/5.3/socket.lua", "/usr/share/lua/5.3/ssl.lua"} {
			if _, err := os.Stat(file); err != nil && os.Getenv("CI") == "true" {
				t.Fatal(err)
			} else if err != nil {
				t.Skip(err)
			}
		}
		_, port, _ := net.SplitHostPort(n.Addr("https").String())
		n.write(t, "apache.lua", "apache.lua", map[string]string{
			"10.0.0.2": "127.0.0.1", "= 443": "= " + port, "id.example.com": "id.example.test", "/etc/ssl/certs/ca-certificates.crt": n.path("tls-authority.pem"),
		})
		n.write(t, "apache.conf", "site.conf", map[string]string{
			"*:443": listen, "127.0.0.1:8080": website, "wiki.example.com": "wiki.example.test", "/etc/apache2/apache.lua": n.path("apache.lua"),
			"/etc/ssl/wiki.example.test.pem": n.path("wiki/tls.pem"), "/etc/ssl/wiki.example.test.key": n.path("wiki/tls.key"),
		})
		var modules strings.Builder
		for _, name := range []string{"mpm_event", "authz_core", "socache_shmcb", "ssl", "lua", "headers", "proxy", "proxy_http", "proxy_wstunnel"} {
			fmt.Fprintf(&modules, "LoadModule %s_module /usr/lib/apache2/modules/mod_%[1]s.so\n", name)
		}
		apptest.Write(t, n.path("apache2.conf"), fmt.Sprintf("%sServerRoot %s\nServerName localhost\nListen %s\nPidFile apache2.pid\nErrorLog /dev/stderr\nDefaultRuntimeDir .\nMutex pthread\nInclude %s\n",
			modules.String(), n.folder, listen, n.path("site.conf")))
		serve(t, listen, "apache2", "-D", "FOREGROUND", "-f", n.path("apache2.conf"))
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
