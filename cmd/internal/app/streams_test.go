package app_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"persona-sidecar/cmd/internal/apptest"
)

// endless answers without an end: an event stream, or a tunnel that sends back what it gets. Both begin with who is told
// to be signed in.
func endless(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "data: %s\n", r.Header.Get("Remote-User"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\ndata: %s\n", r.Header.Get("Remote-User"))
	_, _ = io.Copy(conn, buffered)
}

// stream is an answer without an end.
type stream struct {
	conn *tls.Conn
	body io.Reader
}

// stream asks example.test for an answer without an end, which begins with who the website is told of.
func (n *intranet) stream(t *testing.T, path, told string, cookies []*http.Cookie, fields []string) stream {
	t.Helper()
	conn, err := tls.Dial("tcp", n.Addr("https").String(), &tls.Config{ServerName: "example.test", RootCAs: n.roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	lines := append([]string{"GET " + path + " HTTP/1.1", "Host: example.test"}, fields...)
	for _, cookie := range cookies {
		lines = append(lines, "Cookie: "+cookie.String())
	}
	_ = conn.SetDeadline(time.Now().Add(apptest.Patience))
	fmt.Fprint(conn, strings.Join(lines, "\r\n")+"\r\n\r\n")
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := stream{conn, response.Body}
	if response.StatusCode == http.StatusSwitchingProtocols {
		s.body = reader
	}
	first := make([]byte, len("data: "+told+"\n"))
	if _, err := io.ReadFull(s.body, first); err != nil || string(first) != "data: "+told+"\n" {
		t.Fatalf("%s: %d %q, %v", path, response.StatusCode, first, err)
	}
	return s
}

// events opens an event stream over HTTP/2, which begins with who the website is told of.
func (s *surfer) events(address, told string) io.Reader {
	s.t.Helper()
	response, err := s.client.Get(address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = response.Body.Close() })
	first := make([]byte, len("data: "+told+"\n"))
	if _, err := io.ReadFull(response.Body, first); err != nil || response.ProtoMajor != 2 || string(first) != "data: "+told+"\n" {
		s.t.Fatalf("%s: %s %d %q, %v", address, response.Proto, response.StatusCode, first, err)
	}
	return response.Body
}

// TestStreamsEndWithTheSession: websockets and event streams of a person end when the person signs out, those of before a
// reload too, and those of others go on.
func TestStreamsEndWithTheSession(t *testing.T) {
	t.Parallel()
	n := startIntranet(t)
	people := map[string]*surfer{"alice": n.surfer(t), "bob": n.surfer(t)}
	for name, s := range people {
		if p := s.signIn("https://example.test/persona/login", name); p.told("Remote-User") != name {
			t.Fatalf("%s: %d %s", p.at, p.status, p.body)
		}
	}
	ending, lasting := map[string]stream{}, map[string]stream{}
	begin := func(when string) {
		for name, s := range people {
			cookies := s.client.Jar.Cookies(&url.URL{Scheme: "https", Host: "example.test"})
			to := ending
			if name != "alice" {
				to = lasting
			}
			to[name+"'s events "+when] = n.stream(t, "/intern/stream", name, cookies, nil)
			to[name+"'s public events "+when] = n.stream(t, "/stream", name, cookies, nil)
			to[name+"'s websocket "+when] = n.stream(t, "/intern/stream", name, cookies, append([]string{"Origin: https://example.test"}, upgrade...))
			lasting["the websocket of another site in "+name+"'s browser "+when] = n.stream(t, "/stream", "", cookies, append([]string{"Origin: https://evil.test"}, upgrade...))
		}
		lasting["no one's events "+when] = n.stream(t, "/stream", "", nil, nil)
		ending["alice's events over HTTP/2 "+when] = stream{body: people["alice"].events("https://example.test/intern/stream", "alice")}
	}
	begin("before the reload")
	n.mustReload(t, n.folder, n.yaml+"# another\n")
	begin("after the reload")
	if p := people["alice"].signOut("https://example.test/"); p.status != http.StatusOK {
		t.Fatalf("signing out: %d %s", p.status, p.body)
	}
	for name, s := range ending {
		if _, err := io.Copy(io.Discard, s.body); errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s goes on", name)
		}
	}
	for name, s := range lasting { // what ends with the session has ended
		_ = s.conn.SetDeadline(time.Now().Add(time.Millisecond))
		if _, err := s.body.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s ended: %v", name, err)
		}
	}
}
