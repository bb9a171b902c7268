package app_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"persona-sidecar/ldapauth/ldaptest"
	"persona-sidecar/proxy/proxytest"
)

// BenchmarkSignedIn compares a page of 1 KiB of a website that is told who is signed in, and has access rules, with the same
// page of one that is not: through the whole program, with the session's cookie opened, sign-outs looked up and an
// assertion from its cache. Both are asked by turns. The CPU time is that of the program, of the client and of the
// website; the difference is the program's alone, but for what the website has to read more.
func BenchmarkSignedIn(b *testing.B) {
	slapd := ldaptest.StartSlapd(b, ldaptest.Options{})
	folder := b.TempDir()
	yaml, roots := filesYAML(b, folder, "example.test", "id.example.test", "plain.test")
	site := kibibyte(b)
	p := start(b, folder, strings.Replace(yaml, "listen: {", "log: {requests: true}\nlisten: {", 1)+fmt.Sprintf(`
domains:
  - name: example.test
    upstream: http://%s
    directory: corp
    authority: id.example.test
    identity_headers: true
    access: [{path: /wiki/, allow: signed_in}, {path: /wp-admin/, groups: [editors]}, {path: /api/health, exact: true, allow: public}]
  - {name: plain.test, upstream: "http://%s"}
`, site, site)+directoryYAML(b, folder, slapd))
	waitForKeys(b, p)
	client := p.client(roots)
	client.CheckRedirect = nil
	client.Jar, _ = cookiejar.New(nil)
	form := url.Values{"username": {"alice"}, "password": {ldaptest.Password}, "computer": {"private"}}
	request, err := http.NewRequest(http.MethodPost, "https://id.example.test/persona/authenticate", strings.NewReader(form.Encode()))
	if err != nil {
		b.Fatal(err)
	}
	request.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Origin": {"https://id.example.test"}, "Sec-Fetch-Site": {"same-origin"}}
	for _, ask := range []func() (*http.Response, error){
		func() (*http.Response, error) { return client.Do(request) },
		func() (*http.Response, error) { return client.Get("https://example.test/persona/login?return=/wiki/") },
	} {
		response, err := ask()
		if err != nil {
			b.Fatal(err)
		}
		if body := read(b, response); response.StatusCode != http.StatusOK {
			b.Fatalf("signing in ends at %s: %d %s", response.Request.URL, response.StatusCode, body)
		}
	}
	cookies := ""
	for _, cookie := range client.Jar.Cookies(&url.URL{Scheme: "https", Host: "example.test", Path: "/"}) {
		cookies += "; " + cookie.Name + "=" + cookie.Value
	}
	if !strings.Contains(cookies, "__Host-persona-site=") {
		b.Fatalf("the site has the cookies %q", cookies)
	}

	type asker struct {
		conn    net.Conn
		in      *bufio.Reader
		request string
		spent   time.Duration
	}
	askers := map[string]*asker{}
	for host, cookies := range map[string]string{"plain.test": strings.Repeat("; a=b", len(cookies)/5), "example.test": cookies} {
		conn, err := tls.Dial("tcp", p.Addr("https").String(), &tls.Config{RootCAs: roots, ServerName: host})
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Minute))
		askers[host] = &asker{conn: conn, in: bufio.NewReader(conn), request: "GET /wiki/start?do=show HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: benchmark\r\nAccept: */*\r\nCookie: x=1" + cookies + "\r\n\r\n"}
	}
	const turn = 200
	turns := 0
	for b.Loop() {
		turns++
		for _, a := range askers {
			before := processorTime(b)
			for range turn {
				if _, err := io.WriteString(a.conn, a.request); err != nil {
					b.Fatal(err)
				}
				response, err := http.ReadResponse(a.in, nil)
				if err != nil || response.StatusCode != http.StatusOK || response.ContentLength != 1024 {
					b.Fatal(response, err)
				}
				if _, err := a.in.Discard(1024); err != nil {
					b.Fatal(err)
				}
			}
			a.spent += processorTime(b) - before
		}
	}
	of := func(host string) float64 { return float64(askers[host].spent.Nanoseconds()) / float64(turns*turn) }
	b.ReportMetric(of("plain.test"), "cpu-ns/plain")
	b.ReportMetric(of("example.test"), "cpu-ns/signed-in")
	b.ReportMetric(of("example.test")/of("plain.test"), "ratio")
	b.ReportMetric(0, "ns/op")
}

// kibibyte is a website that answers every request with 1 KiB and costs little.
func kibibyte(b *testing.B) (address string) {
	b.Helper()
	listener := proxytest.Listen(b)
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n" + strings.Repeat("x", 1024))
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buffer, kept := make([]byte, 16<<10), 0
				for {
					n, err := conn.Read(buffer[kept:])
					if kept += n; err != nil {
						return
					}
					if bytes.HasSuffix(buffer[:kept], []byte("\r\n\r\n")) {
						kept = 0
						if _, err := conn.Write(answer); err != nil {
							return
						}
					}
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// processorTime is what this process has spent.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
