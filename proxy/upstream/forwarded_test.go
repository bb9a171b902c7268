package upstream_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"persona-sidecar/proxy/proxytest"
)

// forwarded returns the forwarding fields of a request's head.
func forwarded(t *testing.T, head string) http.Header {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
	if err != nil {
		t.Fatal(err)
	}
	kept := make(http.Header)
	for name, values := range r.Header {
		if name == "X-Request-Id" {
			if len(values[0]) == 32 {
				values = []string{"made"}
			}
		}
		if low := strings.ToLower(name); low == "x-real-ip" || strings.Contains(low, "forwarded") || strings.Contains(low, "request") {
			kept[name] = values
		}
	}
	return kept
}

const spoofed = "Forwarded: for=6.6.6.6\r\nX-Forwarded-For: 6.6.6.6\r\nx-forwarded-for: 7.7.7.7\r\nX_Forwarded_For: 6.6.6.6\r\n" +
	"X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Port: 1\r\nX-Real-IP: 6.6.6.6\r\nX_Real_IP: 6.6.6.6\r\n" +
	"X-Request-Id: evil-1\r\nX-Forwarded-Uri: /admin\r\nX-Forwarded-User: root\r\nX-Forwarded_Email: a@b\r\n"

func TestForwarded(t *testing.T) {
	t.Parallel()
	website := echoHead(t)
	anew := func(client, proto, port, id string) http.Header {
		return http.Header{
			"X-Forwarded-For": {client}, "X-Real-Ip": {client}, "X-Forwarded-Host": {"Example.com"}, "X-Forwarded-Proto": {proto},
			"X-Forwarded-Port": {port}, "X-Request-Id": {id},
		}
	}
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
	for name, test := range map[string]struct {
		trusted []netip.Prefix
		fields  string
		want    http.Header
		extra   http.Header
	}{
		"none":                  {nil, "", anew("127.0.0.1", "http", "80", "made"), nil},
		"spoofed":               {nil, spoofed, anew("127.0.0.1", "http", "80", "made"), nil},
		"another is trusted":    {[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, spoofed, anew("127.0.0.1", "http", "80", "made"), nil},
		"trusted":               {loopback, "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Request-Id: a-1\r\nX-Forwarded-Client-Cert: c\r\n", anew("1.2.3.4", "https", "443", "a-1"), http.Header{"X-Forwarded-Client-Cert": {"c"}}},
		"trusted, not the last": {loopback, "X-Forwarded-For: 6.6.6.6, 1.2.3.4\r\nX-Forwarded-For: 10.1.1.1\r\n", anew("1.2.3.4", "http", "80", "made"), nil},
		"trusted, malformed":    {loopback, "X-Forwarded-For: 1.2.3.4, nonsense, 10.1.1.1\r\n", anew("10.1.1.1", "http", "80", "made"), nil},
		"trusted, empty":        {loopback, "X-Forwarded-For: 1.2.3.4,\r\n", anew("127.0.0.1", "http", "80", "made"), nil},
		"trusted, all trusted":  {loopback, "X-Forwarded-For: 10.2.2.2, 10.1.1.1\r\n", anew("10.2.2.2", "http", "80", "made"), nil},
		"trusted, with ports":   {loopback, "X-Forwarded-For: [2001:DB8::1]:443, 10.1.1.1:80\r\n", anew("2001:db8::1", "http", "80", "made"), nil},
		"trusted, brackets":     {loopback, "X-Forwarded-For: [2001:db8::1]\r\n", anew("2001:db8::1", "http", "80", "made"), nil},
		"trusted, mapped":       {loopback, "X-Forwarded-For: 1.2.3.4, ::ffff:10.1.1.1\r\n", anew("1.2.3.4", "http", "80", "made"), nil},
		"trusted, odd scheme":   {loopback, "X-Forwarded-Proto: javascript\r\n", anew("127.0.0.1", "http", "80", "made"), nil},
		"trusted, two schemes":  {loopback, "X-Forwarded-Proto: https, http\r\n", anew("127.0.0.1", "http", "80", "made"), nil},
		"trusted, bad id":       {loopback, "X-Request-Id: a b\r\n", anew("127.0.0.1", "http", "80", "made"), nil},
		"trusted, two ids":      {loopback, "X-Request-Id: a\r\nX-Request-Id: b\r\n", anew("127.0.0.1", "http", "80", "made"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, website, options{trusted: test.trusted})
			_, head := s.send(t, "GET / HTTP/1.1\r\nHost: Example.com\r\n"+test.fields+"\r\n")
			for name, values := range test.extra {
				test.want[name] = values
			}
			if diff := cmp.Diff(test.want, forwarded(t, head)); diff != "" {
				t.Error(diff)
			}
			if got := s.line(t)["client"]; got != test.want.Get("X-Real-Ip") {
				t.Errorf("the log names %v", got)
			}
		})
	}
}

func TestForwardedOverTLS(t *testing.T) {
	t.Parallel()
	website := echoHead(t)
	both(t, func(t *testing.T, http2 bool) {
		s := start(t, website, options{})
		_, head := get(t, s.client(t, http2), "https://example.com:8443/", func(r *http.Request) {
			r.Header.Set("X-Forwarded-Proto", "http")
			r.Header.Set("Forwarded", "proto=http")
		})
		want := http.Header{
			"X-Forwarded-For": {"127.0.0.1"}, "X-Real-Ip": {"127.0.0.1"}, "X-Forwarded-Host": {"example.com:8443"},
			"X-Forwarded-Proto": {"https"}, "X-Forwarded-Port": {"8443"}, "X-Request-Id": {"made"},
		}
		if diff := cmp.Diff(want, forwarded(t, head)); diff != "" {
			t.Error(diff)
		}
	})
}

