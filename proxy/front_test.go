package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/proxy"
	"persona-sidecar/proxy/proxytest"
)

// dials are the two ways to a server over HTTP/1.1.
func dials(t *testing.T, view view, cfg proxy.Config) map[string]func() net.Conn {
	t.Helper()
	plain, secure := open(t, cfg, view, false), open(t, cfg, view, true)
	return map[string]func() net.Conn{
		"plain": func() net.Conn { return patient(t)(net.Dial("tcp", plain.addr)) },
		"TLS": func() net.Conn {
			conn, err := tls.Dial("tcp", secure.addr, &tls.Config{ServerName: "example.com", InsecureSkipVerify: true}) // one certificate for all names
			if err != nil {
				t.Fatal(err)
			}
			return patient(t)(conn, nil)
		},
	}
}

// patient closes a connection at the end of the test, and bounds its waits.
func patient(t *testing.T) func(net.Conn, error) net.Conn {
	return func(conn net.Conn, err error) net.Conn {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(proxytest.Patience))
		return conn
	}
}

const post = "POST /x HTTP/1.1\r\nHost: example.com\r\n"

// malformedHeads are requests that are answered 400, after which the connection is closed.
var malformedHeads = map[string]string{
	"chunks and a length":          post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"a length and chunks":          post + "transfer-encoding:chunked\r\ncontent-length:0\r\n\r\n0\r\n\r\n",
	"chunks in HTTP/1.0":           "POST /x HTTP/1.0\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"chunks in HTTP/1.0, no host":  "POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"chunks, kept alive, 1.0":      "POST /x HTTP/1.0\r\nHost: example.com\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"chunks twice":                 post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"chunks in a list":             post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	"another coding":               post + "Transfer-Encoding: xchunked\r\n\r\n",
	"no coding":                    post + "Transfer-Encoding:\r\n\r\n",
	"a coding with a control":      post + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
	"a coding after a folded line": post + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
	"a space in a name":            post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
	"a folded line":                post + "X-A: b\r\n\tc\r\n\r\n",
	"a folded first line":          "POST /x HTTP/1.1\r\n Host: example.com\r\n\r\n",
	"two lengths":                  post + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
	"one length in two spellings":  post + "Content-Length: 3\r\nContent-Length: 03\r\n\r\nabc",
	"lengths in a list":            post + "Content-Length: 3, 3\r\n\r\nabc",
	"a length with a sign":         post + "Content-Length: +3\r\n\r\nabc",
	"a length in hexadecimal":      post + "Content-Length: 0x3\r\n\r\nabc",
	"a length with an underscore":  post + "Content-Length: 1_0\r\n\r\nabc",
	"an empty length":              post + "Content-Length:\r\n\r\n",
	"a length of 2⁶³":              post + "Content-Length: 9223372036854775808\r\n\r\nabc",
	"a malformed escape":           "GET /% HTTP/1.1\r\nHost: example.com\r\n\r\n",
	"a cut escape":                 "GET /a%2 HTTP/1.1\r\nHost: example.com\r\n\r\n",
	"no hexadecimal escape":        "GET /%zz/x HTTP/1.1\r\nHost: example.com\r\n\r\n",
	"a control in the target":      "GET /a\x01b HTTP/1.1\r\nHost: example.com\r\n\r\n",
	"a space in the target":        "GET /a b HTTP/1.1\r\nHost: example.com\r\n\r\n",
	"no target":                    "GET  HTTP/1.1\r\nHost: example.com\r\n\r\n",
	"no slash":                     "GET x HTTP/1.1\r\nHost: example.com\r\n\r\n",
	"no version":                   "GET /x\r\nHost: example.com\r\n\r\n",
	"a version in small letters":   "GET /x http/1.1\r\nHost: example.com\r\n\r\n",
	"no method":                    " /x HTTP/1.1\r\nHost: example.com\r\n\r\n",
	"a method that is no token":    "G@T /x HTTP/1.1\r\nHost: example.com\r\n\r\n",
	"no host":                      "GET /x HTTP/1.1\r\n\r\n",
	"two hosts":                    "GET /x HTTP/1.1\r\nHost: example.com\r\nhost: example.com\r\n\r\n",
	"a host with a space":          "GET /x HTTP/1.1\r\nHost: exa mple.com\r\n\r\n",
	"a host beyond ASCII":          "GET /x HTTP/1.1\r\nHost: b\xc3\xbccher.example\r\n\r\n",
	"a field without a colon":      "GET /x HTTP/1.1\r\nHost: example.com\r\nX-A\r\n\r\n",
	"a field without a name":       "GET /x HTTP/1.1\r\nHost: example.com\r\n: b\r\n\r\n",
	"a null in a value":            "GET /x HTTP/1.1\r\nHost: example.com\r\nX-A: b\x00c\r\n\r\n",
	"a CR in a value":              "GET /x HTTP/1.1\r\nHost: example.com\r\nX-A: b\rc\r\n\r\n",
	"another expectation":          post + "Expect: 200-ok\r\nContent-Length: 3\r\n\r\nabc",
	"more than an expectation":     post + "Expect: y 100-continue\r\nContent-Length: 3\r\n\r\nabc",
	"binary":                       "\x16\x03\x01\x00\n\r\n\r\n",
}

