package middleware_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"persona-sidecar/proxy"
	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/proxytest"
)

// door is the chain behind a real listener, with HTTP/1.1 in clear and HTTP/2 by TLS.
type door struct {
	addr   string // HTTP/1.1
	url    string // HTTP/2
	client *http.Client
	log    proxytest.Log
}

func open(t *testing.T, cfg middleware.Config, handler http.HandlerFunc) *door {
	t.Helper()
	d := new(door)
	cfg.Log = d.log.Logger()
	chain := middleware.New(cfg)(handler)

	d.addr = proxytest.Serve(t, proxy.NewServer(chain, nil, cfg.Log))

	secure := httptest.NewUnstartedServer(chain)
	secure.EnableHTTP2 = true
	secure.Config.ErrorLog = middleware.ErrorLog(cfg.Log, "http")
	secure.StartTLS()
	t.Cleanup(secure.Close)
	d.url, d.client = secure.URL, secure.Client()
	d.client.Timeout = proxytest.Patience
	return d
}

func (d *door) message(t *testing.T, message string) map[string]any {
	t.Helper()
	return d.log.Next(t, message)
}

func (d *door) dial(t *testing.T, request string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(proxytest.Patience))
	io.WriteString(conn, request)
	return conn
}

func (d *door) send(t *testing.T, request string) (*http.Response, string, error) {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(d.dial(t, request)), nil)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	var body bytes.Buffer
	_, err = body.ReadFrom(res.Body)
	return res, body.String(), err
}

const simple = "GET /path?secret=1 HTTP/1.1\r\nHost: example.com\r\n\r\n"

func TestRecord(t *testing.T) {
	t.Parallel()
	d := open(t, middleware.Config{Rand: bytes.NewReader(make([]byte, 16))}, func(w http.ResponseWriter, r *http.Request) {
		rec := middleware.FromContext(r.Context())
		rec.Site, rec.Handler = "example.com", "test"
		fmt.Fprintln(w, rec.Host, rec.Target.Path, rec.Target.Query, rec.ID, rec.Client, rec.Scheme, rec.Trusted)
		if middleware.HostName(r) != rec.Host || middleware.RequestID(r) != rec.ID || middleware.ClientAddr(r) != rec.Client {
			t.Error("an accessor returns another value than the record")
		}
	})
	_, body, err := d.send(t, simple)
	if want := "example.com /path ?secret=1 " + strings.Repeat("0", 32) + " 127.0.0.1 http false\n"; body != want || err != nil {
		t.Errorf("%q %v, want %q", body, err, want)
	}
	line := d.message(t, "request")
	if line["site"] != "example.com" || line["handler"] != "test" || line["path"] != "/path" || strings.Contains(fmt.Sprint(line), "secret") {
		t.Errorf("line %v", line)
	}
	if _, body, _ := d.send(t, simple); !strings.Contains(body, " unknown ") {
		t.Errorf("without randomness: %q", body)
	}
	if rec := middleware.FromContext(t.Context()); rec == nil || rec.ID != "" {
		t.Errorf("outside: %v", rec)
	}
}

