package website_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"persona-sidecar/cmd/demo/internal/website"
)

func start(t *testing.T) *website.Server {
	t.Helper()
	site, err := website.New(website.Config{
		MailDomain: "example.localhost", Staff: []website.Person{{Name: "Alice <b>", Role: "Dials"}},
		Now: time.Now, Tick: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	server, err := website.Start(t.Context(), site)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return server
}

func get(t *testing.T, server *website.Server, target string, headers ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL()+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	request.Host = "example.localhost"
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestPages(t *testing.T) {
	t.Parallel()
	server := start(t)
	for target, test := range map[string]struct {
		status int
		kind   string
		says   string
	}{
		"/":                 {200, "text/html; charset=utf-8", `href="/persona/"`},
		"/clock":            {200, "text/html; charset=utf-8", `src="/static/clock.js"`},
		"/people":           {200, "text/html; charset=utf-8", "Alice &lt;b&gt;"},
		"/request":          {200, "text/html; charset=utf-8", "example.localhost"},
		"/request.json":     {200, "application/json", `"host": "example.localhost"`},
		"/static/style.css": {200, "text/css; charset=utf-8", "color-scheme"},
		"/static/clock.js":  {200, "text/javascript; charset=utf-8", "EventSource"},
		"/static/icon.svg":  {200, "image/svg+xml", "<svg"},
		"/nowhere":          {404, "text/html; charset=utf-8", "No such page"},
		"/<script>":         {404, "text/html; charset=utf-8", "&lt;script&gt;"},
	} {
		response, body := get(t, server, target)
		if response.StatusCode != test.status || response.Header.Get("Content-Type") != test.kind {
			t.Errorf("%s: %d %s", target, response.StatusCode, response.Header.Get("Content-Type"))
		}
		if !strings.Contains(body, test.says) {
			t.Errorf("%s does not say %q", target, test.says)
		}
		if response.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s has no content security policy", target)
		}
	}
}

// TestNothingFromOutside: no page asks another server for anything, and none carries what the policy forbids.
func TestNothingFromOutside(t *testing.T) {
	t.Parallel()
	server := start(t)
	foreign := regexp.MustCompile(`(?i)(src|href|url)\s*[=(]\s*["']?(https?:)?//|<style|\sstyle=|\son[a-z]+=|<script>`)
	for _, target := range []string{"/", "/clock", "/people", "/request", "/nowhere", "/static/style.css"} {
		if _, body := get(t, server, target); foreign.MatchString(body) {
			t.Errorf("%s: %s", target, foreign.FindString(body))
		}
	}
}

func TestRequestAsReceived(t *testing.T) {
	t.Parallel()
	server := start(t)
	_, body := get(t, server, "/request.json?a=1;b=%zz", "X-Forwarded-For", "192.0.2.7", "X-Other", "1", "Cookie", "site=secret; other=2")
	var got website.Received
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if got.Host != "example.localhost" || got.Target != "/request.json?a=1;b=%zz" || got.Method != "GET" {
		t.Errorf("request line: %+v", got)
	}
	if got.Get("x-forwarded-for") != "192.0.2.7" || !got.Headers[0].Forwarded || got.Get("X-Absent") != "" {
		t.Errorf("headers: %+v", got.Headers)
	}
	if strings.Join(got.Cookies, " ") != "site other" || got.SidecarCookie || strings.Contains(body, "secret") {
		t.Errorf("cookies: %s", body)
	}
	if _, body := get(t, server, "/", "Remote-User", "alice", "Remote-Name", "Alice <b>"); !strings.Contains(body, `id="person">Alice &lt;b&gt;<`) || !strings.Contains(body, "/persona/logout?return=%2f") {
		t.Errorf("the page does not show who is signed in: %s", body)
	}
	if _, body := get(t, server, "/people"); strings.Contains(body, `id="person"`) || !strings.Contains(body, "/persona/login?return=%2fpeople") {
		t.Errorf("the page does not offer to sign in: %s", body)
	}
	_, body = get(t, server, "/request", "Cookie", "__Host-persona=x")
	if !strings.Contains(body, `role="alert"`) {
		t.Error("the sidecar's cookie reached the website and the page does not say so")
	}
}

func TestClockStreams(t *testing.T) {
	t.Parallel()
	server := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL()+"/clock/beats", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Transport: &http.Transport{}}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(response.Body)
	for beats := 0; beats < 3 && lines.Scan(); {
		moment, isData := strings.CutPrefix(lines.Text(), "data: ")
		if !isData {
			continue
		}
		if _, err := time.Parse(time.RFC3339Nano, moment); err != nil {
			t.Fatal(err)
		}
		beats++
	}
	if err := server.Close(); err != nil {
		t.Errorf("a stream keeps the server from stopping: %v", err)
	}
	for lines.Scan() { // the stream has to end by itself
	}
}
