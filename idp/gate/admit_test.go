package gate_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/gate"
	"persona-sidecar/idp/gate/access"
	"persona-sidecar/idp/identity"
)

// TestStrangers: what a client that is not signed in gets, by what it is.
func TestStrangers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	const json = `{"error":"sign_in_required","message":"This part of example.test is for people who are signed in.","sign_in":"/persona/login"}`
	for name, test := range map[string]struct {
		method, target string
		fields         []string
		status         int
		location, body string
	}{
		"navigation":               {"GET", "/intern/", navigation, 303, "/persona/login?return=%2Fintern%2F", ""},
		"HEAD":                     {"HEAD", "/intern/", navigation, 303, "/persona/login?return=%2Fintern%2F", ""},
		"old browser":              {"GET", "/intern/", oldBrowser, 303, "/persona/login?return=%2Fintern%2F", ""},
		"with a query":             {"GET", "/intern/a%20b?x=1&y=%26;z=/\"", navigation, 303, "/persona/login?return=%2Fintern%2Fa%2520b%3Fx%3D1%26y%3D%2526%3Bz%3D%2F%22", ""},
		"empty query":              {"GET", "/intern/?", navigation, 303, "/persona/login?return=%2Fintern%2F", ""},
		"umlaut":                   {"GET", "/intern/ä", navigation, 303, "/persona/login?return=%2Fintern%2F%25C3%25A4", ""},
		"long query":               {"GET", "/intern/?q=" + strings.Repeat("x", 2100), navigation, 303, "/persona/login?return=%2Fintern%2F", ""},
		"long path":                {"GET", "/intern/" + strings.Repeat("x", 2100), navigation, 303, "/persona/login?return=%2F", ""},
		"backslash in the query":   {"GET", `/intern/?\x`, navigation, 303, "/persona/login?return=%2Fintern%2F", ""},
		"another site's link":      {"GET", "/intern/", []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: cross-site"}, 303, "/persona/login?return=%2Fintern%2F", ""},
		"framed":                   {"GET", "/intern/", iframe, 401, "", `<a class="button" id="on" href="/persona/login?return=%2Faround%3Fa%3Db" target="_top" rel="noopener">Sign in</a>`},
		"framed by a foreign page": {"GET", "/intern/", []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe", "Referer: https://evil.test/"}, 401, "", `href="/persona/login?return=%2Fintern%2F" target="_top"`},
		"object":                   {"GET", "/intern/", []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: object"}, 401, "", `target="_top"`},
		"form":                     {"POST", "/intern/save", form, 401, "", `<a class="button" id="back" href="/intern/edit?id=1#x">Go back</a><a class="button second" id="on" href="/persona/login?return=%2Fintern%2Fedit%3Fid%3D1%23x" target="_blank" rel="noopener">Sign in in a new tab</a>`},
		"form without a referrer":  {"POST", "/intern/save", []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: same-origin"}, 401, "", `id="back" href="/">`},
		"form of a lying referrer": {"POST", "/intern/save", []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: same-origin", "Referer: https://example.test.evil.test/x"}, 401, "", `id="back" href="/">`},
		"old browser's form":       {"POST", "/intern/save", []string{"Origin: https://example.test", "Accept: text/html"}, 401, "", "Nothing was sent"},
		"fetch":                    {"GET", "/intern/", fetch, 401, "", json},
		"fetch POST":               {"POST", "/intern/", fetch, 401, "", json},
		"fetch, HTML wanted":       {"GET", "/intern/", []string{"Sec-Fetch-Mode: cors", "Accept: text/html"}, 401, "", json},
		"image":                    {"GET", "/intern/", image, 401, "", json},
		"program":                  {"GET", "/intern/", curl, 401, "", json},
		"program POST":             {"POST", "/intern/", curl, 401, "", json},
		"nothing said":             {"GET", "/intern/", nil, 401, "", json},
		"websocket":                {"GET", "/intern/", websocket, 401, "", json},
		"preflight":                {"OPTIONS", "/intern/", []string{"Access-Control-Request-Method: PUT", "Origin: https://app.test", "Sec-Fetch-Mode: cors"}, 401, "", json},
		"health check":             {"GET", "/intern/healthz", []string{"User-Agent: kube-probe/1.30"}, 401, "", json},
		"monitoring":               {"GET", "/intern/", []string{"User-Agent: GoogleHC/1.0"}, 401, "", json},
		"claims":                   {"GET", "/intern/", []string{"X-Forwarded-Uri: /", "X-Original-URL: /", "X-Rewrite-URL: /", "X-HTTP-Method-Override: OPTIONS", "Remote-User: anna"}, 401, "", json},
		"a foreign cookie":         {"GET", "/intern/", []string{"Cookie: __Host-persona-site=x; __Host-persona=y"}, 401, "", json},
		"with Authorization":       {"GET", "/intern/", []string{"Authorization: Basic YTpi"}, 401, "", json},
		"group":                    {"GET", "/admin/", navigation, 303, "/persona/login?return=%2Fadmin%2F", ""},
		"group, without a slash":   {"GET", "/admin", navigation, 303, "/persona/login?return=%2Fadmin", ""},
		"another case":             {"GET", "/ADMIN/x", navigation, 303, "/persona/login?return=%2FADMIN%2Fx", ""},
		"encoded":                  {"GET", "/%61dmin/x", navigation, 303, "/persona/login?return=%2F%2561dmin%2Fx", ""},
		"public":                   {"GET", "/", navigation, 200, "", "website, for "},
		"public exception":         {"GET", "/admin/health", curl, 200, "", "website, for "},
		"public exception's case":  {"GET", "/admin/Health", curl, 401, "", json},
		"below the exception":      {"GET", "/admin/health/x", curl, 401, "", json},
		"payment callback":         {"POST", "/pay", []string{"Sec-Fetch-Site: cross-site", "Origin: https://bank.test"}, 200, "", "website, for "},
		"foreign form":             {"POST", "/intern/", sibling, 403, "", "came from a page of another website"},
		"foreign fetch":            {"POST", "/intern/", []string{"Origin: https://evil.test"}, 403, "", `{"error":"cross_site","message":"This request came from`},
		"foreign websocket":        {"GET", "/intern/", []string{"Upgrade: websocket", "Origin: https://evil.test"}, 403, "", `{"error":"cross_site"`},
		"git":                      {"GET", "/git/x", []string{"Authorization: Basic YTpi"}, 200, "", "website, for "},
		"git POST":                 {"POST", "/git/x", []string{"Authorization: Bearer x"}, 200, "", "website, for "},
		"git, empty":               {"GET", "/git/x", []string{"Authorization: "}, 401, "", json},
		"git by a person":          {"GET", "/git/x", navigation, 303, "/persona/login?return=%2Fgit%2Fx", ""},
	} {
		response, body := w.send(t, test.method, test.target, test.fields...)
		if response.StatusCode != test.status || response.Header.Get("Location") != test.location || !strings.Contains(body, test.body) {
			t.Errorf("%s: %d, Location %s\n%s", name, response.StatusCode, response.Header.Get("Location"), body)
		}
		if test.status != 200 && (response.Header.Get("Cache-Control") != "no-store" || response.Header.Get("X-Content-Type-Options") != "nosniff") {
			t.Errorf("%s: the headers are %v", name, response.Header)
		}
		if got := response.Header.Get("WWW-Authenticate"); got != "" && name != "git, empty" {
			t.Errorf("%s: a browser would open a dialog: %s", name, got)
		}
		if body == json && response.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: JSON as %s", name, response.Header.Get("Content-Type"))
		}
	}
}

// TestChallenge: a program without a browser learns that it has to send Authorization, as
// git does after an answer that says so; a page's script makes no dialog appear.
func TestChallenge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, program := range [][]string{curl, {"User-Agent: git/2.47"}, {"Sec-Fetch-Site: none", "Sec-Fetch-Mode: no-cors"}} {
		response, _ := w.send(t, "GET", "/git/x/info/refs?service=git-upload-pack", program...)
		if got := response.Header.Get("WWW-Authenticate"); response.StatusCode != 401 || got != `Basic realm="example.test", charset="UTF-8"` {
			t.Errorf("%v: %d with %q", program, response.StatusCode, got)
		}
	}
	for _, page := range [][]string{fetch, image, {"Referer: https://example.test/"}, {"Origin: https://example.test"}} {
		if response, _ := w.send(t, "GET", "/git/x", page...); response.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%v: a dialog would open", page)
		}
	}
}

// TestSignedIn: what a person who is signed in reaches, and as whom.
func TestSignedIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	cookie := "Cookie: theme=dark; " + w.signIn(t)
	for name, test := range map[string]struct {
		method, target string
		fields         []string
		status         int
		body           string
		private        bool
	}{
		"public":                      {"GET", "/", navigation, 200, "website, for anna", true},
		"intern":                      {"GET", "/intern/", navigation, 200, "website, for anna", true},
		"from another site's link":    {"GET", "/intern/", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"}, 200, "website, for anna", true},
		"group in another case":       {"GET", "/admin/", curl, 200, "website, for anna", true},
		"form":                        {"POST", "/intern/", form, 200, "website, for anna", true},
		"by the address bar":          {"POST", "/intern/", []string{"Sec-Fetch-Site: none"}, 200, "website, for anna", true},
		"old browser's form":          {"POST", "/intern/", []string{"Origin: https://example.test"}, 200, "website, for anna", true},
		"websocket":                   {"GET", "/intern/", websocket, 200, "website, for anna", true},
		"other method":                {"PROPFIND", "/", fetch, 200, "website, for anna", true},
		"Authorization as well":       {"GET", "/git/x", []string{"Authorization: Bearer x"}, 200, "website, for ", true},
		"no Authorization":            {"GET", "/git/x", fetch, 200, "website, for anna", true},
		"Authorization elsewhere":     {"GET", "/intern/", []string{"Authorization: Bearer x"}, 200, "website, for anna", true},
		"sibling's form, public":      {"POST", "/", sibling, 200, "website, for ", false},
		"sibling's form, protected":   {"POST", "/intern/", sibling, 403, "came from a page of another website", false},
		"sibling's fetch":             {"DELETE", "/intern/", []string{"Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors"}, 403, `{"error":"cross_site"`, false},
		"cross-site POST, public":     {"POST", "/", []string{"Sec-Fetch-Site: cross-site", "Origin: https://example.test"}, 200, "website, for ", false},
		"Origin null":                 {"POST", "/", []string{"Origin: null"}, 200, "website, for ", false},
		"Origin of plain HTTP":        {"POST", "/", []string{"Origin: http://example.test"}, 200, "website, for ", false},
		"Origin at another port":      {"POST", "/", []string{"Origin: https://example.test:8443"}, 200, "website, for ", false},
		"two Origins":                 {"POST", "/", []string{"Origin: https://example.test", "Origin: https://example.test"}, 200, "website, for ", false},
		"two Sec-Fetch-Sites":         {"POST", "/", []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"}, 200, "website, for ", false},
		"unknown Sec-Fetch-Site":      {"POST", "/", []string{"Sec-Fetch-Site: "}, 200, "website, for ", false},
		"program's POST":              {"POST", "/", curl, 200, "website, for ", false},
		"program's POST, protected":   {"POST", "/intern/", curl, 403, `{"error":"cross_site","message":"Your browser did not say`, false},
		"websocket of another page":   {"GET", "/", []string{"Upgrade: websocket", "Origin: https://evil.test"}, 200, "website, for ", false},
		"websocket that says nothing": {"GET", "/", []string{"Upgrade: websocket"}, 200, "website, for ", false},
		"wrong group":                 {"GET", "/board", navigation, 403, "You are signed in as anna. This part of example.test is for these groups only: “board”, “&lt;boss&gt;”. If you need it, ask the administrators of example.test", false},
		"wrong group, the way out":    {"GET", "/board?x=1", navigation, 403, `href="/persona/logout?return=%2Fboard%3Fx%3D1" target="_top" rel="noopener">Sign out to use another account</a>`, false},
		"wrong group, program":        {"GET", "/board", fetch, 403, `{"error":"wrong_group","message":"You are signed in as anna.`, false},
		"two cookies":                 {"GET", "/", []string{"Cookie: __Host-persona-site=planted"}, 200, "website, for ", false},
	} {
		response, body := w.send(t, test.method, test.target, append(slices.Clone(test.fields), cookie)...)
		w.mu.Lock()
		admission := w.last
		w.mu.Unlock()
		if response.StatusCode != test.status || !strings.Contains(body, test.body) || test.status == 200 && body != test.body {
			t.Errorf("%s: %d %s", name, response.StatusCode, body)
		}
		if admission.Private != test.private || (admission.Ended != nil) != (test.private && name != "Authorization as well") {
			t.Errorf("%s: private %v, ends %v", name, admission.Private, admission.Ended != nil)
		}
		if len(admission.Hidden)+len(admission.SetCookies) > 0 || response.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: cookies are changed: %v %v", name, admission, response.Header)
		}
	}
	if w.counted["signed_in"] == 0 || w.counted["anonymous"] == 0 || w.counted["cross_site"] == 0 || w.counted["wrong_group"] != 3 {
		t.Errorf("counted: %v", w.counted)
	}
	if text := w.log.String(); strings.Contains(text, "__Host") || strings.Contains(text, strings.TrimPrefix(cookie, "Cookie: theme=dark; ")[25:]) {
		t.Error("a cookie is logged")
	}
}

// TestOddTargets: on a host that protects anything they are refused wherever they stand, to
// people who are signed in too, and over plain HTTP.
func TestOddTargets(t *testing.T) {
	t.Parallel()
	protected, open := newWorld(t, nil), newWorld(t, func(s *gate.Site) { s.Rules = access.Rules{{Path: "/", Allow: access.Public}} })
	cookie := "Cookie: " + protected.signIn(t)
	for _, target := range []string{
		"/x%2fy", "/x%5Cy", `/x\y`, "/x;y", "/..;/admin/", "/x/../admin/", "/%2e%2e/admin", "/x%252fy", "/admin%00.png", "/%c0%ae%c0%ae/admin", "//admin/", "/admin#x", "/.", "/x%0ay",
	} {
		for _, plain := range []bool{false, true} {
			protected.plain, open.plain = plain, plain
			response, body := protected.send(t, "GET", target, append([]string{cookie}, navigation...)...)
			if response.StatusCode != 400 || !strings.Contains(body, "<h1>This address cannot be used</h1>") {
				t.Errorf("%s (plain %v): %d %s", target, plain, response.StatusCode, body)
			}
			if response, body = protected.send(t, "POST", target, fetch...); response.StatusCode != 400 || !strings.Contains(body, `{"error":"odd_target"`) {
				t.Errorf("%s (plain %v): %d %s", target, plain, response.StatusCode, body)
			}
			if response, _ = open.send(t, "GET", target); response.StatusCode != 200 {
				t.Errorf("%s (plain %v) is %d where nothing is protected", target, plain, response.StatusCode)
			}
		}
	}
}

// TestPlainHTTP: no identity, and nothing protected, by whatever right.
func TestPlainHTTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	cookie := "Cookie: " + w.signIn(t)
	w.plain = true
	for target, want := range map[string]int{"/": 200, "/admin/health": 200, "/intern/": 418, "/admin": 418, "/ADMIN": 418, "/git/x": 418} {
		response, body := w.send(t, "GET", target, cookie, "Authorization: Basic YTpi")
		if response.StatusCode != want || strings.Contains(body, "anna") || w.last.Private || len(response.Header["Set-Cookie"]) > 0 {
			t.Errorf("%s: %d %s, %v", target, response.StatusCode, body, w.last)
		}
	}
}

