package upstream_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"persona-sidecar/proxy/proxytest"
)

// redirecting answers each request with what its query wants: the status, and the fields as
// they stand there.
func redirecting(t testing.TB) string {
	return rawSite(t, func(head string, conn net.Conn, _ *bufio.Reader) {
		_, query, _ := strings.Cut(strings.Fields(head)[1], "?")
		want, err := url.QueryUnescape(query)
		if err != nil {
			t.Error(err)
		}
		io.WriteString(conn, "HTTP/1.1 "+want+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	})
}

// wayIn asks for a path at a host and returns the answer's Location lines.
type wayIn func(t *testing.T, method, host, path string) []string

// waysIn are all ways in of HTTPS, and the one of plain HTTP.
func (s *sidecar) waysIn() (https map[string]wayIn, plain wayIn) {
	over := func(more string, dial func(t *testing.T) net.Conn) wayIn {
		return func(t *testing.T, method, host, path string) []string {
			t.Helper()
			conn := dial(t)
			fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\n%s\r\n", method, path, host, more)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			return res.Header["Location"]
		}
	}
	open := func(t *testing.T) net.Conn { return s.dial(t) }
	return map[string]wayIn{
		"HTTP/1.1": over("", func(t *testing.T) net.Conn {
			conn, err := tls.Dial("tcp", s.secure, &tls.Config{RootCAs: s.roots, ServerName: "example.com"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			conn.SetDeadline(time.Now().Add(proxytest.Patience))
			return conn
		}),
		"HTTP/2": func(t *testing.T, method, host, path string) []string {
			t.Helper()
			answer := proxytest.HTTP2(t, s.secure, "example.com", [][2]string{{":method", method}, {":scheme", "https"}, {":authority", host}, {":path", path}}, nil)
			if location, found := answer.Fields["location"]; found {
				return []string{location}
			}
			return nil
		},
		"terminated": over("X-Forwarded-Proto: https\r\n", open),
	}, over("", open)
}

// TestRedirects: what leads to the host of the request, at a port at which the client does
// not reach it, leads to where it does. All else stays byte for byte.
func TestRedirects(t *testing.T) {
	t.Parallel()
	website := redirecting(t)
	_, inner, _ := net.SplitHostPort(strings.TrimPrefix(website, "http://"))
	const same = "the same"
	type row struct{ host, location, want string }
	https := []row{
		{"example.com", "http://example.com:INNER/dir/", "https://example.com/dir/"},
		{"example.com", "https://example.com:INNER/dir/", "https://example.com/dir/"},
		{"example.com", "//example.com:INNER/dir/", "https://example.com/dir/"},
		{"example.com", "http://example.com/dir/", "https://example.com/dir/"},
		{"example.com", "http://example.com:/dir/", "https://example.com/dir/"},
		{"example.com", "http://example.com:80/", "https://example.com/"},
		{"example.com", "http://example.com:443/", "https://example.com/"},
		{"example.com", "https://example.com:80/", "https://example.com/"},
		{"example.com", "http://example.com:0080/", "https://example.com/"},
		{"example.com", "http://example.com:INNER", "https://example.com"},
		{"example.com", "http://example.com:INNER?a=b", "https://example.com?a=b"},
		{"example.com", "http://example.com:INNER#top", "https://example.com#top"},
		{"example.com", "http://example.com:INNER/a//b/../%2F%zz;x?u=http://example.com:INNER/&\"|\\\tü#a#b@c:1", "https://example.com/a//b/../%2F%zz;x?u=http://example.com:INNER/&\"|\\\tü#a#b@c:1"},
		{"example.com", "HTTP://Example.COM:INNER/", "https://Example.COM/"},
		{"EXAMPLE.com", "http://example.com:INNER/", "https://example.com/"},
		{"example.com", "http://example.com.:INNER/", "https://example.com./"},
		{"example.com.", "http://example.com:INNER/", "https://example.com/"},
		{"xn--bcher-kva.example", "http://bücher.example:INNER/", "https://bücher.example/"},
		{"xn--bcher-kva.example", "http://xn--bcher-kva.example:INNER/", "https://xn--bcher-kva.example/"},
		{"[2001:db8::1]", "http://[2001:db8::1]:INNER/", "https://[2001:db8::1]/"},
		{"[2001:db8::1]", "http://[2001:DB8:0::1]/", "https://[2001:DB8:0::1]/"},
		{"[2001:db8::1]", "http://2001:db8::1/", same},
		{"[::ffff:1]", "http://::ffff:1/", same},
		{"192.0.2.1", "http://192.0.2.1:INNER/", "https://192.0.2.1/"},
		// The port that the client named, and the one that is public.
		{"example.com:8443", "http://example.com:INNER/", "https://example.com:8443/"},
		{"example.com:8443", "http://example.com:8443/", "https://example.com:8443/"},
		{"example.com:8443", "https://example.com/", "https://example.com:8443/"},
		{"example.com:8443", "https://example.com:8443/", same},
		{"example.com:443", "http://example.com/", "https://example.com/"},
		// What leads to the right place.
		{"example.com", "https://example.com/", same},
		{"example.com", "HTTPS://example.com:443/", same},
		{"example.com", "//example.com/", same},
		{"example.com", "/dir/", same},
		{"example.com", "dir/", same},
		{"example.com", "?a=http://example.com:INNER/", same},
		{"example.com", "", same},
		// What leads elsewhere.
		{"example.com", "http://example.com:9999/", same},
		{"example.com", "http://example.com:99999/", same},
		{"example.com", "http://example.com:-80/", same},
		{"example.com", "http://example.com:INNER:80/", same},
		{"example.com", "http://www.example.com:INNER/", same},
		{"example.com", "http://example.com.evil.test:INNER/", same},
		{"example.com", "http://127.0.0.1:INNER/", same},
		{"example.com", "ftp://example.com:INNER/", same},
		{"example.com", "javascript://example.com:INNER/%0aalert(1)", same},
		{"example.com", "http://user@example.com:INNER/", same},
		{"example.com", "http://example.com:INNER@evil.test/", same},
		{"example.com", "http://@example.com:INNER/", same},
		// What is read in different ways.
		{"example.com", "http:example.com:INNER/", same},
		{"example.com", "http:/example.com:INNER/", same},
		{"example.com", "http:///example.com:INNER/", same},
		{"example.com", "///example.com:INNER/", same},
		{"example.com", "http:\\\\example.com:INNER/", same},
		{"example.com", "\\\\example.com:INNER/", same},
		{"example.com", "/\\example.com:INNER/", same},
		{"example.com", "http://example.com\\@evil.test/", same},
		{"example.com", "http://example.com:INNER\\dir", same},
		{"example.com", "ht\ttp://example.com:INNER/", same},
		{"example.com", "http://exam\tple.com:INNER/", same},
		{"example.com", "http://ex%61mple.com:INNER/", same},
		{"example.com", "http://[example.com]:INNER/", same},
		{"example.com", "http://example..com:INNER/", same},
		{"example.com", "http://:INNER/", same},
	}
	plain := []row{
		{"example.com", "http://example.com:INNER/dir/", "http://example.com/dir/"},
		{"example.com", "//example.com:INNER/dir/", "http://example.com/dir/"},
		{"example.com:8080", "http://example.com:INNER/", "http://example.com:8080/"},
		{"example.com:8080", "http://example.com/", "http://example.com:8080/"},
		{"example.com", "http://example.com:443/", "http://example.com/"},
		{"example.com", "http://example.com/", same},
		{"example.com", "//example.com/", same},
		// A website that wants HTTPS gets it.
		{"example.com", "https://example.com/", same},
		{"example.com:8080", "https://example.com/", same},
		{"example.com:8080", "https://example.com:8080/", "https://example.com/"},
		{"example.com", "https://example.com:INNER/", "https://example.com/"},
		{"example.com", "http://www.example.com:INNER/", same},
	}
	s := start(t, website, options{redirects: true, trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	strict := start(t, website, options{redirects: true, publicHTTPS: 8443})
	off := start(t, website, options{})
	ways, open := s.waysIn()
	check := func(t *testing.T, way wayIn, r row) {
		t.Helper()
		location := strings.ReplaceAll(r.location, "INNER", inner)
		want := strings.ReplaceAll(r.want, "INNER", inner)
		if r.want == same {
			want = location
		}
		got := way(t, "GET", r.host, "/?"+url.QueryEscape("301 Moved\r\nLocation: "+location))
		if !slices.Equal(got, []string{want}) {
			t.Errorf("at %s, %q became %q, want %q", r.host, location, got, want)
		}
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, r := range https {
				check(t, way, r)
			}
			for status, changed := range map[string]bool{
				"201 Created": true, "300 Choices": true, "302 Found": true, "303 See Other": true, "307 Temporary": true, "308 Permanent": true, "399 X": true,
				"200 OK": false, "202 Accepted": false, "401 Unauthorized": false, "503 Unavailable": false,
			} {
				got, want := way(t, "GET", "example.com", "/?"+url.QueryEscape(status+"\r\nlocation: http://example.com/")), "http://example.com/"
				if changed {
					want = "https://example.com/"
				}
				if !slices.Equal(got, []string{want}) {
					t.Errorf("%s: %q, want %q", status, got, want)
				}
			}
		})
	}
	t.Run("plain", func(t *testing.T) {
		t.Parallel()
		for _, r := range plain {
			check(t, open, r)
		}
	})
	t.Run("public port", func(t *testing.T) {
		t.Parallel()
		ways, open := strict.waysIn()
		for _, way := range []wayIn{ways["HTTP/1.1"], ways["HTTP/2"]} {
			check(t, way, row{"example.com", "http://example.com:INNER/", "https://example.com:8443/"})
			check(t, way, row{"example.com", "http://example.com:8443/", "https://example.com:8443/"})
			check(t, way, row{"example.com", "//example.com/", "https://example.com:8443/"})
			check(t, way, row{"example.com:8443", "//example.com:8443/", same})
		}
		check(t, open, row{"example.com", "https://example.com/", "https://example.com:8443/"})
		check(t, open, row{"example.com", "http://example.com:INNER/", "http://example.com/"})
	})
	t.Run("off", func(t *testing.T) {
		t.Parallel()
		ways, open := off.waysIn()
		for _, r := range slices.Concat(https[:6], plain[:3]) {
			r.want = same
			check(t, ways["HTTP/1.1"], r)
			check(t, ways["HTTP/2"], r)
			check(t, open, r)
		}
	})
	t.Run("other fields", func(t *testing.T) {
		t.Parallel()
		res, err := http.ReadResponse(bufio.NewReader(s.asked(t, "302 Found\r\nLocation: http://example.com:"+inner+"/a\r\nLocation: https://example.com/a\r\n"+
			"Content-Location: http://example.com/b\r\nRefresh: 0; url=http://example.com/c\r\nX-Location: http://example.com/d")), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		want := http.Header{
			"Location": {"http://example.com/a", "https://example.com/a"}, "Content-Location": {"http://example.com/b"},
			"Refresh": {"0; url=http://example.com/c"}, "X-Location": {"http://example.com/d"},
		}
		for name, values := range want {
			if !slices.Equal(res.Header[name], values) {
				t.Errorf("%s: %q, want %q", name, res.Header[name], values)
			}
		}
	})
}

// asked asks over plain HTTP for an answer of [redirecting].
func (s *sidecar) asked(t testing.TB, answer string) net.Conn {
	conn := s.dial(t)
	fmt.Fprintf(conn, "GET /?%s HTTP/1.1\r\nHost: example.com\r\n\r\n", url.QueryEscape(answer))
	return conn
}
