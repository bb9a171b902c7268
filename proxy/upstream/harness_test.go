package upstream_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"persona-sidecar/proxy"
	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/proxytest"
	"persona-sidecar/proxy/upstream"
)

const ourCookie = "__Host-persona"

var ourCookies = []string{ourCookie, ourCookie + "-site", ourCookie + "-login"}

// options are what a test wants to be different.
type options struct {
	trusted     []netip.Prefix
	idle        time.Duration
	headerBytes int
	timeout     time.Duration
	roots       *x509.CertPool
	failed      func(upstream.Failure)

	tls         upstream.TLSConfig
	guarded     bool
	oddNames    bool
	connections int
	redirects   bool // are corrected
	publicHTTPS int

	identityNames []string
	gated         bool
	visit         *middleware.Visit // of each request
}

// sidecar is the proxy behind real listeners: one with TLS, one without.
type sidecar struct {
	plain, secure string // addresses
	proxy         *upstream.Proxy
	servers       []*proxy.Server
	roots         *x509.CertPool
	log           proxytest.Log
}

// start puts the proxy in front of the website at target.
func start(t testing.TB, target string, o options) *sidecar {
	t.Helper()
	s := new(sidecar)
	if o.roots != nil {
		o.tls.Roots = o.roots
	}
	logger := s.log.Logger()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	s.proxy, err = upstream.New(upstream.Config{
		Site: "example.com", URL: u, TLS: o.tls, Cookies: ourCookies, IdentityNames: o.identityNames, Gated: o.gated, Timeout: o.timeout, HeaderBytes: o.headerBytes, Log: logger, Failed: o.failed,
		Guarded: o.guarded, OddNames: o.oddNames, Connections: o.connections,
		RewriteRedirects: o.redirects, PublicHTTPS: o.publicHTTPS,
	})
	if err != nil {
		t.Fatal(err)
	}
	handler := middleware.New(middleware.Config{Trust: middleware.Trust{Listed: o.trusted}, Idle: o.idle, Log: logger})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		middleware.FromContext(r.Context()).Visit = o.visit
		s.proxy.ServeHTTP(w, r)
	}))
	certificate, roots := proxytest.Certificate()
	s.roots = roots
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	s.plain = s.serve(t, proxy.NewServer(handler, nil, logger))
	s.secure = s.serve(t, proxy.NewServer(handler, config, logger))
	t.Cleanup(s.proxy.Close)
	return s
}

func (s *sidecar) serve(t testing.TB, server *proxy.Server) string {
	t.Helper()
	s.servers = append(s.servers, server)
	return proxytest.Serve(t, server)
}

// client speaks to the TLS listener, by HTTP/2 or HTTP/1.1, under the name example.com.
func (s *sidecar) client(t testing.TB, http2 bool) *http.Client {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, s.secure)
		},
		TLSClientConfig:    &tls.Config{RootCAs: s.roots},
		Protocols:          protocols,
		DisableCompression: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		Timeout:       proxytest.Patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// line waits for the access log line of the next request.
func (s *sidecar) line(t testing.TB) map[string]any {
	t.Helper()
	return s.log.Next(t, "request")
}

// both runs a test over HTTP/1.1 and over HTTP/2.
func both(t *testing.T, test func(t *testing.T, http2 bool)) {
	t.Run("HTTP1", func(t *testing.T) { t.Parallel(); test(t, false) })
	t.Run("HTTP2", func(t *testing.T) { t.Parallel(); test(t, true) })
}

// site starts a website.
func site(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// rawSite starts a website that hands over each request's head as it came, and
// then does what answer wants with the connection.
func rawSite(t testing.TB, answer func(head string, conn net.Conn, r *bufio.Reader)) string {
	t.Helper()
	listener := proxytest.Listen(t)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				var head strings.Builder
				for !strings.HasSuffix(head.String(), "\r\n\r\n") {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					head.WriteString(line)
				}
				answer(head.String(), conn, r)
				// Closing with bytes unread would reset the connection, and the answer with it.
				if conn.(*net.TCPConn).CloseWrite() == nil {
					conn.SetReadDeadline(time.Now().Add(proxytest.Patience))
					io.Copy(io.Discard, r)
				}
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}

// echoHead is a website that answers every request with its head.
func echoHead(t testing.TB) string {
	return rawSite(t, func(head string, conn net.Conn, _ *bufio.Reader) {
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"+head)
	})
}

// send writes bytes to the plain listener and returns the first answer with its body.
func (s *sidecar) send(t testing.TB, request string) (*http.Response, string) {
	t.Helper()
	conn := s.dial(t)
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("reading the answer to %.60q: %v", request, err)
	}
	return res, read(t, res.Body)
}

func (s *sidecar) dial(t testing.TB) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.plain)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(proxytest.Patience))
	return conn
}

// ways runs a test of raw HTTP/1.1 over each way in: net/http's and, over TLS, the
// one for ordinary requests.
func ways(t *testing.T, s *sidecar, test func(t *testing.T, dial func() net.Conn)) {
	t.Run("net/http", func(t *testing.T) {
		t.Parallel()
		test(t, func() net.Conn { return s.dial(t) })
	})
	t.Run("fast", func(t *testing.T) {
		t.Parallel()
		test(t, func() net.Conn { return s.dialFast(t) })
	})
}

// dialFast dials the TLS listener for HTTP/1.1.
func (s *sidecar) dialFast(t testing.TB) net.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", s.secure, &tls.Config{RootCAs: s.roots, ServerName: "example.com"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(proxytest.Patience))
	return conn
}

func read(t testing.TB, body io.ReadCloser) string {
	t.Helper()
	defer body.Close()
	var buf bytes.Buffer
	if _, err := buf.ReadFrom(body); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func get(t testing.TB, client *http.Client, target string, edit ...func(*http.Request)) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, edit := range edit {
		edit(r)
	}
	return do(t, client, r)
}

func do(t testing.TB, client *http.Client, r *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return res, read(t, res.Body)
}

// await fails the test when what it waits for does not come.
func await[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(proxytest.Patience):
		t.Fatalf("no %s in time", what)
		panic("unreachable")
	}
}

var zeroTime time.Time
