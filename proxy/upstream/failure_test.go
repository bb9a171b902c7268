package upstream_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"persona-sidecar/proxy/proxytest"
	"persona-sidecar/proxy/upstream"
)

func TestUpstreamDown(t *testing.T) {
	t.Parallel()
	addr := proxytest.Refused(t)
	both(t, func(t *testing.T, http2 bool) {
		s := start(t, "http://"+addr, options{})
		client := s.client(t, http2)
		res, body := get(t, client, "https://example.com/", func(r *http.Request) { r.Header.Set("Accept", "text/html") })
		if res.StatusCode != http.StatusBadGateway || !strings.Contains(body, "<h1>example.com is unavailable</h1>") {
			t.Errorf("%d %s", res.StatusCode, body)
		}
		if strings.Contains(body, addr) || strings.Contains(body, "refused") || strings.Contains(body, "127.0.0.1") {
			t.Errorf("the page shows internals: %s", body)
		}
		for name, want := range map[string]string{"Cache-Control": "no-store", "Cross-Origin-Opener-Policy": "", "Retry-After": "30"} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		line := s.line(t)
		cause, _ := line["error"].(string)
		hint, _ := line["hint"].(string)
		if line["level"] != "warn" || line["status"] != 502.0 || !strings.Contains(cause, "refused") || !strings.Contains(hint, addr) {
			t.Errorf("line %v", line)
		}
		r, _ := http.NewRequest(http.MethodPost, "https://example.com/", strings.NewReader("x"))
		res, body = do(t, client, r)
		if res.StatusCode != http.StatusBadGateway || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/plain") || !strings.Contains(body, "example.com is unavailable") {
			t.Errorf("%d %v %s", res.StatusCode, res.Header, body)
		}
	})
}

func TestUpstreamSlow(t *testing.T) {
	t.Parallel()
	s := start(t, rawSite(t, func(_ string, _ net.Conn, r *bufio.Reader) { r.ReadByte() }), options{timeout: 50 * time.Millisecond})
	res, body := get(t, s.client(t, true), "https://example.com/")
	if res.StatusCode != http.StatusGatewayTimeout || !strings.Contains(body, "example.com is not answering") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if hint, _ := s.line(t)["hint"].(string); !strings.Contains(hint, "in time") {
		t.Errorf("hint %q", hint)
	}
}

// A website that takes no more of an upload holds no client for ever.
func TestUpstreamTakesNothing(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, http2 bool) {
		done := make(chan struct{})
		t.Cleanup(func() { close(done) })
		s := start(t, rawSite(t, func(string, net.Conn, *bufio.Reader) { <-done }), options{timeout: 200 * time.Millisecond})
		r, _ := http.NewRequest(http.MethodPost, "https://example.com/", endless{})
		res, err := s.client(t, http2).Do(r)
		if err == nil { // over HTTP/1.1 a client that is still sending may miss the answer
			if res.StatusCode != http.StatusGatewayTimeout {
				t.Errorf("%d", res.StatusCode)
			}
			res.Body.Close()
		}
		if line := s.line(t); line["status"] != 504.0 || line["error"] == nil {
			t.Errorf("line %v", line)
		}
	})
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestUpstreamNonsense(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"nothing":         "",
		"no HTTP":         "220 mail.example.com ESMTP\r\n",
		"TLS alert":       "\x15\x03\x01\x00\x02\x02\x16\r\n",
		"two lengths":     "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"wrong upgrade":   "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
		"status 000":      "HTTP/1.1 000 None\r\nContent-Length: 2\r\n\r\nab",
		"status 099":      "HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
		"status 1000":     "HTTP/1.1 1000 High\r\nContent-Length: 0\r\n\r\n",
		"status -99":      "HTTP/1.1 -99 Low\r\nContent-Length: 0\r\n\r\n",
		"endless headers": "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, rawSite(t, func(_ string, conn net.Conn, _ *bufio.Reader) { io.WriteString(conn, answer) }), options{})
			res, body := get(t, s.client(t, false), "https://example.com/")
			if res.StatusCode != http.StatusBadGateway || strings.Contains(body, "mail") {
				t.Errorf("%d %s", res.StatusCode, body)
			}
			if line := s.line(t); line["error"] == nil || line["hint"] == "" {
				t.Errorf("line %v", line)
			}
		})
	}
}

// An answer that breaks off must not look complete.
func TestUpstreamDiesMidBody(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]string{
		"length":  "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nbeginning",
		"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nbeginning\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, http2 bool) {
				s := start(t, rawSite(t, func(_ string, conn net.Conn, _ *bufio.Reader) { io.WriteString(conn, head) }), options{})
				res, err := s.client(t, http2).Get("https://example.com/")
				if err == nil {
					var body []byte
					body, err = io.ReadAll(res.Body)
					if err == nil {
						t.Errorf("complete: %q", body)
					}
				}
				line := s.line(t)
				if cause, _ := line["error"].(string); line["aborted"] != true || !strings.Contains(cause, "unexpected EOF") || line["level"] != "warn" {
					t.Errorf("line %v", line)
				}
			})
		})
	}
}

