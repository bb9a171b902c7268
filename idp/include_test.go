package idp_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"
)

// What navigator.id throws, and what it does not.
func TestBrowserIncludeArguments(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	const f = `() => {}`
	tests := []struct{ call, thrown string }{
		{`navigator.id.watch()`, "navigator.id.watch() requires an object of options"},
		{`navigator.id.watch({})`, "'onlogin' is a required argument to navigator.id.watch()"},
		{`navigator.id.watch({onlogin: 1})`, "non-function where function expected in parameters to navigator.id.watch()"},
		{`navigator.id.watch({onlogin: ` + f + `, onready: "x"})`, "non-function where function expected in parameters to navigator.id.watch()"},
		{`navigator.id.watch({onlogin: ` + f + `, loggedInUser: null})`, "stateless api only allows onlogin and onready options"},
		{`navigator.id.watch({onlogin: ` + f + `, onmatch: ` + f + `})`, "stateless api only allows onlogin and onready options"},
		{`navigator.id.watch({onlogin: ` + f + `, onlogout: ` + f + `, loggedInUser: 7})`, "loggedInUser is not a valid type"},
		{`navigator.id.watch({onlogin: ` + f + `, onlogout: ` + f + `, loggedInUser: "a", loggedInEmail: "b"})`, "you cannot supply *both* loggedInEmail and loggedInUser"},
		{`navigator.id.watch.call({}, {onlogin: ` + f + `})`, "all navigator.id calls must be made on the navigator.id object"},
		{`navigator.id.request()`, "navigator.id.watch must be called before navigator.id.request"},
		{`(0, navigator.id.request)()`, "all navigator.id calls must be made on the navigator.id object"},
		{`navigator.id.get()`, "navigator.id.get() requires a callback argument"},
		{`navigator.id.getVerifiedEmail(1)`, "navigator.id.getVerifiedEmail() requires a callback argument"},
		{`navigator.id.logout(1)`, "non-function where function expected in parameters to navigator.id.logout()"},
		{`navigator.id.watch({onlogin: ` + f + `, onlogout: ` + f + `, loggedInEmail: false})`, ""},
		{`navigator.id.watch({onlogin: ` + f + `}); navigator.id.get(` + f + `)`, "navigator.id.get and navigator.id.watch cannot be used together"},
		{`navigator.id.request({oncancel: 1})`, "non-function where function expected in parameters to navigator.id.request()"},
		{`navigator.id.request({tosURL: "/a", termsOfService: "/b"})`, "you cannot supply *both* tosURL and termsOfService"},
	}
	n.open(farSite + "/?unwatched")
	for _, test := range tests {
		got := n.js(`(() => { try { ` + test.call + `; return ""; } catch (error) { return error.message; } })()`)
		if got != test.thrown {
			t.Errorf("%s throws %q, want %q", test.call, got, test.thrown)
		}
	}
	// Another implementation stays; ours is not put in anew.
	n.js(`navigator.id.mark = "kept"; const s = document.createElement("script"); s.onload = () => { window.twice = true; };
		window.trusted = trustedTypes.createPolicy("test", {createScriptURL: (u) => u}); s.src = trusted.createScriptURL("https://example.test/persona/include.js"); document.head.append(s); ""`)
	n.until(`window.twice === true`)
	if got := n.js(`navigator.id.mark + typeof navigator.id.request`); got != "keptfunction" {
		t.Errorf("after a second load: %s", got)
	}
}

