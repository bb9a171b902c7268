//go:build unix

package cli_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/cmd/internal/cli"
	"persona-sidecar/deploy/relying-party/relyingpartytest"
)

// TestDelegationOnWebServers puts what setup prints for the present website, and
// what README.md shows, on real web servers, and fetches it as a verifier does.
// nginx needs no file.
func TestDelegationOnWebServers(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile(filepath.Join(repository, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for name, server := range map[string]struct {
		from, to string // what is around the lines in the notes
		file     bool
		start    func(t *testing.T, folder, addr, lines string) *exec.Cmd
	}{
		"apache2": {"Apache, in the site's section:\n", "     It must answer", true, startApache},
		"nginx":   {"nginx, in the site's server block:\n", "     Any other", false, startNginx},
	} {
		language := strings.TrimSuffix(name, "2")
		for source, lines := range map[string]string{
			"notes":  between(t, setupNotes(t, t.TempDir()), server.from, server.to),
			"README": between(t, string(readme), "```"+language+"\n", "```"),
		} {
			t.Run(name+"/"+source, func(t *testing.T) {
				t.Parallel()
				needServer(t, name)
				folder := siteFolder(t)
				site := filepath.Join(folder, "site", ".well-known")
				if err := os.MkdirAll(site, 0o755); err != nil {
					t.Fatal(err)
				}
				if server.file {
					document := between(t, setupNotes(t, folder), "with this content:\n", "     Apache,")
					writeFile(t, filepath.Join(site, "browserid"), document)
				}
				addr := relyingpartytest.FreeAddress(t)
				runServer(t, server.start(t, folder, addr, lines))
				response, body := fetch(t, "http://"+addr+"/.well-known/browserid")
				if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/json" || body != `{"authority":"id.example.com"}` {
					t.Errorf("%s, %q, %s", response.Status, response.Header.Get("Content-Type"), body)
				}
				if caching := response.Header.Get("Cache-Control"); caching != "max-age=3600" {
					t.Errorf("Cache-Control: %s", caching)
				}
			})
		}
	}
}

// TestDocrootOnApache serves the folder that setup wrote the document to, as the
// first persona's users have it: nothing but the site's own .htaccess is needed.
func TestDocrootOnApache(t *testing.T) {
	t.Parallel()
	needServer(t, "apache2")
	folder := siteFolder(t)
	site := filepath.Join(folder, "site")
	if err := os.Mkdir(site, 0o755); err != nil {
		t.Fatal(err)
	}
	setupNotes(t, folder, "-d", "example.com", "-r", site, "-id-host", "id.example.com")
	addr := relyingpartytest.FreeAddress(t)
	runServer(t, startApache(t, folder, addr, "<Directory "+site+">\nAllowOverride FileInfo\n</Directory>"))
	response, body := fetch(t, "http://"+addr+"/.well-known/browserid")
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/json" || body != `{"authority":"id.example.com"}` {
		t.Errorf("%s, %q, %s", response.Status, response.Header.Get("Content-Type"), body)
	}
}

// TestCheckOfWebServers: `persona check` names a redirect that leads to the web server's own port, and the line that it
// says to write cures it.
func TestCheckOfWebServers(t *testing.T) {
	t.Parallel()
	for program, server := range map[string]struct {
		start  func(t *testing.T, folder, addr, lines string) *exec.Cmd
		advice string // in which the lines to write stand between "write" and "into"
	}{
		"nginx":   {startNginx, "→ write absolute_redirect off; into the server block of the website's nginx, or write rewrite_redirects: true"},
		"apache2": {startApache, "→ write ServerName https://example.test and UseCanonicalName On into the website's section of Apache's configuration, or"},
	} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			needServer(t, program)
			_, rest, _ := strings.Cut(server.advice, "write ")
			cure, _, _ := strings.Cut(rest, " into ")
			for rewrite, want := range map[string][2]string{
				"true":                               {"✓ redirects               /wiki → /wiki/ (it says http://example.test", ""},
				"false":                              {"✗ redirects               /wiki: it redirects to http://example.test:PORT/wiki/, where visitors reach nothing", server.advice},
				"false, with the line that was told": {"✓ redirects               /wiki → /wiki/", ""},
			} {
				folder := siteFolder(t)
				if err := os.MkdirAll(filepath.Join(folder, "site", "wiki"), 0o755); err != nil {
					t.Fatal(err)
				}
				writeFile(t, filepath.Join(folder, "site", "index.html"), `<a href="/wiki/">the wiki</a>`)
				value, _, cured := strings.Cut(rewrite, ",")
				lines := map[string]string{"nginx": "types { text/html html; }\n", "apache2": "LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so\nDirectoryIndex index.html\nAddType text/html .html\n"}[program]
				if cured {
					lines += strings.ReplaceAll(cure, " and ", "\n")
				}
				addr := relyingpartytest.FreeAddress(t)
				runServer(t, server.start(t, folder, addr, lines))
				if response, body := fetch(t, "http://"+addr+"/"); response.StatusCode != http.StatusOK {
					t.Fatalf("%s: %s", response.Status, body)
				}
				writeFile(t, filepath.Join(folder, "persona.yaml"), fmt.Sprintf("state_dir: state\ntls: {mode: \"off\"}\ntrusted_proxies: [192.0.2.1]\ndomains:\n  - {name: example.test, upstream: \"http://%s\", rewrite_redirects: %s}\n", addr, value))
				command := persona(t, folder, "check", "-config", "persona.yaml", "-resolve", "127.0.0.1:1")
				var out bytes.Buffer
				command.Stdout = &out
				_, _ = run(t, command) // the rest of the world is not there
				for _, line := range want {
					if line = strings.ReplaceAll(line, "PORT", addr[strings.LastIndexByte(addr, ':')+1:]); !strings.Contains(out.String(), line) {
						t.Errorf("%s, %s: no line says %q:\n%s", program, rewrite, line, &out)
					}
				}
			}
		})
	}
}

