package upstream_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"persona-sidecar/proxy/proxytest"
)

// stdlog is what was written by log's own functions: http.Transport does so when
// it finds bytes on a connection that it has already kept.
var stdlog proxytest.Log

func TestMain(m *testing.M) {
	log.SetOutput(io.MultiWriter(os.Stderr, &stdlog))
	code := m.Run()
	if strings.Contains(stdlog.String(), "Unsolicited response") {
		fmt.Fprintln(os.Stderr, "FAIL: a connection to the website was kept with bytes on it")
		code = 1
	}
	os.Exit(code)
}

// scripted is a website that keeps its connections and remembers on which one a
// request came.
type scripted struct {
	mu     sync.Mutex
	opened int
	asked  map[string]int // target → number of the connection on which it came first
	ended  chan int       // numbers of connections that the other side has closed
}

// scriptedSite starts a website that answers a request with what answer returns
// for its head, byte for byte.
func scriptedSite(t testing.TB, certificate *tls.Certificate, answer func(conn int, head string) string) (*scripted, string) {
	t.Helper()
	s := &scripted{asked: make(map[string]int), ended: make(chan int, 1000)}
	listener := proxytest.Listen(t)
	target := "http://" + listener.Addr().String()
	if certificate != nil {
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{*certificate}})
		target = "https://" + listener.Addr().String()
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			number := s.opened
			s.opened++
			s.mu.Unlock()
			go s.serve(number, conn, answer)
		}
	}()
	return s, target
}

func (s *scripted) serve(number int, conn net.Conn, answer func(int, string) string) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		request, err := http.ReadRequest(r)
		if err != nil {
			s.ended <- number
			return
		}
		var head strings.Builder
		fmt.Fprintf(&head, "%s %s\r\n", request.Method, request.RequestURI)
		request.Header.Write(&head)
		s.mu.Lock()
		if _, again := s.asked[request.RequestURI]; !again {
			s.asked[request.RequestURI] = number
		}
		s.mu.Unlock()
		io.WriteString(conn, answer(number, head.String()))
	}
}

// on returns the number of the connection on which a target was first asked for.
func (s *scripted) on(target string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[target]
}

const (
	evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"
	good = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
)

