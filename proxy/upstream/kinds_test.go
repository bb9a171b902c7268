package upstream_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"persona-sidecar/proxy/proxytest"
	"persona-sidecar/proxy/upstream"
)

// http2Site starts a website that speaks HTTP/2 alone, in clear text or over TLS.
func http2Site(t testing.TB, handler http.HandlerFunc, certificate *tls.Certificate) string {
	t.Helper()
	server := &http.Server{Handler: handler, Protocols: new(http.Protocols)}
	if certificate == nil {
		server.Protocols.SetUnencryptedHTTP2(true)
		return "h2c://" + proxytest.Serve(t, server)
	}
	server.Protocols.SetHTTP2(true)
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}}
	return "h2://" + proxytest.Serve(t, server)
}

// Requests and answers pass to each kind of website.
func TestKinds(t *testing.T) {
	t.Parallel()
	certificate, roots := proxytest.Certificate()
	handler := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %q %q", r.Method, r.Host, r.RequestURI, body, r.Header["X-Forwarded-Host"])
	}
	socket := filepath.Join(t.TempDir(), "website.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	unix := &http.Server{Handler: http.HandlerFunc(handler)}
	go unix.Serve(listener)
	t.Cleanup(func() { unix.Close() })
	for name, target := range map[string]string{
		"http": site(t, handler), "unix": "unix:" + socket,
		"h2c": http2Site(t, handler, nil), "h2": http2Site(t, handler, &certificate),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, http2 bool) {
				s := start(t, target, options{roots: roots})
				for _, path := range []string{"/a%2fb?c;d=%zz", "//evil.example/x", "/?", "/caf\xc3\xa9"} {
					r, _ := http.NewRequest(http.MethodPut, "https://example.com/", strings.NewReader("hello"))
					r.URL.Opaque = path
					if strings.HasPrefix(path, "//") {
						if !http2 {
							continue // the test's own client cannot send it
						}
						r.URL.Opaque = "//example.com" + path // from which it takes the authority
					}
					res, body := do(t, s.client(t, http2), r)
					if want := fmt.Sprintf(`PUT example.com %s "hello" ["example.com"]`, path); body != want || res.StatusCode != http.StatusOK {
						t.Errorf("%d %q, want %q", res.StatusCode, body, want)
					}
				}
			})
		})
	}
}

// What a gRPC client and its server say to one another passes: trailers, an answer
// that has nothing but trailers, messages both ways at once.
func TestGRPC(t *testing.T) {
	t.Parallel()
	certificate, roots := proxytest.Certificate()
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		if r.URL.Path == "/echo.Echo/Missing" { // trailers-only
			w.Header().Set("Grpc-Status", "12")
			w.Header().Set("Grpc-Message", "unimplemented")
			return
		}
		if r.Header.Get("Te") != "trailers" || r.ContentLength != -1 {
			t.Errorf("the website got %v, %d bytes", r.Header, r.ContentLength)
		}
		for {
			message, err := readMessage(r.Body)
			if err != nil {
				break
			}
			w.Write(frame(strings.ToUpper(message)))
			w.(http.Flusher).Flush()
		}
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", "fine")
	}
	for name, target := range map[string]string{"h2c": http2Site(t, handler, nil), "h2": http2Site(t, handler, &certificate)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, target, options{roots: roots})
			client := s.client(t, true)
			body, upload := io.Pipe()
			r, _ := http.NewRequest(http.MethodPost, "https://example.com/echo.Echo/Say", body)
			r.Header = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}}
			go upload.Write(frame("message 0"))
			res, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			for i := range 5 {
				if i > 0 {
					upload.Write(frame(fmt.Sprint("message ", i)))
				}
				if got, err := readMessage(res.Body); got != fmt.Sprint("MESSAGE ", i) || err != nil {
					t.Fatalf("got %q %v", got, err)
				}
			}
			upload.Close()
			if rest, err := io.ReadAll(res.Body); len(rest) > 0 || err != nil {
				t.Errorf("behind the messages: %q %v", rest, err)
			}
			if res.Trailer.Get("Grpc-Status") != "0" || res.Trailer.Get("Grpc-Message") != "fine" {
				t.Errorf("trailers %v", res.Trailer)
			}
			r, _ = http.NewRequest(http.MethodPost, "https://example.com/echo.Echo/Missing", bytes.NewReader(frame("x")))
			r.Header = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}}
			res, rest := do(t, client, r)
			if res.Header.Get("Grpc-Status") != "12" || rest != "" {
				t.Errorf("trailers only: %v %q", res.Header, rest)
			}
		})
	}
}

// frame is one message of gRPC.
func frame(message string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

func readMessage(r io.Reader) (string, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", err
	}
	message := make([]byte, binary.BigEndian.Uint32(head[1:]))
	_, err := io.ReadFull(r, message)
	return string(message), err
}

