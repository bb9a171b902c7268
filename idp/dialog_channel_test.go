package idp_test

import (
	"strings"
	"testing"

	"persona-sidecar/idp/idptest"

	"github.com/chromedp/chromedp"
)

// opensByHand is a site that speaks with the dialog by itself: say posts
// anything into it, and what it says is noted.
const opensByHand = `<!doctype html><title>by hand</title><body><script>
window.heard = [];
window.addEventListener("message", (event) => heard.push(event.origin + " " + event.data));
window.openDialog = () => { window.dialog = window.open("https://example.test/persona/sign_in", "dialog", "width=700,height=375"); };
window.say = (message) => dialog.postMessage(typeof message === "string" ? message : JSON.stringify(message), "*");
window.ask = (params, method = "get") => say({a: "request", d: {method, params}});
</script>`

// byHand opens the dialog from such a site.
func (n *network) byHand(site string) *network {
	n.t.Helper()
	n.page(site+"/hand", "text/html", opensByHand)
	n.open(site + "/hand")
	d := n.popup(func() { n.js(`openDialog(); ""`) })
	n.until(`heard.length > 0`)
	if got := n.js(`heard[0]`); got != `https://example.test {"a":"ready"}` {
		n.t.Errorf("the dialog begins with %s", got)
	}
	return d
}

// The dialog takes one request, of the window that opened it, and nothing that
// comes from elsewhere, out of form, or a second time.
func TestBrowserDialogChannel(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	d := n.byHand(farSite)
	n.js(`say("{"); say("null"); say("7"); say([]); say({a: "response", d: {assertion: "x"}}); say({a: "request"});
		ask(null); ask([]); ask({}, "put"); dialog.postMessage({a: "request", d: {method: "get", params: {}}}, "*"); ""`)
	// From itself, and from a frame of the opener: other sources.
	d.js(`window.postMessage(JSON.stringify({a: "request", d: {method: "get", params: {}}}), "*"); ""`)
	n.page(evilSite+"/frame", "text/html", `<script>parent.dialog; parent.postMessage("here", "*");
		addEventListener("message", () => parent.frames.length);</script>`)
	n.js(`const frame = document.createElement("iframe"); frame.srcdoc = '<script>parent.dialog.postMessage(JSON.stringify({a: "request", d: {method: "get", params: {}}}), "*"); parent.framed = true;<\/script>'; document.body.append(frame); ""`)
	n.until(`window.framed === true`)
	if got := d.js(`document.body.dataset.shown`); got != "loading" {
		t.Fatalf("the dialog shows %s", got)
	}
	n.js(`ask({siteName: "First", nonce: "n1"}); ask({siteName: "Second", nonce: "n2"}); ""`)
	if words := d.screen("address"); !strings.Contains(words, "First") || strings.Contains(words, "Second") {
		t.Errorf("the dialog shows:\n%s", words)
	}
	n.js(`ask({siteName: "Third"}); say({a: "error"}); ""`)
	d.address("alice@example.test")
	d.fillInPrivate("alice", password)
	// Back from the sign-in page it asks anew, and again before it answers.
	n.js(`setInterval(() => { if (!dialog.closed) ask({siteName: "First", nonce: "n1"}); }, 100); ""`)
	n.until(`heard.some((message) => message.includes('"a":"response"'))`)
	if got := n.js(`JSON.stringify(heard.filter((message) => message.includes("response")).map((message) => { const {a, d} = JSON.parse(message.split(" ")[1]); return [a, d.email, d.nonce]; }))`); got != `[["response","alice@example.test","n1"]]` {
		t.Errorf("the site got %s", got)
	}
}