// TestLostSession: the cookies of the application, and ours, end with the session, at the
// first request that carries ours; those of strangers are left alone.
func TestLostSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	cookie := w.signIn(t)
	signedIn := httptest.NewRequest(http.MethodGet, "/", nil)
	signedIn.Header.Set("Cookie", cookie)
	if ended, err := w.sessions.SignOutAt(httptest.NewRecorder(), signedIn, w.place, false); err != nil || !ended {
		t.Fatalf("signing out: %v", err)
	}
	expired := []string{
		"__Host-persona-site=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
		"i_like_gitea=; Path=/git; Max-Age=0; HttpOnly; Secure", "__Host-wiki=; Path=/; Max-Age=0; HttpOnly; Secure",
	}
	response, body := w.send(t, "GET", "/", "Cookie: i_like_gitea=1; "+cookie)
	if a := w.last; response.StatusCode != 200 || body != "website, for " || !slices.Equal(a.SetCookies, expired) || !slices.Equal(a.Hidden, []string{"i_like_gitea", "__Host-wiki"}) || !a.Private {
		t.Errorf("public: %d %s, %v", response.StatusCode, body, a)
	}
	for _, fields := range [][]string{navigation, fetch, form} {
		if response, _ = w.send(t, "GET", "/intern/", append([]string{"Cookie: " + cookie}, fields...)...); !slices.Equal(response.Header["Set-Cookie"], expired) {
			t.Errorf("protected: %d, %v", response.StatusCode, response.Header["Set-Cookie"])
		}
	}
	w.send(t, "GET", "/", "Cookie: i_like_gitea=1")
	if a := w.last; len(a.SetCookies)+len(a.Hidden) > 0 || a.Private {
		t.Errorf("a stranger's cookies are changed: %v", a)
	}
}

