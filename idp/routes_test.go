package idp_test

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"persona-sidecar/idp"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/keys"

	"github.com/google/go-cmp/cmp"
)

func TestRoutes(t *testing.T) {
	t.Parallel()
	const (
		notFramed = "frame-ancestors 'none'"
		scripts   = "script-src https://example.test/persona/static/ https://example.test/persona/provisioning_api.js https://example.test/persona/authentication_api.js"
	)
	tests := []struct {
		path, contentType, csp, cache, resource, allow string
		status                                         int // of a GET
	}{
		{"/.well-known/browserid", "application/json", notFramed, "public, max-age=3600", "cross-origin", "GET, HEAD", 200},
		{"/.well-known/browserid?domain=%00'\"", "application/json", notFramed, "public, max-age=3600", "cross-origin", "GET, HEAD", 200},
		{"/persona", "text/html; charset=utf-8", notFramed, "no-store", "same-origin", "GET, HEAD", 200},
		{"/persona/", "text/html; charset=utf-8", scripts, "no-store", "same-origin", "GET, HEAD", 200},
		{"/persona/authenticate", "text/html; charset=utf-8", notFramed, "no-store", "same-origin", "GET, HEAD, POST", 200},
		{"/persona/provision", "text/html; charset=utf-8", "frame-ancestors 'self' https://hub.example.test", "no-store", "cross-origin", "GET, HEAD", 200},
		{"/persona/logout", "text/html; charset=utf-8", notFramed, "no-store", "same-origin", "GET, HEAD, POST", 200},
		{"/persona/api/session", "application/json", notFramed, "no-store", "same-origin", "GET, HEAD", 200},
		{"/persona/api/certificate", "application/json", notFramed, "no-store", "same-origin", "POST", 405},
		{"/persona/provisioning_api.js", "text/javascript; charset=utf-8", notFramed, "public, max-age=300", "cross-origin", "GET, HEAD", 200},
		{"/persona/authentication_api.js", "text/javascript; charset=utf-8", notFramed, "public, max-age=300", "cross-origin", "GET, HEAD", 200},
	}
	for _, test := range tests {
		t.Run(test.path, func(t *testing.T) {
			t.Parallel()
			b := newWorld(t).browser()
			response := b.get(test.path)
			wantStatus(t, response, test.status)
			got := map[string]string{}
			for _, name := range []string{"Content-Type", "Cache-Control", "Cross-Origin-Resource-Policy", "X-Content-Type-Options", "Referrer-Policy", "X-Frame-Options", "Cross-Origin-Opener-Policy", "Set-Cookie", "Location"} {
				got[name] = strings.Join(response.Header[name], "\n")
			}
			want := map[string]string{
				"Content-Type": test.contentType, "Cache-Control": test.cache, "Cross-Origin-Resource-Policy": test.resource,
				"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
				"X-Frame-Options": "", "Cross-Origin-Opener-Policy": "", "Set-Cookie": "", "Location": "",
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
			csp := response.Header.Get("Content-Security-Policy")
			if !strings.Contains(csp, test.csp) || !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
				t.Errorf("CSP: %s", csp)
			}
			refused := b.send("BREW", test.path, "", "")
			wantStatus(t, refused, http.StatusMethodNotAllowed)
			if got := refused.Header.Get("Allow"); got != test.allow {
				t.Errorf("Allow: %s, want %s", got, test.allow)
			}
			if got := refused.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("the refusal may be cached: %s", got)
			}
			if test.status == http.StatusOK {
				head := b.send(http.MethodHead, test.path, "", "")
				wantStatus(t, head, http.StatusOK)
			}
		})
	}
}

