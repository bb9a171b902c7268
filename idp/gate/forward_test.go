package gate_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/idp"
	"persona-sidecar/idp/gate"
	"persona-sidecar/idp/gate/access"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"
)

// newNeighbours returns a world whose websites are served by neighbours: example.test at 127.0.0.1, elsewhere.test at
// 127.0.0.2. Requests to it are for our own paths.
func newNeighbours(t testing.TB, change func(*gate.Site)) *world {
	t.Helper()
	w := newWorld(t, func(s *gate.Site) {
		s.Peers = []netip.Addr{netip.MustParseAddr("127.0.0.1")}
		s.Authority.CertificateLifetime = time.Hour
		if change != nil {
			change(s)
		}
	})
	hosts := []identity.Host{*w.place.Authority}
	for _, name := range []string{website, elsewhere} {
		hosts = append(hosts, identity.Host{Name: name, Origin: "https://" + name, Role: identity.Site, Files: "https://" + id})
	}
	server, err := idp.New(idp.Config{
		Hosts: hosts, KeysReady: func(string) error { return nil },
		HostName: func(r *http.Request) string { return r.Host },
		Respond: &route.Responder{
			Web: w.web, Log: zerolog.New(zerolog.SyncWriter(&w.log)), ClientAddr: func(*http.Request) netip.Addr { return netip.Addr{} },
			RequestID: func(*http.Request) string { return "request-1" },
		},
	}, w.Gate)
	if err != nil {
		t.Fatal(err)
	}
	w.server.Config.Handler = server
	return w
}