// TestOutages: where it cannot be told who is signed in, what is public goes on, what is
// protected says so, the session stays, and the log has one line.
func TestOutages(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fail        func(*world)
		code, retry string
	}{
		"directory": {func(w *world) { w.directory.Fail(errors.New("no route to 10.1.2.3")) }, "directory_unavailable", "30"},
		"store": {func(w *world) {
			w.store.Fail = func(op, key string) error { return errors.New("no route to 10.1.2.3") }
		}, "sessions_unavailable", "5"},
	} {
		w := newWorld(t, nil)
		cookie := "Cookie: " + w.signIn(t)
		w.clock.Advance(5*time.Minute + time.Second)
		test.fail(w)
		for range 3 {
			response, body := w.send(t, "GET", "/", cookie)
			if response.StatusCode != 200 || body != "website, for " || w.last.Private || response.Header.Get("Set-Cookie") != "" {
				t.Errorf("%s, public: %d %s", name, response.StatusCode, body)
			}
			response, body = w.send(t, "GET", "/intern/", append(slices.Clone(navigation), cookie)...)
			if response.StatusCode != 503 || response.Header.Get("Retry-After") != test.retry || !strings.Contains(body, "<h1>") || response.Header.Get("Set-Cookie") != "" || strings.Contains(body, "10.1.2.3") {
				t.Errorf("%s, page: %d %v %s", name, response.StatusCode, response.Header, body)
			}
			response, body = w.send(t, "POST", "/intern/", append(slices.Clone(fetch), cookie)...)
			if response.StatusCode != 503 || !strings.Contains(body, `{"error":"`+test.code+`"`) {
				t.Errorf("%s, program: %d %s", name, response.StatusCode, body)
			}
		}
		if response, _ := w.send(t, "GET", "/intern/", navigation...); response.StatusCode != 303 {
			t.Errorf("%s: a stranger gets %d", name, response.StatusCode)
		}
		if text := w.log.String(); strings.Count(text, `"level":"warn"`) != 1 || strings.Count(text, `"hint":`) != 1 {
			t.Errorf("%s: the log is\n%s", name, text)
		}
		w.directory.Fail(nil)
		w.store.Fail = nil
		w.clock.Advance(6 * time.Second) // so long nothing is asked again
		if _, body := w.send(t, "GET", "/intern/", cookie); body != "website, for anna" {
			t.Errorf("%s: afterwards the session is gone: %s", name, body)
		}
	}
}

