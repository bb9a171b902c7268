package idp_test

import (
	"strings"
	"testing"

	"persona-sidecar/idp/idptest"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// The main path: from a site's button to its assertion, a second time in one
// click, with a wrong password on the way, wherever the site is.
func TestBrowserDialogSignIn(t *testing.T) {
	t.Parallel()
	for _, site := range []string{nearSite, farSite} {
		t.Run(site, func(t *testing.T) {
			t.Parallel()
			n := newSites(t)
			n.open(site + "/")
			n.heard("ready")
			d := n.dialog()
			if words := d.screen("address"); !strings.Contains(words, strings.TrimPrefix(site, "https://")) {
				t.Errorf("the dialog does not name the site:\n%s", words)
			}
			d.address("Alice@Example.test")
			d.see("https://example.test/persona/authenticate?email=", "#submit")
			d.fillIn("alice", "wrong")
			d.see("https://example.test/persona/authenticate", "#error")
			d.fillInPrivate("alice", password)
			n.heard("ready login")
			n.verify(site, "alice@example.test")

			n.open(site + "/")
			d = n.dialog()
			if words := d.screen("choose"); !strings.Contains(words, "a.liddell@example.test") {
				t.Errorf("the addresses are not offered:\n%s", words)
			}
			// A click before there was time to read is not taken, nor made up for.
			if early := d.js(`dispatchEvent(new Event("focus")); document.querySelector("#sign-in").click(); document.querySelector("#early").textContent`); early == "" {
				t.Error("an early click is taken")
			}
			d.settle()
			d.screen("choose")
			d.click("#sign-in")
			n.heard("ready login")
			n.verify(site, "alice@example.test")

			// Another address of the same person, by keyboard alone.
			n.open(site + "/")
			d = n.dialog()
			d.screen("choose")
			d.settle()
			d.until(`document.activeElement.id === "sign-in"`)
			d.js(`document.querySelector("input[name=address]:checked").focus(); ""`)
			d.do(chromedp.KeyEvent(kb.ArrowDown))
			d.do(idptest.Press("\r"))
			n.heard("ready login")
			n.verify(site, "a.liddell@example.test")
		})
	}
}
