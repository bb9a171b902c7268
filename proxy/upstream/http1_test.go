package upstream_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"persona-sidecar/proxy/proxytest"
)

// A request is sent once more only when that cannot do harm: on a connection that had
// carried another and died before a byte of the answer came, for methods that may be
// repeated, without a body.
func TestRequestsRepeated(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		method, body string
		fresh        bool   // the connection has carried no request
		answer       string // before the website closes the connection
		times, want  int    // how often the website closes; what the client gets
		asked        int
	}{
		"GET":                    {method: "GET", times: 1, want: 200, asked: 2},
		"HEAD":                   {method: "HEAD", times: 1, want: 200, asked: 2},
		"DELETE":                 {method: "DELETE", times: 1, want: 200, asked: 2},
		"GET, twice":             {method: "GET", times: 2, want: 502, asked: 2},
		"POST":                   {method: "POST", times: 1, want: 502, asked: 1},
		"an unknown method":      {method: "GET2", times: 1, want: 502, asked: 1},
		"PUT with a body":        {method: "PUT", body: "x", times: 1, want: 502, asked: 1},
		"GET with a body":        {method: "GET", body: "x", times: 1, want: 502, asked: 1},
		"GET, new connection":    {method: "GET", fresh: true, times: 1, want: 502, asked: 1},
		"GET, part of an answer": {method: "GET", answer: "H", times: 1, want: 502, asked: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked, closes := make(chan string, 10), test.times
			s := start(t, rawSite(t, func(head string, conn net.Conn, r *bufio.Reader) {
				for {
					path := strings.Fields(head)[1]
					switch {
					case path == "/test" && closes > 0:
						closes--
						io.WriteString(conn, test.answer)
						asked <- path
						return
					case path == "/test":
						asked <- path
					}
					io.WriteString(conn, good)
					var lines strings.Builder
					for !strings.HasSuffix(lines.String(), "\r\n\r\n") {
						line, err := r.ReadString('\n')
						if err != nil {
							return
						}
						lines.WriteString(line)
					}
					head = lines.String()
				}
			}), options{})
			client := s.client(t, false)
			if !test.fresh {
				get(t, client, "https://example.com/first")
			}
			r, _ := http.NewRequest(test.method, "https://example.com/test", strings.NewReader(test.body))
			if res, _ := do(t, client, r); res.StatusCode != test.want {
				t.Errorf("%d, want %d", res.StatusCode, test.want)
			}
			if len(asked) != test.asked {
				t.Errorf("the website was asked %d times, want %d", len(asked), test.asked)
			}
		})
	}
}

// Bytes that have come on an idle connection never reach the request that follows at
// once.
func TestLateBytesReachNoRequest(t *testing.T) {
	t.Parallel()
	certificate, roots := proxytest.Certificate()
	for name, secure := range map[string]bool{"clear": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var over *tls.Certificate
			if secure {
				over = &certificate
			}
			kept := make(chan net.Conn, 10)
			listener := proxytest.Listen(t)
			target := "http://" + listener.Addr().String()
			if over != nil {
				listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{*over}})
				target = "https" + strings.TrimPrefix(target, "http")
			}
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					go func() {
						r := bufio.NewReader(conn)
						for {
							if _, err := http.ReadRequest(r); err != nil {
								conn.Close()
								return
							}
							io.WriteString(conn, good)
							kept <- conn
						}
					}()
				}
			}()
			s := start(t, target, options{roots: roots})
			client := s.client(t, true)
			for range 20 {
				if _, body := get(t, client, "https://example.com/"); body != "good" {
					t.Fatalf("a request got %q", body)
				}
				io.WriteString(await(t, kept, "the connection"), evil)
			}
		})
	}
}

// A website that never comes to its answer holds no client for ever.
func TestEndlessHeads(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		first, repeated string
		pause           time.Duration
		want            int
	}{
		"interim answers": {"", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", time.Nanosecond, 502},
		"a field":         {"HTTP/1.1 200 OK\r\nX: ", strings.Repeat("x", 1000), time.Nanosecond, 502},
		"a slow head":     {"HTTP/1.1 200 OK\r\nX: ", "x", 5 * time.Millisecond, 504},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, rawSite(t, func(_ string, conn net.Conn, _ *bufio.Reader) {
				io.WriteString(conn, test.first)
				for range time.Tick(test.pause) {
					if _, err := io.WriteString(conn, test.repeated); err != nil {
						return
					}
				}
			}), options{timeout: 200 * time.Millisecond})
			res, _ := get(t, s.client(t, true), "https://example.com/")
			if res.StatusCode != test.want {
				t.Errorf("%d, want %d", res.StatusCode, test.want)
			}
			if hint := s.line(t)["hint"]; hint == "" {
				t.Error("no hint")
			}
		})
	}
}

// How long a head may be is for the operator to say.
func TestLimitOfHeads(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int]int{0: 200, 16 << 10: 200, 8 << 10: 502} {
		s := start(t, rawSite(t, func(_ string, conn net.Conn, _ *bufio.Reader) {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 9<<10)+"\r\nContent-Length: 2\r\n\r\nok")
		}), options{headerBytes: limit})
		if res, _ := get(t, s.client(t, false), "https://example.com/"); res.StatusCode != want {
			t.Errorf("limit %d: %d", limit, res.StatusCode)
		}
	}
}

