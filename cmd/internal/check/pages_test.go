package check_test

import (
	"net/http"
	"testing"

	"persona-sidecar/cmd/internal/check/report"
)

func TestPages(t *testing.T) {
	t.Parallel()
	set := func(name, value string) func(http.Header) { return func(h http.Header) { h.Set(name, value) } }
	const csp = "Content-Security-Policy"
	html := func(body string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(csp, "frame-ancestors 'self'")
			text(http.StatusOK, "text/html", body)(w, r)
		}
	}
	for name, test := range map[string]struct {
		change func(*provider)
		want   want
	}{
		"sign-in missing":     {func(p *provider) { delete(p.answers, "/sign-in") }, want{"sign-in page", report.Failed, "https://example.org/sign-in answers 404", "answer with status 200"}},
		"sign-in redirects":   {func(p *provider) { p.answers["/sign-in"] = redirect("https://sso.example.org/") }, want{"sign-in page", report.Failed, "redirects to https://sso.example.org/", "name the page itself"}},
		"sign-in no page":     {func(p *provider) { p.answers["/sign-in"] = text(200, "application/json", "{}") }, want{"sign-in page", report.Failed, "is no page", "text/html"}},
		"sign-in opener cut":  {func(p *provider) { p.with("/sign-in", set("Cross-Origin-Opener-Policy", "same-origin; report-to=x")) }, want{"sign-in page", report.Failed, "same-origin cuts the popup", "send no Cross-Origin-Opener-Policy"}},
		"sign-in opener half": {func(p *provider) { p.with("/sign-in", set("Cross-Origin-Opener-Policy", "same-origin-allow-popups")) }, want{"sign-in page", report.Failed, "cuts the popup", ""}},
		"sign-in opener new":  {func(p *provider) { p.with("/sign-in", set("Cross-Origin-Opener-Policy", "noopener-allow-popups")) }, want{"sign-in page", report.Failed, "cuts the popup", ""}},
		"sign-in opener none": {func(p *provider) { p.with("/sign-in", set("Cross-Origin-Opener-Policy", "unsafe-none")) }, want{"sign-in page", report.OK, "", ""}},
		"sign-in framed":      {func(p *provider) { p.with("/sign-in", func(h http.Header) { h.Del(csp) }) }, want{"sign-in page", report.Warning, "any website may frame it", "frame-ancestors 'none'"}},
		"sign-in old header": {func(p *provider) {
			p.with("/sign-in", func(h http.Header) { h.Del(csp); h.Set("X-Frame-Options", "DENY") })
		}, want{"sign-in page", report.OK, "", ""}},
		"sign-in no script":      {func(p *provider) { p.answers["/sign-in"] = html("<script src=app.js></script>") }, want{"sign-in page", report.Warning, "no authentication_api.js is loaded", "must load"}},
		"frame options":          {func(p *provider) { p.with("/provision", set("X-Frame-Options", "SAMEORIGIN")) }, want{"provisioning page", report.Failed, "X-Frame-Options: SAMEORIGIN", "Provisioning timed out"}},
		"frame ancestors none":   {func(p *provider) { p.with("/provision", set(csp, "frame-ancestors 'none'")) }, want{"provisioning page", report.Failed, "no hub can frame it", "allow the hubs"}},
		"frame ancestors empty":  {func(p *provider) { p.with("/provision", set(csp, "default-src 'self'; frame-ancestors")) }, want{"provisioning page", report.Failed, "no hub can frame it", ""}},
		"two policies":           {func(p *provider) { p.with("/provision", set(csp, "frame-ancestors *, frame-ancestors 'none'")) }, want{"provisioning page", report.Failed, "no hub can frame it", ""}},
		"two that allow":         {func(p *provider) { p.with("/provision", set(csp, "frame-ancestors 'self', default-src 'none'")) }, want{"provisioning page", report.OK, "", ""}},
		"framed by all":          {func(p *provider) { p.with("/provision", func(h http.Header) { h.Del(csp) }) }, want{"provisioning page", report.Warning, "every website may frame it", "frame-ancestors 'self'"}},
		"provisioning opener":    {func(p *provider) { p.with("/provision", set("Cross-Origin-Opener-Policy", "same-origin")) }, want{"provisioning page", report.Warning, "same-origin", "send no"}},
		"provisioning redirects": {func(p *provider) { p.answers["/provision"] = redirect("/login") }, want{"provisioning page", report.Failed, "redirects to /login", "binds its channel"}},
		"provisioning broken":    {func(p *provider) { p.answers["/provision"] = text(500, "text/html", "oops") }, want{"provisioning page", report.Failed, "answers 500: oops", "answer with status 200 and the page: the support document names it"}},
		"script of the centre": {func(p *provider) {
			p.answers["/provision"] = html(`<SCRIPT SRC="https://login.persona.org/provisioning_api.js"></SCRIPT>`)
		}, want{"provisioning page", report.Failed, "which is gone", "closed in 2016"}},
		"script in the clear": {func(p *provider) {
			p.answers["/provision"] = html(`<script src='http://example.org/provisioning_api.js'>`)
		}, want{"provisioning page", report.Failed, "browsers refuse", "https"}},
		"script missing":   {func(p *provider) { delete(p.answers, "/provisioning_api.js") }, want{"provisioning page", report.Failed, "answers 404", "does nothing without it"}},
		"script no script": {func(p *provider) { p.answers["/provisioning_api.js"] = text(200, "text/html", "x") }, want{"provisioning page", report.Failed, "is no script, but text/html", "text/javascript"}},
		"script nowhere": {func(p *provider) {
			p.answers["/provision"] = html(`<script src="https://hub.gone.test/provisioning_api.js">`)
		}, want{"provisioning page", report.Failed, "hub.gone.test", "does nothing without it"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := newInternet(t)
			p := newProvider(t)
			test.change(p)
			world.serve("example.org", p)
			found := look(t, world.checker(nil).Domain("example.org"))
			found.expect(t, test.want)
			found.nothingElse(t, test.want.step)
		})
	}
}