func TestStaticFiles(t *testing.T) {
	t.Parallel()
	b := newWorld(t).browser()
	page := text(t, b.get("/persona/authenticate"))
	paths := regexp.MustCompile(`/persona/static/[0-9a-f]{16}/[a-z.]+`).FindAllString(page, -1)
	if len(paths) < 3 {
		t.Fatalf("the page refers to %v only", paths)
	}
	for _, path := range paths {
		response := b.get(path)
		wantStatus(t, response, http.StatusOK)
		if got := response.Header.Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
			t.Errorf("%s: Cache-Control %s", path, got)
		}
		again := b.get(path, with("If-None-Match", response.Header.Get("ETag")))
		wantStatus(t, again, http.StatusNotModified)
	}
	wantStatus(t, b.get(strings.Replace(paths[0], "/static/", "/static/0", 1)), http.StatusNotFound)
	if strings.Contains(page, "style=") || strings.Contains(page, "<style") || regexp.MustCompile(`<script[^>]*>[^<]`).MatchString(page) {
		t.Error("the page has an inline script or style")
	}
	if regexp.MustCompile(`(src|href)="(https?:)?//`).MatchString(page) {
		t.Error("the page refers to something outside")
	}
}

// TestFilesOfAnotherHost: a page of a host that serves no files of ours loads those of its
// identity host, which lets every page load them; without one it has no style.
func TestFilesOfAnotherHost(t *testing.T) {
	t.Parallel()
	for _, files := range []string{"", "https://id.example.test:8443"} {
		b := newWorld(t, func(s *settings) { s.Hosts[2].Files = files }).browser()
		b.host = "delegating.test"
		response := b.get("/persona/")
		page, policy := text(t, response), response.Header.Get("Content-Security-Policy")
		loaded := regexp.MustCompile(`(?:src|href)="([^"]*/persona/static/[^"]*)"`).FindAllStringSubmatch(page, -1)
		if (files == "") != (len(loaded) == 0) {
			t.Errorf("%q: the page loads %v", files, loaded)
		}
		for _, match := range loaded {
			if !strings.HasPrefix(match[1], files+"/persona/static/") {
				t.Errorf("the page loads %s", match[1])
			}
		}
		if files != "" && !strings.Contains(policy, "style-src "+files+"/persona/static/;") {
			t.Errorf("the policy is %s", policy)
		}
	}
	b := newWorld(t).browser()
	style := regexp.MustCompile(`/persona/static/[^"]*style.css`).FindString(text(t, b.get("/persona/")))
	header := b.get(style).Header
	if header.Get("Cross-Origin-Resource-Policy") != "cross-origin" || header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("the style has the headers %v", header)
	}
}

// Every spelling that decodes into one of our paths, or is one once cleaned,
// is matched, so that the website never sees it, and is not found.
func TestSpellings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	for _, target := range []string{
		"/%70ersona/", "/%70ersona", "/persona/%61uthenticate", "/persona//authenticate", "/persona/../persona/",
		"/persona/..", "/persona/../admin", "/persona/./authenticate", "/x/../persona/authenticate", "//persona/", "/persona//",
		"/.well-known//browserid", "/.well-known/%62rowserid", "/./.well-known/browserid", "/%2ewell-known/browserid",
		"/.well-known/x/../browserid", "/persona%2fauthenticate", "/persona%2Fapi%2Fcertificate", "/persona/authenticate/",
		"/persona/authenticate%00", "/persona/authenticate%3Femail=x", "/persona/%2e%2e/x", "/persona/static/", "/persona/static/../authenticate",
		"/persona/sign_in", "/persona/include.js", "/persona/communication_iframe", "/persona/wsapi/address_info", "/persona/wsapi/session_context", "/persona/verify", "/persona/v2",
		"/persona/API/session", "/persona/Authenticate", "/persona/%E4%F6", "/persona///evil.test/x",
	} {
		response := b.get(target)
		wantStatus(t, response, http.StatusNotFound)
		if response.Header.Get("Location") != "" || response.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s: headers %v", target, response.Header)
		}
	}
	for _, target := range []string{"/", "/personal", "/persona.html", "/Persona/", "/x/persona/", "/.well-known/acme-challenge/x", "/.well-known/browserid.json", "/.well-known/", "/%2570ersona/"} {
		r := httptest.NewRequest(http.MethodGet, target, nil)
		r.Host = host
		if w.server.Match(r) {
			t.Errorf("%s is the website's, yet it is matched", target)
		}
	}
	for _, name := range []string{"www.example.test", "", "example.test.evil.test"} {
		r := httptest.NewRequest(http.MethodGet, "/persona/", nil)
		r.Host = name
		if w.server.Match(r) {
			t.Errorf("the host %q is matched", name)
		}
	}
}