// A connection that is used once leaves no port taken, as one does that was closed in
// order by the side that closes first.
func TestConnectionsUsedOnceAreReset(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"304":   "HTTP/1.1 304 Not Modified\r\n\r\n",
		"close": "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan error, 1)
			s := start(t, rawSite(t, func(_ string, conn net.Conn, r *bufio.Reader) {
				io.WriteString(conn, answer)
				_, err := r.ReadByte()
				ended <- err
			}), options{})
			get(t, s.client(t, true), "https://example.com/")
			if err := await(t, ended, "the connection to end"); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("ended by %v", err)
			}
		})
	}
}

// A body that breaks the standard is cut, and the log says by what.
func TestMalformedBody(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, http2 bool) {
		s := start(t, rawSite(t, func(_ string, conn net.Conn, r *bufio.Reader) {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nEVIL\r\n")
			r.ReadByte()
		}), options{})
		res, err := s.client(t, http2).Get("https://example.com/")
		if err == nil {
			_, err = io.ReadAll(res.Body)
			res.Body.Close()
		}
		if err == nil {
			t.Error("the answer looks complete")
		}
		line := s.line(t)
		if hint, _ := line["hint"].(string); line["aborted"] != true || !strings.Contains(hint, "RFC 9112, section 7.1") {
			t.Errorf("line %v", line)
		}
	})
}

// A website that refuses an upload and closes at once, with bytes unread, is heard.
func TestRefusalOfUpload(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, http2 bool) {
		s := start(t, rawSite(t, func(_ string, conn net.Conn, r *bufio.Reader) {
			r.Discard(100 << 10)
			io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 9\r\n\r\ntoo large")
			conn.Close()
		}), options{})
		for range 10 {
			s.client(t, http2) // each on a connection of its own, which HTTP/1.1 closes
			r, _ := http.NewRequest(http.MethodPost, "https://example.com/", io.LimitReader(endless{}, 8<<20))
			res, err := s.client(t, http2).Do(r)
			if err == nil {
				if body, _ := io.ReadAll(res.Body); res.StatusCode != 413 || string(body) != "too large" {
					t.Errorf("%d %q", res.StatusCode, body)
				}
				res.Body.Close()
			} // else the client was still sending, and its own connection was reset
			if line := s.line(t); line["status"] != 413.0 || line["error"] != nil {
				t.Errorf("line %v", line)
			}
		}
	})
}

// A connection that carried an upload carries other requests too. It is free a moment
// after its answer, so a few more may be opened.
func TestUploadsKeepTheirConnection(t *testing.T) {
	t.Parallel()
	website := site(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s %d %v", r.RemoteAddr, n, err)
	})
	both(t, func(t *testing.T, http2 bool) {
		s := start(t, website, options{})
		client, from := s.client(t, http2), map[string]bool{}
		sizes := []int64{5, 1 << 20, 512, 100_000, 513, 70_000}
		for _, size := range slices.Repeat(sizes, 4) {
			for _, known := range []bool{true, false} {
				r, _ := http.NewRequest(http.MethodPost, "https://example.com/", io.LimitReader(endless{}, size))
				r.ContentLength = -1
				if known {
					r.ContentLength = size
				}
				_, answer := do(t, client, r)
				address, rest, _ := strings.Cut(answer, " ")
				from[address] = true
				if rest != fmt.Sprintf("%d <nil>", size) {
					t.Errorf("%d bytes, known %t: the website saw %q", size, known, answer)
				}
			}
		}
		if len(from) > len(sizes) {
			t.Errorf("%d connections for %d uploads", len(from), 8*len(sizes))
		}
	})
}

// A website that refuses a body before it has come may still wait for it: the next
// request must not be taken for that body.
func TestRefusedBodyEndsConnection(t *testing.T) {
	t.Parallel()
	site, target := scriptedSite(t, nil, func(_ int, head string) string {
		if strings.HasPrefix(head, "POST") {
			return "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno"
		}
		return good
	})
	s := start(t, target, options{})
	res, _ := s.send(t, "POST /first HTTP/1.1\r\nHost: example.com\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n")
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("%d", res.StatusCode)
	}
	if _, body := get(t, s.client(t, true), "https://example.com/second"); body != "good" {
		t.Errorf("the next request got %q", body)
	}
	if site.on("/second") == 0 {
		t.Error("the connection was used again")
	}
}

// TestResetAnswer: an answer that ends with its connection is not complete when the
// website has reset that, also when it is the upload beside it that notices.
func TestResetAnswer(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, http2 bool) {
		s := start(t, rawSite(t, func(_ string, conn net.Conn, _ *bufio.Reader) {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf")
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}), options{})
		for range 20 {
			r, _ := http.NewRequest(http.MethodPost, "https://example.com/", io.LimitReader(endless{}, 8<<20))
			res, err := s.client(t, http2).Do(r)
			if err != nil {
				continue
			}
			if body, err := io.ReadAll(res.Body); res.StatusCode == 200 && err == nil {
				t.Errorf("a complete answer: %q", body)
			}
			res.Body.Close()
		}
	})
}