// A client that goes away while the directory is asked is no outage.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	r := httptest.NewRequest(http.MethodGet, "/intern/", nil)
	r.Header.Set("Cookie", w.signIn(t))
	w.clock.Advance(6 * time.Minute)
	w.directory.Fail(errors.New("no route"))
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if a := w.Admit(httptest.NewRecorder(), r.WithContext(ctx), website, true); a.Verdict != gate.Answered || strings.Contains(w.log.String(), `"level":"warn"`) {
		t.Errorf("verdict %v, the log is %s", a.Verdict, w.log.String())
	}
}

// TestRulesAlone: a website that is told nothing is asked about people only where it has to be.
func TestRulesAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *gate.Site) { s.Headers, s.SignOutCookies = nil, nil })
	cookie := "Cookie: " + w.signIn(t)
	w.store.Fail = func(op, key string) error { t.Errorf("the store is asked: %s %s", op, key); return nil }
	if _, body := w.send(t, "GET", "/", cookie); body != "website, for " || w.last.Private {
		t.Errorf("public: %s, %v", body, w.last)
	}
	w.store.Fail = nil
	if _, body := w.send(t, "GET", "/intern/", cookie); body != "website, for " || !w.last.Private || w.last.Ended == nil {
		t.Errorf("protected: %s, %v", body, w.last)
	}
}

