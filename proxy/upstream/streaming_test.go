package upstream_test

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every part of an upload reaches the website before the next one is sent.
func TestUploadStreams(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, http2 bool) {
		arrived := make(chan string)
		s := start(t, site(t, func(w http.ResponseWriter, r *http.Request) {
			lines := bufio.NewScanner(r.Body)
			for lines.Scan() {
				arrived <- lines.Text()
			}
			fmt.Fprint(w, "done")
		}), options{})
		body, upload := io.Pipe()
		go func() {
			for i := range 3 {
				fmt.Fprintf(upload, "part %d\n", i)
				if got, want := await(t, arrived, "a part"), fmt.Sprintf("part %d", i); got != want {
					t.Errorf("the website got %q, want %q", got, want)
				}
			}
			upload.Close()
		}()
		r, _ := http.NewRequest(http.MethodPost, "https://example.com/", body)
		if _, got := do(t, s.client(t, http2), r); got != "done" {
			t.Errorf("got %q", got)
		}
	})
}

// Both directions at once: each line comes back before the next one is sent.
func TestBothWaysAtOnce(t *testing.T) {
	t.Parallel()
	target := site(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		control.EnableFullDuplex()
		lines := bufio.NewReader(r.Body)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			io.WriteString(w, strings.ToUpper(line))
			control.Flush()
		}
	})
	both(t, func(t *testing.T, http2 bool) {
		s := start(t, target, options{})
		body, upload := io.Pipe()
		r, _ := http.NewRequest(http.MethodPost, "https://example.com/", body)
		sent := make(chan error, 1)
		go func() {
			_, err := io.WriteString(upload, "first\n")
			sent <- err
		}()
		res, err := s.client(t, http2).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if err := await(t, sent, "the first line to go"); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(res.Body)
		for i := range 5 {
			if i > 0 {
				fmt.Fprintf(upload, "line %d\n", i)
			}
			got, err := lines.ReadString('\n')
			want := "FIRST\n"
			if i > 0 {
				want = fmt.Sprintf("LINE %d\n", i)
			}
			if got != want || err != nil {
				t.Fatalf("got %q %v, want %q", got, err, want)
			}
		}
		upload.Close()
		if rest, err := io.ReadAll(lines); len(rest) != 0 || err != nil {
			t.Errorf("rest %q, %v", rest, err)
		}
	})
}

func TestServerSentEvents(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, http2 bool) {
		next := make(chan struct{})
		s := start(t, site(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 3 {
				fmt.Fprintf(w, "data: %d\n\n", i)
				w.(http.Flusher).Flush()
				await(t, next, "the client")
			}
		}), options{})
		res, err := s.client(t, http2).Get("https://example.com/")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		lines := bufio.NewReader(res.Body)
		for i := range 3 {
			event, _ := lines.ReadString('\n')
			lines.ReadString('\n')
			if want := fmt.Sprintf("data: %d\n", i); event != want {
				t.Errorf("got %q, want %q", event, want)
			}
			next <- struct{}{}
		}
	})
}

func TestTrailers(t *testing.T) {
	t.Parallel()
	target := site(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "request trailer %q", r.Trailer.Get("X-Up"))
		w.Header().Set("X-Sum", "42")
		w.Header().Set(http.TrailerPrefix+"X-Late", "late")
	})
	both(t, func(t *testing.T, http2 bool) {
		s := start(t, target, options{})
		r, _ := http.NewRequest(http.MethodPost, "https://example.com/", io.NopCloser(strings.NewReader("body")))
		r.ContentLength = -1
		r.Trailer = http.Header{"X-Up": {"up"}}
		res, body := do(t, s.client(t, http2), r)
		if body != `request trailer "up"` {
			t.Error(body)
		}
		if diff := cmp.Diff(http.Header{"X-Sum": {"42"}, "X-Late": {"late"}}, res.Trailer); diff != "" {
			t.Error(diff)
		}
	})
}

// A field behind the body is no way around what is done to those before it.
func TestRequestTrailersCannotClaim(t *testing.T) {
	t.Parallel()
	s := start(t, site(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, len(r.Trailer), r.Trailer)
	}), options{})
	_, body := s.send(t, "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\nTrailer: X-Up, X-Forwarded-For\r\n\r\n"+
		"1\r\na\r\n0\r\nX-Up: up\r\nX-Forwarded-For: 203.0.113.9\r\nX_Real_Ip: 203.0.113.9\r\nContent-Length: 7\r\nHost: evil.example\r\nCookie: "+ourCookie+"=sealed\r\n\r\n")
	if want := "1 map[X-Up:[up]]"; body != want {
		t.Errorf("the website saw the trailers %s, want %s", body, want)
	}
}