// A connection that may hold bytes behind an answer, or a sign-in that belongs to
// a connection, is never used for another request; every other one is.
func TestConnectionReuse(t *testing.T) {
	t.Parallel()
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, test := range map[string]struct {
		method, answer string
		kept           bool
	}{
		"HEAD":                         {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 41\r\n\r\n", false},
		"HEAD with a body":             {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 41\r\n\r\n" + evil, false},
		"204":                          {"GET", "HTTP/1.1 204 No Content\r\n\r\n", false},
		"204 with a body":              {"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 41\r\n\r\n" + evil, false},
		"304":                          {"GET", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", false},
		"304 with a body":              {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 41\r\n\r\n" + evil, false},
		"204 behind a 103":             {"GET", "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", false},
		"longer than its length":       {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + evil, false},
		"length in a folded line":      {"GET", "HTTP/1.1 200 OK\r\nContent-Length:\r\n 2\r\nX: y\r\n\r\nok" + evil, false},
		"bytes behind no body":         {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + evil, false},
		"bytes behind chunks":          {"GET", chunked + "2\r\nok\r\n0\r\n\r\n" + evil, false},
		"bytes behind trailers":        {"GET", chunked + "2;x=y\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n" + evil, false},
		"line ends without CR":         {"GET", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok" + evil, false},
		"line end of a 103 without CR": {"GET", "HTTP/1.1 103 Early Hints\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false},
		"a late 408":                   {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", false},
		"HTTP/1.0 kept":                {"GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", false},
		"asks for NTLM":                {"GET", "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 2\r\n\r\nok", false},
		"asks for Negotiate":           {"GET", "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic realm=\"x\", negotiate\r\nContent-Length: 2\r\n\r\nok", false},
		"answers to NTLM":              {"GET", "HTTP/1.1 200 OK\r\nWWW-Authenticate: Basic\r\nWWW-Authenticate: NTLM TlRM\r\nContent-Length: 2\r\n\r\nok", false},
		"asks for a password":          {"GET", "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 2\r\n\r\nok", true},
		"with a length":                {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true},
		"with a length, 103 first":     {"GET", "HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true},
		"without a body":               {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true},
		"in chunks":                    {"GET", chunked + "2\r\nok\r\n1;x\r\n!\r\n0\r\n\r\n", true},
		"in chunks with trailers":      {"GET", chunked + "2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n", true},
		"large":                        {"GET", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 9000) + "\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100_000), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			certificate, roots := proxytest.Certificate()
			for _, over := range []*tls.Certificate{nil, &certificate} {
				site, target := scriptedSite(t, over, func(_ int, head string) string {
					if strings.Contains(head, " /first\r\n") {
						return test.answer
					}
					return good
				})
				s := start(t, target, options{roots: roots})
				client := s.client(t, false)
				r, _ := http.NewRequest(test.method, "https://example.com/first", http.NoBody)
				if _, body := do(t, client, r); strings.Contains(body, "EVIL") {
					t.Errorf("the answer goes on: %q", body)
				}
				if res, body := get(t, client, "https://example.com/second"); body != "good" || res.StatusCode != http.StatusOK {
					t.Errorf("the next request got %d %q", res.StatusCode, body)
				}
				if kept := site.on("/first") == site.on("/second"); kept != test.kept {
					t.Errorf("connection used again: %t, want %t", kept, test.kept)
				}
			}
		})
	}
}

// Answers reach the transport in pieces of any size.
func TestAnswerInPieces(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n",
	} {
		opened := make(chan struct{}, 10)
		s := start(t, rawSite(t, func(_ string, conn net.Conn, r *bufio.Reader) {
			opened <- struct{}{}
			for range 3 {
				for i := range len(answer) {
					io.WriteString(conn, answer[i:i+1])
				}
				if _, err := http.ReadRequest(r); err != nil {
					return
				}
			}
		}), options{})
		client := s.client(t, true)
		for range 3 {
			if res, body := get(t, client, "https://example.com/"); res.StatusCode != http.StatusOK || body != "ok" {
				t.Errorf("%d %q", res.StatusCode, body)
			}
		}
		if len(opened) != 1 {
			t.Errorf("%d connections", len(opened))
		}
	}
}

// Bytes that come when the answer was read and the connection kept end it.
func TestLateBytesEndConnection(t *testing.T) {
	t.Parallel()
	late := make(chan struct{})
	ended := make(chan struct{})
	s := start(t, rawSite(t, func(head string, conn net.Conn, r *bufio.Reader) {
		io.WriteString(conn, good)
		if !strings.HasPrefix(head, "GET /first ") {
			return
		}
		<-late
		io.WriteString(conn, evil)
		io.Copy(io.Discard, r)
		close(ended)
	}), options{})
	client := s.client(t, true)
	get(t, client, "https://example.com/first")
	close(late)
	await(t, ended, "the connection to be closed")
	if _, body := get(t, client, "https://example.com/second"); body != "good" {
		t.Errorf("the next request got %q", body)
	}
}

// A website that signs in connections, as IIS does with NTLM and Negotiate, takes
// no other client for the one that signed in.
func TestConnectionLoginsAreNotShared(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"NTLM", "Negotiate", "negotiate"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			owner := map[int]bool{}
			_, target := scriptedSite(t, nil, func(conn int, head string) string {
				mu.Lock()
				defer mu.Unlock()
				if strings.Contains(head, "Authorization: "+scheme+" type3") {
					owner[conn] = true
				}
				body := "who are you?"
				if owner[conn] {
					body = "the mailbox of alice"
				}
				return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			})
			s := start(t, target, options{})
			_, body := get(t, s.client(t, false), "https://example.com/mail", func(r *http.Request) { r.Header.Set("Authorization", scheme+" type3") })
			if body != "the mailbox of alice" {
				t.Fatalf("alice got %q", body)
			}
			for range 10 {
				if _, body := get(t, s.client(t, false), "https://example.com/mail"); body != "who are you?" {
					t.Fatalf("a stranger got %q", body)
				}
			}
		})
	}
}

// A request to upgrade with such a sign-in stays one.
func TestUpgradeWithNegotiate(t *testing.T) {
	t.Parallel()
	s := start(t, echoHead(t), options{})
	_, head := s.send(t, "GET / HTTP/1.1\r\nHost: example.com\r\nAuthorization: Negotiate YII=\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	if !strings.Contains(head, "Connection: Upgrade\r\n") || strings.Contains(head, "close") {
		t.Errorf("the website saw %q", head)
	}
}

// Many clients at a time never see bytes that were sent to another.
func TestStrangersBytes(t *testing.T) {
	t.Parallel()
	_, target := scriptedSite(t, nil, func(_ int, head string) string {
		switch {
		case strings.HasPrefix(head, "HEAD "):
			return "HTTP/1.1 200 OK\r\nContent-Length: 41\r\n\r\n" + evil
		case strings.Contains(head, " /long"):
			return good + evil
		}
		return good
	})
	s := start(t, target, options{})
	client := s.client(t, true)
	var clients sync.WaitGroup
	for i := range 12 {
		clients.Go(func() {
			for range 50 {
				method, path := http.MethodGet, "/good"
				switch i % 3 {
				case 1:
					method = http.MethodHead
				case 2:
					path = "/long"
				}
				r, _ := http.NewRequest(method, "https://example.com"+path, http.NoBody)
				res, err := client.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				if method == http.MethodGet && string(body) != "good" || res.StatusCode != http.StatusOK || err != nil {
					t.Errorf("%s %s: %d %q %v", method, path, res.StatusCode, body, err)
					return
				}
			}
		})
	}
	finished := make(chan struct{})
	go func() { clients.Wait(); close(finished) }()
	select {
	case <-finished:
	case <-time.After(proxytest.Patience):
		t.Fatal("the clients still wait")
	}
}
