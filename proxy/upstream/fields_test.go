package upstream_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// madeHere are the lines that the proxy adds to every request.
var madeHere = []string{"Via", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-For", "X-Real-IP", "X-Request-ID", "Host"}

// clientLines returns the lines of a request's head without those.
func clientLines(head string) []string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSuffix(head, "\r\n\r\n"), "\r\n") {
		if name, _, _ := strings.Cut(line, ":"); !slices.Contains(madeHere, name) {
			lines = append(lines, line)
		}
	}
	return lines[1:] // without the request line
}

// What the website gets of a request's fields: over HTTP/1.1 spelled and ordered as
// the client sent them, over HTTP/2 spelled as in the standards.
func TestRequestFields(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sent, seen []string
		odd        bool
	}{
		"websocket": {
			[]string{"Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: a", "sec-websocket-version: 13", "Sec-WebSocket-Protocol: b", "Sec-WebSocket-Extensions: c"},
			[]string{"Sec-WebSocket-Key: a", "sec-websocket-version: 13", "Sec-WebSocket-Protocol: b", "Sec-WebSocket-Extensions: c", "Connection: Upgrade", "Upgrade: websocket"},
			false,
		},
		"spellings":      {[]string{"dnt: 1", "soapaction: x", "x-xsrf-token: t", "sec-ch-ua-mobile: ?0", "x-some-Thing: y", "B: 2", "A: 1", "b: 3"}, []string{"dnt: 1", "soapaction: x", "x-xsrf-token: t", "sec-ch-ua-mobile: ?0", "x-some-Thing: y", "B: 2", "A: 1", "b: 3"}, false},
		"values":         {[]string{"X-Empty:", "X-High: \xe4\xf6\xfc \xc3\xa4", "X-Tab: a\tb", "X-Two: 1", "X-Two: 2"}, []string{"X-Empty: ", "X-High: \xe4\xf6\xfc \xc3\xa4", "X-Tab: a\tb", "X-Two: 1", "X-Two: 2"}, false},
		"of one hop":     {[]string{"Connection: close, X-Secret", "X-Secret: 1", "Keep-Alive: 5", "Proxy-Connection: keep-alive", "Proxy-Authorization: Basic x", "TE: gzip", "Trailer: X", "HTTP2-Settings: AAMA"}, nil, false},
		"httpoxy":        {[]string{"Proxy: http://evil.example"}, nil, false},
		"trailers asked": {[]string{"Connection: TE", "TE: trailers, deflate;q=0.5"}, []string{"Connection: TE", "TE: trailers"}, false},
		"odd names":      {[]string{"X_A: 1", "X.A: 1", "X!A: 1", "X-A: 1", "Content_Length: 5", "Transfer.Encoding: chunked"}, []string{"X-A: 1"}, false},
		"odd, allowed":   {[]string{"X_A: 1", "X.B: 1", "X_Forwarded_For: 6.6.6.6", "Remote_User: root", "Content_Length: 5", "Transfer.Encoding: chunked", "Cookie_: a", "Pro.xy: p"}, []string{"X_A: 1", "X.B: 1", "Cookie_: a", "Pro.xy: p"}, true},
		"upgrade, h2c":   {[]string{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMA"}, nil, false},
		"upgrade alone":  {[]string{"Upgrade: websocket"}, nil, false},
		"user agent":     {nil, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, echoHead(t), options{oddNames: test.odd})
			_, head := s.send(t, "GET / HTTP/1.1\r\nHost: example.com\r\n"+strings.Join(append(test.sent, "", ""), "\r\n"))
			if diff := cmp.Diff(test.seen, clientLines(head), cmpEmpty); diff != "" {
				t.Errorf("(-want +seen):\n%s", diff)
			}
		})
	}
	t.Run("HTTP2", func(t *testing.T) {
		t.Parallel()
		s := start(t, echoHead(t), options{})
		_, head := get(t, s.client(t, true), "https://example.com/", func(r *http.Request) {
			r.Header = http.Header{"Dnt": {"1"}, "Soapaction": {"x"}, "X-Xsrf-Token": {"t"}, "Sec-Websocket-Version": {"13"}, "Te": {"trailers"}, "X_a": {"1"}, "Proxy": {"p"}, "X-Empty": {""}, "User-Agent": {""}}
		})
		seen := clientLines(head)
		slices.Sort(seen)
		if diff := cmp.Diff([]string{"Connection: TE", "DNT: 1", "SOAPAction: x", "Sec-WebSocket-Version: 13", "TE: trailers", "X-Empty: ", "X-XSRF-TOKEN: t"}, seen); diff != "" {
			t.Errorf("(-want +seen):\n%s", diff)
		}
	})
}

