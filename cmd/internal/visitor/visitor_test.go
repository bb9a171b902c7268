package visitor_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"persona-sidecar/cmd/internal/visitor"
	"persona-sidecar/idp/idptest"
)

func client(t *testing.T, authority *idptest.Authority, address string) visitor.Client {
	t.Helper()
	dial := func(ctx context.Context, network, asked string) (net.Conn, error) {
		if strings.HasPrefix(asked, "unknown.test:") {
			return nil, &net.DNSError{Err: "no such host", Name: "unknown.test", IsNotFound: true}
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	return visitor.Client{HTTP: visitor.NewHTTP(dial, authority.Roots(), time.Now), UserAgent: "test"}
}

func serve(t *testing.T, authority *idptest.Authority, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are meant
	server.TLS = authority.TLS(t, "example.test")
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// TestExplain: what goes wrong on the way has one line and a hint, whatever
// library it comes from.
func TestExplain(t *testing.T) {
	t.Parallel()
	authority, other := idptest.NewAuthority(t), idptest.NewAuthority(t)
	address := serve(t, authority, func(http.ResponseWriter, *http.Request) {})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		authority     *idptest.Authority
		address, url  string
		message, hint string
	}{
		"no name":     {authority, address, "https://unknown.test/", "DNS knows no address of unknown.test", "make an A"},
		"refused":     {authority, closed, "https://example.test/", "the connection is refused", "is the server of example.test running"},
		"unknown CA":  {other, address, "https://example.test/", "TLS: ", "persona check example.test"},
		"wrong name":  {authority, address, "https://www.example.test/", "TLS: ", "persona check www.example.test"},
		"not a URL":   {authority, address, "https://exa mple/", "invalid character", "network"},
		"no TLS here": {authority, plain(t), "https://example.test/", "the answer is not TLS", "HTTPS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client(t, test.authority, test.address).Get(t.Context(), test.url, nil)
			var fault *visitor.Fault
			if !errors.As(err, &fault) || !strings.Contains(fault.Error(), test.message) || !strings.Contains(fault.Hint(), test.hint) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// plain serves HTTP without TLS.
func plain(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// TestBrief: of a page its text is quoted, of anything else all that fits.
func TestBrief(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"no\n  database\x00\xff": "no database\x00\uFFFD",
		" <!doctype html><html><head><title>x</title></head><body><!-- a > b --><style>p{}</style><h1>Gone &amp; away</h1>\n<p class=\"a\">for\ngood</p>": "Gone & away for good",
		`<script src="a.js"></script>`: `<script src="a.js"></script>`,
		"1 < 2 > 0":                    "1 < 2 > 0",
		strings.Repeat("é", 200):       strings.Repeat("é", 160) + " …",
	} {
		if got := visitor.Brief([]byte(body)); got != want {
			t.Errorf("%q: got %q, want %q", body, got, want)
		}
	}
}

// TestClient: no redirect is followed, an answer without end is cut, and a post
// comes as from a page of the same origin.
func TestClient(t *testing.T) {
	t.Parallel()
	authority := idptest.NewAuthority(t)
	observed := 0
	c := client(t, authority, serve(t, authority, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/itself":
			http.Redirect(w, r, "https://example.test/itself", http.StatusMovedPermanently)
		case r.URL.Path == "/long":
			_, _ = io.Copy(w, io.LimitReader(rand.Reader, 2<<20))
		case r.Method == http.MethodPost && r.Header.Get("Origin") == "https://example.test" && r.Header.Get("Sec-Fetch-Site") == "same-origin" && r.FormValue("a") == "b":
			w.WriteHeader(http.StatusNoContent)
		default:
			http.NotFound(w, r)
		}
	}))
	c.Observe = func(*http.Response) { observed++ }
	answer, err := c.Get(t.Context(), "https://example.test/itself", nil)
	if err != nil || answer.StatusCode != http.StatusMovedPermanently || !visitor.ToItself(answer.Response) {
		t.Errorf("got %+v, %v", answer, err)
	}
	answer, err = c.Get(t.Context(), "https://example.test/long", nil)
	if err != nil || len(answer.Body) != 1<<20 || visitor.ToItself(answer.Response) {
		t.Errorf("got %d bytes, %v", len(answer.Body), err)
	}
	answer, err = c.PostForm(t.Context(), "https://example.test", "/", map[string][]string{"a": {"b"}})
	if err != nil || answer.Want(http.StatusNoContent) != nil {
		t.Errorf("got %+v, %v", answer, err)
	}
	if err := answer.Want(http.StatusOK); err == nil || !strings.Contains(err.Error(), "answered 204 No Content, not 200") {
		t.Errorf("got %v", err)
	}
	if observed != 3 {
		t.Errorf("%d answers were observed", observed)
	}
}
