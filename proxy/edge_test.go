package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"persona-sidecar/proxy"
	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/proxytest"
)

// named answers with its name.
func named(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", name, r.RequestURI)
	})
}

// kept is an intercept of /kept and all below it on example.com.
func kept() proxy.Intercept {
	return proxy.Intercept{
		Name: "kept",
		Match: func(r *http.Request) bool {
			return middleware.HostName(r) == "example.com" && (r.URL.Path == "/kept" || strings.HasPrefix(r.URL.Path, "/kept/"))
		},
		Handler: named("kept"),
	}
}

func config() proxy.Config {
	return proxy.Config{
		Sites: []proxy.Site{
			{Name: "example.com", Hosts: []string{"Example.com", "www.example.com.", "bücher.example"}, Handler: named("one")},
			{Name: "example.net", Hosts: []string{"example.net", "127.0.0.9"}, Handler: named("two")},
		},
		Intercepts: []proxy.Intercept{kept()},
	}
}

// door is a listening server.
type door struct {
	addr  string
	roots *x509.CertPool
	log   proxytest.Log
}

type view func(*proxy.Edge) http.Handler

// open serves one view of the Edge; with TLS when secure is set.
func open(t *testing.T, cfg proxy.Config, view view, secure bool, trusted ...netip.Prefix) *door {
	t.Helper()
	d := new(door)
	edge, err := proxy.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	log := d.log.Logger()
	handler := middleware.New(middleware.Config{Log: log, Trust: middleware.Trust{Listed: trusted}})(view(edge))
	var settings *tls.Config
	if secure {
		var certificate tls.Certificate
		certificate, d.roots = proxytest.Certificate()
		settings = &tls.Config{Certificates: []tls.Certificate{certificate}}
	}
	d.addr = proxytest.Serve(t, proxy.NewServer(handler, settings, log))
	return d
}

// line waits for the access log line of the next request.
func (d *door) line(t *testing.T) map[string]any {
	t.Helper()
	return d.log.Next(t, "request")
}

// send writes a request as it stands and reads the answer.
func (d *door) send(t *testing.T, request string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	return exchange(t, conn, request)
}

// sendTLS does so by TLS, with a server name or without.
func (d *door) sendTLS(t *testing.T, serverName, request string) (*http.Response, string) {
	t.Helper()
	conn, err := tls.Dial("tcp", d.addr, &tls.Config{ServerName: serverName, InsecureSkipVerify: true}) // one certificate for all names
	if err != nil {
		t.Fatal(err)
	}
	return exchange(t, conn, request)
}

func exchange(t *testing.T, conn net.Conn, request string) (*http.Response, string) {
	t.Helper()
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(proxytest.Patience))
	io.WriteString(conn, request)
	method, _, _ := strings.Cut(request, " ")
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("answer to %.60q: %v", request, err)
	}
	defer res.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	return res, body.String()
}

func ask(host, target string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n"
}

func TestHosts(t *testing.T) {
	t.Parallel()
	d := open(t, config(), (*proxy.Edge).Secure, true)
	for _, test := range []struct {
		sni, host string
		status    int
		body      string
	}{
		{"example.com", "example.com", 200, "one /x"},
		{"example.com", "EXAMPLE.com.:443", 200, "one /x"},
		{"www.example.com", "example.com", 200, "one /x"}, // another name of the same site
		{"example.com", "www.example.com", 200, "one /x"},
		{"example.net", "example.net", 200, "two /x"},
		{"EXAMPLE.net", "example.net", 200, "two /x"},
		{"", "example.net", 200, "two /x"}, // no server name was sent
		{"", "127.0.0.9:443", 200, "two /x"},
		{"xn--bcher-kva.example", "xn--bcher-kva.example", 200, "one /x"},

		{"example.com", "example.net", 421, ""},
		{"example.net", "example.com", 421, ""},
		{"unknown.example", "example.com", 421, ""},
		{"example.com", "unknown.example", 421, ""},
		{"", "127.0.0.1", 421, ""},
		{"", "[::1]", 421, ""},
		{"example.com", "example.com.evil.example", 421, ""},
		{"example.com", "example.com:x", 421, ""},
	} {
		res, body := d.sendTLS(t, test.sni, ask(test.host, "/x"))
		if res.StatusCode != test.status || test.body != "" && body != test.body {
			t.Errorf("server name %q, host %q: %d %q", test.sni, test.host, res.StatusCode, body)
		}
		line := d.line(t)
		if test.status == 421 && (!strings.Contains(body, "not served here") || line["handler"] != "edge" || strings.Contains(body, "one ")) {
			t.Errorf("server name %q, host %q: %s %v", test.sni, test.host, body, line)
		}
		if test.status == 200 && line["site"] == "" {
			t.Errorf("line %v", line)
		}
	}
}

