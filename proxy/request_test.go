package proxy_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"persona-sidecar/proxy"
	"persona-sidecar/proxy/proxytest"
)

// counting returns a configuration whose websites count their requests.
func counting(count *atomic.Int32) proxy.Config {
	cfg := config()
	for i := range cfg.Sites {
		website := cfg.Sites[i].Handler
		cfg.Sites[i].Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			count.Add(1)
			website.ServeHTTP(w, r)
		})
	}
	return cfg
}

// refusedTargets are targets that servers read in different ways.
var refusedTargets = []string{
	"/kept#x", "/#", "#", "/x?y#z", "/.well-known/browserid#x",
	`/\kept/`, `/kept\x`, "/%5ckept/", "/kept%5Cx", "/kept%00", "/%00",
	"/\x7f", "/a\x01b",
}

// TestTargets: what servers read in different ways is refused on every way in and never
// reaches a website; what ordinary websites use stays as it is.
func TestTargets(t *testing.T) {
	t.Parallel()
	var reached atomic.Int32
	d := open(t, counting(&reached), (*proxy.Edge).Secure, true)
	over2 := func(target string) proxytest.Stream {
		return proxytest.HTTP2(t, d.addr, "example.com", [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "example.com"}, {":path", target}}, nil)
	}
	for _, target := range refusedTargets {
		if res, body := d.sendTLS(t, "example.com", ask("example.com", target)); res.StatusCode != 400 {
			t.Errorf("%q: %d %s", target, res.StatusCode, body)
		}
		if answer := over2(target); answer.Status != "400" && answer.Reset != http2.ErrCodeProtocol {
			t.Errorf("%q over HTTP/2: %+v", target, answer)
		}
	}
	for _, target := range []string{"https://example.com/kept", "http://example.com/", "https://unknown.example/"} {
		if answer := over2(target); answer.Status != "400" || !strings.Contains(answer.Body, "not well-formed") {
			t.Errorf("%q over HTTP/2: %+v", target, answer)
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d requests reached a website", n)
	}
	for _, target := range []string{
		"/;/kept/", "/kept;x/y", "//kept", "/a//b", "/%2fkept", "/a%2Fb", "/./x", "/a/../x", "/%C0%AFx", "/caf\xc3\xa9", "/%2500", "/%255c",
		`/?file=C:\x`, "/?a=%5c%00", "/?%", "/?%zz", "/?", "/a?b?c;d&&", "/%0d%0aX:y", "/'\"<>[]{}|^`",
	} {
		want := "one " + target
		if res, body := d.sendTLS(t, "example.com", ask("example.com", target)); res.StatusCode != 200 || body != want {
			t.Errorf("%q: %d %q", target, res.StatusCode, body)
		}
		if answer := over2(target); answer.Body != want {
			t.Errorf("%q over HTTP/2: %+v", target, answer)
		}
	}
}

// TestMalformedOverHTTP2: what net/http lets through over HTTP/2 is answered 400, and is
// no fault of the website.
func TestMalformedOverHTTP2(t *testing.T) {
	t.Parallel()
	var reached atomic.Int32
	d := open(t, counting(&reached), (*proxy.Edge).Secure, true)
	fields := func(method, scheme string, more ...[2]string) [][2]string {
		return append([][2]string{{":method", method}, {":scheme", scheme}, {":authority", "example.com"}, {":path", "/x"}}, more...)
	}
	length := func(text string) [2]string { return [2]string{"content-length", text} }
	for name, test := range map[string]struct {
		fields [][2]string
		body   []byte
	}{
		"a request line as the method":  {fields("GET /kept/ HTTP/1.1", "https"), nil},
		"a space in the method":         {fields("G ET", "https"), nil},
		"a colon in the method":         {fields("GET:", "https"), nil},
		"a method beyond ASCII":         {fields("GÉT", "https"), nil},
		"two lengths":                   {fields("POST", "https", length("3"), length("4")), []byte("abc")},
		"two lengths, equal":            {fields("POST", "https", length("3"), length("3")), []byte("abc")},
		"a list of lengths":             {fields("POST", "https", length("3, 3")), []byte("abc")},
		"a length with a sign":          {fields("POST", "https", length("+3")), []byte("abc")},
		"an empty length":               {fields("POST", "https", length("")), []byte("abc")},
		"a length without a body":       {fields("POST", "https", length("3")), nil},
		"a length of 2⁶⁴":               {fields("POST", "https", length("18446744073709551616")), []byte("abc")},
		"transfer-encoding":             {fields("POST", "https", [2]string{"transfer-encoding", "chunked"}), []byte("0\r\n\r\n")},
		"transfer-encoding with length": {fields("POST", "https", length("5"), [2]string{"transfer-encoding", "chunked"}), []byte("0\r\n\r\n")},
	} {
		if answer := proxytest.HTTP2(t, d.addr, "example.com", test.fields, test.body); answer.Status != "400" && answer.Reset != http2.ErrCodeProtocol {
			t.Errorf("%s: %+v", name, answer)
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d requests reached the website", n)
	}
	if answer := proxytest.HTTP2(t, d.addr, "example.com", fields("POST", "https", length("3")), []byte("abc")); answer.Body != "one /x" {
		t.Errorf("a request that is well-formed: %+v", answer)
	}
	line := d.line(t)
	if line["level"] != "info" || line["status"] != 400.0 || line["refused"] == "" || line["error"] != nil {
		t.Errorf("line %v", line)
	}
}

// TestPorts: a Host may name a port at which clients reach us, and no other.
func TestPorts(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.PublicHTTPS = 8443
	secure, plain := open(t, cfg, (*proxy.Edge).Secure, true), open(t, cfg, (*proxy.Edge).Plain, false)
	_, securePort, _ := strings.Cut(secure.addr, ":")
	_, plainPort, _ := strings.Cut(plain.addr, ":")
	for port, want := range map[string][2]int{
		"": {200, 200}, ":": {200, 200},
		":443": {200, 421}, ":8443": {200, 421}, ":80": {421, 200},
		":" + securePort: {200, 421}, ":" + plainPort: {421, 200},
		":8080": {421, 421}, ":99999": {421, 421}, ":65536": {421, 421}, ":0": {421, 421}, ":08443": {200, 421}, ":443443443443": {421, 421}, ":4_43": {421, 421},
	} {
		if res, _ := secure.sendTLS(t, "example.com", ask("example.com"+port, "/")); res.StatusCode != want[0] {
			t.Errorf("https, %q: %d", port, res.StatusCode)
		}
		if res, _ := plain.send(t, ask("example.com"+port, "/")); res.StatusCode != want[1] {
			t.Errorf("http, %q: %d", port, res.StatusCode)
		}
		answer := proxytest.HTTP2(t, secure.addr, "example.com", [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "example.com" + port}, {":path", "/"}}, nil)
		if (answer.Status == "200") != (want[0] == 200) {
			t.Errorf("HTTP/2, %q: %+v", port, answer)
		}
	}
}