// A client that leaves is not a failure of the website.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	t.Run("before the answer", func(t *testing.T) {
		t.Parallel()
		both(t, func(t *testing.T, http2 bool) {
			asked, gone := make(chan struct{}, 1), make(chan struct{}, 1)
			s := start(t, site(t, func(_ http.ResponseWriter, r *http.Request) {
				asked <- struct{}{}
				<-r.Context().Done()
				gone <- struct{}{}
			}), options{})
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				await(t, asked, "the request")
				cancel()
			}()
			r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "https://example.com/", nil)
			if _, err := s.client(t, http2).Do(r); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			await(t, gone, "the website to learn of it")
			line := s.line(t)
			if line["status"] != 499.0 || line["client_left"] != true || line["level"] != "info" || line["error"] != nil {
				t.Errorf("line %v", line)
			}
		})
	})
	t.Run("in the middle of the answer", func(t *testing.T) {
		t.Parallel()
		both(t, func(t *testing.T, http2 bool) {
			s := start(t, site(t, func(w http.ResponseWriter, r *http.Request) {
				for r.Context().Err() == nil {
					w.Write(make([]byte, 32<<10))
				}
			}), options{})
			res, err := s.client(t, http2).Get("https://example.com/")
			if err != nil {
				t.Fatal(err)
			}
			io.CopyN(io.Discard, res.Body, 100<<10)
			res.Body.Close()
			line := s.line(t)
			if line["client_left"] != true || line["level"] != "info" || line["error"] != nil {
				t.Errorf("line %v", line)
			}
		})
	})
	t.Run("in the middle of its upload", func(t *testing.T) {
		t.Parallel()
		s := start(t, site(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }), options{})
		for _, body := range []string{
			"Content-Length: 1000\r\n\r\n", "Content-Length: 1000\r\n\r\nbegin",
			"Transfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n5\r\nbe", "Transfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n",
		} {
			conn := s.dial(t)
			io.WriteString(conn, "POST / HTTP/1.1\r\nHost: example.com\r\n"+body)
			conn.Close()
			line := s.line(t)
			if line["status"] != 499.0 || line["client_left"] != true || line["level"] != "info" {
				t.Errorf("%q: line %v", body, line)
			}
		}
	})
}

// A client that stops sending gets a 408; the connection is not used again.
func TestSlowUpload(t *testing.T) {
	t.Parallel()
	s := start(t, site(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }), options{idle: 100 * time.Millisecond})
	t.Run("HTTP1", func(t *testing.T) {
		res, _ := s.send(t, "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1000\r\n\r\nbegin")
		if res.StatusCode != http.StatusRequestTimeout || !res.Close {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
	})
	t.Run("HTTP2", func(t *testing.T) {
		body, upload := io.Pipe()
		go io.WriteString(upload, "begin")
		t.Cleanup(func() { upload.Close() })
		r, _ := http.NewRequest(http.MethodPost, "https://example.com/", body)
		if res, _ := do(t, s.client(t, true), r); res.StatusCode != http.StatusRequestTimeout {
			t.Errorf("%d", res.StatusCode)
		}
	})
}

func TestNew(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"":                       "scheme",
		"ftp://cms":              "scheme",
		"//cms":                  "scheme",
		"http://":                "no host",
		"http://:80":             "no host",
		"http://cms/path":        "only",
		"http://cms/?q":          "only",
		"http://user:secret@cms": "only",
		"http://cms#f":           "only",
	} {
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		_, err = upstream.New(upstream.Config{Site: "example.com", URL: u})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "example.com") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", target, err)
		}
	}
	if _, err := upstream.New(upstream.Config{Site: "example.com"}); err == nil {
		t.Error("no URL is accepted")
	}
	for _, target := range []string{"http://cms", "https://cms:8443/", "http://[::1]:80"} {
		u, _ := url.Parse(target)
		if _, err := upstream.New(upstream.Config{Site: "example.com", URL: u}); err != nil {
			t.Error(err)
		}
	}
}

// TestMalformedTrailerInLog: the log says what is wrong with a trailer section without
// quoting it.
func TestMalformedTrailerInLog(t *testing.T) {
	t.Parallel()
	s := start(t, site(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }), options{})
	res, _ := s.send(t, "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n1\r\na\r\n0\r\nsecret\r\n\r\n")
	if line := fmt.Sprint(s.line(t)); res.StatusCode != 400 || !strings.Contains(line, "trailer section") || strings.Contains(line, "secret") {
		t.Errorf("%d, line %s", res.StatusCode, line)
	}
}