// Where people sign in, the website can neither delete our cookie nor speak for
// the identity provider.
func TestGuardedSite(t *testing.T) {
	t.Parallel()
	target := site(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Clear-Site-Data"] = []string{r.Header.Get("X-Clear")}
		w.Header().Set("Set-Login", "logged-out")
	})
	for sent, want := range map[string]string{
		`"cookies"`:                    "[]",
		`"cache", "cookies","storage"`: `["cache", "storage"]`,
		`"*"`:                          `["cache", "storage"]`,
		`"COOKIES", * , "x"`:           `["cache", "storage", "x"]`,
		`"cache"`:                      `["cache"]`,
	} {
		for _, guarded := range []bool{true, false} {
			s := start(t, target, options{guarded: guarded})
			res, _ := get(t, s.client(t, true), "https://example.com/", func(r *http.Request) { r.Header.Set("X-Clear", sent) })
			got, login := fmt.Sprint(res.Header["Clear-Site-Data"]), res.Header.Get("Set-Login")
			if guarded && (got != want || login != "") || !guarded && (got != "["+sent+"]" || login == "") {
				t.Errorf("guarded %t, %s: the client got %s, Set-Login %q", guarded, sent, got, login)
			}
		}
	}
}

var cmpEmpty = cmpopts.EquateEmpty()

// What the client gets of an answer's fields: final, interim, and behind the body.
func TestAnswerFields(t *testing.T) {
	t.Parallel()
	const hop = "Connection: X-Secret, close\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\nTE: x\r\nProxy-Authenticate: Basic\r\nProxy-Connection: close\r\nUpgrade: h2c\r\n" +
		"Set-Cookie: " + ourCookie + "=evil\r\nset-cookie: a=1\r\n"
	target := rawSite(t, func(_ string, conn net.Conn, _ *bufio.Reader) {
		io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\n"+hop+"Link: </a.css>\r\n\r\n"+
			"HTTP/1.1 200 Fine\r\n"+hop+"ETag: \"e\"\r\nX-Empty:\r\nX-High: \xe4\r\nTrailer: X-Sum, Set-Cookie, Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"+
			"X-Sum: 42\r\nSet-Cookie: "+ourCookie+"=evil\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\nX-Forwarded-User: root\r\nRemote_User: root\r\nAuthentication-Info: x\r\nHost: evil.example\r\nClear-Site-Data: \"*\"\r\n\r\n")
	})
	both(t, func(t *testing.T, http2 bool) {
		s := start(t, target, options{})
		var hints []http.Header
		trace := &httptrace.ClientTrace{Got1xxResponse: func(_ int, h textproto.MIMEHeader) error {
			hints = append(hints, http.Header(h))
			return nil
		}}
		res, body := get(t, s.client(t, http2), "https://example.com/", func(r *http.Request) {
			*r = *r.WithContext(httptrace.WithClientTrace(r.Context(), trace))
		})
		if body != "ok" || len(hints) != 1 {
			t.Fatalf("%q, %d interim answers", body, len(hints))
		}
		if diff := cmp.Diff(http.Header{"Set-Cookie": {"a=1"}, "Link": {"</a.css>"}}, hints[0]); diff != "" {
			t.Errorf("103 (-want +got):\n%s", diff)
		}
		delete(res.Header, "Date")
		delete(res.Header, "Content-Length") // over HTTP/2 net/http gives one
		if diff := cmp.Diff(http.Header{"Set-Cookie": {"a=1"}, "Etag": {`"e"`}, "X-Empty": {""}, "X-High": {"\xe4"}}, res.Header); diff != "" {
			t.Errorf("200 (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(http.Header{"X-Sum": {"42"}}, res.Trailer); diff != "" {
			t.Errorf("trailers (-want +got):\n%s", diff)
		}
	})
	t.Run("spelling", func(t *testing.T) {
		t.Parallel()
		s := start(t, target, options{})
		conn := s.dial(t)
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
		if answer, _ := io.ReadAll(conn); !strings.Contains(string(answer), "\r\nETag: ") {
			t.Errorf("the client got %q", answer)
		}
	})
}

// Over HTTP/1.1, names and their order come through as the sender wrote them, both
// ways.
func TestOrderAndSpellingOverHTTP1(t *testing.T) {
	t.Parallel()
	var seen string
	s := start(t, rawSite(t, func(head string, conn net.Conn, _ *bufio.Reader) {
		seen = head
		io.WriteString(conn, "HTTP/1.1 200 All Fine\r\nzeta: 1\r\nALPHA:\t2 \r\nconnection: x-Secret\r\nX-Secret: 1\r\nZeta: 3\r\ncontent-length: 2\r\n\r\nok")
	}), options{})
	conn, err := tls.Dial("tcp", s.secure, &tls.Config{RootCAs: s.roots, ServerName: "example.com"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /x HTTP/1.1\r\nx-b: 1\r\nhost: example.com\r\nX-a: 2\r\nCOOKIE: "+ourCookie+"=s; a=1\r\nX-B: 3\r\nconnection: close\r\n\r\n")
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"x-b: 1", "X-a: 2", "COOKIE: a=1", "X-B: 3"}; !slices.Equal(clientLines(seen), want) {
		t.Errorf("the website saw %q, want %q", clientLines(seen), want)
	}
	if !strings.HasPrefix(string(answer), "HTTP/1.1 200 All Fine\r\nzeta: 1\r\nALPHA: 2\r\nZeta: 3\r\ncontent-length: 2\r\n") {
		t.Errorf("the client got %q", answer)
	}
}
