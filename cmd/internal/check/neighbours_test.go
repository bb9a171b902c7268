package check_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/check/report"
)

// TestNeighbours: what a stranger sees of a server that asks who is signed in, and of one that does not, or forgets a part.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	page := text(200, "text/html", "the website")
	login := func(w http.ResponseWriter, r *http.Request) {
		see(w, "https://wiki.example.test/persona/login?return=%2F")
	}
	trusting := func(field string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get(field) != "" {
				page(w, r)
				return
			}
			login(w, r)
		}
	}
	for name, test := range map[string]struct {
		change func(answers)
		want   want
	}{
		"asks":              {nil, want{"asks", report.OK, "https://wiki.example.test/persona-check is led to sign in", ""}},
		"way":               {nil, want{"way to sign in", report.OK, "/persona/login → https://id.example.test/persona/handover → https://id.example.test/persona/authenticate", ""}},
		"claims":            {nil, want{"claims", report.OK, "whether the website gets a stranger's Remote-User on a public path, and persona's cookies, cannot be seen", ""}},
		"question":          {nil, want{"question", report.OK, "no client can ask it", ""}},
		"does not ask":      {func(a answers) { a["/persona-check"] = page }, want{"asks", report.Failed, "a stranger gets 200: the server does not ask", "/persona/forward-auth about every request"}},
		"does not ask, 404": {func(a answers) { delete(a, "/persona-check") }, want{"asks", report.Failed, "a stranger gets 404: the server does not ask", ""}},
		"asks in vain":      {func(a answers) { a["/persona-check"] = text(500, "text/html", "") }, want{"asks", report.Failed, "answers 500", "is its address in proxies"}},
		"401 of nginx":      {func(a answers) { a["/persona-check"] = text(401, "text/html", "401 Authorization Required") }, want{"asks", report.Warning, "no way to sign in", "/persona/login"}},
		"401 with a link": {func(a answers) {
			a["/persona-check"] = text(401, "text/html", `<a href="/persona/login?return=%2F">`)
		}, want{"asks", report.OK, "401, with a way to sign in", ""}},
		"leads elsewhere":         {func(a answers) { a["/persona-check"] = redirect("https://sso.example.test/login") }, want{"asks", report.Failed, "a stranger gets 301", ""}},
		"takes X-Forwarded-Uri":   {func(a answers) { a["/persona-check"] = trusting("X-Forwarded-Uri") }, want{"claims", report.Failed, "who sends X-Forwarded-Method, X-Forwarded-Uri the status 200", "take them away"}},
		"takes X-Original-URL":    {func(a answers) { a["/persona-check"] = trusting("X-Original-URL") }, want{"claims", report.Failed, "X-Original-Method, X-Original-Url the status 200", "take them away"}},
		"takes Remote-User":       {func(a answers) { a["/persona-check"] = trusting("Remote-User") }, want{"claims", report.Failed, "Remote-Email, Remote-Id, Remote-User the status 200", "take them away"}},
		"does not pass /persona/": {func(a answers) { delete(a, "/persona/login") }, want{"way to sign in", report.Failed, "/persona/login?return=%2F answers 404", "takes /persona/ for itself"}},
		"clients ask":             {func(a answers) { a["/persona/forward-auth"] = text(200, "", "") }, want{"question", report.Warning, "answers 200 to a client", "with 404"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGated()
			wiki := answers{"/persona-check": login, "/persona/login": func(w http.ResponseWriter, r *http.Request) {
				to := httptest.NewRecorder()
				g.site["/persona/login"](to, r)
				w.Header()["Set-Cookie"] = to.Header()["Set-Cookie"]
				see(w, strings.ReplaceAll(to.Header().Get("Location"), "host=example.test", "host=wiki.example.test"))
			}}
			if test.change != nil {
				test.change(wiki)
			}
			world := newInternet(t)
			world.serve("wiki.example.test", &provider{answers: wiki})
			world.serve("id.example.test", &provider{answers: g.identity})
			yaml := replaced(withWebsite(site(t, answers{"/": page})), "directory: corp}", "directory: corp, authority: id.example.test}") +
				"\nforward_auth: [{host: wiki.example.test, authority: id.example.test, proxies: [192.0.2.1], groups: [staff], identity_headers: true}]\n"
			checker := world.checker(load(t, folder(t), yaml))
			look(t, checker.Domain("wiki.example.test")).expect(t, test.want)
			look(t, world.checker(load(t, folder(t), yaml)).Everything()).expect(t, test.want)
		})
	}
}
