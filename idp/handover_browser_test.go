package idp_test

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"persona-sidecar/idp/idptest"
	"persona-sidecar/idp/route"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

const wikiOrigin = "https://" + wiki

// newWiki is a network with a website on a host of its own, whose pages have a link to sign in and one to sign out.
func newWiki(t *testing.T) *network {
	t.Helper()
	n := newNetwork(t, idptest.BrowserOptions{BlockThirdPartyCookies: true}, withSites())
	for _, path := range []string{"/", "/edit", "/other"} {
		back := url.QueryEscape(path + "?a=b&c=ä")
		n.page(wikiOrigin+path, "text/html; charset=utf-8", `<!doctype html><title>wiki</title><h1>`+path+`</h1>
			<a id="in" href="/persona/login?return=`+back+`">in</a> <a id="out" href="/persona/logout?return=`+back+`">out</a>`)
	}
	return n
}

// focus moves the focus by the tabulator until an element has it.
func (n *network) focus(selector string) {
	n.t.Helper()
	n.see("https://", selector)
	for range 20 {
		if n.js(`String(document.activeElement === document.querySelector(`+quote(selector)+`))`) == "true" {
			return
		}
		n.do(chromedp.KeyEvent("\t"))
	}
	n.t.Fatalf("the tabulator does not come to %s\n%s", selector, n.seen())
}

// arrives waits until the browser shows a page of the website.
func (n *network) arrives(path string) {
	n.t.Helper()
	n.see(wikiOrigin+path, "#in")
	if at := n.js(`location.href`); at != wikiOrigin+path {
		n.t.Errorf("the trip ends at %s", at)
	}
}

// signedInAt asks the way in, which leads straight back to who is signed in.
func (n *network) wikiSignedIn() bool {
	n.t.Helper()
	n.open(wikiOrigin + "/persona/login?return=/other")
	n.until(`document.readyState === "complete"`)
	return strings.HasPrefix(n.js(`location.href`), wikiOrigin)
}

// By keyboard alone, with a wrong password and a notice on the way, and out again.
func TestBrowserSiteByKeyboard(t *testing.T) {
	t.Parallel()
	n := newWiki(t)
	n.open(wikiOrigin + "/edit")
	n.focus("#in")
	n.do(idptest.Leave(idptest.Press("\r")))
	if words := n.when(`document.querySelector("#submit")`, `document.querySelector("main").innerText`); !strings.Contains(words, "to go on to "+wiki) {
		t.Errorf("the page says %s", words)
	}
	n.until(`document.activeElement.id === "username"`)
	n.do(chromedp.KeyEvent("alice"), chromedp.KeyEvent("\t"), chromedp.KeyEvent("wrong"), idptest.Leave(idptest.Press("\r")))
	n.see("https://"+host+"/persona/authenticate", "#error")
	n.until(`document.activeElement.id === "password"`)
	n.do(chromedp.KeyEvent(password), idptest.Leave(idptest.Press("\r")))
	n.arrives("/edit?a=b&c=%C3%A4")

	// Going back goes to the sign-in page, which leads on again, and then to where the link was.
	n.leave(`history.back()`)
	n.until(`location.origin === "` + wikiOrigin + `" && document.querySelector("#in") !== null`)

	n.open(wikiOrigin + "/edit")
	n.focus("#out")
	n.do(idptest.Leave(idptest.Press("\r")))
	n.focus("#logout")
	n.settle()
	n.do(idptest.Leave(idptest.Press("\r")))
	n.arrives("/edit?a=b&c=%C3%A4")
	if n.wikiSignedIn() {
		t.Error("still signed in")
	}
}

func TestBrowserSiteWithoutScripts(t *testing.T) {
	t.Parallel()
	n := newWiki(t)
	n.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
	n.open(wikiOrigin + "/edit")
	n.do(idptest.Leave(idptest.Click("#in")))
	n.fillIn("alice", password)
	n.arrives("/edit?a=b&c=%C3%A4")
	// Signed in at the identity host: another website needs no page.
	n.page("https://"+shop+"/", "text/html", `<h1 id="in">shop</h1>`)
	n.open("https://" + shop + "/persona/login")
	n.see("https://"+shop+"/", "#in")
	n.open(wikiOrigin + "/edit")
	n.do(idptest.Leave(idptest.Click("#out")))
	n.see(wikiOrigin+"/persona/logout", "#logout")
	n.do(idptest.Leave(idptest.Click("#logout")))
	n.arrives("/edit?a=b&c=%C3%A4")
	if n.wikiSignedIn() {
		t.Error("still signed in")
	}
}