// ask asks at a host, from an address, and returns the answer and its body.
func (w *world) ask(t testing.TB, from, host, method, target string, fields ...string) (*http.Response, string) {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := dialer.Dial("tcp4", w.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	lines := append([]string{method + " " + target + " HTTP/1.1", "Host: " + host, "Connection: close"}, fields...)
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s %s %q: %v", method, target, fields, err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

const where = "/persona/forward-auth"

// forwarded are the fields of Caddy and Traefik, original those of nginx.
func forwarded(method, target string, more ...string) []string {
	return append([]string{"X-Forwarded-Host: " + website, "X-Forwarded-Proto: https", "X-Forwarded-Method: " + method, "X-Forwarded-Uri: " + target}, more...)
}

func original(method, target string, more ...string) []string {
	return append([]string{"X-Original-Method: " + method, "X-Original-URL: https://" + website + target}, more...)
}

// TestForwardAuth: the answer about a request is that of the gate about the same request to a website behind us, in either
// way of describing it.
func TestForwardAuth(t *testing.T) {
	t.Parallel()
	w := newNeighbours(t, nil)
	cookie := "Cookie: theme=dark; " + w.signIn(t)
	for name, test := range map[string]struct {
		method, target string
		fields         []string
		status         int
		user, location string
		body           string
	}{
		"signed in":                 {"GET", "/intern/", append(slices.Clone(navigation), cookie), 200, "anna", "", ""},
		"public, signed in":         {"GET", "/", []string{cookie}, 200, "anna", "", ""},
		"public, stranger":          {"GET", "/", navigation, 200, "", "", ""},
		"HEAD":                      {"HEAD", "/intern/", append(slices.Clone(navigation), cookie), 200, "anna", "", ""},
		"group":                     {"GET", "/admin/x", []string{cookie}, 200, "anna", "", ""},
		"another case":              {"GET", "/ADMIN/x", []string{cookie}, 200, "anna", "", ""},
		"wrong group":               {"GET", "/board", append(slices.Clone(navigation), cookie), 403, "", "", "You are signed in as anna. This part of example.test"},
		"wrong group, fetch":        {"GET", "/board", append(slices.Clone(fetch), cookie), 403, "", "", `{"error":"wrong_group"`},
		"form":                      {"POST", "/intern/", append(slices.Clone(form), cookie), 200, "anna", "", ""},
		"sibling's form":            {"POST", "/intern/", append(slices.Clone(sibling), cookie), 403, "", "", "came from a page of another website"},
		"sibling's form, public":    {"POST", "/", append(slices.Clone(sibling), cookie), 200, "", "", ""},
		"method of another case":    {"get", "/", append(slices.Clone(sibling), cookie), 200, "", "", ""},
		"websocket":                 {"GET", "/intern/", []string{cookie, "Origin: https://example.test", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13"}, 200, "anna", "", ""},
		"websocket of another page": {"GET", "/intern/", []string{cookie, "Origin: https://evil.test", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13"}, 403, "", "", "cross_site"},
		"websocket without origin":  {"GET", "/intern/", []string{cookie, "Sec-WebSocket-Version: 13"}, 403, "", "", "cross_site"},
		"git":                       {"GET", "/git/x", []string{cookie, "Authorization: Basic YTpi"}, 200, "", "", ""},
		"stranger":                  {"GET", "/intern/a?x=1&y=2", navigation, 401, "", "https://example.test/persona/login?return=%2Fintern%2Fa%3Fx%3D1%26y%3D2", "Sign in"},
		"stranger's fetch":          {"GET", "/intern/", fetch, 401, "", "", `{"error":"sign_in_required"`},
		"stranger's form":           {"POST", "/intern/", form, 401, "", "", "Nothing was sent"},
		"program at git":            {"GET", "/git/x", curl, 401, "", "", "sign_in_required"},
		"odd":                       {"GET", "/x/..%2fadmin/", append(slices.Clone(navigation), cookie), 400, "", "", "This address cannot be used"},
		"odd, two slashes":          {"GET", "//evil.test/intern/", append(slices.Clone(navigation), cookie), 400, "", "", "This address cannot be used"},
		"odd, fragment":             {"GET", "/admin/#/x", []string{cookie}, 400, "", "", "odd_target"},
		"odd, semicolon":            {"GET", "/..;/admin/", []string{cookie}, 400, "", "", "odd_target"},
		"encoded":                   {"GET", "/%61dmin/", navigation, 401, "", "https://example.test/persona/login?return=%2F%2561dmin%2F", ""},
		"service worker":            {"GET", "/sw.js", []string{cookie, "Service-Worker: script"}, 200, "anna", "", ""},
		"many cookies":              {"GET", "/", []string{cookie, "Cookie: a=" + strings.Repeat("x", 20<<10)}, 200, "anna", "", ""},
		"cross-site, of this one":   {"GET", "/", []string{cookie, "Origin: https://evil.test", "Sec-Fetch-Site: cross-site"}, 200, "anna", "", ""},
		"cookie of the identity":    {"GET", "/intern/", []string{strings.Replace(cookie, "-site=", "=", 1)}, 401, "", "", ""},
		"two cookies":               {"GET", "/", []string{cookie, "Cookie: __Host-persona-site=planted"}, 200, "", "", ""},
	} {
		for how, describe := range map[string]func(method, target string, more ...string) []string{"forwarded": forwarded, "original": original} {
			for _, at := range []string{website, id} {
				method := map[string]string{"original": "GET", "forwarded": test.method}[how] // nginx asks by GET
				if method == "get" {
					method = "GET"
				}
				response, body := w.ask(t, "127.0.0.1", at, method, where, describe(test.method, test.target, test.fields...)...)
				if response.StatusCode != test.status || response.Header.Get("Remote-User") != test.user || response.Header.Get("Location") != test.location ||
					method != "HEAD" && !strings.Contains(body, test.body) || response.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("%s, %s, at %s: %d %v\n%s", name, how, at, response.StatusCode, response.Header, body)
				}
				if test.status == 200 && (body != "" || test.user != "" && (response.Header.Get("Remote-Groups") != "editors,staff" || response.Header.Get("X-Persona-Assertion") == "")) {
					t.Errorf("%s, %s: %v %s", name, how, response.Header, body)
				}
				if response.Header.Get("Set-Cookie") != "" {
					t.Errorf("%s, %s: sets a cookie", name, how)
				}
			}
		}
	}
	response, _ := w.ask(t, "127.0.0.1", id, "GET", where+"?redirect=yes", forwarded("GET", "/intern/?a=b", navigation...)...)
	if response.StatusCode != 303 || response.Header.Get("Location") != "https://example.test/persona/login?return=%2Fintern%2F%3Fa%3Db" {
		t.Errorf("with redirects: %d to %s", response.StatusCode, response.Header.Get("Location"))
	}
	if response, _ = w.ask(t, "127.0.0.1", id, "GET", where+"?redirect=yes", forwarded("GET", "/intern/", fetch...)...); response.StatusCode != 401 {
		t.Errorf("a script is redirected: %d", response.StatusCode)
	}
	if w.counted["signed_in"] == 0 || w.counted["anonymous"] == 0 || w.counted["login"] == 0 || w.counted["wrong_group"] == 0 {
		t.Errorf("counted: %v", w.counted)
	}
}

// TestForwardAuthBadQuestions: strangers, neighbours that ask about another's website, and descriptions of a request that
// a client may have had a part in.
func TestForwardAuthBadQuestions(t *testing.T) {
	t.Parallel()
	w := newNeighbours(t, nil)
	cookie := "Cookie: " + w.signIn(t)
	for name, test := range map[string]struct {
		from, host string
		fields     []string
		status     int
		body       string
	}{
		"stranger":                              {"127.0.0.3", id, forwarded("GET", "/"), 403, "no_neighbour"},
		"stranger at the website":               {"127.0.0.3", website, forwarded("GET", "/"), 403, "no_neighbour"},
		"stranger with nothing":                 {"127.0.0.3", id, nil, 403, "no_neighbour"},
		"stranger behind a claim":               {"127.0.0.3", id, forwarded("GET", "/", "X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1", "Forwarded: for=127.0.0.1"), 403, "no_neighbour"},
		"stranger, two of a field":              {"127.0.0.3", id, forwarded("GET", "/", "X-Forwarded-Uri: /"), 403, "no_neighbour"},
		"another's website":                     {"127.0.0.2", id, forwarded("GET", "/"), 403, "no_neighbour"},
		"another's website, at its host":        {"127.0.0.2", website, forwarded("GET", "/"), 403, "no_neighbour"},
		"another's website, as its own host":    {"127.0.0.2", elsewhere, forwarded("GET", "/"), 403, "no_neighbour"},
		"another's website, by the whole URL":   {"127.0.0.2", id, original("GET", "/"), 403, "no_neighbour"},
		"one's own, at another host":            {"127.0.0.1", elsewhere, forwarded("GET", "/"), 400, "bad_question"},
		"an unknown website":                    {"127.0.0.1", id, []string{"X-Forwarded-Host: unknown.test", "X-Forwarded-Method: GET", "X-Forwarded-Uri: /"}, 403, "no_neighbour"},
		"the identity host itself":              {"127.0.0.1", id, []string{"X-Forwarded-Host: " + id, "X-Forwarded-Method: GET", "X-Forwarded-Uri: /"}, 403, "no_neighbour"},
		"nothing":                               {"127.0.0.1", website, nil, 400, "bad_question"},
		"no host":                               {"127.0.0.1", id, []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /"}, 400, "bad_question"},
		"no method":                             {"127.0.0.1", website, []string{"X-Forwarded-Uri: /"}, 400, "bad_question"},
		"no method of the same kind":            {"127.0.0.1", website, []string{"X-Original-URL: /", "X-Forwarded-Method: GET"}, 400, "bad_question"},
		"no address":                            {"127.0.0.1", website, []string{"X-Forwarded-Method: GET"}, 400, "bad_question"},
		"empty address":                         {"127.0.0.1", website, forwarded("GET", ""), 400, "bad_question"},
		"no path":                               {"127.0.0.1", website, forwarded("GET", "intern"), 400, "bad_question"},
		"asterisk":                              {"127.0.0.1", website, forwarded("OPTIONS", "*"), 400, "bad_question"},
		"absolute form":                         {"127.0.0.1", website, forwarded("GET", "https://example.test/"), 400, "bad_question"},
		"two addresses, joined":                 {"127.0.0.1", website, forwarded("GET", "/admin/health, /admin/"), 400, "bad_question"},
		"URL without a path":                    {"127.0.0.1", website, []string{"X-Original-Method: GET", "X-Original-URL: https://example.test"}, 400, "bad_question"},
		"URL with a user":                       {"127.0.0.1", website, []string{"X-Original-Method: GET", "X-Original-URL: https://x@example.test/"}, 400, "bad_question"},
		"two of X-Forwarded-Uri":                {"127.0.0.1", id, forwarded("GET", "/intern/", "X-Forwarded-Uri: /"), 400, "bad_question"},
		"two of X-Forwarded-Host":               {"127.0.0.1", id, forwarded("GET", "/", "X-Forwarded-Host: example.test"), 400, "bad_question"},
		"two of X-Forwarded-Method":             {"127.0.0.1", id, forwarded("POST", "/", "X-Forwarded-Method: GET"), 400, "bad_question"},
		"two of X-Forwarded-Proto":              {"127.0.0.1", id, forwarded("GET", "/", "X-Forwarded-Proto: https"), 400, "bad_question"},
		"two of X-Original-URL":                 {"127.0.0.1", id, original("GET", "/intern/", "X-Original-URL: https://example.test/"), 400, "bad_question"},
		"two hosts, joined":                     {"127.0.0.1", id, []string{"X-Forwarded-Host: example.test, elsewhere.test", "X-Forwarded-Method: GET", "X-Forwarded-Uri: /"}, 400, "bad_question"},
		"client's X-Forwarded-Uri":              {"127.0.0.1", id, original("GET", "/intern/", "X-Forwarded-Uri: /", "X-Forwarded-Method: GET"), 400, "bad_question"},
		"client's X-Forwarded-Uri alone":        {"127.0.0.1", id, original("GET", "/intern/", "X-Forwarded-Uri: /intern/"), 400, "bad_question"},
		"client's X-Forwarded-Method":           {"127.0.0.1", id, original("POST", "/intern/", "X-Forwarded-Method: GET"), 400, "bad_question"},
		"client's X-Forwarded-Host":             {"127.0.0.1", id, original("GET", "/", "X-Forwarded-Host: elsewhere.test"), 400, "bad_question"},
		"client's X-Original-URL":               {"127.0.0.1", id, forwarded("GET", "/intern/", "X-Original-URL: /", "X-Original-Method: GET"), 400, "bad_question"},
		"client's X-Original-Method":            {"127.0.0.1", id, forwarded("POST", "/", "X-Original-Method: GET"), 400, "bad_question"},
		"client's X-Original-Host":              {"127.0.0.1", id, original("GET", "/", "X-Original-Host: elsewhere.test"), 400, "bad_question"},
		"client's X-Forwarded-Proto":            {"127.0.0.1", id, []string{"X-Original-Method: GET", "X-Original-URL: http://example.test/intern/", "X-Forwarded-Proto: https"}, 400, "bad_question"},
		"plain HTTP":                            {"127.0.0.1", website, []string{"X-Forwarded-Proto: http", "X-Forwarded-Method: GET", "X-Forwarded-Uri: /intern/"}, 403, "not_https"},
		"no scheme":                             {"127.0.0.1", website, []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /intern/"}, 403, "not_https"},
		"two schemes":                           {"127.0.0.1", website, []string{"X-Forwarded-Proto: https, http", "X-Forwarded-Method: GET", "X-Forwarded-Uri: /intern/"}, 403, "not_https"},
		"plain HTTP, public: without identity":  {"127.0.0.1", website, []string{"X-Forwarded-Proto: http", "X-Forwarded-Method: GET", "X-Forwarded-Uri: /"}, 200, ""},
		"X-Forwarded-Prefix counts for nothing": {"127.0.0.1", website, forwarded("GET", "/intern/", "X-Forwarded-Prefix: /admin/health", "X-Rewrite-URL: /", "X-HTTP-Method-Override: POST"), 200, ""},
		"host in another spelling":              {"127.0.0.1", id, []string{"X-Forwarded-Host: Example.TEST:443", "X-Forwarded-Proto: HTTPS", "X-Forwarded-Method: GET", "X-Forwarded-Uri: /intern/"}, 200, ""},
		"path alone, at the website's host":     {"127.0.0.1", website, []string{"X-Original-URL: /intern/", "X-Original-Method: GET", "X-Forwarded-Proto: https"}, 200, ""},
		"both kinds that agree":                 {"127.0.0.1", id, forwarded("GET", "/intern/", original("GET", "/intern/")...), 200, ""},
		"another one's own website":             {"127.0.0.2", id, []string{"X-Original-URL: https://elsewhere.test/intern/", "X-Original-Method: GET"}, 401, "sign_in_required"},
	} {
		response, body := w.ask(t, test.from, test.host, "GET", where, append(slices.Clone(test.fields), cookie)...)
		named := response.Header.Get("Remote-User")
		if response.StatusCode != test.status || !strings.Contains(body, test.body) || (named != "") != (test.status == 200 && !strings.Contains(name, "without identity")) {
			t.Errorf("%s: %d %q %s", name, response.StatusCode, named, body)
		}
		if test.body == "no_neighbour" && body != `{"error":"no_neighbour","message":"This address may not ask."}` {
			t.Errorf("%s: a stranger is told more: %s", name, body)
		}
	}
	text := w.log.String()
	for _, want := range []string{`127.0.0.3 is in the list proxies of no entry`, `list this address in the entry's proxies in forward_auth`} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks %s:\n%s", want, text)
		}
	}
	if n := strings.Count(text, "a server that asks who is signed in gets no answer"); n != 10 || strings.Contains(text, "__Host") {
		t.Errorf("%d lines about servers that ask", n)
	}
}

// TestForwardAuthOverTime: a sign-out counts at once, and one Set-Cookie line clears the cookie; while the directory is
// away, people who are signed in count as strangers after five minutes.
func TestForwardAuthOverTime(t *testing.T) {
	t.Parallel()
	w := newNeighbours(t, nil)
	cookie := "Cookie: " + w.signIn(t)
	ask := func(target string) (*http.Response, string) {
		return w.ask(t, "127.0.0.1", website, "GET", where, forwarded("GET", target, append(slices.Clone(navigation), cookie)...)...)
	}
	if response, _ := ask("/intern/"); response.StatusCode != 200 {
		t.Fatal(response.StatusCode)
	}
	w.directory.Fail(errors.New("down"))
	w.clock.Advance(4 * time.Minute)
	if response, _ := ask("/intern/"); response.StatusCode != 200 || response.Header.Get("Remote-User") != "anna" {
		t.Errorf("the directory is away for a moment: %d", response.StatusCode)
	}
	w.clock.Advance(2 * time.Minute)
	if response, body := ask("/intern/"); response.StatusCode != 503 || response.Header.Get("Retry-After") == "" || response.Header.Get("Set-Cookie") != "" {
		t.Errorf("the directory is away: %d %v %s", response.StatusCode, response.Header, body)
	}
	if response, _ := ask("/"); response.StatusCode != 200 || response.Header.Get("Remote-User") != "" {
		t.Errorf("the directory is away: %d, %s", response.StatusCode, response.Header.Get("Remote-User"))
	}
	w.directory.Fail(nil)
	w.clock.Advance(time.Minute)
	if response, _ := ask("/intern/"); response.StatusCode != 200 {
		t.Errorf("the directory is back: %d", response.StatusCode)
	}

	r := httptest.NewRequest(http.MethodPost, "/persona/logout", nil)
	r.Header.Set("Cookie", strings.TrimPrefix(cookie, "Cookie: "))
	if ended, err := w.sessions.SignOutAt(httptest.NewRecorder(), r, w.place, false); err != nil || !ended {
		t.Fatal(ended, err)
	}
	for target, status := range map[string]int{"/": 200, "/intern/": 401} {
		response, _ := ask(target)
		lines := response.Header["Set-Cookie"]
		if response.StatusCode != status || response.Header.Get("Remote-User") != "" || len(lines) != 1 || !strings.HasPrefix(lines[0], session.SiteCookieName+"=; Path=/; Max-Age=0") {
			t.Errorf("%s after signing out: %d %v", target, response.StatusCode, response.Header)
		}
	}
}

// BenchmarkForwardAuth is an answer about a person who is signed in.
func BenchmarkForwardAuth(b *testing.B) {
	w := newNeighbours(b, func(s *gate.Site) { s.Rules = access.Rules{{Path: "/", Allow: access.SignedIn}} })
	cookie := strings.TrimPrefix(w.signIn(b), "Cookie: ")
	r := httptest.NewRequest(http.MethodGet, where, nil)
	r.Host, r.RemoteAddr = website, "127.0.0.1:1"
	for name, value := range map[string]string{"X-Forwarded-Proto": "https", "X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/wiki/page?x=1", "Cookie": cookie, "X-Forwarded-Host": website} {
		r.Header.Set(name, value)
	}
	for b.Loop() {
		to := httptest.NewRecorder()
		w.server.Config.Handler.ServeHTTP(to, r)
		if to.Code != http.StatusOK || to.Header().Get("Remote-User") != "anna" {
			b.Fatal(to.Code, to.Header())
		}
	}
}
