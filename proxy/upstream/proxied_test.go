package upstream_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"persona-sidecar/proxy/proxytest"
)

func TestProxied(t *testing.T) {
	t.Parallel()
	target := site(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", fmt.Sprintf("%s %s %s", r.Method, r.Host, r.RequestURI))
		w.Header().Add("Set-Cookie", "a=1")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "got %q", body)
	})
	both(t, func(t *testing.T, http2 bool) {
		s := start(t, target, options{})
		r, _ := http.NewRequest(http.MethodPut, "https://example.com:8443/x?y=1", strings.NewReader("hello"))
		r.Header.Set("User-Agent", strings.Repeat("u", 200))
		res, body := do(t, s.client(t, http2), r)
		if res.StatusCode != http.StatusTeapot || body != `got "hello"` {
			t.Errorf("%d %s", res.StatusCode, body)
		}
		if got, want := res.Header.Get("X-Seen"), "PUT example.com:8443 /x?y=1"; got != want {
			t.Errorf("the website saw %q, want %q", got, want)
		}
		line := s.line(t)
		proto := map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[http2]
		for key, want := range map[string]any{
			"level": "info", "method": "PUT", "host": "example.com:8443", "path": "/x", "proto": proto,
			"status": 418.0, "bytes_in": 5.0, "bytes_out": float64(len(body)), "client": "127.0.0.1",
			"handler": "upstream", "user_agent": strings.Repeat("u", 100) + "…",
		} {
			if diff := cmp.Diff(want, line[key]); diff != "" {
				t.Errorf("log line, %s: %s", key, diff)
			}
		}
		if id, _ := line["request_id"].(string); len(id) != 32 {
			t.Errorf("request id %q", id)
		}
		if _, ok := line["duration_ms"].(float64); !ok {
			t.Errorf("duration %v", line["duration_ms"])
		}
	})
}

func TestProxiedHTTPS(t *testing.T) {
	t.Parallel()
	certificate, roots := proxytest.Certificate()
	website := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Host, r.TLS.ServerName)
	})}
	website.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
	addr := proxytest.Serve(t, website)
	t.Run("trusted", func(t *testing.T) {
		s := start(t, "https://"+addr, options{roots: roots})
		if _, body := get(t, s.client(t, true), "https://example.com/"); body != "example.com" {
			t.Errorf("body %q", body)
		}
	})
	t.Run("untrusted", func(t *testing.T) {
		s := start(t, "https://"+addr, options{})
		res, _ := get(t, s.client(t, true), "https://example.com/")
		line := s.line(t)
		if hint, _ := line["hint"].(string); res.StatusCode != http.StatusBadGateway || !strings.Contains(hint, "not from a trusted authority") {
			t.Errorf("%d, line %v", res.StatusCode, line)
		}
	})
	t.Run("clear text asked for", func(t *testing.T) {
		s := start(t, "http://"+addr, options{})
		res, body := get(t, s.client(t, true), "https://example.com/")
		// Go's server answers this mistake itself; others close the connection.
		if res.StatusCode != http.StatusBadRequest && res.StatusCode != http.StatusBadGateway {
			t.Errorf("%d %s", res.StatusCode, body)
		}
	})
}