// Request lines that Go's client would not send.
func TestRawRequestLines(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !w.server.Match(r) {
			rw.WriteHeader(http.StatusTeapot) // the website
			return
		}
		w.server.ServeHTTP(rw, r)
	}))
	defer server.Close()
	for line, want := range map[string]int{
		"GET /persona/ HTTP/1.1":                                   200,
		"GET https://example.test/persona/ HTTP/1.1":               200,
		"GET /persona/#x HTTP/1.1":                                 404,
		"GET /persona/;x HTTP/1.1":                                 404,
		"GET /persona/\\..\\x HTTP/1.1":                            404,
		"GET /persona/%zz HTTP/1.1":                                400,
		"GET /persona/?a;b%zz HTTP/1.1":                            200,
		"GET /.well-known/browserid?;;=%zz&domain=a%00b HTTP/1.1":  200,
		"GET http://example.test/%70ersona/authenticate HTTP/1.1":  404,
		"GET /%2e%2e/persona/authenticate HTTP/1.1":                404,
		"GET /persona/api/certificate/../session?email=x HTTP/1.1": 404,
		"TRACE /persona/ HTTP/1.1":                                 405,
		"CONNECT /persona/ HTTP/1.1":                               405,
		"GET //example.test/persona/ HTTP/1.1":                     418,
		"GET /..%2fpersona%2fauthenticate?email=a@b.test HTTP/1.1": 404,
	} {
		connection, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := connection.Write([]byte(line + "\r\nHost: example.test\r\nConnection: close\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(connection), nil)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if response.StatusCode != want {
			t.Errorf("%s: status %d, want %d", line, response.StatusCode, want)
		}
		response.Body.Close()
		connection.Close()
	}
}

func TestServiceWorkerIsRefused(t *testing.T) {
	t.Parallel()
	b := newWorld(t).browser()
	for _, path := range []string{"/persona/provisioning_api.js", "/persona/authentication_api.js", "/persona/", "/.well-known/browserid"} {
		wantStatus(t, b.get(path, with("Service-Worker", "script")), http.StatusForbidden)
	}
}

func TestHostsWithoutIdentity(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct{ document, words string }{
		"delegating.test": {`{"authority":"example.test"}`, `href="https://example.test/persona/"`},
		"disabled.test":   {`{"disabled":true}`, "switched off"},
	} {
		b := newWorld(t, func(c *settings) { c.Keys = emptyRing() }).browser()
		b.host = name
		response := b.get("/.well-known/browserid?domain=x")
		wantStatus(t, response, http.StatusOK)
		if got := text(t, response); got != want.document {
			t.Errorf("%s publishes %s", name, got)
		}
		for _, path := range []string{"/persona", "/persona/", "/persona/authenticate", "/persona/provision", "/persona/include.js"} {
			page := wantPage(t, b.get(path), http.StatusNotFound, want.words, name)
			if strings.Contains(page, "/persona/static/") {
				t.Error("the page refers to files that the host does not serve")
			}
		}
		wantError(t, b.get("/persona/api/session"), http.StatusNotFound, "not_found")
		wantError(t, b.postJSON("/persona/api/certificate", "{}"), http.StatusNotFound, "not_found")
	}
}

func emptyRing() *keys.Ring { return keys.New(keys.Config{}) }

