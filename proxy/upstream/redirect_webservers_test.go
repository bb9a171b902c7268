package upstream_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"persona-sidecar/deploy/relying-party/relyingpartytest"
	"persona-sidecar/proxy/proxytest"
	"persona-sidecar/proxy/upstream"
)

// TestRedirectsOfWebServers: what nginx and Apache make, as they are installed, of a directory
// without its slash, of an address that has moved and of a new file.
func TestRedirectsOfWebServers(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]struct {
		config  string // FOLDER, FIRST and SECOND are replaced by a folder and two addresses
		command []string
		sites   []string
		asks    [][2]string // method and path, and the path to which the answer leads
	}{
		"nginx": {
			`daemon off; pid FOLDER/pid; error_log stderr; events {}
http { access_log off;
client_body_temp_path FOLDER/a; proxy_temp_path FOLDER/b; fastcgi_temp_path FOLDER/c; uwsgi_temp_path FOLDER/d; scgi_temp_path FOLDER/e;
ssl_certificate FOLDER/tls.pem; ssl_certificate_key FOLDER/tls.pem;
server { listen FIRST; listen SECOND http2; listen THIRD ssl; listen unix:FOLDER/socket; absolute_redirect on; port_in_redirect on;
root FOLDER/site; dav_methods PUT; location = /moved { return 302 /x; } rewrite ^/rewritten$ /x redirect; } }
`,
			[]string{"nginx", "-c", "FOLDER/config", "-e", "stderr"},
			[]string{"http://FIRST", "h2c://SECOND", "https://THIRD", "unix:FOLDER/socket"},
			[][2]string{{"GET /dir", "/dir/"}, {"GET /moved", "/x"}, {"GET /rewritten?a=b", "/x?a=b"}, {"PUT /new-NUMBER", "/new-NUMBER"}},
		},
		"Apache": {
			`ServerRoot FOLDER
ServerName inner.test
Listen FIRST
Listen SECOND
PidFile FOLDER/pid
ErrorLog /dev/stderr
DocumentRoot FOLDER/site
TypesConfig /dev/null
Redirect /moved /x
<VirtualHost SECOND>
UseCanonicalPhysicalPort On
</VirtualHost>
`,
			[]string{"apache2", "-DFOREGROUND", "-f", "FOLDER/config"},
			[]string{"http://FIRST", "http://SECOND"},
			[][2]string{{"GET /dir", "/dir/"}, {"GET /moved/a%20b", "/x/a%20b"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			needProgram(t, server.command[0])
			folder, err := os.MkdirTemp("", "persona-site-") // one of t.TempDir is not for other users, and Apache's are
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(folder) })
			fill := strings.NewReplacer("FOLDER", folder, "FIRST", relyingpartytest.FreeAddress(t), "SECOND", relyingpartytest.FreeAddress(t), "THIRD", relyingpartytest.FreeAddress(t)).Replace
			if name == "Apache" {
				for _, module := range []string{"mpm_event", "authz_core", "mime", "dir", "alias"} {
					server.config = fmt.Sprintf("LoadModule %[1]s_module /usr/lib/apache2/modules/mod_%[1]s.so\n", module) + server.config // Debian's
				}
			}
			switch {
			case os.Geteuid() != 0:
			case name == "nginx": // its workers read the folder as the user that runs the test
				server.config = "user root;\n" + server.config
			default:
				server.config = "User www-data\nGroup www-data\n" + server.config
			}
			err = errors.Join(os.Chmod(folder, 0o755), os.MkdirAll(filepath.Join(folder, "site", "dir"), 0o755),
				os.WriteFile(filepath.Join(folder, "config"), []byte(fill(server.config)), 0o644),
				os.WriteFile(filepath.Join(folder, "tls.pem"), certificatePEM(t), 0o644))
			if err != nil {
				t.Fatal(err)
			}
			for i := range server.command {
				server.command[i] = fill(server.command[i])
			}
			run(t, fill(strings.TrimPrefix(server.sites[0], "http://")), server.command)
			asked := 0
			check := func(at string, in wayIn, host, ask, want string) {
				t.Helper()
				asked++ // a file is new once
				number := strings.NewReplacer("NUMBER", strconv.Itoa(asked))
				method, path, _ := strings.Cut(number.Replace(ask), " ")
				if got := in(t, method, host, path); !slices.Equal(got, []string{number.Replace(want)}) {
					t.Errorf("%s, at %s: %s leads to %q, want %q", at, host, ask, got, want)
				}
			}
			for _, at := range server.sites {
				s := start(t, fill(at), options{redirects: true, publicHTTPS: 8443, tls: upstream.TLSConfig{Insecure: true}, trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
				https, plain := s.waysIn()
				for _, ask := range server.asks {
					for way, in := range https {
						check(at+", "+way, in, "example.com", ask[0], "https://example.com:8443"+ask[1])
						check(at+", "+way, in, "example.com:8443", ask[0], "https://example.com:8443"+ask[1])
					}
					want := "http://example.com"
					if strings.HasPrefix(at, "https:") { // such a server knows no plain HTTP
						want = "https://example.com:8443"
					}
					check(at+", plain", plain, "example.com", ask[0], want+ask[1])
				}
			}
		})
	}
}

func needProgram(t *testing.T, name string) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs " + name)
	}
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(name + " is not installed")
	}
	t.Skip(name + " is not installed (apt-get install nginx apache2-bin)")
}

// run runs a program until the test ends, and returns when it listens.
func run(t *testing.T, addr string, line []string) {
	t.Helper()
	var log bytes.Buffer
	command := exec.CommandContext(context.WithoutCancel(t.Context()), line[0], line[1:]...)
	command.Stderr = &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt)
		if err := await(t, ended, "end of "+line[0]); t.Failed() {
			t.Logf("%v: %v\n%s", line, err, &log)
		}
	})
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(proxytest.Patience); time.Now().Before(deadline); <-tick.C {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return
		}
	}
	t.Fatalf("%s does not listen", line[0])
}

// certificatePEM is a certificate and its key.
func certificatePEM(t *testing.T) []byte {
	t.Helper()
	pair, _ := proxytest.Certificate()
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
}
