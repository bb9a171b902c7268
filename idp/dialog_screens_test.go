package idp_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"persona-sidecar/idp/idptest"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// dialogFor opens the dialog in the window itself, as where popups are blocked.
func (n *network) dialogFor(site string, options map[string]any) {
	n.t.Helper()
	request := map[string]any{"returnTo": site + "/", "state": "1"}
	for name, value := range options {
		request[name] = value
	}
	n.open(site + "/")
	n.js(`sessionStorage.setItem("persona.redirect", JSON.stringify({state: "1", hash: ""})); ""`)
	n.redirect(site, asJSON(request))
}

// before runs a script in every page that is loaded from now on; the returned
// function ends that.
func (n *network) before(script string) (end func()) {
	n.t.Helper()
	var id page.ScriptIdentifier
	n.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		added, err := cdp.Call(ctx, t, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		id = added.Identifier
		return err
	}))
	return func() {
		n.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			_, err := cdp.Call(ctx, t, page.RemoveScriptToEvaluateOnNewDocument, page.RemoveScriptToEvaluateOnNewDocumentParams{Identifier: id})
			return err
		}))
	}
}

// provisioning replaces the provisioning page by one with a script of its own.
func (n *network) provisioning(script string) (end func()) {
	const where = "https://example.test/persona/provision"
	n.page(where, "text/html", `<!doctype html><script src="/persona/provisioning_api.js"></script><script>`+script+`</script>`)
	return func() { n.pages.Delete(where) }
}