func TestBadHosts(t *testing.T) {
	t.Parallel()
	d := open(t, config(), (*proxy.Edge).Plain, false)
	for request, want := range map[string]int{
		"GET / HTTP/1.1\r\n\r\n": 400,
		"GET / HTTP/1.1\r\nHost: example.com\r\nHost: example.net\r\n\r\n":  400,
		"GET / HTTP/1.1\r\nHost: exa mple.com\r\n\r\n":                      400,
		"GET / HTTP/1.1\r\nHost: b\xc3\xbccher.example\r\n\r\n":             400,
		"GET / HTTP/1.1\r\nHost:\r\n\r\n":                                   421,
		"GET / HTTP/1.0\r\n\r\n":                                            421,
		"GET http://unknown.example/ HTTP/1.1\r\nHost: example.com\r\n\r\n": 421,
		"GET http://example.com/ HTTP/1.1\r\nHost: unknown.example\r\n\r\n": 200,
		"GET http://b\xc3\xbccher.example/ HTTP/1.1\r\nHost: a\r\n\r\n":     200,
		"OPTIONS * HTTP/1.1\r\nHost: example.com\r\n\r\n":                   200,
		"OPTIONS * HTTP/1.1\r\nHost: unknown.example\r\n\r\n":               421,
		"GET * HTTP/1.1\r\nHost: example.com\r\n\r\n":                       400,
		"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n": 405,
		"CONNECT / HTTP/1.1\r\nHost: example.com\r\n\r\n":                   405,
		"GET ftp://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n":      400,
		"GET x HTTP/1.1\r\nHost: example.com\r\n\r\n":                       400,
	} {
		res, body := d.send(t, request)
		if res.StatusCode != want {
			t.Errorf("%q: %d %s", request, res.StatusCode, body)
		}
		if want == 405 && res.Header.Get("Allow") == "" {
			t.Error("no Allow")
		}
	}
}

func TestIntercepts(t *testing.T) {
	t.Parallel()
	d := open(t, config(), (*proxy.Edge).Secure, true)
	for _, test := range []struct{ host, target, want string }{
		{"example.com", "/kept", "kept /kept"},
		{"example.com", "/%6bept/x", "kept /%6bept/x"},
		{"example.com", "/kept/../x", "kept /kept/../x"},
		{"example.com", "/keptx", "one /keptx"},
		{"example.com", "//kept", "one //kept"},
		{"www.example.com", "/kept", "one /kept"},
		{"example.net", "/kept", "two /kept"},
	} {
		if _, body := d.sendTLS(t, "", ask(test.host, test.target)); body != test.want {
			t.Errorf("%s%s: %q, want %q", test.host, test.target, body, test.want)
		}
		line := d.line(t)
		if got, want := line["handler"] == "kept", strings.HasPrefix(test.want, "kept"); got != want {
			t.Errorf("line %v", line)
		}
	}
}