// TestPagesOfDelegate: the pages are those of the authority, which the historic
// checker got wrong.
func TestPagesOfDelegate(t *testing.T) {
	t.Parallel()
	world := newInternet(t)
	world.serve("example.org", http.HandlerFunc(published(`{"authority":"id.example.org"}`)))
	world.serve("id.example.org", newProvider(t))
	found := look(t, world.checker(nil).Domain("example.org"))
	found.nothingElse(t)
	found.expect(t, want{"provisioning page", report.OK, "https://id.example.org/provision", ""})
}

// TestHubs: a configured hub that may not frame the provisioning page is found.
func TestHubs(t *testing.T) {
	t.Parallel()
	world := newInternet(t)
	p := newProvider(t) // allows itself and hub.example.test
	world.serve("example.test", p)
	yaml := identityYAML + "identity: {hubs: [HUB]}\n"
	look(t, world.checker(load(t, folder(t), replaced(yaml, "HUB", "https://hub.example.test/persona"))).Domain("example.test")).
		expect(t, want{"provisioning page", report.OK, "may be framed by hubs", ""})
	look(t, world.checker(load(t, folder(t), replaced(yaml, "HUB", "https://other.example.test"))).Domain("example.test")).
		expect(t, want{"provisioning page", report.Failed, "the hub https://other.example.test may not frame it", "frame-ancestors"})
	p.with("/provision", func(h http.Header) { h.Set("Content-Security-Policy", "frame-ancestors https://hub.example.test") })
	look(t, world.checker(load(t, folder(t), identityYAML)).Domain("example.test")).
		expect(t, want{"provisioning page", report.Failed, "the hub https://example.test may not frame it", ""})
}
