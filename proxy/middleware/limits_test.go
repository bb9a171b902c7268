package middleware_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/proxytest"
)

const idle = 100 * time.Millisecond

// A client that stops sending is cut off; the handler learns why.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	d := open(t, middleware.Config{Idle: idle}, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, errors.Is(err, os.ErrDeadlineExceeded), middleware.FromContext(r.Context()).SlowBody())
	})
	t.Run("HTTP1", func(t *testing.T) {
		if _, body, err := d.send(t, "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 10\r\n\r\nx"); body != "true true" || err != nil {
			t.Errorf("%q %v", body, err)
		}
	})
	t.Run("HTTP2", func(t *testing.T) {
		body, upload := io.Pipe()
		defer upload.Close()
		go io.WriteString(upload, "x")
		res, err := d.client.Post(d.url, "", body)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if got, err := io.ReadAll(res.Body); string(got) != "true true" || err != nil {
			t.Errorf("%q %v", got, err)
		}
	})
}

// An upload may take as long as it likes while it moves, also when it is the
// handler who takes its time.
func TestSteadyBody(t *testing.T) {
	t.Parallel()
	const idle = 500 * time.Millisecond // far from what a busy machine takes for a step
	d := open(t, middleware.Config{Idle: idle}, func(w http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 1)
		io.ReadFull(r.Body, buf)
		<-time.After(2 * idle)
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	})
	send := func(w io.Writer) {
		for range 10 {
			io.WriteString(w, "x")
			<-time.After(idle / 8)
		}
	}
	t.Run("HTTP1", func(t *testing.T) {
		t.Parallel()
		conn := d.dial(t, "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 10\r\n\r\n")
		send(conn)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(res.Body); string(got) != "9 <nil>" {
			t.Errorf("%q", got)
		}
	})
	t.Run("HTTP2", func(t *testing.T) {
		t.Parallel()
		body, upload := io.Pipe()
		go func() { send(upload); upload.Close() }()
		res, err := d.client.Post(d.url, "", body)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if got, _ := io.ReadAll(res.Body); string(got) != "9 <nil>" {
			t.Errorf("%q", got)
		}
	})
}

// A client that stops reading is cut off.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 2)
	d := open(t, middleware.Config{Idle: idle}, func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				failed <- err
				return
			}
		}
	})
	t.Run("HTTP1", func(t *testing.T) {
		d.dial(t, simple).(*net.TCPConn).SetReadBuffer(4 << 10)
		waitFor(t, failed)
	})
	t.Run("HTTP2", func(t *testing.T) {
		res, err := d.client.Get(d.url)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		waitFor(t, failed)
	})
}

func waitFor(t *testing.T, failed <-chan error) {
	t.Helper()
	select {
	case err := <-failed:
		if err == nil {
			t.Error("no error")
		}
	case <-time.After(proxytest.Patience):
		t.Fatal("the handler still writes")
	}
}

// A stream of events may be silent, before the header and after it, and the
// connection is good for another request afterwards.
func TestSilentStream(t *testing.T) {
	t.Parallel()
	d := open(t, middleware.Config{Idle: idle}, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		for i := range 3 {
			<-time.After(3 * idle)
			if err := r.Context().Err(); err != nil {
				t.Error(err)
			}
			fmt.Fprintf(w, "%d", i)
			w.(http.Flusher).Flush()
		}
	})
	t.Run("HTTP1", func(t *testing.T) {
		t.Parallel()
		conn := d.dial(t, "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1\r\n\r\nx")
		r := bufio.NewReader(conn)
		stream := func() {
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(res.Body); string(got) != "012" || err != nil {
				t.Errorf("%q %v", got, err)
			}
		}
		stream()
		<-time.After(2 * idle) // deadlines of the first request must not reach the second
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\nx")
		if line, err := r.ReadString('\n'); !strings.Contains(line, "100") {
			t.Fatalf("%q %v", line, err)
		}
		r.ReadString('\n')
		stream()
	})
	t.Run("HTTP2", func(t *testing.T) {
		t.Parallel()
		res, err := d.client.Post(d.url, "", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if got, err := io.ReadAll(res.Body); string(got) != "012" || err != nil {
			t.Errorf("%q %v", got, err)
		}
	})
}

// A handler that does not want a body is not held up by a client that dribbles it.
func TestUnwantedBody(t *testing.T) {
	t.Parallel()
	d := open(t, middleware.Config{}, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, strings.Repeat("x", 10000))
	})
	res, body, err := d.send(t, "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1000\r\n\r\nx")
	if err != nil || res.StatusCode != http.StatusForbidden || len(body) != 10000 || !res.Close {
		t.Errorf("%v %d %v", res, len(body), err)
	}
}
