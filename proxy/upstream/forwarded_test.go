package upstream_test

import (
	"bufio"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
		"none":                 {nil, "", anew("127.0.0.1", "http", "80", "made"), nil},
		"spoofed":              {nil, spoofed, anew("127.0.0.1", "http", "80", "made"), nil},
		"another is trusted":   {[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, spoofed, anew("127.0.0.1", "http", "80", "made"), nil},
		"trusted":              {loopback, "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Request-Id: a-1\r\nX-Forwarded-Client-Cert: c\r\n", anew("1.2.3.4", "https", "443", "a-1"), http.Header{"X-Forwarded-Client-Cert": {"c"}}},
		"trusted, hearsay":     {loopback, "X-Forwarded-For: 6.6.6.6, 1.2.3.4\r\nX-Forwarded-For: 10.1.1.1\r\n", anew("1.2.3.4", "http", "80", "made"), nil},
		"trusted, malformed":   {loopback, "X-Forwarded-For: 1.2.3.4, nonsense, 10.1.1.1\r\n", anew("10.1.1.1", "http", "80", "made"), nil},
		"trusted, empty":       {loopback, "X-Forwarded-For: 1.2.3.4,\r\n", anew("127.0.0.1", "http", "80", "made"), nil},
		"trusted, all trusted": {loopback, "X-Forwarded-For: 10.2.2.2, 10.1.1.1\r\n", anew("10.2.2.2", "http", "80", "made"), nil},
		"trusted, with ports":  {loopback, "X-Forwarded-For: [2001:DB8::1]:443, 10.1.1.1:80\r\n", anew("2001:db8::1", "http", "80", "made"), nil},
		"trusted, brackets":    {loopback, "X-Forwarded-For: [2001:db8::1]\r\n", anew("2001:db8::1", "http", "80", "made"), nil},
		"trusted, mapped":      {loopback, "X-Forwarded-For: 1.2.3.4, ::ffff:10.1.1.1\r\n", anew("1.2.3.4", "http", "80", "made"), nil},
		"trusted, odd scheme":  {loopback, "X-Forwarded-Proto: javascript\r\n", anew("127.0.0.1", "http", "80", "made"), nil},
		"trusted, two schemes": {loopback, "X-Forwarded-Proto: https, http\r\n", anew("127.0.0.1", "http", "80", "made"), nil},
		"trusted, bad id":      {loopback, "X-Request-Id: a b\r\n", anew("127.0.0.1", "http", "80", "made"), nil},
		"trusted, two ids":     {loopback, "X-Request-Id: a\r\nX-Request-Id: b\r\n", anew("127.0.0.1", "http", "80", "made"), nil},
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