// Another request than the one that the dialog left with does not get the
// answer: neither from another origin, nor from the same with another nonce.
func TestBrowserDialogClaimed(t *testing.T) {
	t.Parallel()
	for name, claim := range map[string]struct{ site, nonce string }{
		"another origin":  {nearSite, "n1"},
		"another request": {farSite, "n2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newSites(t)
			d := n.byHand(farSite)
			n.js(`ask({nonce: "n1"}); ""`)
			d.address("alice@example.test")
			d.see("https://example.test/persona/authenticate", "#submit")
			n.js(`window.name = "opener"; ""`)
			n.page(claim.site+"/claims", "text/html", `<script>window.heard = []; addEventListener("message", (event) => { heard.push(event.data);
				event.source.postMessage(JSON.stringify({a: "request", d: {method: "get", params: {nonce: "`+claim.nonce+`"}}}), "*"); });</script>`)
			// By the page itself: where the browser is told to, it cuts the popup from its opener.
			n.leave(`location.assign("` + claim.site + `/claims")`)
			n.until(`location.pathname === "/claims" && typeof heard === "object"`)
			d.fillInPrivate("alice", password)
			if words := d.screen("claimed"); !strings.Contains(words, farSite) || !strings.Contains(words, claim.site) {
				t.Errorf("the dialog says:\n%s", words)
			}
			if heard := n.js(`heard.join()`); strings.Contains(heard, "response") {
				t.Errorf("the other page got %s", heard)
			}
			d.pictures("claimed")
		})
	}
}

// A site whose page goes elsewhere while the dialog is open gets nothing.
func TestBrowserDialogOpenerGone(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	n.signInAt(farSite+"/", "alice@example.test")
	d := n.dialog()
	d.screen("choose")
	n.page(farSite+"/elsewhere", "text/html", `<script>window.heard = []; addEventListener("message", (event) => heard.push(event.data));</script>`)
	n.open(farSite + "/elsewhere")
	d.settle()
	d.click("#sign-in")
	if words := d.screen("opener"); !strings.Contains(words, farSite) {
		t.Errorf("the dialog says:\n%s", words)
	}
	if heard := n.js(`heard.join()`); strings.Contains(heard, "assertion") {
		t.Errorf("the page got %s", heard)
	}
	d.pictures("opener")
	// Opened by hand, there never was a site.
	n.open("https://example.test/persona/sign_in")
	n.screen("opener")
}

// Two dialogs at once do not know of each other.
func TestBrowserTwoDialogs(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	n.open(farSite + "/")
	other := n.popup(func() { n.js(`window.open("` + nearSite + `/", "_blank", "noopener"); ""`) })
	other.heard("ready")
	first, second := n.dialog(), other.dialog()
	first.address("alice@example.test")
	second.address("bob@example.test")
	first.fillInPrivate("alice", password)
	n.heard("ready login")
	n.verify(farSite, "alice@example.test")
	second.see("https://example.test/persona/authenticate", "#username")
	second.do(chromedp.Reload())
	second.see("https://example.test/persona/authenticate", "#switch")
	second.do(idptest.Leave(idptest.Click("#switch")))
	second.fillInPrivate("bob", "bob's")
	other.heard("ready login")
	other.verify(nearSite, "bob@example.test")
}

// include.js takes messages from its own dialog only.
func TestBrowserIncludeChannel(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	const forged = `JSON.stringify({a: "response", d: {assertion: "forged", email: "x", nonce: ""}})`
	n.page("https://example.test/liar", "text/html", `<script>parent.postMessage(`+forged+`, "*"); parent.postMessage(JSON.stringify({method: "mozid_ni::login", params: {assertion: "forged"}}), "*"); parent.postMessage(JSON.stringify({a: "error"}), "*");</script>`)
	n.open(farSite + "/?stateful")
	n.heard("ready")
	d := n.dialog()
	d.screen("address")
	n.js(`window.postMessage(` + forged + `, "*"); const f = document.createElement("iframe"); f.onload = () => { window.lied = true; }; f.src = "https://example.test/liar"; document.body.append(f); ""`)
	n.until(`window.lied === true`)
	n.quiet("ready")
	// Its own dialog, with another nonce; then it is closed.
	d.js(`opener.postMessage(` + forged + `, "*"); ""`)
	n.quiet("ready")
	n.click("#go") // only brings the dialog to the front
	d.leave(`window.close()`)
	n.heard("ready cancel")
	n.js(`window.postMessage(` + forged + `, "*"); ""`)
	n.quiet("ready cancel")
	// Cancelled by its button.
	d = n.dialog()
	d.screen("address")
	d.cancel()
	n.heard("ready cancel cancel")
}