// The silent frame, by what the site says of its user, before and after a
// sign-in. It never says logout where it cannot know.
func TestBrowserSilentFrame(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	user := func(site, value string) string { return site + "/?user=" + url.QueryEscape(value) }
	n.open(nearSite + "/?stateful")
	n.heard("logout ready")
	n.open(user(nearSite, `null`))
	n.heard("ready")
	n.open(user(nearSite, `"alice@example.test"`))
	n.heard("logout ready")
	// On another site nothing is known, before and after.
	n.open(user(farSite, `"alice@example.test"`))
	n.heard("ready")

	n.signInAt(nearSite+"/?stateful", "alice@example.test")
	n.heard("logout ready login")
	n.quiet("logout ready login")
	n.open(nearSite + "/?stateful")
	n.heard("login ready")
	n.verify(nearSite, "alice@example.test")
	n.open(user(nearSite, `"alice@example.test"`))
	n.heard("match ready")
	n.open(user(nearSite, `"bob@example.test"`))
	n.heard("login ready")
	n.verify(nearSite, "alice@example.test")
	// The site on another site, and a site that the person never signed in to.
	n.open(user(farSite, `"alice@example.test"`))
	n.heard("ready")
	n.open("https://other.example.test/?user=null")
	n.heard("ready")
	n.open("https://other.example.test/?stateful")
	n.heard("logout ready")

	// Signing out is heard in another tab, too, and lasts.
	n.open(user(nearSite, `"alice@example.test"`))
	n.heard("match ready")
	other := n.popup(func() {
		n.js(`window.open("` + user(nearSite, `"alice@example.test"`) + `", "_blank", "noopener"); ""`)
	})
	other.heard("match ready")
	other.click("#out")
	other.heard("match ready logout")
	n.heard("match ready logout")
	n.open(nearSite + "/?stateful")
	n.heard("logout ready")
}

// When the session at the hub has ended, its sites learn it; when the
// directory is down, they do not.
func TestBrowserSilentFrameSessionEnds(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	n.signInAt(nearSite+"/?stateful", "alice@example.test")
	n.directory.Fail(errDown)
	n.clock.Advance(ended)
	n.open(nearSite + "/?stateful")
	n.heard("ready")
	n.directory.Fail(nil)
	n.open(nearSite + "/?stateful")
	n.heard("login ready")
	n.open("https://example.test/persona/")
	n.click("#logout")
	n.see("https://example.test/persona/", "#sign-in")
	n.open(nearSite + "/?stateful")
	n.heard("logout ready")
}

// A frame that the browser refuses, as the site's own policy may have it, does
// not keep the site waiting for ever.
func TestBrowserSilentFrameRefused(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	n.page("https://sub.evil.test/", "text/html", relyingPage)
	n.open("https://sub.evil.test/?stateful")
	n.heard("ready")
	n.click("#out")
	n.heard("ready logout")
}

// A page whose Cross-Origin-Opener-Policy cuts the popup hears what it hears
// when the person closes the window; with the milder policy all is well.
func TestBrowserIncludeCutOff(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	for policy, events := range map[string]string{"same-origin": "ready cancel", "same-origin-allow-popups": "ready login"} {
		n.pages.Store(farSite+"/"+policy, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Cross-Origin-Opener-Policy", policy)
			_, _ = w.Write([]byte(relyingPage))
		}))
		n.open(farSite + "/" + policy)
		n.heard("ready")
		d := n.dialog()
		if policy == "same-origin" {
			d.screen("opener")
		} else {
			d.address("alice@example.test")
			d.fillInPrivate("alice", password)
		}
		n.heard(events)
		n.quiet(events)
	}
}

// get and getVerifiedEmail, which old sites use.
func TestBrowserIncludeGet(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	n.open(farSite + "/?unwatched")
	for _, method := range []string{"get", "getVerifiedEmail"} {
		n.js(`window.got = []; ""`)
		d := n.popup(func() {
			n.js(`navigator.id.` + method + `((assertion) => { window.got.push(assertion === null ? "null" : "assertion"); window.assertion = assertion; }); ""`)
		})
		d.until(`["address", "choose"].includes(document.body.dataset.shown)`)
		d.cancel()
		n.until(`got.join() === "null"`)
	}
	d := n.popup(func() {
		n.js(`navigator.id.get((assertion) => { window.got = "done"; window.assertion = assertion; }); ""`)
	})
	d.address("alice@example.test")
	d.fillInPrivate("alice", password)
	n.until(`window.got === "done"`)
	n.verify(farSite, "alice@example.test")
}