// TestSharedOrigin: a website on the identity host itself goes by the cookie of the sign-in.
func TestSharedOrigin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *gate.Site) { s.Authority.Name, s.Authority.Origin = website, "https://"+website })
	w.place.Site = website
	if _, body := w.send(t, "GET", "/intern/", "Cookie: "+w.signIn(t)); body != "website, for anna" {
		t.Errorf("signed in: %s", body)
	}
	if response, _ := w.send(t, "GET", "/intern/", navigation...); response.Header.Get("Location") != "/persona/login?return=%2Fintern%2F" {
		t.Errorf("a stranger: %v", response.Header)
	}
	if _, body := w.send(t, "GET", "/x;y", navigation...); !strings.Contains(body, `rel="stylesheet" href="/persona/static/`) {
		t.Errorf("the page: %s", body)
	}
}

// TestPages: they have the style of the identity host, may be framed, and can do nothing.
func TestPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	response, body := w.send(t, "POST", "/intern/", form...)
	policy := response.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "style-src https://id.example.test/persona/static/", "form-action 'none'", "base-uri 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy is %s", policy)
		}
	}
	if strings.Contains(policy, "frame-ancestors") {
		t.Errorf("the page cannot be framed: %s", policy)
	}
	for _, want := range []string{`href="https://id.example.test/persona/static/`, `<script type="module" src="https://id.example.test/persona/static/`, "back.js", `<html lang="en" dir="ltr">`, `Back to the website of example.test`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s:\n%s", want, body)
		}
	}
}

// Rules that cannot be meant are refused at the start.
func TestNewRefusesRules(t *testing.T) {
	t.Parallel()
	_, err := gate.New(gate.Config{Sites: []gate.Site{{Host: website, Authority: &identity.Host{Name: id}, Rules: access.Rules{{Path: "x", Allow: access.Public}}}}})
	var fault *access.Fault
	if !errors.As(err, &fault) || !strings.Contains(err.Error(), website) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkAdmit(b *testing.B) {
	w := newWorld(b, func(s *gate.Site) { s.Rules = append(s.Rules, access.Rule{Path: "/", Allow: access.SignedIn}) })
	r := httptest.NewRequest(http.MethodGet, "/wiki/Main_Page", nil)
	r.Header["Cookie"] = []string{"theme=dark; " + w.signIn(b)}
	for name, values := range map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "none", "Accept": "text/html"} {
		r.Header.Set(name, values)
	}
	to := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		if a := w.Admit(to, r, website, true); len(a.Fields) != 3 {
			b.Fatal(a)
		}
	}
}