// claims are fields by which applications are told who signed in, and where a
// request came from, in spellings that CGI, PHP and others take for the same.
var claims = []string{
	"Remote-User", "Remote-Email", "Remote-Groups", "Remote-Name", "REMOTE_USER", "remote.user", "Remote~User", "Remote-",
	"X-Remote-User", "X_Remote_User", "X.Remote.Group", "X-Webauth-User", "x!webauth#email", "X-WEBAUTH_FULLNAME",
	"X-Auth-Request-User", "X_Auth-Request.Groups", "X-Auth-Request-Access-Token", "X-Persona-Email", "x|persona|groups",
	"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username",
	"X.Forwarded.User", "X_Forwarded_Email", "X-Forwarded.Groups", "X`Forwarded^Preferred'Username",
	"X.Forwarded.For", "X-Forwarded.For", "X.Forwarded_For", "X.Forwarded.Proto", "X+Forwarded+Host", "X$Forwarded$Port",
	"X.Real.Ip", "X%Real&Ip", "X.Request.Id", "X*Request*Id",
}

// No request says who sent it or where it comes from, in the header or behind
// the body, as a client or through a trusted proxy.
func TestClaimsAreRemoved(t *testing.T) {
	t.Parallel()
	website := site(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.Header, r.Trailer)
	})
	for name, trusted := range map[string][]netip.Prefix{"stranger": nil, "trusted proxy": {netip.MustParsePrefix("127.0.0.0/8")}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, website, options{trusted: trusted})
			for _, claim := range claims {
				for where, request := range map[string]string{
					"header":  "GET / HTTP/1.1\r\nHost: example.com\r\n" + claim + ": forged!\r\n\r\n",
					"upgrade": "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + claim + ": forged!\r\n\r\n",
					"trailer": "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\nTrailer: " + claim + "\r\n\r\n0\r\n" + claim + ": forged!\r\n\r\n",
				} {
					if res, body := s.send(t, request); res.StatusCode != http.StatusOK || strings.Contains(body, "forged!") {
						t.Errorf("%s in the %s: the website saw %d %s", claim, where, res.StatusCode, body)
					}
				}
			}
		})
	}
	both(t, func(t *testing.T, http2 bool) {
		s := start(t, website, options{})
		_, body := get(t, s.client(t, http2), "https://example.com/", func(r *http.Request) {
			for _, claim := range claims {
				r.Header[claim] = []string{"forged!"}
			}
			r.Header["X-Remotely"] = []string{"passes"}
		})
		if strings.Contains(body, "forged!") || !strings.Contains(body, "X-Remotely:[passes]") {
			t.Errorf("the website saw %s", body)
		}
	})
}

// The website is told that a proxy passed the request on, and a request that goes
// in circles is ended.
func TestVia(t *testing.T) {
	t.Parallel()
	s := start(t, echoHead(t), options{})
	for fields, want := range map[string]string{
		"":                                 "Via: 1.1 persona\r\n",
		"Via: 1.1 cdn.example\r\n":         "Via: 1.1 cdn.example\r\nVia: 1.1 persona\r\n",
		"Via: 1.1 a, HTTP/1.1 persona\r\n": "Via: 1.1 a, HTTP/1.1 persona\r\nVia: 1.1 persona\r\n",
		"Via: persona\r\n":                 "Via: persona\r\nVia: 1.1 persona\r\n",
	} {
		if _, head := s.send(t, "GET / HTTP/1.1\r\nHost: example.com\r\n"+fields+"\r\n"); !strings.Contains(head, want) {
			t.Errorf("%q: the website saw %q", fields, head)
		}
	}
	if _, head := s.send(t, "GET / HTTP/1.0\r\nHost: example.com\r\n\r\n"); !strings.Contains(head, "Via: 1.0 persona\r\n") {
		t.Errorf("the website saw %q", head)
	}
	if _, head := get(t, s.client(t, true), "https://example.com/"); !strings.Contains(head, "Via: 2.0 persona\r\n") {
		t.Errorf("the website saw %q", head)
	}
}

func TestLoop(t *testing.T) {
	t.Parallel()
	listener := proxytest.Listen(t)
	s := start(t, "http://"+listener.Addr().String(), options{})
	var passed atomic.Int64
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // the upstream is the proxy itself
		passed.Add(1)
		s.servers[0].Handler.ServeHTTP(w, r)
	})}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	res, body := s.send(t, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
	if passed.Load() != 5 || res.StatusCode != http.StatusLoopDetected || strings.Contains(body, listener.Addr().String()) {
		t.Errorf("passed %d times: %d %s", passed.Load(), res.StatusCode, body)
	}
	line := s.line(t) // of the innermost request
	if hint, _ := line["hint"].(string); line["status"] != 508.0 || !strings.Contains(hint, listener.Addr().String()) {
		t.Errorf("line %v", line)
	}
	for range 5 { // it passed five times and was refused the sixth
		if line := s.line(t); line["status"] != 508.0 || line["error"] != nil {
			t.Errorf("line %v", line)
		}
	}
}
