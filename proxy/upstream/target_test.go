package upstream_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// The path and the query reach the website byte for byte.
func TestTargetUntouched(t *testing.T) {
	t.Parallel()
	s := start(t, echoHead(t), options{})
	for _, target := range []string{
		"/", "/a/../b", "/./a", "/a/./b/..", "/..", "//", "//evil.example/x", "///", "/a//b",
		"/%2f", "/%2F", "/a%2fb%2F", "/%2e%2e/x", "/%41%7e", "/a;b=c;d", "/a|b^c`d{e}\"f<g>", "/caf\xc3\xa9", "/\xff",
		"/?", "/?a;b", "/?a=%zz", "/?%", "/?a=1&&b=2;c", "/?a=b?c=d", "/?\xff", "/?a=\"<>\"",
		"/*", "/:80", "/a:b@c", "/?url=http://evil.example//", "/" + strings.Repeat("x", 8000), "/?" + strings.Repeat("y;", 11000),
	} {
		_, body := s.send(t, "GET "+target+" HTTP/1.1\r\nHost: example.com\r\n\r\n")
		if line, _, _ := strings.Cut(body, "\r\n"); line != "GET "+target+" HTTP/1.1" {
			t.Errorf("sent %.80q, the website saw %.80q", target, line)
		}
	}
}

// Absolute-form becomes origin-form, with its bytes kept and its host in force.
func TestAbsoluteForm(t *testing.T) {
	t.Parallel()
	s := start(t, echoHead(t), options{})
	for target, want := range map[string]string{
		"http://example.com/a%2fb?c;d": "/a%2fb?c;d",
		"http://example.com":           "/",
		"HTTPS://example.com?x":        "/?x",
		"http://example.com//a/../":    "//a/../",
	} {
		_, body := s.send(t, "GET "+target+" HTTP/1.1\r\nHost: other.example\r\n\r\n")
		line, rest, _ := strings.Cut(body, "\r\n")
		if line != "GET "+want+" HTTP/1.1" || !strings.Contains(rest, "Host: example.com\r\n") || strings.Contains(rest, "other.example") {
			t.Errorf("sent %q, the website saw %q", target, body)
		}
	}
	for _, target := range []string{
		"ftp://example.com/", "http:foo", "example.com:443", "http://user:pw@example.com/",
		// These have no authority: net/http sees another path in them than the one behind "://".
		"http:x://y/persona/", "http:/a://b/persona/", "http:?x://y/persona/",
	} {
		res, _ := s.send(t, "GET "+target+" HTTP/1.1\r\nHost: example.com\r\n\r\n")
		if res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d", target, res.StatusCode)
		}
	}
}

// An HTTP/2 path may hold what would split a request line.
func TestTargetThatSplits(t *testing.T) {
	t.Parallel()
	s := start(t, rawSite(t, func(head string, conn net.Conn, _ *bufio.Reader) {
		t.Errorf("the website saw %q", head)
	}), options{})
	conn, err := tls.Dial("tcp", s.secure, &tls.Config{RootCAs: s.roots, ServerName: "example.com", NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, http2.ClientPreface)
	framer := http2.NewFramer(conn, conn)
	framer.WriteSettings()
	var block strings.Builder
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "example.com"}, {":path", "/a HTTP/1.1 b"}} {
		encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
	}
	framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(block.String()), EndStream: true, EndHeaders: true})
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if headers, ok := frame.(*http2.MetaHeadersFrame); ok {
			if status := headers.PseudoValue("status"); status != "400" {
				t.Errorf("status %s", status)
			}
			return
		}
		if _, ok := frame.(*http2.RSTStreamFrame); ok {
			return // refused earlier: fine as well
		}
	}
}

// What could be read in two ways is refused, or reaches the website in one.
func TestAmbiguousRequests(t *testing.T) {
	t.Parallel()
	s := start(t, echoHead(t), options{})
	for name, test := range map[string]struct {
		request string
		status  int
		absent  string // from what the website sees
	}{
		"length and chunks":        {"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, ""},
		"two lengths":              {"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", 400, ""},
		"signed length":            {"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: +4\r\n\r\nabcd", 400, ""},
		"unknown coding":           {"POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: xchunked\r\n\r\n", 400, ""},
		"two codings":              {"POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, ""},
		"space before the colon":   {"GET / HTTP/1.1\r\nHost: example.com\r\nX-A : b\r\n\r\n", 400, ""},
		"no host":                  {"GET / HTTP/1.1\r\n\r\n", 400, ""},
		"two hosts":                {"GET / HTTP/1.1\r\nHost: example.com\r\nHost: evil.example\r\n\r\n", 400, ""},
		"bad chunk size":           {"POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n", 400, ""},
		"overflowing chunk size":   {"POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\n\r\n", 400, ""},
		"null in a value":          {"GET / HTTP/1.1\r\nHost: example.com\r\nX-A: b\x00c\r\n\r\n", 400, ""},
		"field of the connection":  {"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: X-Secret\r\nX-Secret: 1\r\n\r\n", 200, "X-Secret"},
		"headers too large":        {"GET / HTTP/1.1\r\nHost: example.com\r\nX-A: " + strings.Repeat("a", 80<<10) + "\r\n\r\n", 431, ""},
		"upgrade to clear HTTP/2":  {"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n", 200, "Upgrade"},
		"settings without upgrade": {"GET / HTTP/1.1\r\nHost: example.com\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n", 200, "Http2-Settings"},
		"upgrade in a list":        {"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: upgrade\r\nUpgrade: websocket, H2C\r\n\r\n", 200, "Upgrade"},
		"upgrade to TLS":           {"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: upgrade\r\nUpgrade: TLS/1.2\r\n\r\n", 200, "Upgrade"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := s
			if test.status == http.StatusBadRequest {
				target = start(t, rawSite(t, func(head string, conn net.Conn, r *bufio.Reader) {
					rest, err := io.ReadAll(r)
					if strings.Contains(string(rest), "0\r\n\r\n") {
						t.Errorf("the website saw a complete request: %q %v", rest, err)
					}
				}), options{})
			}
			res, body := target.send(t, test.request)
			if res.StatusCode != test.status {
				t.Errorf("%d %s", res.StatusCode, body)
			}
			if test.absent != "" && strings.Contains(body, test.absent) {
				t.Errorf("the website saw %q", body)
			}
			if test.status == 400 && !res.Close {
				t.Error("the connection may be used again")
			}
		})
	}
}