func TestRedirect(t *testing.T) {
	t.Parallel()
	for _, port := range []int{0, 443, 8443} {
		cfg := config()
		cfg.PublicHTTPS = port
		cfg.Sites[1].Hosts = append(cfg.Sites[1].Hosts, "[::1]")
		cfg.HasCertificate = func(string) bool { return true }
		suffix := map[int]string{8443: ":8443"}[port]
		d := open(t, cfg, (*proxy.Edge).Plain, false)
		for _, test := range []struct{ method, host, target, want string }{
			{"GET", "example.com", "/", "https://example.com{}/"},
			{"HEAD", "example.com", "/", "https://example.com{}/"},
			{"POST", "EXAMPLE.com.:80", "/a/../b//c;d%2f?x;y=%zz&&z?", "https://example.com{}/a/../b//c;d%2f?x;y=%zz&&z?"},
			{"GET", "example.com", "//evil.example/x", "https://example.com{}//evil.example/x"},
			{"GET", "example.com", "/?", "https://example.com{}/?"},
			{"GET", "example.com", "http://www.example.com?q", "https://www.example.com{}/?q"},
			{"GET", "example.com", "/%0d%0aSet-Cookie:x=1", "https://example.com{}/%0d%0aSet-Cookie:x=1"},
			{"GET", "example.com", "/caf\xc3\xa9", "https://example.com{}/caf%C3%A9"},
			{"GET", "[::1]:80", "/", "https://[::1]{}/"},
			{"DELETE", "example.com", "/kept/x", "https://example.com{}/kept/x"},
		} {
			res, _ := d.send(t, test.method+" "+test.target+" HTTP/1.1\r\nHost: "+test.host+"\r\nConnection: close\r\n\r\n")
			want := strings.ReplaceAll(test.want, "{}", suffix)
			if got := res.Header.Get("Location"); res.StatusCode != http.StatusPermanentRedirect || got != want {
				t.Errorf("%s %s: %d %q, want %q", test.method, test.target, res.StatusCode, got, want)
			}
		}
		if res, _ := d.send(t, ask("unknown.example", "/")); res.StatusCode != 421 || res.Header.Get("Location") != "" {
			t.Errorf("unknown host: %d %v", res.StatusCode, res.Header)
		}
	}
}

// A gate is asked on every way to the website, and for nothing else.
func TestGate(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.Sites[0].Gate = func(w http.ResponseWriter, r *http.Request, secure bool) proxy.Passage {
		switch {
		case r.URL.Path == "/open":
			return proxy.Admitted
		case r.URL.Path == "/private" && !secure:
			return proxy.TooOpen
		}
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, "gate")
		return proxy.Answered
	}
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	for name, test := range map[string]struct {
		view    view
		proto   string
		trusted bool
		private int // the status of what is not answered in clear text
	}{
		"secure":                  {(*proxy.Edge).Secure, "", false, http.StatusForbidden},
		"plain":                   {(*proxy.Edge).Plain, "", false, http.StatusServiceUnavailable},
		"terminated, https":       {(*proxy.Edge).Terminated, "https", true, http.StatusForbidden},
		"terminated, http":        {(*proxy.Edge).Terminated, "http", true, http.StatusPermanentRedirect},
		"terminated, not trusted": {(*proxy.Edge).Terminated, "https", false, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var trusted []netip.Prefix
			if test.trusted {
				trusted = append(trusted, loopback)
			}
			d := open(t, cfg, test.view, false, trusted...)
			for request, want := range map[[2]string]string{
				{"example.com", "/x"}:    "gate",
				{"example.com", "/open"}: "one /open",
				{"example.net", "/x"}:    "two /x", // a site without a gate
			} {
				_, body := d.send(t, "GET "+request[1]+" HTTP/1.1\r\nHost: "+request[0]+"\r\nX-Forwarded-Proto: "+test.proto+"\r\n\r\n")
				if body != want {
					t.Errorf("%v: %q, want %q", request, body, want)
				}
			}
			if res, _ := d.send(t, "GET /private HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-Proto: "+test.proto+"\r\n\r\n"); res.StatusCode != test.private {
				t.Errorf("/private: %d, want %d", res.StatusCode, test.private)
			}
			if _, body := d.send(t, "GET /kept HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-Proto: "+test.proto+"\r\n\r\n"); body == "gate" {
				t.Error("the gate was asked for an intercepted path")
			}
		})
	}
}

