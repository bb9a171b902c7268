package check_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"persona-sidecar/cmd/internal/check/report"
)

// gated is a website with sign-in on a host of its own, as strangers find both.
type gated struct {
	site, identity answers
	begun          atomic.Int64
}

func newGated() *gated {
	g := &gated{}
	toLogin := func(w http.ResponseWriter, r *http.Request) { see(w, "/persona/login?return="+r.URL.Path) }
	g.site = answers{
		"/": text(200, "text/html", "hello"),
		"/persona/login": func(w http.ResponseWriter, _ *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "__Host-persona-login", Value: "sealed"})
			see(w, "https://id.example.test/persona/handover?host=example.test&challenge=c"+strconv.FormatInt(g.begun.Add(1), 10))
		},
		"/wp-admin/persona-check": toLogin,
		"/git/persona-check":      text(401, "application/json", "{}"),
		"/staff":                  toLogin,
	}
	g.identity = answers{
		"/persona/handover":            func(w http.ResponseWriter, r *http.Request) { see(w, "/persona/authenticate?site=example.test") },
		"/persona/authenticate":        text(200, "text/html", "<form>"),
		"/persona/assertion/jwks.json": text(200, "application/json", `{"keys":[{"kid":"a"},{"kid":"b"}]}`),
	}
	return g
}