// answers replaces the answer of an address by an error.
func (n *network) answers(path string, status int, body string) (end func()) {
	where := "https://example.test" + path
	n.pages.Store(where, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	return func() { n.pages.Delete(where) }
}

// pictures photographs the dialog, and demands that its first button is in
// sight in a popup.
func (n *network) pictures(name string) {
	n.t.Helper()
	n.photograph("dialog-" + name)
	n.do(chromedp.EmulateViewport(700, 375))
	if got := n.js(`String([...document.querySelectorAll("[data-first]")].every((e) => e.offsetParent === null || e.getBoundingClientRect().bottom <= innerHeight))`); got != "true" {
		n.t.Errorf("%s: the first button is out of sight in a popup", name)
	}
	if got := n.js(`String(document.activeElement !== document.body && document.querySelector("[data-screen]:not([hidden])").contains(document.activeElement))`); got != "true" {
		n.t.Errorf("%s: the focus is not on the screen", name)
	}
}

// hurry makes what takes many seconds take few.
const hurry = `{ const slowly = window.setTimeout; window.setTimeout = (f, ms, ...more) => slowly(f, ms >= 15000 ? 1500 : ms, ...more); }`

// Every failure ends in a screen that says what happened, and every screen can
// be left.
func TestBrowserDialogScreens(t *testing.T) {
	t.Parallel()
	const blockStorage = `if (location.origin === "https://example.test") Object.defineProperty(window, "sessionStorage", {get() { throw new DOMException("blocked", "SecurityError"); }});`
	logo := "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHdpZHRoPSI5NiIgaGVpZ2h0PSI0OCI+PHJlY3Qgd2lkdGg9Ijk2IiBoZWlnaHQ9IjQ4IiByeD0iOCIgZmlsbD0iIzBhN2Q1YSIvPjwvc3ZnPg=="
	dressed := map[string]any{
		"siteName": "Bookshop <b>&amp;</b>", "siteLogo": logo, "backgroundColor": "#0a7d5a", "termsOfService": "/terms", "privacyPolicy": "/privacy",
	}
	tests := []struct {
		name    string
		prepare func(n *network) (end func())
		options map[string]any
		site    string
		email   string // typed; "" where the screen comes by itself
		screen  string
		words   string
	}{
		{name: "address", options: dressed, screen: "address", words: "Bookshop <b>&amp;</b>"},
		{name: "address-hint", options: map[string]any{"email": "Alice@example.test"}, screen: "address", words: "rp.other.test"},
		{name: "working", prepare: func(n *network) func() { return n.provisioning("") }, email: "alice@example.test", screen: "working", words: "alice@example.test"},
		{name: "foreign", email: "ann@company.test", screen: "foreign", words: "idp.company.test"},
		{name: "no-provider", email: "ann@nowhere.test", screen: "no_provider", words: "Check the spelling"},
		{name: "disabled", email: "ann@off.test", screen: "disabled", words: "off.test has switched sign-in off"},
		{name: "busy", email: "ann@busy.test", screen: "busy", words: "Try again in a few seconds."},
		{name: "offline", email: "ann@down.test", screen: "offline", words: "timeout trying to load"},
		{name: "not-allowed", site: evilSite, screen: "not_allowed", words: "https://www.evil.test"},
		{name: "options", options: map[string]any{"siteLogo": "http://rp.other.test/logo.png"}, screen: "options", words: "siteLogos can only be served from https and data schemes."},
		{name: "timeout", prepare: func(n *network) func() {
			end, endScript := n.provisioning(""), n.before(hurry)
			return func() { end(); endScript() }
		}, email: "alice@example.test", screen: "timeout", words: "took too long"},
		{name: "refused", prepare: func(n *network) func() {
			return n.provisioning(`navigator.id.beginProvisioning(() => navigator.id.raiseProvisioningFailure("the moon is <i>wrong</i>"))`)
		}, email: "alice@example.test", screen: "refused", words: "“the moon is <i>wrong</i>”"},
		{name: "certificate", prepare: func(n *network) func() {
			return n.provisioning(`navigator.id.beginProvisioning(() => navigator.id.genKeyPair(() => navigator.id.registerCertificate("a.b.c")))`)
		}, email: "alice@example.test", screen: "certificate", words: "Nothing was shared"},
		{name: "server", prepare: func(n *network) func() {
			return n.answers("/persona/wsapi/address_info", 503, `{"error":"x","message":"The keys are not ready yet."}`)
		}, email: "alice@example.test", screen: "server", words: "The keys are not ready yet."},
		{name: "storage", prepare: func(n *network) func() { return n.before(blockStorage) }, email: "alice@example.test", screen: "storage", words: "site data of example.test"},
		{name: "unsupported", prepare: func(n *network) func() {
			return n.before(`Object.defineProperty(Crypto.prototype, "subtle", {value: undefined});`)
		}, screen: "unsupported", words: "WebCrypto"},
		{name: "fault", prepare: func(n *network) func() {
			return n.before(`if (location.origin === "https://example.test") CryptoKey = undefined;`)
		}, email: "alice@example.test", screen: "fault", words: "TypeError"},
	}
	// Two browsers share the work.
	for some := range slices.Chunk(tests, (len(tests)+1)/2) {
		t.Run(some[0].name, func(t *testing.T) {
			t.Parallel()
			n := newSites(t)
			for _, test := range some {
				end := func() {}
				if test.prepare != nil {
					end = test.prepare(n)
				}
				if test.site == "" {
					test.site = farSite
				}
				if test.name == "fault" {
					end2 := n.provisioning(`navigator.id.beginProvisioning(() => navigator.id.genKeyPair(() => {}))`)
					end1 := end
					end = func() { end1(); end2() }
				}
				n.dialogFor(test.site, test.options)
				if test.email != "" {
					n.address(test.email)
				}
				if words := n.screen(test.screen); !strings.Contains(words, test.words) {
					t.Errorf("%s lacks %q:\n%s", test.name, test.words, words)
				}
				if test.screen == "address" {
					n.until(`document.activeElement.id === "email"`)
				}
				n.pictures(test.name)
				end()
				n.cancel()
				n.until(`location.href === "` + test.site + `/"`)
				n.heard("ready")
			}
		})
	}
}

// The screens after a visit to the sign-in page.
func TestBrowserDialogScreensAfterSignIn(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	// Cookies do not stick: the session that was just made is gone.
	n.dialogFor(farSite, nil)
	n.address("alice@example.test")
	n.see("https://example.test/persona/authenticate", "#submit")
	n.leave(`location.assign("https://example.test/persona/sign_in?AUTH_RETURN")`)
	if words := n.screen("cookies"); !strings.Contains(words, "Allow cookies of example.test") {
		t.Error(words)
	}
	n.pictures("cookies")
	n.settle()
	n.click("[data-screen=cookies] [data-action=sign-in]")
	n.see("https://example.test/persona/authenticate", "#cancel")
	n.click("#cancel")
	n.screen("address")
	if got := n.js(`document.querySelector("#email").value`); got != "alice@example.test" {
		t.Errorf("the address is lost: %q", got)
	}
	n.settle()
	n.click("#next")
	n.fillInPrivate("alice", password)
	n.heard("login ready")

	n.dialogFor(farSite, map[string]any{"siteName": "Bookshop", "termsOfService": "/terms", "privacyPolicy": "/privacy"})
	n.screen("choose")
	n.pictures("choose")
	n.click("#other")
	n.screen("address")
	n.pictures("address-again")
	n.address("bob@example.test")
	n.see("https://example.test/persona/authenticate", "#switch")
	n.leave(`location.assign("https://example.test/persona/sign_in?AUTH_RETURN")`)
	n.screen("not_yours")
	n.pictures("not-yours")

	// The directory goes down.
	n.directory.Fail(errDown)
	n.clock.Advance(ended)
	n.dialogFor(farSite, nil)
	n.screen("choose")
	n.settle()
	n.click("#sign-in")
	n.screen("directory")
	n.pictures("directory")
	n.directory.Fail(nil)
	n.click("[data-screen=directory] [data-action=retry]")
	n.heard("login ready")
}

// On a shared computer nothing of the person stays behind.
func TestBrowserDialogSharedComputer(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	n.open(farSite + "/")
	d := n.dialog()
	d.address("alice@example.test")
	d.fillIn("alice", password) // shared is what the form begins with
	n.heard("ready login")
	n.open("https://example.test/persona/")
	if got := n.js(`String(localStorage.getItem("persona.addresses"))`); strings.Contains(got, "alice") {
		t.Errorf("the address is kept: %s", got)
	}
	keys := `new Promise((resolve) => { const o = indexedDB.open("persona", 1); o.onsuccess = () => {
		const r = o.result.transaction("keys").objectStore("keys").getAllKeys(); r.onsuccess = () => resolve(r.result.join()); }; })`
	if got, err := chromedp.Run(n.ctx, chromedp.Evaluate[string](keys, chromedp.EvalAwaitPromise)); err != nil || got != "" {
		t.Errorf("the keys of %q are kept: %v", got, err)
	}
	n.click("#logout")
	n.see("https://example.test/persona/", "#sign-in")
	n.open(farSite + "/")
	d = n.dialog()
	d.screen("address")
	d.see("https://example.test/", "#email")
	if got := d.js(`document.querySelector("#email").value + String(localStorage.getItem("persona.sites"))`); strings.Contains(got, "alice") {
		t.Errorf("after signing out there is %s", got)
	}
}

// Without IndexedDB there is a key for each time.
func TestBrowserDialogWithoutIndexedDB(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	end := n.before(`if (location.origin === "https://example.test") Object.defineProperty(window, "indexedDB", {value: {open() { throw new DOMException("blocked"); }}});`)
	defer end()
	n.dialogFor(farSite, nil)
	n.address("alice@example.test")
	n.see("https://example.test/persona/authenticate", "#submit")
	n.fillInPrivate("alice", password)
	n.heard("login ready")
	n.verify(farSite, "alice@example.test")
}

// An address of a domain that delegates to this host.
func TestBrowserDialogDelegatedDomain(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	n.directory.Change("alice-id", func(a *idptest.Account) { a.Addresses = append(a.Addresses, idptest.Addresses("alice@sister.test")...) })
	n.signInAt(farSite+"/", "alice@sister.test")
}

// The identity host of its own, beside the company's website, is the hub.
func TestBrowserDialogSecondHost(t *testing.T) {
	t.Parallel()
	n := newSites(t, func(c *settings) {
		c.Hosts[1].Domains = []string{otherHost, "other.test"}
	})
	n.directory.Change("alice-id", func(a *idptest.Account) { a.Addresses = idptest.Addresses("alice@other.test") })
	n.page(farSite+"/second", "text/html", strings.ReplaceAll(relyingPage, "https://example.test", "https://second.test"))
	n.open(farSite + "/second")
	d := n.dialog()
	d.address("alice@other.test")
	d.see("https://second.test/persona/authenticate", "#submit")
	d.do(idptest.Type("#password", password), idptest.Clear("#username"), idptest.Type("#username", "alice"), idptest.Click("#submit"))
	n.heard("ready login")
}

// A hub serves the other identity hosts of its site: their pages know it as a
// hub, and the cookie of a sister is seen in its frame.
func TestBrowserDialogSister(t *testing.T) {
	t.Parallel()
	n := newSites(t, func(c *settings) {
		c.Hosts[1] = named(c.Hosts[1], sisterHost)
		c.Hosts[1].Domains, c.Hosts[1].Hubs = []string{sisterHost, "corp.test"}, []string{ownHub}
	})
	n.directory.Change("alice-id", func(a *idptest.Account) { a.Addresses = idptest.Addresses("alice@corp.test") })
	n.open(nearSite + "/?stateful")
	n.heard("logout ready")
	d := n.dialog()
	d.address("alice@corp.test")
	d.see("https://id.example.test/persona/authenticate?email=", "#submit")
	d.do(idptest.Clear("#username"), idptest.Type("#username", "alice"), idptest.Type("#password", password), idptest.Click("#submit"))
	n.heard("logout ready login")
	// Who is signed in at the sister is not known to the silent frame, and it does not guess.
	n.open(nearSite + "/?stateful")
	n.heard("ready")
}