// Until a host has its certificate, plain HTTP serves the website and nothing of ours.
func TestPlainUntilCertificate(t *testing.T) {
	t.Parallel()
	var has atomic.Pointer[string]
	cfg := config()
	cfg.HasCertificate = func(host string) bool { name := has.Load(); return name != nil && *name == host }
	cfg.Challenge = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/.well-known/acme-challenge/") {
			return false
		}
		fmt.Fprint(w, "challenge")
		return true
	}
	d := open(t, cfg, (*proxy.Edge).Plain, false)
	if res, body := d.send(t, ask("example.com", "/x")); res.StatusCode != 200 || body != "one /x" {
		t.Errorf("%d %q", res.StatusCode, body)
	}
	d.line(t)
	res, body := d.send(t, ask("example.com", "/kept/x"))
	if res.StatusCode != 503 || !strings.Contains(body, "certificate") || res.Header.Get("Retry-After") == "" || strings.HasPrefix(body, "kept") {
		t.Errorf("%d %q", res.StatusCode, body)
	}
	if line := d.line(t); line["handler"] != "kept" || !strings.Contains(fmt.Sprint(line["error"]), "example.com") || line["hint"] == "" {
		t.Errorf("line %v", line)
	}
	if _, body := d.send(t, ask("example.com", "/.well-known/acme-challenge/token")); body != "challenge" {
		t.Errorf("%q", body)
	}
	name := "example.com"
	has.Store(&name)
	if res, _ := d.send(t, ask("example.com", "/x")); res.StatusCode != 308 {
		t.Errorf("%d", res.StatusCode)
	}
	if _, body := d.send(t, ask("example.com", "/.well-known/acme-challenge/token")); body != "challenge" {
		t.Errorf("%q", body)
	}
	if res, _ := d.send(t, ask("www.example.com", "/x")); res.StatusCode != 200 {
		t.Errorf("the other host: %d", res.StatusCode)
	}
}

func TestTerminated(t *testing.T) {
	t.Parallel()
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	for name, test := range map[string]struct {
		trusted []netip.Prefix
		proto   string
		status  int // of the intercept
	}{
		"trusted, https":    {[]netip.Prefix{loopback}, "https", 200},
		"trusted, http":     {[]netip.Prefix{loopback}, "http", 308},
		"trusted, silent":   {[]netip.Prefix{loopback}, "", 308},
		"untrusted, https":  {nil, "https", 503},
		"untrusted, silent": {nil, "", 503},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := open(t, config(), (*proxy.Edge).Terminated, false, test.trusted...)
			field := ""
			if test.proto != "" {
				field = "X-Forwarded-Proto: " + test.proto + "\r\n"
			}
			res, body := d.send(t, "GET /kept/x?y;z HTTP/1.1\r\nHost: example.com\r\n"+field+"\r\n")
			if res.StatusCode != test.status || (test.status == 200) != (body == "kept /kept/x?y;z") {
				t.Errorf("%d %q", res.StatusCode, body)
			}
			line := d.line(t)
			switch test.status {
			case 308:
				if got := res.Header.Get("Location"); got != "https://example.com/kept/x?y;z" {
					t.Errorf("Location %q", got)
				}
			case 503:
				if hint := fmt.Sprint(line["hint"]); !strings.Contains(hint, "127.0.0.1") || !strings.Contains(hint, "trusted_proxies") || strings.Contains(body, "127.0.0.1") {
					t.Errorf("hint %q, body %q", hint, body)
				}
			}
			res, body = d.send(t, "GET /x HTTP/1.1\r\nHost: example.com\r\n"+field+"\r\n")
			if res.StatusCode != 200 || body != "one /x" {
				t.Errorf("the site: %d %q", res.StatusCode, body)
			}
			if res, _ := d.send(t, ask("unknown.example", "/")); res.StatusCode != 421 {
				t.Errorf("unknown host: %d", res.StatusCode)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sites []proxy.Site
		want  string
	}{
		"one host, two sites": {[]proxy.Site{{Name: "a", Hosts: []string{"x.example"}, Handler: named("")}, {Name: "b", Hosts: []string{"X.example."}, Handler: named("")}}, "belongs to site"},
		"twice in one site":   {[]proxy.Site{{Name: "a", Hosts: []string{"x.example", "x.example:80"}, Handler: named("")}}, "belongs to site"},
		"no host name":        {[]proxy.Site{{Name: "a", Hosts: []string{"https://x"}, Handler: named("")}}, "not a host name"},
		"no handler":          {[]proxy.Site{{Name: "a", Hosts: []string{"x.example"}}}, "no handler"},
	} {
		if _, err := proxy.New(proxy.Config{Sites: test.sites}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