func TestMethodsAndConditions(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("0123456789", 1000)
	target := site(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"e"`)
		http.ServeContent(w, r, "x.txt", zeroTime, strings.NewReader(content))
	})
	both(t, func(t *testing.T, http2 bool) {
		s := start(t, target, options{})
		client := s.client(t, http2)
		r, _ := http.NewRequest(http.MethodHead, "https://example.com/", nil)
		res, body := do(t, client, r)
		if res.ContentLength != int64(len(content)) || body != "" {
			t.Errorf("HEAD: length %d, body %q", res.ContentLength, body)
		}
		res, body = get(t, client, "https://example.com/", func(r *http.Request) { r.Header.Set("Range", "bytes=5-9") })
		if res.StatusCode != http.StatusPartialContent || body != "56789" || res.Header.Get("Content-Range") != "bytes 5-9/10000" {
			t.Errorf("range: %d %q %v", res.StatusCode, body, res.Header)
		}
		res, _ = get(t, client, "https://example.com/", func(r *http.Request) { r.Header.Set("If-None-Match", `"e"`) })
		if res.StatusCode != http.StatusNotModified {
			t.Errorf("condition: %d", res.StatusCode)
		}
	})
}

// What the website sends is what the client gets: nothing is compressed,
// unpacked or guessed on the way.
func TestContentUntouched(t *testing.T) {
	t.Parallel()
	target := site(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["X-Accepted"] = r.Header["Accept-Encoding"]
		if r.URL.Path == "/gzip" {
			w.Header().Set("Content-Encoding", "gzip")
		}
		w.Header()["Content-Type"] = nil
		io.WriteString(w, "<html>\x1f\x8bnot really packed")
	})
	both(t, func(t *testing.T, http2 bool) {
		s := start(t, target, options{})
		for _, path := range []string{"/", "/gzip"} {
			res, body := get(t, s.client(t, http2), "https://example.com"+path)
			if body != "<html>\x1f\x8bnot really packed" || res.Header["Content-Type"] != nil || res.Header["X-Accepted"] != nil {
				t.Errorf("%s: %q %v", path, body, res.Header)
			}
		}
	})
}

func TestCookies(t *testing.T) {
	t.Parallel()
	target := site(t, func(w http.ResponseWriter, r *http.Request) {
		for _, line := range []string{
			"a=1; Path=/", ourCookie + "=evil; Path=/; Secure", " " + ourCookie + " = evil", "=" + ourCookie + "=evil", ourCookie,
			ourCookie + "x=2", "b=" + ourCookie + "=3",
		} {
			w.Header().Add("Set-Cookie", line)
		}
		fmt.Fprintf(w, "%q", r.Header["Cookie"])
	})
	s := start(t, target, options{})
	for _, test := range []struct {
		sent []string
		want []string
	}{
		{nil, nil},
		{[]string{"a=1;b=2;  c=\"x y\" ;;"}, []string{"a=1;b=2;  c=\"x y\" ;;"}},
		{[]string{ourCookie + "=s"}, nil},
		{[]string{ourCookie + "=s; a=1"}, []string{"a=1"}},
		{[]string{"a=1; " + ourCookie + "=s; b=2"}, []string{"a=1; b=2"}},
		{[]string{"a=1; " + ourCookie + "=s"}, []string{"a=1"}},
		{[]string{"a=1;" + ourCookie + "=s;b=2;" + ourCookie + "=t"}, []string{"a=1;b=2"}},
		{[]string{"a=1", ourCookie + "=s", "b=2"}, []string{"a=1", "b=2"}},
		{[]string{"a=1; " + ourCookie + " =s;=" + ourCookie + "=u"}, []string{"a=1"}},
		{[]string{ourCookie + "x=s; x" + ourCookie + "=1; a=" + ourCookie}, []string{ourCookie + "x=s; x" + ourCookie + "=1; a=" + ourCookie}},
	} {
		var head strings.Builder
		for _, line := range test.sent {
			head.WriteString("Cookie: " + line + "\r\n")
		}
		res, body := s.send(t, "GET / HTTP/1.1\r\nHost: example.com\r\n"+head.String()+"\r\n")
		if want := fmt.Sprintf("%q", test.want); body != want {
			t.Errorf("sent %q: the website saw %s, want %s", test.sent, body, want)
		}
		want := []string{"a=1; Path=/", ourCookie + "x=2", "b=" + ourCookie + "=3"}
		if diff := cmp.Diff(want, res.Header["Set-Cookie"]); diff != "" {
			t.Error(diff)
		}
	}
}