// TestMalformedHeads: a malformed head is answered by a page of ours wherever it comes on
// a connection and however it is cut, nothing of it reaches a website, and nothing that
// follows it is answered.
func TestMalformedHeads(t *testing.T) {
	t.Parallel()
	var reached atomic.Int32
	for way, dial := range dials(t, (*proxy.Edge).Secure, counting(&reached)) {
		for name, request := range malformedHeads {
			for before, answers := range map[string]int{"": 0, "GET /first HTTP/1.1\r\nHost: example.com\r\n\r\n": 1} {
				conn := dial()
				for _, part := range []string{before + request[:len(request)/2], request[len(request)/2:]} {
					io.WriteString(conn, part)
				}
				io.WriteString(conn, "GET /smuggled HTTP/1.1\r\nHost: example.com\r\n\r\n")
				r := bufio.NewReader(conn)
				for range answers {
					if status, body := response(t, r, "GET"); status != 200 || body != "one /first" {
						t.Fatalf("%s, %s: first %d %q", way, name, status, body)
					}
				}
				if status, body := response(t, r, "GET"); status != 400 || !strings.Contains(body, "not well-formed") || !strings.Contains(body, "Request ") {
					t.Errorf("%s, %s: %d %q", way, name, status, body)
				}
				if rest, _ := io.ReadAll(r); len(rest) > 0 {
					t.Errorf("%s, %s: then came %q", way, name, rest)
				}
				conn.Close()
			}
		}
	}
	if n := reached.Load(); int(n) != 2*len(malformedHeads) {
		t.Errorf("%d requests reached the website", n)
	}
}

func response(t *testing.T, r *bufio.Reader, method string) (int, string) {
	t.Helper()
	res, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return res.StatusCode, string(body)
}

// TestRefusalLine: the answer is in the client's form, the log line tells the reason and is
// no failure of ours.
func TestRefusalLine(t *testing.T) {
	t.Parallel()
	d := open(t, config(), (*proxy.Edge).Plain, false)
	res, body := d.send(t, "HEAD /% HTTP/1.1\r\nHost: example.com\r\nUser-Agent: tester\r\n\r\n")
	if res.StatusCode != 400 || body != "" || !res.Close {
		t.Errorf("%v %q", res, body)
	}
	line := d.line(t)
	if line["level"] != "info" || line["method"] != "HEAD" || line["host"] != "example.com" || line["user_agent"] != "tester" || line["refused"] != "the target is malformed" {
		t.Errorf("line %v", line)
	}
	if _, body := d.send(t, "POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\nAccept: text/html\r\n\r\n"); !strings.Contains(body, "<h1>Bad request</h1>") {
		t.Errorf("%q", body)
	}
	if line := d.line(t); line["refused"] != "Transfer-Encoding in HTTP/1.0" {
		t.Errorf("line %v", line)
	}
	if res, body := d.send(t, "OPTIONS * HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n"); res.StatusCode != 200 {
		t.Errorf("a ping: %d %s", res.StatusCode, body)
	}
}

// TestRefusedTargetInLog: a target that is refused shows its path in the log, and neither
// password nor query nor fragment.
func TestRefusedTargetInLog(t *testing.T) {
	t.Parallel()
	for _, d := range []*door{open(t, config(), (*proxy.Edge).Plain, false), open(t, config(), (*proxy.Edge).Secure, true)} {
		for target, path := range map[string]string{
			"/%zz?secret": "*", "/%?secret": "*", "secret": "*", "http://u:secret/x": "*", "/a secret": "*",
			"/a#secret": "/a", "/a?secret#secret": "/a", "/%5c?secret": "/%5c",
			"http://u:secret@example.com/a?secret": "example.com/a", "http://secret@example.com/a": "example.com/a",
		} {
			conn, err := net.Dial("tcp", d.addr)
			if d.roots != nil && err == nil {
				conn = tls.Client(conn, &tls.Config{ServerName: "example.com", RootCAs: d.roots})
			}
			if err != nil {
				t.Fatal(err)
			}
			res, _ := exchange(t, conn, "GET "+target+" HTTP/1.1\r\nHost: example.com\r\n\r\n")
			line := d.line(t)
			if res.StatusCode != 400 || line["path"] != path || strings.Contains(fmt.Sprint(line), "secret") {
				t.Errorf("%q: %d, line %v", target, res.StatusCode, line)
			}
		}
	}
}