func TestEarlyHints(t *testing.T) {
	t.Parallel()
	target := site(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.Header().Set("Keep-Alive", "timeout=5")
		w.Header().Set("Set-Cookie", ourCookie+"=evil")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Set-Cookie")
		w.WriteHeader(http.StatusNoContent)
	})
	both(t, func(t *testing.T, http2 bool) {
		s := start(t, target, options{})
		var hints []string
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			hints = append(hints, fmt.Sprint(code, h.Get("Link"), h["Keep-Alive"], h["Set-Cookie"]))
			return nil
		}}
		res, _ := get(t, s.client(t, http2), "https://example.com/", func(r *http.Request) {
			*r = *r.WithContext(httptrace.WithClientTrace(r.Context(), trace))
		})
		if diff := cmp.Diff([]string{"103</a.css>; rel=preload[] []"}, hints); diff != "" || res.StatusCode != http.StatusNoContent {
			t.Error(res.StatusCode, diff)
		}
	})
}

// The client is asked to go on once, and not at all when the website declines.
func TestExpectContinue(t *testing.T) {
	t.Parallel()
	s := start(t, site(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	}), options{})
	ask := func(path string) (net.Conn, *bufio.Reader) {
		conn := s.dial(t)
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", path)
		return conn, bufio.NewReader(conn)
	}
	conn, r := ask("/yes")
	if line, err := r.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q %v", line, err)
	}
	r.ReadString('\n')
	io.WriteString(conn, "hello")
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res, err)
	}
	if body := read(t, res.Body); body != "hello" {
		t.Errorf("body %q", body)
	}
	_, r = ask("/no")
	res, err = http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != http.StatusUnauthorized || !res.Close {
		t.Errorf("%v %v", res, err)
	}
}

// An answer that comes before the upload has ended reaches the client at once,
// and what is left of the upload is not taken for a request.
func TestAnswerBeforeUploadEnds(t *testing.T) {
	t.Parallel()
	s := start(t, rawSite(t, func(head string, conn net.Conn, r *bufio.Reader) {
		if strings.HasPrefix(head, "DELETE") {
			t.Error("a request was made of the rest of a body")
		}
		io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\n\r\ntoo large")
		io.Copy(io.Discard, r)
	}), options{})
	ways(t, s, func(t *testing.T, dial func() net.Conn) {
		conn := dial()
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 100000\r\n\r\nbegin")
		r := bufio.NewReader(conn)
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body := read(t, res.Body); res.StatusCode != http.StatusRequestEntityTooLarge || body != "too large" || !res.Close {
			t.Errorf("%d %q %v", res.StatusCode, body, res.Header)
		}
		io.WriteString(conn, "DELETE / HTTP/1.1\r\nHost: example.com\r\n\r\n")
		conn.(interface{ CloseWrite() error }).CloseWrite()
		if rest, _ := io.ReadAll(r); len(rest) != 0 {
			t.Errorf("got %q as well", rest)
		}
	})
}

func TestLargeUpload(t *testing.T) {
	t.Parallel()
	const size = 10 << 20
	target := site(t, func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		n, err := io.Copy(sum, r.Body)
		fmt.Fprintf(w, "%d %x %v", n, sum.Sum(nil), err)
	})
	both(t, func(t *testing.T, http2 bool) {
		s := start(t, target, options{})
		sum := sha256.New()
		body := io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{}), size), sum)
		r, _ := http.NewRequest(http.MethodPost, "https://example.com/", body)
		_, got := do(t, s.client(t, http2), r)
		if want := fmt.Sprintf("%d %x <nil>", size, sum.Sum(nil)); got != want {
			t.Errorf("the website got %s, want %s", got, want)
		}
		if n := s.line(t)["bytes_in"]; n != float64(size) {
			t.Errorf("the log counts %v", n)
		}
	})
}

// Many requests over one connection, with and without bodies, keep in step.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	s := start(t, site(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.URL.Path, body)
	}), options{})
	conn := s.dial(t)
	r := bufio.NewReader(conn)
	for i := range 50 {
		body := strings.Repeat("b", i*10)
		fmt.Fprintf(conn, "POST /%d HTTP/1.1\r\nHost: example.com\r\nContent-Length: %d\r\n\r\n%s", i, len(body), body)
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(i, err)
		}
		if got, want := read(t, res.Body), fmt.Sprintf("/%d %s", i, body); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}