// Where popups are blocked, the page goes to the dialog and comes back.
func TestBrowserRedirect(t *testing.T) {
	t.Parallel()
	const blocked = `window.open = () => null; ""`
	n := newSites(t)
	n.open(farSite + "/?a=b#at/home")
	n.js(blocked)
	n.click("#go")
	n.see("https://example.test/persona/sign_in", "#email")
	if words := n.screen("address"); !strings.Contains(words, "rp.other.test") {
		t.Errorf("the dialog does not name the site:\n%s", words)
	}
	if at := n.js(`location.href`); at != "https://example.test/persona/sign_in" {
		t.Errorf("the request stays in the address: %s", at)
	}
	n.address("alice@example.test")
	n.fillInPrivate("alice", password)
	n.heard("login ready")
	n.verify(farSite, "alice@example.test")
	if at := n.js(`location.href`); at != farSite+"/?a=b#at/home" {
		t.Errorf("back at %s", at)
	}
	// The answer counts once: not when the page is loaded again, nor with another state.
	n.do(chromedp.Reload())
	n.heard("ready")

	// A second time in one click, to another page, and cancelled.
	n.js(blocked + `; options.returnTo = "/?stateful"; ""`)
	n.click("#go")
	n.screen("choose")
	n.settle()
	n.click("#sign-in")
	n.heard("login ready")
	if at := n.js(`location.href`); at != farSite+"/?stateful" {
		t.Errorf("back at %s", at)
	}
	n.js(blocked)
	n.click("#go")
	n.screen("choose")
	n.cancel()
	n.until(`location.href === "` + farSite + `/?stateful"`)
	n.heard("ready")
}

// Assertions of strangers are not taken, and requests that lie are refused.
func TestBrowserRedirectForged(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	n.open(farSite + "/#persona_state=0123&persona_assertion=forged&persona_email=x")
	n.heard("ready")
	n.quiet("ready")
	if at := n.js(`location.href`); at != farSite+"/" {
		t.Errorf("the answer stays in the address: %s", at)
	}
	n.js(`sessionStorage.setItem("persona.redirect", JSON.stringify({state: "right", hash: ""})); ""`)
	n.open("about:blank")
	n.open(farSite + "/#persona_state=wrong&persona_assertion=forged")
	n.heard("ready")
	n.redirect(evilSite, `{"returnTo":"`+evilSite+`/","state":"1"}`)
	n.screen("not_allowed")
	for fragment, screen := range map[string]string{
		`{"returnTo":"https://www.evil.test/","state":"1"}`:      "claimed",
		`{"returnTo":"javascript:alert(1)","state":"1"}`:         "options",
		`{"returnTo":"` + farSite + `/"}`:                        "options",
		`{"returnTo":"https://user@rp.other.test/","state":"1"}`: "options",
		`{`: "options",
		`{"returnTo":"` + farSite + `/","state":"1","siteLogo":"http://rp.other.test/a.png"}`: "options",
		`{"returnTo":"` + farSite + `/","state":"1"}`:                                         "address",
	} {
		n.redirect(farSite, fragment)
		n.screen(screen)
	}
}

// Clicks that come before a person can have seen the dialog are not taken.
func TestBrowserDialogIgnoresEarlyClicks(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	n.signInAt(farSite+"/", "alice@example.test")
	d := n.dialog()
	d.screen("choose")
	d.settle()
	got := d.js(`window.dispatchEvent(new Event("focus"));
		document.querySelector("#sign-in").click();
		document.querySelector("#sign-in").click();
		document.body.dataset.shown`)
	if diff := cmp.Diff("choose", got); diff != "" {
		t.Errorf("a double click in a window that just came to the front signs in: %s", diff)
	}
	d.settle()
	d.click("#sign-in")
	n.heard("ready login login")
}

// Asked silently, a site that the person agreed to gets its assertion without
// a click; any other does not.
func TestBrowserDialogSilent(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	n.signInAt(farSite+"/", "alice@example.test")
	silently := "/?options=" + url.QueryEscape(`{"silent":true}`)
	n.open(farSite + silently)
	n.click("#go")
	n.heard("ready login")
	n.open(nearSite + silently)
	d := n.dialog()
	d.screen("choose")
	n.quiet("ready")
}