// Two tabs in which the sign-in was begun both end at their own page.
func TestBrowserSiteInTwoTabs(t *testing.T) {
	t.Parallel()
	n := newWiki(t)
	ctx, cancel := chromedp.NewContext(n.ctx, chromedp.WithNewWindow(true)) // in a window of its own both are shown
	t.Cleanup(cancel)
	second := &network{world: n.world, ctx: ctx}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	for tab, path := range map[*network]string{n: "/edit", second: "/other"} {
		tab.open(wikiOrigin + path)
		tab.do(idptest.Leave(idptest.Click("#in")))
		tab.see("https://"+host+"/persona/authenticate", "#submit")
	}
	second.fillIn("alice", password)
	second.arrives("/other?a=b&c=%C3%A4")
	n.fillIn("alice", password) // the form was still open
	n.arrives("/edit?a=b&c=%C3%A4")
	if !n.wikiSignedIn() || !second.wikiSignedIn() {
		t.Error("not signed in")
	}
}

// What is taken as a return path stays on its origin in a browser's own parser.
func TestBrowserReturnPaths(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, idptest.BrowserOptions{})
	n.open("https://example.test/persona/")
	pieces := []string{"", "/", "\\", "\t", "\r", " ", ".", "..", "@", ":", "evil.test", "https:", "?", "#", "%2f", "%5c", "%09", "%2e", "ä", "\x00", "\u2028", "／"}
	var taken []string
	for _, a := range pieces {
		for _, b := range pieces {
			for _, c := range pieces {
				for _, text := range []string{a + b + c, "/" + a + b + c, a + b + c + "/evil.test"} {
					if path, err := route.ReturnPath(text); err == nil {
						taken = append(taken, path)
					}
				}
			}
		}
	}
	list, err := json.Marshal(taken)
	if err != nil || len(taken) < 1000 {
		t.Fatal(len(taken), err)
	}
	for _, base := range []string{"https://wiki.example.test/persona/login?return=/", "https://wiki.example.test/persona/handover", "https://wiki.example.test/"} {
		left := n.js(`JSON.stringify(` + string(list) + `.filter((path) => {
			const url = new URL(path, ` + quote(base) + `);
			return url.origin !== "https://wiki.example.test" || url.pathname === "/persona" || url.pathname.startsWith("/persona/");
		}))`)
		if left != "[]" {
			t.Errorf("from %s: %s", base, left)
		}
	}
}

// The service worker of a website, which passes each request of its pages on, does not keep people from signing in and out.
func TestBrowserSiteWithServiceWorker(t *testing.T) {
	t.Parallel()
	n := newWiki(t)
	n.page(wikiOrigin+"/worker.js", "text/javascript", `
		addEventListener("activate", (event) => event.waitUntil(clients.claim()));
		addEventListener("fetch", (event) => event.respondWith(fetch(event.request)));`)
	n.open(wikiOrigin + "/edit")
	n.js(`navigator.serviceWorker.register("/worker.js") && ""`)
	n.until(`navigator.serviceWorker.controller !== null`)
	n.do(idptest.Leave(idptest.Click("#in")))
	n.fillIn("alice", password)
	n.arrives("/edit?a=b&c=%C3%A4")
	n.until(`navigator.serviceWorker.controller !== null`)
	n.do(idptest.Leave(idptest.Click("#out")))
	n.see(wikiOrigin+"/persona/logout", "#logout")
	n.settle()
	n.do(idptest.Leave(idptest.Click("#logout")))
	n.arrives("/edit?a=b&c=%C3%A4")
	if n.wikiSignedIn() {
		t.Error("still signed in")
	}
}