func TestKeysNotReady(t *testing.T) {
	t.Parallel()
	b := newWorld(t, func(c *settings) { c.Keys = emptyRing() }).browser()
	for _, path := range []string{"/.well-known/browserid", "/persona/", "/persona/authenticate", "/persona/provision", "/persona/api/session"} {
		response := b.get(path)
		wantStatus(t, response, http.StatusServiceUnavailable)
		if response.Header.Get("Retry-After") == "" || response.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", path, response.Header)
		}
		if !strings.Contains(text(t, response), "not ready") {
			t.Errorf("%s does not say why", path)
		}
	}
	wantError(t, b.postJSON("/persona/api/certificate", certificateRequest("alice@example.test")), http.StatusServiceUnavailable, "keys_not_ready")
	wantStatus(t, b.get("/persona/provisioning_api.js"), http.StatusOK)
}

func TestSessionStoreDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	b.signIn("alice", password)
	w.sessions.Fail = func(string, string) error { return errors.New("the disk of 10.1.2.3 is gone") }
	for _, path := range []string{"/persona/", "/persona/authenticate?email=alice@example.test", "/persona/api/session"} {
		response := b.get(path)
		wantStatus(t, response, http.StatusServiceUnavailable)
		if strings.Contains(text(t, response), "10.1.2.3") {
			t.Error("the page tells internals")
		}
	}
	wantPage(t, b.postForm("/persona/logout", nil), http.StatusServiceUnavailable, "Try again")
	wantError(t, b.postJSON("/persona/api/certificate", certificateRequest("alice@example.test")), http.StatusServiceUnavailable, "sessions_unavailable")
	wantStatus(t, w.browser().postForm("/persona/authenticate", signInForm("alice", password)), http.StatusServiceUnavailable)

	w.sessions.Fail = nil
	if !b.signedIn() {
		t.Error("the outage has ended the session")
	}
}

func TestConfigurationFaults(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change change
		words  string
	}{
		"host twice":      {func(c *settings) { c.Hosts[1] = c.Hosts[0] }, "listed twice"},
		"host in capital": {func(c *settings) { c.Hosts[0].Name = "Example.test" }, "canonical"},
		"no role":         {func(c *settings) { c.Hosts[0].Role = 0 }, "role is missing"},
		"http origin":     {func(c *settings) { c.Hosts[0].Origin = "http://example.test" }, "origin"},
		"origin's slash":  {func(c *settings) { c.Hosts[0].Origin = "https://example.test/" }, "origin"},
		"hub with query":  {provider(func(i *identity.Host) { i.Hubs = []string{"https://hub.test/?x"} }), "hub"},
		"hub in CSP":      {provider(func(i *identity.Host) { i.Hubs = []string{"https://hub.test; script-src *"} }), "hub"},
		"no domains":      {provider(func(i *identity.Host) { i.Domains = nil }), "mail domain"},
		"too long":        {provider(func(i *identity.Host) { i.CertificateLifetime *= 25 }), "lifetime"},
		"no directory":    {provider(func(i *identity.Host) { i.Directory = nil }), "directory"},
		"authority":       {func(c *settings) { c.Hosts[2].Authority = "https://x.test" }, "authority"},
	} {
		config := settings{}
		newWorld(t, func(c *settings) { config = *c; config.Hosts = append([]identity.Host(nil), c.Hosts...) })
		test.change(&config)
		_, _, err := config.build()
		if err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: error %v, want one with %q", name, err, test.words)
		}
	}
	_, err := idp.New(idp.Config{Hosts: []identity.Host{{}}})
	if err == nil || strings.Count(err.Error(), "missing") != 3 || !strings.Contains(err.Error(), "canonical") {
		t.Errorf("not all faults are listed at once: %v", err)
	}
}

// provider changes the first host.
func provider(edit func(*identity.Host)) change {
	return func(c *settings) { edit(&c.Hosts[0]) }
}