func see(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

var gateSteps = []string{"way to sign in", "access rules", "assertion keys", "way past"}

// gatedYAML is a website with sign-in on a host of its own. KEYS is for what the website is told and closes.
const gatedYAML = "directory: corp, authority: id.example.test, KEYS}"

// TestGateFromOutside: a stranger is led to sign in, sees no closed page, and finds the keys of assertions.
func TestGateFromOutside(t *testing.T) {
	t.Parallel()
	const all = `identity_headers: true, access: [{path: /wp-admin/, groups: [editors]}, {path: /git, allow: authorization_header}, {path: /staff, exact: true, allow: signed_in}, {path: /open, allow: public}]`
	const shared = "directory: corp, identity_headers: true}"
	page := text(200, "text/html", "the website")
	for name, test := range map[string]struct {
		keys   string
		change func(*gated)
		want   want
	}{
		"all is well":         {all, nil, want{"way to sign in", report.OK, "/persona/login → https://id.example.test/persona/handover → https://id.example.test/persona/authenticate", ""}},
		"no program":          {all, func(g *gated) { delete(g.site, "/persona/login") }, want{"way to sign in", report.Failed, "/persona/login?return=%2F answers 404", "restart the program"}},
		"the website answers": {all, func(g *gated) { g.site["/persona/login"] = page }, want{"way to sign in", report.Failed, "answers 200, and leads no one to sign in", "takes /persona/ for itself"}},
		"to another host": {all, func(g *gated) {
			g.site["/persona/login"] = func(w http.ResponseWriter, _ *http.Request) {
				see(w, "https://login.example.test/persona/handover?host=example.test&challenge=c")
			}
		}, want{"way to sign in", report.Failed, "leads to https://login.example.test/persona/handover", "restart"}},
		"for another host": {all, func(g *gated) {
			g.site["/persona/login"] = func(w http.ResponseWriter, _ *http.Request) {
				see(w, "https://id.example.test/persona/handover?host=www.example.test&challenge=c")
			}
		}, want{"way to sign in", report.Failed, "host=www.example.test", "restart"}},
		"without a cookie": {all, func(g *gated) {
			g.site["/persona/login"] = func(w http.ResponseWriter, _ *http.Request) {
				see(w, "https://id.example.test/persona/handover?host=example.test&challenge=c")
			}
		}, want{"way to sign in", report.Failed, "sets no cookie __Host-persona-login", "take cookies away"}},
		"from a cache": {all, func(g *gated) {
			g.site["/persona/login"] = func(w http.ResponseWriter, _ *http.Request) {
				http.SetCookie(w, &http.Cookie{Name: "__Host-persona-login", Value: "sealed"})
				see(w, "https://id.example.test/persona/handover?host=example.test&challenge=c")
			}
		}, want{"way to sign in", report.Failed, "gives two visitors the same challenge", "in a cache"}},
		"identity host of old": {all, func(g *gated) { delete(g.identity, "/persona/handover") }, want{"way to sign in", report.Failed, "/persona/handover?host=example.test&challenge=c1 answers 404", "restart"}},
		"in circles": {all, func(g *gated) {
			g.identity["/persona/authenticate"] = func(w http.ResponseWriter, _ *http.Request) { see(w, "/persona/authenticate?") }
		}, want{"way to sign in", report.Failed, "without end", "restart"}},
		"trouble": {all, func(g *gated) { g.identity["/persona/handover"] = text(503, "text/html", "the keys are gone") }, want{"way to sign in", report.Failed, "answers 503: the keys are gone", "/readyz"}},

		"closed":      {all, nil, want{"access rules", report.OK, "at 3 closed paths", ""}},
		"open":        {all, func(g *gated) { g.site["/wp-admin/persona-check"] = page }, want{"access rules", report.Failed, "/wp-admin/ is closed, and a stranger who asks for https://example.test/wp-admin/persona-check gets 200", "restart"}},
		"open, exact": {all, func(g *gated) { g.site["/staff"] = page }, want{"access rules", report.Failed, "/staff is closed, and a stranger who asks for https://example.test/staff gets 200", ""}},
		"not there":   {all, func(g *gated) { delete(g.site, "/git/persona-check") }, want{"access rules", report.Failed, "/git is closed", ""}},
		"elsewhere":   {all, func(g *gated) { g.site["/staff"] = redirect("https://elsewhere.test/persona/login") }, want{"access rules", report.Failed, "/staff is closed", ""}},
		"public":      {"access: [{path: /open, allow: public}]", nil, want{"access rules", report.Skipped, "every path is public", ""}},
		"keys":        {all, nil, want{"assertion keys", report.OK, "2 keys at https://id.example.test/persona/assertion/jwks.json", ""}},
		"no keys": {all, func(g *gated) {
			g.identity["/persona/assertion/jwks.json"] = text(200, "application/json", `{"keys":[]}`)
		}, want{"assertion keys", report.Failed, "has no keys", "restart"}},
		"no key page": {all, func(g *gated) { delete(g.identity, "/persona/assertion/jwks.json") }, want{"assertion keys", report.Failed, "answers 404", "restart"}},
		"shared origin": {shared, func(g *gated) {
			g.site["/persona/login"] = redirectTo303("/persona/authenticate?return=%2F")
			g.site["/persona/authenticate"] = page
		}, want{"way to sign in", report.OK, "/persona/login → /persona/authenticate", ""}},
		"shared, broken": {shared, func(g *gated) { g.site["/persona/login"] = redirectTo303("/wp-login.php") }, want{"way to sign in", report.Failed, "leads to https://example.test/wp-login.php, not to the sign-in page of example.test", "restart"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGated()
			if test.change != nil {
				test.change(g)
			}
			world := newInternet(t)
			world.serve("example.test", &provider{answers: g.site})
			world.serve("id.example.test", &provider{answers: g.identity})
			keys := test.keys
			if keys != shared {
				keys = replaced(gatedYAML, "KEYS", keys)
			}
			yaml := replaced(withWebsite(site(t, answers{"/": text(200, "text/html", "hello")})), "directory: corp}", keys)
			found := look(t, world.checker(load(t, folder(t), yaml)).Everything())
			found.expect(t, test.want)
			for _, f := range found.findings {
				if test.change == nil && f.Status == report.Failed && slices.Contains(gateSteps, f.Name) {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}

func redirectTo303(to string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { see(w, to) }
}

// TestClosedOverPlainHTTP: what is closed is so on the way without TLS as well.
func TestClosedOverPlainHTTP(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		want   want
	}{
		"redirected": {redirect("https://example.test/wp-admin/persona-check"), want{"access rules", report.OK, "1 closed path", ""}},
		"refused":    {text(503, "text/html", "no certificate"), want{"access rules", report.OK, "1 closed path", ""}},
		"open":       {text(200, "text/html", "the website"), want{"access rules", report.Failed, "asks for http://example.test/wp-admin/persona-check gets 200", "restart"}},
		"elsewhere":  {redirect("https://elsewhere.test/"), want{"access rules", report.Failed, "http://example.test/wp-admin/persona-check gets 301", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := newInternet(t)
			g := newGated()
			world.serve("example.test", &provider{answers: g.site})
			world.servePlain("example.test", http.HandlerFunc(test.answer))
			yaml := replaced(withWebsite(site(t, g.site)), "directory: corp}", replaced(gatedYAML, "KEYS", "access: [{path: /wp-admin, allow: signed_in}]"))
			look(t, world.checker(load(t, folder(t), yaml)).Everything()).expect(t, test.want)
		})
	}
}

// TestWayPast: a website that others reach without persona can be told anything.
func TestWayPast(t *testing.T) {
	t.Parallel()
	hello := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }
	other := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "another service", http.StatusForbidden) }
	for name, test := range map[string]struct {
		keys, upstream string
		there          func(http.ResponseWriter, *http.Request) // at the public address and the website's port
		want           want
	}{
		"closed":          {"identity_headers: true", "", nil, want{"way past", report.OK, "none was found", ""}},
		"open":            {"identity_headers: true", "", hello, want{"way past", report.Warning, "the website answers at 198.51.100.1:", "or verify X-Persona-Assertion there, or close the port"}},
		"open, no fields": {"access: [{path: /, allow: signed_in}]", "", hello, want{"way past", report.Warning, "past this program", "listen at 127.0.0.1"}},
		"another service": {"identity_headers: true", "", other, want{"way past", report.OK, "none was found", ""}},
		"on this machine": {"identity_headers: true", "", nil, want{"way past", report.OK, "none was found", ""}}, // as -resolve 127.0.0.1 asks
		"public address":  {"identity_headers: true", "http://8.8.4.4:8080", nil, want{"way past", report.Warning, "listens at the public address 8.8.4.4", "network of its own"}},
		"public name":     {"identity_headers: true", "http://cms.example.test", nil, want{"way past", report.Warning, "listens at the public address 8.8.8.8", "network of its own"}},
		"socket":          {"identity_headers: true", "unix:/run/cms.sock", nil, want{"way past", report.OK, "a Unix socket", ""}},
		"our own port":    {"identity_headers: true", "http://10.1.2.3", nil, want{"way past", report.Skipped, "listens at the port 80 of the website as well", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := newInternet(t)
			g := newGated()
			if name == "on this machine" {
				world.names["example.test"] = []netip.Addr{netip.MustParseAddr("127.0.0.1")}
			}
			world.serve("example.test", &provider{answers: g.site})
			world.serve("id.example.test", &provider{answers: g.identity})
			world.names["cms.example.test"] = []netip.Addr{netip.MustParseAddr("8.8.8.8")}
			inside := httptest.NewServer(http.HandlerFunc(hello))
			t.Cleanup(inside.Close)
			upstream := test.upstream
			if upstream == "" {
				upstream = inside.URL
			}
			if test.there != nil {
				outside := httptest.NewServer(http.HandlerFunc(test.there))
				t.Cleanup(outside.Close)
				_, port, _ := strings.Cut(strings.TrimPrefix(inside.URL, "http://"), ":")
				number, _ := strconv.Atoi(port)
				world.lead("example.test", number, outside.Listener.Addr())
			}
			yaml := replaced(withWebsite(upstream), "directory: corp}", replaced(gatedYAML, "KEYS", test.keys))
			look(t, world.checker(load(t, folder(t), yaml)).Everything()).expect(t, test.want)
		})
	}
}

// TestNoGate: a website that is told nothing, and closes nothing, has nothing of this to check; one that is told who is
// signed in needs neither rules nor a link to sign in.
func TestNoGate(t *testing.T) {
	t.Parallel()
	yaml := withWebsite(site(t, answers{"/": text(200, "text/html", "hello")}))
	found := look(t, newInternet(t).checker(load(t, folder(t), yaml)).Everything())
	for _, f := range found.findings {
		if slices.Contains(gateSteps, f.Name) {
			t.Errorf("%+v", f)
		}
	}
	yaml = replaced(yaml, "directory: corp}", replaced(gatedYAML, "KEYS", `identity_headers: {names: {assertion: ""}}`))
	found = look(t, newInternet(t).checker(load(t, folder(t), yaml)).Everything())
	if len(found.of("access rules"))+len(found.of("assertion keys")) > 0 {
		t.Errorf("%+v", found.findings)
	}
}