// TestBehindAnotherServer has a web server keep its ports, its certificate and its
// website, as docs/behind-another-server.md shows, and has persona check the domain
// and the sign-in of a person through it.
func TestBehindAnotherServer(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile(filepath.Join(repository, "docs", "behind-another-server.md"))
	if err != nil {
		t.Fatal(err)
	}
	for program, server := range map[string]struct {
		language string
		start    func(t *testing.T, certificates, folder, addr, lines string) *exec.Cmd
	}{
		"nginx": {"nginx", func(t *testing.T, certificates, folder, addr, lines string) *exec.Cmd {
			return startNginx(t, folder, addr+" ssl", fmt.Sprintf("ssl_certificate %[1]s/tls.pem; ssl_certificate_key %[1]s/tls.key;\n", certificates)+lines)
		}},
		"apache2": {"apache", func(t *testing.T, certificates, folder, addr, lines string) *exec.Cmd {
			return startApache(t, folder, addr, fmt.Sprintf("ServerName example.test\nSSLEngine on\nSSLCertificateFile %[1]s/tls.pem\nSSLCertificateKeyFile %[1]s/tls.key\n", certificates)+lines)
		}},
		"caddy": {"caddyfile", startCaddy},
	} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			needServer(t, program)
			c := newChecked(t)
			p := c.serve(t, "listen: {http: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"}\ntls: {mode: \"off\"}\ntrusted_proxies: [127.0.0.1]")
			folder := siteFolder(t)
			if err := os.Mkdir(filepath.Join(folder, "site"), 0o755); err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(folder, "site", "personal.html"), "the website")
			c.https = relyingpartytest.FreeAddress(t)
			lines := strings.ReplaceAll(between(t, string(guide), "```"+server.language+"\n", "```"), "127.0.0.1:8081", p.http)
			runServer(t, server.start(t, c.folder, folder, c.https, lines))
			apptest.Eventually(t, program+" listens", func() bool {
				conn, err := net.Dial("tcp", c.https)
				if err == nil {
					_ = conn.Close()
				}
				return err == nil
			})

			stdout, stderr, code := c.check(t, "example.test", "alice@example.test", "-password-file", "password")
			if code != 0 || !strings.Contains(stdout, "  ✓ published key ") || !strings.Contains(stdout, "  ✓ sign-out ") {
				t.Errorf("persona check exited with %d:\n%s%s", code, stdout, stderr)
			}
			for path, want := range map[string]string{"/personal.html": "the website", "/persona/": "persona"} {
				if got := c.get(t, path); !strings.Contains(got, want) {
					t.Errorf("%s: %s", path, got)
				}
			}
		})
	}
}

// get returns a page of example.test as it comes over TLS.
func (c checked) get(t *testing.T, path string) string {
	t.Helper()
	roots := x509.NewCertPool()
	ca, err := os.ReadFile(filepath.Join(c.folder, "ca.pem"))
	if err != nil || !roots.AppendCertsFromPEM(ca) {
		t.Fatal("no authority: ", err)
	}
	client := &http.Client{Timeout: apptest.Patience, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, c.https)
		},
	}}
	response, err := client.Get("https://example.test" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.Status + " " + string(body)
}

