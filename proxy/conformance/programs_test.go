package conformance_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"persona-sidecar/deploy/relying-party/relyingpartytest"
	"persona-sidecar/proxy/proxytest"
)

// program is a proxy that runs as a process of its own, in front of one website for each entry.
type program struct {
	name   string
	secure string // address of its TLS listener, "" without one
	plain  string // address of its plain listener, "" without one
	roots  *x509.CertPool
	sites  map[string]*website // by entry
	stray  *website            // where requests go that are for none of them; nil: they are refused

	end     func() // in place of process
	process *os.Process
	log     bytes.Buffer
	ended   chan struct{}
}

// kind is a program that can be put in front of websites.
type kind struct {
	name    string
	command func(t testing.TB, p *program, folder string) []string
	// serve runs in place of command, in this process.
	serve func(t testing.TB, p *program, entries []entry, folder string) (end func())
}

// persona returns the kind of our own program: the binary, built as users do, with these lines of configuration.
func persona(name, settings string) kind {
	return kind{name: name, command: func(t testing.TB, p *program, folder string) []string {
		var yaml strings.Builder
		fmt.Fprintf(&yaml, "state_dir: state\n"+settings+"domains:\n", p.secure, p.plain)
		for entry, site := range p.sites {
			keys := ""
			switch site.kind {
			case "identity":
				keys = ", directory: corp"
			case "gated":
				keys = ", authority: id.conformance.test, identity_headers: {names: {user: X-Staff}}, access: [{path: /secret/, allow: signed_in}]"
			}
			fmt.Fprintf(&yaml, "  - {name: %s.conformance.test, upstream: \"http://%s\"%s}\n", entry, site.address, keys)
		}
		yaml.WriteString(identityHost)
		write(t, filepath.Join(folder, "persona.yaml"), yaml.String())
		return []string{binary(t), "serve", "-config", filepath.Join(folder, "persona.yaml")}
	}}
}

// Our program as it is run: with TLS of its own, by net/http or by the fast way, and behind a proxy that ends TLS.
const (
	withTLS    = "listen: {https: %q, http: %q, admin: \"\", fast: false}\nlog: {requests: false}\ntls: {mode: files, cert_file: tls.pem, key_file: tls.pem}\n"
	withFast   = "listen: {https: %q, http: %q, admin: \"\", fast: true}\nlog: {requests: false}\ntls: {mode: files, cert_file: tls.pem, key_file: tls.pem}\n"
	withoutTLS = "# %q\nlisten: {http: %q, admin: \"\"}\nlog: {requests: false}\ntls: {mode: off}\ntrusted_proxies: [192.0.2.1]\n"
)

// identityHost is an identity host. It needs a directory; no test signs in, so there is none behind the address.
const identityHost = "  - {name: id.conformance.test, directory: corp}\ndirectories:\n  corp: {preset: openldap, urls: [\"ldap://127.0.0.1:1\"], " +
	"insecure_plaintext: true, bind_dn: \"cn=x,dc=example\", bind_password: x, base_dn: \"dc=example\"}\n"

// nginx and haproxy are the programs to compare with, set up to keep connections to the website and to stream.
var (
	nginx = kind{name: "nginx", command: func(t testing.TB, p *program, folder string) []string {
		var conf strings.Builder
		fmt.Fprintf(&conf, `daemon off; worker_processes 1; pid %[1]s/nginx.pid; error_log %[1]s/error.log;
events { worker_connections 1024; }
http {
  access_log off; server_names_hash_max_size 4096; server_names_hash_bucket_size 128;
  client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host; proxy_request_buffering off; proxy_buffering off;
  ssl_certificate %[1]s/tls.pem; ssl_certificate_key %[1]s/tls.pem;
`, folder)
		block := func(name, site, which string) {
			fmt.Fprintf(&conf, "  upstream %s { server %s; keepalive 64; }\n  server { listen %s ssl http2%s; listen %s%s; server_name %s; location / { proxy_pass http://%s; } }\n",
				name, site, p.secure, which, p.plain, which, name, name)
		}
		block("stray.test", p.stray.address, " default_server")
		for entry, site := range p.sites {
			block(entry+".conformance.test", site.address, "")
		}
		conf.WriteString("}\n")
		write(t, filepath.Join(folder, "nginx.conf"), conf.String())
		return []string{"nginx", "-p", folder, "-c", filepath.Join(folder, "nginx.conf")}
	}}
	haproxy = kind{name: "haproxy", command: func(t testing.TB, p *program, folder string) []string {
		var front, back strings.Builder
		fmt.Fprintf(&front, `defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend all
  bind %s ssl crt %s/tls.pem alpn h2,http/1.1
  bind %s
  default_backend stray
`, p.secure, folder, p.plain)
		fmt.Fprintf(&back, "backend stray\n  server s %s\n", p.stray.address)
		for entry, site := range p.sites {
			fmt.Fprintf(&front, "  use_backend %[1]s if { req.hdr(host),field(1,:) -i %[1]s.conformance.test }\n", entry)
			fmt.Fprintf(&back, "backend %s\n  server s %s\n", entry, site.address)
		}
		write(t, filepath.Join(folder, "haproxy.cfg"), front.String()+back.String())
		return []string{"haproxy", "-q", "-db", "-f", filepath.Join(folder, "haproxy.cfg")}
	}}
)

