package idp_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/idptest"
	"persona-sidecar/idp/route"
)

// drip writes one byte after the other until the other side closes. Each byte comes
// in a small part of the time that a whole body has.
func drip(to io.Writer) {
	for range time.Tick(dripTime / 50) {
		if _, err := to.Write([]byte("a")); err != nil {
			return
		}
	}
}

// dripTime is how long a whole body may take in TestBodiesEnd.
const dripTime = 100 * time.Millisecond

// TestBodiesEnd: a body that arrives byte by byte is refused when its time is over, on every path that reads one.
func TestBodiesEnd(t *testing.T) {
	t.Parallel()
	w := verifying(t, func(c *settings) {
		c.BodyTime = dripTime
		c.ClientAddr = func(r *http.Request) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(r.ProtoMajor)}) }
	})
	server := httptest.NewUnstartedServer(w.server)
	server.EnableHTTP2 = true
	server.TLS = idptest.NewAuthority(t).TLS(t, host)
	server.StartTLS()
	t.Cleanup(server.Close)
	plain := httptest.NewServer(w.server)
	t.Cleanup(plain.Close)
	client := server.Client()
	client.Transport.(*http.Transport).TLSClientConfig.InsecureSkipVerify = true //nolint:gosec // nothing secret here
	client.Timeout = idptest.Patience
	const form, object = "application/x-www-form-urlencoded", "application/json"
	for path, test := range map[string]struct{ contentType, words string }{
		"/persona/authenticate":    {form, "took too long to arrive"},
		"/persona/logout":          {form, "took too long to arrive"},
		"/persona/api/certificate": {object, `"error":"too_slow"`},
		"/persona/verify":          {form, `{"status":"failure","reason":"the request took too long to arrive"}`},
		"/persona/v2":              {object, `{"status":"failure","reason":"the request took too long to arrive"}`},
	} {
		check := func(protocol string, response *http.Response) {
			t.Helper()
			body := text(t, response)
			if response.StatusCode != http.StatusRequestTimeout || !strings.Contains(body, test.words) || response.Proto != protocol {
				t.Errorf("%s %s: status %d (%s): %s", protocol, path, response.StatusCode, response.Proto, body)
			}
		}
		t.Run("HTTP/1.1"+path, func(t *testing.T) {
			t.Parallel()
			connection, err := net.Dial("tcp", plain.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer connection.Close()
			_ = connection.SetDeadline(time.Now().Add(idptest.Patience))
			fmt.Fprintf(connection, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: 16000\r\n\r\n", path, host, test.contentType)
			go drip(connection)
			response, err := http.ReadResponse(bufio.NewReader(connection), nil)
			if err != nil {
				t.Fatal(err)
			}
			check("HTTP/1.1", response)
			if !response.Close {
				t.Error("the connection stays open for the rest of the body")
			}
		})
		t.Run("HTTP/2"+path, func(t *testing.T) {
			t.Parallel()
			body, writer := io.Pipe()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, body)
			if err != nil {
				t.Fatal(err)
			}
			request.Host = host
			request.Header.Set("Content-Type", test.contentType)
			go drip(writer)
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			check("HTTP/2.0", response)
		})
	}
}

// deadlines notes the read deadlines that are set on a connection.
type deadlines struct {
	*httptest.ResponseRecorder
	set []time.Time
}

func (d *deadlines) SetReadDeadline(at time.Time) error {
	d.set = append(d.set, at)
	return nil
}

// TestBodyDeadlineIsLifted: a sign-in may take longer than its body may.
func TestBodyDeadlineIsLifted(t *testing.T) {
	t.Parallel()
	w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{}`))
	r.Header.Set("Content-Type", "application/json")
	before := time.Now()
	route.LimitBody(w, r, route.BodyTime)
	if _, err := route.JSONBody(w, r); err != nil {
		t.Fatal(err)
	}
	if len(w.set) != 2 || w.set[0].Before(before.Add(10*time.Second)) || w.set[0].After(time.Now().Add(10*time.Second)) || !w.set[1].IsZero() {
		t.Errorf("the deadlines are %v", w.set)
	}
	// No handler can read more than 64 KiB.
	r = httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat("a", 65_537)))
	route.LimitBody(w, r, route.BodyTime)
	if body, err := io.ReadAll(r.Body); err == nil || len(body) != 65_536 {
		t.Errorf("%d bytes were read: %v", len(body), err)
	}
}

func TestOverfullCookies(t *testing.T) {
	t.Parallel()
	b := newWorld(t).browser()
	fill := func(bytes int) header {
		return func(h http.Header) {
			h["Cookie"] = []string{"a=" + strings.Repeat("x", bytes/2-2), "b=" + strings.Repeat("x", bytes-bytes/2-2)}
		}
	}
	for _, path := range []string{"/persona/", "/persona/authenticate", "/persona/nothing"} {
		response := b.get(path, fill(16<<10+1))
		wantPage(t, response, http.StatusRequestHeaderFieldsTooLarge, "delete all cookies of example.test", "Try again")
		if got := response.Header.Get("Clear-Site-Data"); got != `"cookies"` {
			t.Errorf("%s: Clear-Site-Data is %s", path, got)
		}
	}
	wantError(t, b.get("/persona/api/session", fill(16<<10+1)), http.StatusRequestHeaderFieldsTooLarge, "too_many_cookies")
	response := b.get("/persona/", fill(16<<10))
	wantStatus(t, response, http.StatusOK)
	if got := response.Header.Get("Clear-Site-Data"); got != "" {
		t.Errorf("cookies that fit are cleared: %s", got)
	}
}

// TestBrowserCookiesOfASibling: cookies that another host of the site has set lock a browser out only once.
func TestBrowserCookiesOfASibling(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, idptest.BrowserOptions{})
	n.page("https://evil.example.test/", "text/html", "<title>sibling</title>")
	n.open("https://evil.example.test/")
	n.js(`for (let i = 0; i < 5; i++) document.cookie = "c" + i + "=" + "x".repeat(3900) + "; Domain=example.test; Path=/persona/; Secure"; document.cookie = "last=1"; ""`)
	n.until(`document.cookie.includes("last=1")`) // the browser sets them in order, after the script
	n.open("https://example.test/persona/")
	if got := n.see("https://example.test/persona/", "h1"); got != "Too many cookies" {
		t.Errorf("the first visit shows %q", got)
	}
	n.do(idptest.Leave(idptest.Click("main a.button")))
	n.see("https://example.test/persona/", "#sign-in")
}
