package cli_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"persona-sidecar/cmd/internal/apptest"
)

// TestFloodOfSilentRequests: what strangers make the program hold is bounded, with as many HTTP/2 requests
// as they may open that never send their body, never take the answer, or repeat a cookie for a byte each. It is the real
// binary, because the race detector needs several times the memory, and its memory is what the kernel saw
// at most.
func TestFloodOfSilentRequests(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "persona")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", program, "persona-sidecar/cmd/persona").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const connections, streams = 120, 100
	const enough = 64 << 10 // KiB; without limits three times as much, and with cookies or without a window up to a GiB
	for name, test := range map[string]struct {
		flood
		clients int // a client that is not public gets half of all
		weight  int // of a request, see docs/configuration.md
		enough  int
	}{
		"sign-in, one client":    {flood{path: "/persona/authenticate"}, 1, 10, enough},
		"sign-in, many clients":  {flood{path: "/persona/authenticate"}, connections, 10, enough},
		"sign-out, many clients": {flood{path: "/persona/logout"}, connections, 10, enough},
		"website, many clients":  {flood{path: "/form"}, connections, 10, enough},
		"no window":              {flood{path: "/persona/authenticate", closed: true}, connections, 10, enough},
		// Most of these is what waits to be refused, and what the collector has not seen yet.
		"cookies":                   {flood{path: "/persona/authenticate", cookies: 12}, connections, 12, 6 * enough},
		"cookies, no window":        {flood{path: "/persona/authenticate", cookies: 12, closed: true}, connections, 12, 6 * enough},
		"pages that no one takes":   {flood{path: "/persona/", get: true, closed: true}, connections, 1, 6 * enough},
		"website that no one takes": {flood{path: "/", get: true, closed: true}, connections, 1, 6 * enough},
	} {
		t.Run(name, func(t *testing.T) {
			p, address := startTLS(t, program)
			before := p.memory(t, "VmRSS")
			for i := range connections {
				test.open(t, net.IPv4(127, 0, 1, byte(1+i%test.clients)), address, streams)
			}
			apptest.Eventually(t, "all requests have come", func() bool {
				return p.metric(t, "persona_http_requests_total")+p.metric(t, "persona_requests_in_flight")/test.weight >= connections*streams
			})
			grown := p.memory(t, "VmHWM") - before
			t.Logf("%s: %d KiB", name, grown)
			if grown > test.enough {
				t.Errorf("%d KiB more than before; %d are enough", grown, test.enough)
			}
		})
	}
}

// startTLS starts a program for an identity host with a website, and returns where it serves HTTPS.
func startTLS(t *testing.T, program string) (p *process, address string) {
	t.Helper()
	folder := t.TempDir()
	website := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(make([]byte, 64<<10)) }))
	t.Cleanup(website.Close)
	writeCertificate(t, folder, "example.test")
	put(t, filepath.Join(folder, "persona.yaml"), fmt.Sprintf(`
state_dir: state
listen: {https: "127.0.0.1:0", http: "127.0.0.1:0", admin: "127.0.0.1:0"}
tls: {mode: files, cert_file: tls.pem, key_file: tls.key}
log: {requests: false}
domains:
  - {name: example.test, upstream: %q, directory: corp}
%s`, website.URL, deadDirectory))
	p = newProcess(exec.CommandContext(context.WithoutCancel(t.Context()), program, "serve", "-config", "persona.yaml"))
	p.command.Dir = folder
	p.start(t)
	apptest.Eventually(t, "it has its keys", func() bool { return strings.Count(p.log.String(), "created a new key") == 2 })
	p.ready(t)
	return p, regexp.MustCompile(`"https":"([^"]+)"`).FindStringSubmatch(p.log.String())[1]
}

// flood is what each request of many is.
type flood struct {
	path    string
	get     bool // else a POST whose body never comes
	cookies int  // of 3,900 bytes each
	closed  bool // no window is opened for answers
}

// open opens an HTTP/2 connection with as many requests as it may have, until the test ends.
func (f flood) open(t *testing.T, from net.IP, address string, streams int) {
	t.Helper()
	dialer := tls.Dialer{
		NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: from}},
		Config:    &tls.Config{ServerName: "example.test", NextProtos: []string{"h2"}, InsecureSkipVerify: true}, // it is the server's memory that is looked at
	}
	conn, err := dialer.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	fields := [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "example.test"}, {":path", f.path}}
	if !f.get {
		fields[0][1] = "POST"
		fields = append(fields, [][2]string{
			{"content-type", "application/x-www-form-urlencoded"},
			{"content-length", "10"},
			{"origin", "https://example.test"},
			{"sec-fetch-site", "same-origin"},
		}...)
	}
	for range f.cookies {
		fields = append(fields, [2]string{"cookie", strings.Repeat("x", 3900)}) // what fits into the table that both sides keep
	}
	var all, head bytes.Buffer
	all.WriteString(http2.ClientPreface)
	framer, encoder := http2.NewFramer(&all, nil), hpack.NewEncoder(&head)
	window := uint32(65535)
	if f.closed {
		window = 0
	}
	framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
	for i := range streams {
		head.Reset()
		for _, field := range fields {
			encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
		}
		framer.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: head.Bytes(), EndHeaders: true, EndStream: f.get})
	}
	if _, err := conn.Write(all.Bytes()); err != nil {
		t.Fatal(err)
	}
}

// memory returns what the kernel says of the process, in KiB: VmRSS now, VmHWM at most so far.
func (p *process) memory(t *testing.T, what string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(what + `:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		t.Fatalf("no %s in\n%s", what, status)
	}
	n, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// metric returns the sum of all series of a name.
func (p *process) metric(t *testing.T, name string) int {
	t.Helper()
	_, text := fetch(t, "http://"+p.admin+"/metrics")
	sum := 0.0
	for _, found := range regexp.MustCompile(`(?m)^`+name+`(?:\{.*\})? (\S+)$`).FindAllStringSubmatch(text, -1) {
		n, err := strconv.ParseFloat(found[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return int(sum)
}

// TestLimitsFollowMemory: idle connections alone never take more than a third of the memory limit, and
// requests no more than half.
func TestLimitsFollowMemory(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	world(t, folder, deadDirectory, "example.test")
	p := newProcess(persona(t, folder, "serve", "-config", "persona.yaml"))
	p.command.Env = append(os.Environ(), "GOMEMLIMIT=96MiB")
	p.start(t)
	p.ready(t)
	said := p.log.String()
	for _, want := range []string{`"key":"limits.connections","room":682,"memory":100663296`, `"key":"limits.requests","room":768,`} {
		if !strings.Contains(said, want) {
			t.Errorf("the log has no %s", want)
		}
	}
	if strings.Contains(said, "control group") {
		t.Error("GOMEMLIMIT does not take precedence over the control group's limit")
	}
}