func startCaddy(t *testing.T, certificates, folder, addr, lines string) *exec.Cmd {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "Caddyfile")
	writeFile(t, path, fmt.Sprintf("{\n  admin off\n  auto_https off\n}\nhttps://example.test:%s {\n  bind 127.0.0.1\n  tls %[2]s/tls.pem %[2]s/tls.key\n  root * %[3]s/site\n  file_server\n%[4]s\n}\n", port, certificates, folder, lines))
	command := exec.CommandContext(context.WithoutCancel(t.Context()), "caddy", "run", "--config", path, "--adapter", "caddyfile")
	command.Env = append(os.Environ(), "HOME="+folder, "XDG_CONFIG_HOME="+folder, "XDG_DATA_HOME="+folder)
	return command
}

func needServer(t *testing.T, name string) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs " + name)
	}
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	reason := name + " is not installed (apt-get install apache2-bin nginx caddy)"
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// siteFolder returns a folder that the user of a web server may read.
func siteFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "persona-site-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}

// setupNotes returns what setup prints, by default for an identity host that
// certifies example.com.
func setupNotes(t *testing.T, folder string, domain ...string) string {
	t.Helper()
	var out, errOut bytes.Buffer
	if len(domain) == 0 {
		domain = []string{"-domain", "id.example.com", "-certifies", "example.com"}
	}
	args := append([]string{"setup", "-directory-url", "ldaps://ldap", "-base-dn", "dc=example", "-out", filepath.Join(folder, "persona.yaml")}, domain...)
	if code := cli.Main(t.Context(), cli.Program{Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errOut}); code != 0 {
		t.Fatal(errOut.String())
	}
	return out.String()
}

func between(t *testing.T, text, from, to string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, from)
	inside, _, ended := strings.Cut(rest, to)
	if !found || !ended {
		t.Fatalf("nothing between %q and %q in:\n%s", from, to, text)
	}
	return strings.TrimSpace(inside)
}

func startApache(t *testing.T, folder, addr, lines string) *exec.Cmd {
	t.Helper()
	const modules = "/usr/lib/apache2/modules" // Debian's
	var b strings.Builder
	for _, name := range []string{"mpm_event", "authz_core", "mime", "headers", "ssl", "proxy", "proxy_http"} {
		fmt.Fprintf(&b, "LoadModule %s_module %s/mod_%s.so\n", name, modules, name)
	}
	fmt.Fprintf(&b, "ServerRoot %[1]s\nServerName example.com\nListen %[2]s\nPidFile %[1]s/pid\nErrorLog /dev/stderr\nDocumentRoot %[1]s/site\nTypesConfig /dev/null\n", folder, addr)
	if os.Geteuid() == 0 {
		b.WriteString("User www-data\nGroup www-data\n")
	}
	fmt.Fprintf(&b, "<VirtualHost %s>\n%s\n</VirtualHost>\n", addr, lines)
	writeFile(t, filepath.Join(folder, "apache.conf"), b.String())
	return exec.CommandContext(context.WithoutCancel(t.Context()), "apache2", "-DFOREGROUND", "-f", filepath.Join(folder, "apache.conf"))
}

func startNginx(t *testing.T, folder, addr, lines string) *exec.Cmd {
	t.Helper()
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;\n"
	}
	var temporary strings.Builder
	for _, what := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temporary, "%s_temp_path %s/%s;\n", what, folder, what)
	}
	writeFile(t, filepath.Join(folder, "nginx.conf"), fmt.Sprintf(`%[1]sdaemon off; pid %[2]s/pid; error_log stderr; events {}
http { access_log off; default_type application/octet-stream;
%[3]s
server { listen %[4]s; root %[2]s/site;
%[5]s
} }
`, user, folder, temporary.String(), addr, lines))
	return exec.CommandContext(context.WithoutCancel(t.Context()), "nginx", "-c", filepath.Join(folder, "nginx.conf"), "-e", "stderr")
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// runServer runs a server until the test ends.
func runServer(t *testing.T, command *exec.Cmd) {
	t.Helper()
	var log bytes.Buffer
	command.Stderr = &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt)
		stop := time.AfterFunc(apptest.Patience, func() { _ = command.Process.Kill() })
		_ = command.Wait()
		stop.Stop()
		if t.Failed() {
			t.Logf("%s:\n%s", command.Args[0], &log)
		}
	})
}

// fetch gets a page once its server answers.
func fetch(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	deadline := time.NewTimer(apptest.Patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err == nil {
			defer func() { _ = response.Body.Close() }()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			return response, string(body)
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("the server does not answer: %v", err)
		}
	}
}