// start runs a program in front of a website for each entry, until stop or the end of the test.
func (k kind) start(t testing.TB, entries []entry) *program {
	t.Helper()
	p := &program{
		name: k.name, secure: relyingpartytest.FreeAddress(t), plain: relyingpartytest.FreeAddress(t),
		sites: map[string]*website{}, stray: newWebsite(t), ended: make(chan struct{}),
	}
	for _, e := range entries {
		site := newWebsite(t)
		site.kind = e.Fields["website"]
		if parts := e.Steps("answer"); parts != nil {
			site.scripts = map[string]*script{"/" + e.Name: newScript(parts)}
		}
		p.sites[e.Name] = site
	}
	folder := t.TempDir()
	p.roots = certificate(t, filepath.Join(folder, "tls.pem"), "*.conformance.test")
	var words []string
	if k.serve == nil {
		words = k.command(t, p, folder)
	}
	go p.stray.run()
	for _, site := range p.sites {
		go site.run()
	}
	if k.serve != nil {
		p.end = sync.OnceFunc(k.serve(t, p, entries, folder))
		t.Cleanup(p.end)
		return p
	}
	command := exec.Command(words[0], words[1:]...)
	command.Dir, command.Stdout, command.Stderr = folder, &p.log, &p.log
	if err := command.Start(); err != nil {
		t.Fatalf("starting %s: %v", k.name, err)
	}
	p.process = command.Process
	go func() {
		defer close(p.ended)
		_ = command.Wait()
	}()
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("the end of what %s wrote:\n%s", k.name, p.log.Bytes()[max(0, p.log.Len()-4000):])
		}
	})
	p.await(t)
	return p
}

// await waits until the program listens.
func (p *program) await(t testing.TB) {
	t.Helper()
	deadline := time.After(proxytest.Patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if conn, err := net.Dial("tcp", p.plain); err == nil {
			conn.Close()
			return
		}
		select {
		case <-tick.C:
		case <-p.ended:
			t.Fatalf("%s ended at once:\n%s", p.name, p.log.String())
		case <-deadline:
			t.Fatalf("%s does not listen", p.name)
		}
	}
}

// stop ends the program and waits until it has ended. A second call does nothing.
func (p *program) stop(t testing.TB) {
	t.Helper()
	if p.end != nil {
		p.end()
		return
	}
	_ = p.process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(proxytest.Patience):
		t.Errorf("%s did not end on SIGTERM", p.name)
		_ = p.process.Kill()
		<-p.ended
	}
}

// require is the function require for the program of a kind; our own is built.
func (k kind) require(t *testing.T) {
	t.Helper()
	if k.name != "persona" {
		require(t, k.name)
	}
}

var build sync.Once

// binary builds our program once and returns where it is.
func binary(t testing.TB) string {
	t.Helper()
	path := filepath.Join(os.TempDir(), fmt.Sprintf("persona-conformance-%d", os.Getpid()), "persona")
	build.Do(func() {
		if out, err := exec.Command("go", "build", "-o", path, "persona-sidecar/cmd/persona").CombinedOutput(); err != nil {
			t.Fatalf("building the program: %v\n%s", err, out)
		}
	})
	return path
}

// TestMain removes the binary.
func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(filepath.Join(os.TempDir(), fmt.Sprintf("persona-conformance-%d", os.Getpid())))
	os.Exit(code)
}

// certificate writes a certificate for a name and its key into one file, and returns the roots that verify it.
func certificate(t testing.TB, path, name string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "conformance"}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))+
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return roots
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// dial connects to the program for the website of an entry, over TLS with the protocol wanted, or over plain HTTP.
func (p *program) dial(host, way string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: proxytest.Patience}
	if way == "plain" {
		return dialer.Dial("tcp", p.plain)
	}
	config := &tls.Config{ServerName: host, RootCAs: p.roots, NextProtos: []string{"http/1.1"}}
	if way == "h2" {
		config.NextProtos = []string{"h2"}
	}
	return tls.DialWithDialer(dialer, "tcp", p.secure, config)
}