// TestLongHead: a head that is as long as net/http takes them, or longer, does not lead
// anything past the checks.
func TestLongHead(t *testing.T) {
	t.Parallel()
	first := post + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n" // served by net/http, which reads ahead behind it
	for way, dial := range dials(t, (*proxy.Edge).Secure, counting(new(atomic.Int32))) {
		for _, length := range []int{64 << 10, 68 << 10, 68<<10 + 1, 68<<10 + 100, 72 << 10, 72<<10 + 1, 72<<10 + 2, 80 << 10} {
			head := "GET /x HTTP/1.1\r\nHost: example.com\r\nX: "
			head += strings.Repeat("a", length-len(head)-len("\r\n\r\n")) + "\r\n\r\n"
			conn := dial()
			go io.WriteString(conn, first+head+post+"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
			r := bufio.NewReader(conn)
			status, _ := response(t, r, "POST")
			for i := 0; i < 2 && status == 200; i++ {
				status, _ = response(t, r, "GET")
			}
			if status == 200 { // else it is 400 or 431, if no reset has overtaken it
				t.Errorf("%s, %d bytes: the last answer is %d", way, length, status)
			}
			conn.Close()
		}
	}
}

// TestBehindMalformedChunks: no request is found behind a chunked body that is malformed
// here and not for net/http.
func TestBehindMalformedChunks(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.Sites[0].Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	for way, dial := range dials(t, (*proxy.Edge).Secure, cfg) {
		for name, body := range map[string]string{
			"16 digits":                   "0000000000000001\r\na\r\n0\r\n\r\n",
			"trailers that end with LF":   "1\r\na\r\n0\r\nX: a\n\n",
			"a trailer that ends with LF": "1\r\na\r\n0\r\nX: a\n\r\n",
			"a size that ends with LF":    "1\na\r\n0\r\n\r\n",
			"data without an end":         "1\r\na0\r\n\r\n",
		} {
			conn := dial()
			io.WriteString(conn, post+"Transfer-Encoding: chunked\r\n\r\n"+body+post+"Content-Length: 0\r\nX-Folded: a\r\n b\r\n\r\n")
			r := bufio.NewReader(conn)
			status, _ := response(t, r, "POST")
			if rest, _ := io.ReadAll(r); status != 400 || len(rest) > 0 {
				t.Errorf("%s, %s: %d, and then came %q", way, name, status, rest)
			}
		}
	}
}

// TestLineBehindBody: an empty line that comes by itself behind a body is no request: an
// answer to it would be taken for that to the next one.
func TestLineBehindBody(t *testing.T) {
	t.Parallel()
	for way, dial := range dials(t, (*proxy.Edge).Secure, counting(new(atomic.Int32))) {
		conn := dial()
		r := bufio.NewReader(conn)
		for _, request := range []string{post + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", "\r\n", post + "Content-Length: 0\r\n\r\n"} {
			io.WriteString(conn, request)
			if request == "\r\n" {
				continue // it is a TLS record, and nearly always a read, of its own
			}
			if status, body := response(t, r, "POST"); status != 200 {
				t.Errorf("%s: %d %q", way, status, body)
			}
		}
	}
}

// TestConversation: what is well-formed passes, in one piece, byte by byte, and one request
// behind the other.
func TestConversation(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.Sites[0].Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %q %v %v", r.Method, r.RequestURI, body, err, r.Trailer)
	})
	requests := []struct{ text, want string }{
		{"GET /a HTTP/1.1\r\nHost: example.com\r\n\r\n", `GET /a "" <nil> map[]`},
		{post + "Content-Length: 7\r\n\r\n\r\n\r\nabc", `POST /x "\r\n\r\nabc" <nil> map[]`},
		{post + "Transfer-Encoding: Chunked\r\nTrailer: X-T\r\n\r\n3;x=\"y\"\r\nabc\r\n0a \r\n0123456789\r\n000\r\nX-T: 1\r\n\r\n", `POST /x "abc0123456789" <nil> map[X-T:[1]]`},
		{post + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nab", `POST /x "ab" <nil> map[]`},
		{post + "Content-Length: 0\r\n\r\n", `POST /x "" <nil> map[]`},
		{"\r\nGET /b HTTP/1.1\nHost: example.com\n\n", `GET /b "" <nil> map[]`},
		{post + "Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 3\r\n\r\nabc", `POST /x "abc" <nil> map[]`},
		{"GET /c HTTP/1.1\r\nHost: example.com\r\nX-Empty:\r\nX-High: \xff\r\nConnection: close\r\n\r\n", `GET /c "" <nil> map[]`},
	}
	var all string
	for _, request := range requests {
		all += request.text
	}
	for way, dial := range dials(t, (*proxy.Edge).Secure, cfg) {
		for _, step := range []int{1, 7, len(all)} {
			conn := dial()
			go func() {
				for rest := all; rest != ""; rest = rest[min(step, len(rest)):] {
					io.WriteString(conn, rest[:min(step, len(rest))])
				}
			}()
			r := bufio.NewReader(conn)
			for _, request := range requests {
				if status, body := response(t, r, "GET"); status != 200 || body != request.want {
					t.Fatalf("%s, %d bytes at a time: %d %q, want %q", way, step, status, body, request.want)
				}
			}
			if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
				t.Errorf("%s: then came %q %v", way, rest, err)
			}
		}
	}
}

