package app_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/apptest"
)

// faultyUpstream is a website whose behaviour a test chooses. It keeps its address while it is down.
type faultyUpstream struct {
	address string
	server  *http.Server
	arrived chan string // the path of each request that is not answered at once
	left    chan string // and of each whose client went away
}

func startFaultyUpstream(t *testing.T) *faultyUpstream {
	t.Helper()
	m := &faultyUpstream{arrived: make(chan string, 10), left: make(chan string, 10)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.address = listener.Addr().String()
	m.up(t, listener)
	t.Cleanup(m.down)
	return m
}

func (m *faultyUpstream) up(t *testing.T, listener net.Listener) {
	t.Helper()
	if listener == nil {
		var err error
		if listener, err = net.Listen("tcp", m.address); err != nil {
			t.Fatal(err)
		}
	}
	m.server = &http.Server{Handler: m}
	go func() { _ = m.server.Serve(listener) }()
}

func (m *faultyUpstream) down() { _ = m.server.Close() }

func (m *faultyUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/slow":
		m.arrived <- r.URL.Path
		<-r.Context().Done()
		m.left <- r.URL.Path
	case "/dies": // in the middle of what it announced
		w.Header().Set("Content-Length", "1000000")
		_, _ = io.WriteString(w, "the beginning")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case "/dies-chunked":
		_, _ = io.WriteString(w, "the beginning")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	default:
		fmt.Fprint(w, "well")
	}
}

// TestUpstreamFaults: what goes wrong with the website is shown to the visitor in plain words and to
// the operator with its cause, holds up nothing else, and is over when the website is back.
func TestUpstreamFaults(t *testing.T) {
	t.Parallel()
	upstream, other := startFaultyUpstream(t), startFaultyUpstream(t)
	folder := t.TempDir()
	yaml, roots := filesYAML(t, folder, "example.test", "other.test")
	p := start(t, folder, yaml+oneDomain("http://"+upstream.address)+fmt.Sprintf("  - {name: other.test, upstream: \"http://%s\"}\n", other.address)+deadDirectory)
	waitForKeys(t, p)
	client := p.client(roots)
	othersWork := func(t *testing.T) {
		t.Helper()
		if status, body := get(t, client, "https://other.test/"); status != http.StatusOK || body != "well" {
			t.Errorf("the other website answers %d %s", status, body)
		}
		if status, body := get(t, client, "https://example.test/.well-known/browserid"); status != http.StatusOK || !strings.Contains(body, "public-key") {
			t.Errorf("the document: %d %s", status, body)
		}
		if status, _ := get(t, client, "https://example.test/persona/authenticate"); status != http.StatusOK {
			t.Errorf("the sign-in page: %d", status)
		}
	}

	t.Run("slow", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://example.test/slow", nil)
		if err != nil {
			t.Fatal(err)
		}
		failed := make(chan error, 1)
		go func() {
			response, err := client.Do(request)
			if err == nil {
				err = errors.Join(fmt.Errorf("got an answer, %d", response.StatusCode), response.Body.Close())
			}
			failed <- err
		}()
		<-upstream.arrived
		othersWork(t)
		if status, body := get(t, client, "https://example.test/"); status != http.StatusOK || body != "well" {
			t.Errorf("another page of the website: %d %s", status, body)
		}
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("the visitor got %v", err)
		}
		<-upstream.left // no one waits for the rest
	})
	for _, path := range []string{"/dies", "/dies-chunked"} {
		t.Run(path, func(t *testing.T) {
			if body, err := whole(client, "https://example.test"+path); err == nil {
				t.Errorf("half an answer looks whole: %q", body)
			}
			apptest.Eventually(t, "it is logged", func() bool {
				return strings.Contains(p.log.String(), `"path":"`+path+`"`) && strings.Contains(p.log.String(), "unexpected EOF")
			})
			othersWork(t)
		})
	}
	t.Run("down and back", func(t *testing.T) {
		upstream.down()
		status, body := get(t, client, "https://example.test/page")
		if status != http.StatusBadGateway || !strings.Contains(body, "example.test") || strings.Contains(body, upstream.address) {
			t.Errorf("the visitor sees %d %s", status, body)
		}
		apptest.Eventually(t, "it is logged with a hint", func() bool {
			return strings.Contains(p.log.String(), "connection refused") && strings.Contains(p.log.String(), "is the website running, and does it listen at "+upstream.address+"?")
		})
		othersWork(t)
		if status, body := p.admin(t, "/readyz"); status != http.StatusOK {
			t.Errorf("a website that is down takes the program out of service: %d %s", status, body)
		}
		upstream.up(t, nil)
		if status, body := get(t, client, "https://example.test/page"); status != http.StatusOK || body != "well" {
			t.Errorf("back, it answers %d %s", status, body)
		}
	})
}

// whole returns an answer's body, or an error when it broke off anywhere.
func whole(client *http.Client, url string) (string, error) {
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// TestRedirectsLeadToThePublicAddress: by default a website's redirect to its own port leads to where the
// client came, over TLS and by plain HTTP before there is a certificate.
func TestRedirectsLeadToThePublicAddress(t *testing.T) {
	t.Parallel()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, port, _ := net.SplitHostPort(r.Context().Value(http.LocalAddrContextKey).(net.Addr).String())
		host, _, _ := strings.Cut(r.Host, ":")
		w.Header().Set("Location", "http://"+host+":"+port+"/dir/")
		w.WriteHeader(http.StatusMovedPermanently)
	}))
	t.Cleanup(site.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(site.URL, "http://"), ":")
	domains := fmt.Sprintf("domains:\n  - {name: example.test, upstream: %[1]s}\n  - {name: as.test, upstream: %[1]s, rewrite_redirects: false}\n", site.URL)
	folder := t.TempDir()
	yaml, roots := filesYAML(t, folder, "example.test", "as.test")
	secure := start(t, folder, strings.Replace(yaml, "listen: {", "listen: {public_https: 8443, ", 1)+domains)
	plain := start(t, t.TempDir(), "state_dir: state\nlisten: {https: \"127.0.0.1:0\", http: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"}\ntls: {acme: {directory: \"https://127.0.0.1:1/\"}}\n"+domains)
	for _, test := range []struct {
		p          *program
		from, want string
	}{
		{secure, "https://example.test/", "https://example.test:8443/dir/"},
		{secure, "https://as.test/", "http://as.test:" + port + "/dir/"},
		{plain, "http://example.test/", "http://example.test/dir/"},
		{plain, "http://as.test/", "http://as.test:" + port + "/dir/"},
	} {
		response, err := test.p.client(roots).Get(test.from)
		if err != nil {
			t.Fatal(err)
		}
		if _ = read(t, response); response.Header.Get("Location") != test.want {
			t.Errorf("%s leads to %q, want %q", test.from, response.Header.Get("Location"), test.want)
		}
	}
}