// A website over HTTP/2 that does not answer, or takes nothing, is reported as any
// other.
func TestHTTP2Failures(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	silent := http2Site(t, func(http.ResponseWriter, *http.Request) { <-release }, nil)
	s := start(t, silent, options{timeout: 200 * time.Millisecond})
	for _, body := range []io.Reader{nil, endless{}} {
		r, _ := http.NewRequest(http.MethodPost, "https://example.com/", body)
		if res, _ := do(t, s.client(t, true), r); res.StatusCode != http.StatusGatewayTimeout {
			t.Errorf("%d", res.StatusCode)
		}
	}
	for name, target := range map[string]string{"refused": "h2c://" + proxytest.Refused(t), "HTTP/1.1 alone": strings.Replace(site(t, http.NotFound), "http:", "h2c:", 1)} {
		s := start(t, target, options{})
		if res, _ := get(t, s.client(t, true), "https://example.com/"); res.StatusCode != http.StatusBadGateway {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
		if line := s.line(t); line["error"] == nil || line["hint"] == "" {
			t.Errorf("%s: line %v", name, line)
		}
	}
}

// A website may ask for a certificate of ours, and have one for another name than
// its address.
func TestUpstreamTLS(t *testing.T) {
	t.Parallel()
	certificate, roots := proxytest.Certificate()
	folder := t.TempDir()
	ours := writeCertificate(t, folder)
	website := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.TLS.ServerName, " ", r.TLS.PeerCertificates[0].SerialNumber)
		}),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequireAnyClientCert},
	}
	addr := proxytest.Serve(t, website)
	_, port, _ := net.SplitHostPort(addr)
	with := upstream.TLSConfig{Roots: roots, ServerName: "example.com", CertFile: filepath.Join(folder, "cert.pem"), KeyFile: filepath.Join(folder, "key.pem")}
	s := start(t, "https://localhost:"+port, options{tls: with}) // its certificate is not for localhost
	if _, body := get(t, s.client(t, true), "https://example.com/"); body != fmt.Sprint("example.com ", ours) {
		t.Errorf("the website saw %q", body)
	}
	s.proxy.Close() // a new connection is made next
	ours = writeCertificate(t, folder)
	if _, body := get(t, s.client(t, true), "https://example.com/"); body != fmt.Sprint("example.com ", ours) {
		t.Errorf("after the file has changed the website saw %q", body)
	}
	for name, test := range map[string]struct {
		change func(*upstream.TLSConfig)
		hint   string
	}{
		"no certificate":    {func(c *upstream.TLSConfig) { c.CertFile = "" }, "client_cert_file"},
		"another name":      {func(c *upstream.TLSConfig) { c.ServerName = "" }, "server_name"},
		"another authority": {func(c *upstream.TLSConfig) { c.Roots = nil }, "ca_file"},
	} {
		broken := with
		test.change(&broken)
		s := start(t, "https://localhost:"+port, options{tls: broken})
		res, _ := get(t, s.client(t, true), "https://example.com/")
		if hint, _ := s.line(t)["hint"].(string); res.StatusCode != http.StatusBadGateway || !strings.Contains(hint, test.hint) {
			t.Errorf("%s: %d, hint %q", name, res.StatusCode, hint)
		}
	}
	insecure := with
	insecure.Roots, insecure.Insecure = nil, true
	s = start(t, "https://"+addr, options{tls: insecure})
	if res, body := get(t, s.client(t, true), "https://example.com/"); res.StatusCode != http.StatusOK {
		t.Errorf("insecure: %d %s", res.StatusCode, body)
	}
}

// writeCertificate writes a new client certificate and returns its serial number.
func writeCertificate(t *testing.T, folder string) *big.Int {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "persona"}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: text}} {
		if err := os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return serial
}

// Over HTTP/2, too, an answer may come before the upload has ended, interim answers
// pass, and a client that leaves ends its request.
func TestHTTP2Streams(t *testing.T) {
	t.Parallel()
	left := make(chan struct{}, 2)
	target := http2Site(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/early":
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			io.WriteString(w, "too large")
		case "/hints":
			w.Header().Set("Link", "</a.css>")
			w.WriteHeader(http.StatusEarlyHints)
			io.WriteString(w, "page")
		case "/slow":
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			left <- struct{}{}
		}
	}, nil)
	both(t, func(t *testing.T, http2 bool) {
		s := start(t, target, options{})
		client := s.client(t, http2)
		body, upload := io.Pipe()
		defer upload.Close()
		r, _ := http.NewRequest(http.MethodPost, "https://example.com/early", body)
		go io.WriteString(upload, "begin") // and no end
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(res.Body); res.StatusCode != http.StatusRequestEntityTooLarge || string(got) != "too large" || err != nil {
			t.Errorf("%d %q %v", res.StatusCode, got, err)
		}
		res.Body.Close()
		var hints []int
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, _ textproto.MIMEHeader) error { hints = append(hints, code); return nil }}
		if _, page := get(t, client, "https://example.com/hints", func(r *http.Request) {
			*r = *r.WithContext(httptrace.WithClientTrace(r.Context(), trace))
		}); page != "page" || len(hints) != 1 || hints[0] != http.StatusEarlyHints {
			t.Errorf("%q %v", page, hints)
		}
		res, err = client.Get("https://example.com/slow") // returns with the head
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		await(t, left, "the website to learn that the client has left")
	})
}