func TestLogLine(t *testing.T) {
	t.Parallel()
	d := open(t, middleware.Config{}, func(w http.ResponseWriter, r *http.Request) {
		rec := middleware.FromContext(r.Context())
		if r.URL.Path == "/fail" {
			rec.Fail(fmt.Errorf("the first cause"), "do this")
			rec.Fail(fmt.Errorf("the second cause"), "do that")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	d.send(t, "GET /fail HTTP/1.1\r\nHost: example.com\r\n\r\n")
	line := d.message(t, "request")
	if line["level"] != "warn" || line["status"] != 503.0 || line["error"] != "the first cause" || line["hint"] != "do this" {
		t.Errorf("line %v", line)
	}
	d.send(t, "GET /"+strings.Repeat("x", 5000)+" HTTP/1.1\r\nHost: example.com\r\nUser-Agent: \"\xff\r\n\r\n")
	line = d.message(t, "request")
	if path, _ := line["path"].(string); len(path) > 1100 || line["status"] != 200.0 || line["level"] != "info" {
		t.Errorf("line %v", line)
	}
}

// With FailuresOnly the log holds what went wrong and nothing else; what is
// counted stays complete.
func TestFailuresOnly(t *testing.T) {
	t.Parallel()
	served := make(chan middleware.Served, 2)
	d := open(t, middleware.Config{FailuresOnly: true, Observe: func(s middleware.Served) { served <- s }}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fail" {
			middleware.FromContext(r.Context()).Fail(fmt.Errorf("the cause"), "do this")
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	d.send(t, simple)
	d.send(t, "GET /fail HTTP/1.1\r\nHost: example.com\r\n\r\n")
	if line := d.message(t, "request"); line["path"] != "/fail" {
		t.Errorf("line %v", line)
	}
	if first, second := <-served, <-served; first.Status != http.StatusOK || second.Status != http.StatusBadGateway {
		t.Errorf("counted %v and %v", first, second)
	}
}

func TestRecover(t *testing.T) {
	t.Parallel()
	d := open(t, middleware.Config{}, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/late":
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, strings.Repeat("x", 500))
			w.(http.Flusher).Flush()
		case "/abort":
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Set-Cookie", "half=done")
		panic("the password is hunter2")
	})
	t.Run("before the answer", func(t *testing.T) {
		res, body, err := d.send(t, "GET / HTTP/1.1\r\nHost: example.com\r\nAccept: text/html\r\n\r\n")
		if err != nil || res.StatusCode != 500 || !strings.Contains(body, "<h1>Something went wrong</h1>") || strings.Contains(body, "hunter2") || res.Header["Set-Cookie"] != nil {
			t.Errorf("%v %q %v", res, body, err)
		}
		if line := d.message(t, "a handler panicked"); line["level"] != "error" || !strings.Contains(fmt.Sprint(line["stack"]), "middleware_test.go") {
			t.Errorf("line %v", line)
		}
		if line := d.message(t, "request"); line["level"] != "error" || line["status"] != 500.0 || !strings.Contains(fmt.Sprint(line["error"]), "panic") {
			t.Errorf("line %v", line)
		}
	})
	t.Run("in the middle of the answer", func(t *testing.T) {
		if _, body, err := d.send(t, "GET /late HTTP/1.1\r\nHost: example.com\r\n\r\n"); err == nil {
			t.Errorf("complete: %q", body)
		}
		if line := d.message(t, "request"); line["level"] != "error" || line["aborted"] != true {
			t.Errorf("line %v", line)
		}
	})
	t.Run("asked for", func(t *testing.T) {
		if _, body, err := d.send(t, "GET /abort HTTP/1.1\r\nHost: example.com\r\n\r\n"); err == nil {
			t.Errorf("answered: %q", body)
		}
		if line := d.message(t, "request"); line["level"] != "info" || line["aborted"] != true {
			t.Errorf("line %v", line)
		}
	})
}

func TestHijack(t *testing.T) {
	t.Parallel()
	const idle = 50 * time.Millisecond
	d := open(t, middleware.Config{Idle: idle}, func(w http.ResponseWriter, r *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		line, err := buffered.ReadString('\n')
		fmt.Fprintf(conn, "%s%v", line, err)
	})
	conn := d.dial(t, "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
	<-time.After(4 * idle) // longer than the limit for other requests
	io.WriteString(conn, "hello\n")
	if got, _ := io.ReadAll(conn); string(got) != "hello\n<nil>" {
		t.Errorf("%q", got)
	}
	if line := d.message(t, "request"); line["status"] != 101.0 || line["bytes_out"] != 11.0 {
		t.Errorf("line %v", line)
	}
}

func TestErrorLog(t *testing.T) {
	t.Parallel()
	var text proxytest.Log
	log := middleware.ErrorLog(text.Logger(), "http")
	log.Printf("http: TLS handshake error from %s", "1.2.3.4")
	log.Printf("http: panic serving 1.2.3.4: x")
	for message, level := range map[string]string{"http: TLS handshake error from 1.2.3.4": "debug", "http: panic serving 1.2.3.4: x": "error"} {
		if !strings.Contains(text.String(), `{"level":"`+level+`","component":"http","message":"`+message+`"}`) {
			t.Errorf("%s: no such line at %s in\n%s", message, level, text.String())
		}
	}
}