// TestUpgrades: behind an upgrade anything may follow; when it was refused, requests do.
func TestUpgrades(t *testing.T) {
	t.Parallel()
	var reached atomic.Int32
	cfg := config()
	cfg.Sites[0].Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		if r.URL.Path != "/upgrade" {
			fmt.Fprint(w, "no")
			return
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
		got := make([]byte, 16)
		io.ReadFull(buffered, got)
		fmt.Fprintf(conn, "%q", got)
	})
	for way, dial := range dials(t, (*proxy.Edge).Secure, cfg) {
		ask := func(path, early string) *bufio.Reader {
			conn := dial()
			io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"+early)
			return bufio.NewReader(conn)
		}
		r := ask("/upgrade", "G@T\r\n\r\n/ HTTP/1.1")
		http.ReadResponse(r, nil)
		if got, err := io.ReadAll(r); err != nil || string(got) != `"G@T\r\n\r\n/ HTTP/1."` {
			t.Errorf("%s: %q %v", way, got, err)
		}
		reached.Store(0)
		r = ask("/refused", "GET /next HTTP/1.1\r\nHost: example.com\r\n\r\n"+malformedHeads["chunks and a length"])
		for _, want := range []int{200, 200, 400} {
			if status, body := response(t, r, "GET"); status != want {
				t.Errorf("%s: %d %q", way, status, body)
			}
		}
		if n := reached.Load(); n != 2 {
			t.Errorf("%s: %d requests reached the website", way, n)
		}
	}
}

// TestSlowHead: the time for a head is bounded on every request of a connection.
func TestSlowHead(t *testing.T) {
	t.Parallel()
	server := proxy.NewServer(named("x"), nil, zerolog.Nop())
	server.ReadHeaderTimeout = 50 * time.Millisecond
	conn := patient(t)(net.Dial("tcp", proxytest.Serve(t, server)))
	r := bufio.NewReader(conn)
	for _, request := range []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nxGET /"} {
		io.WriteString(conn, request)
		if status, _ := response(t, r, "GET"); status != 200 {
			t.Errorf("%q: %d", request, status)
		}
	}
	begin := time.Now()
	if rest, err := io.ReadAll(r); err != nil || time.Since(begin) > proxytest.Patience/2 || bytes.Contains(rest, []byte(" 200 ")) {
		t.Errorf("%q %v", rest, err)
	}
}

// TestHandshakePanic: a defect of what finds certificates ends one connection and no more.
func TestHandshakePanic(t *testing.T) {
	t.Parallel()
	certificate, _ := proxytest.Certificate()
	var log proxytest.Log
	addr := proxytest.Serve(t, proxy.NewServer(named("x"), &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if hello.ServerName == "example.com" {
			return &certificate, nil
		}
		panic("a defect")
	}}, log.Logger()))
	for _, name := range []string{"other.example", "example.com"} {
		conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: name, InsecureSkipVerify: true}) // one certificate for all names
		if err == nil {
			conn.Close()
		}
		if (err == nil) != (name == "example.com") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if line := log.Next(t, "serving a connection panicked"); line["panic"] != "a defect" {
		t.Errorf("line %v", line)
	}
}

// TestPlainOnTLS: a client that speaks HTTP to the TLS port is told so.
func TestPlainOnTLS(t *testing.T) {
	t.Parallel()
	d := open(t, config(), (*proxy.Edge).Secure, true)
	if res, body := d.send(t, ask("example.com", "/")); res.StatusCode != 400 || !strings.Contains(body, "HTTPS") {
		t.Errorf("%d %q", res.StatusCode, body)
	}
}
