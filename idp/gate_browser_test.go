package idp_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"persona-sidecar/idp/gate"
	"persona-sidecar/idp/gate/access"
	"persona-sidecar/idp/idptest"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// newGated is a network with a website whose pages below /intern/ are for people who are
// signed in, and those below /board/ for a group that alice is not in.
func newGated(t *testing.T) *network {
	t.Helper()
	n := newNetwork(t, idptest.BrowserOptions{BlockThirdPartyCookies: true}, withSites(), func(s *settings) {
		s.Sites[0].Headers = &gate.Headers{User: "Remote-User", UserIs: gate.UserIsLogin}
		s.Sites[0].Rules = access.Rules{{Path: "/board/", Allow: access.Members, Groups: []string{"board of directors"}}, {Path: "/intern/", Allow: access.SignedIn}}
	})
	for path, body := range map[string]string{
		"/edit":        `<form method="post" action="/intern/save"><textarea id="text" name="text">old</textarea><button id="save">Save</button></form>`,
		"/around":      `<h1>around</h1><iframe src="/intern/inside"></iframe>`,
		"/intern/page": "<h1>intern</h1>", "/intern/inside": "<h1>inside</h1>", "/intern/save": "<h1>saved</h1>", "/board/": "<h1>board</h1>",
	} {
		n.pages.Store("https://"+wiki+path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			admission := n.gate.Admit(w, r, wiki, true)
			if admission.Verdict != gate.Admitted {
				return
			}
			for _, line := range admission.SetCookies {
				w.Header().Add("Set-Cookie", line)
			}
			user := "a stranger"
			if len(admission.Fields) > 0 {
				user = admission.Fields[0].Value
			}
			w.Header().Set("Content-Type", "text/html")
			_, _ = fmt.Fprintf(w, `<!doctype html><title>wiki</title>%s<p id="user">%s</p><p id="text-sent">%s</p>`, body, user, r.FormValue("text"))
		}))
	}
	return n
}

// TestBrowserGate: a page that is protected leads to the sign-in and back; a form that was
// sent in vain is not lost; a frame leads out of itself; the wrong group is told.
func TestBrowserGate(t *testing.T) {
	t.Parallel()
	n := newGated(t)
	origin := "https://" + wiki
	styled := func() {
		t.Helper()
		n.until(`document.readyState === "complete"`)
		if got := n.js(`getComputedStyle(document.querySelector("#on")).fontWeight`); got != "600" {
			t.Errorf("the page has no style: %s", got)
		}
	}

	n.open(origin + "/around")
	n.until(`frames[0]?.document.querySelector("#on")`)
	n.leave(`frames[0].document.querySelector("#on").click()`)
	n.see("https://example.test/persona/authenticate", "#submit")

	n.open(origin + "/edit")
	n.see(origin+"/edit", "#save")
	n.do(idptest.Clear("#text"), idptest.Type("#text", "what was typed"), idptest.Leave(idptest.Click("#save")))
	n.see(origin+"/intern/save", "#back")
	styled()
	n.photograph("gate-unsent")
	tab := &network{world: n.world}
	tab.ctx = idptest.Popup(n.ctx, t, func() { n.do(idptest.Click("#on")) })
	tab.fillIn("alice", password)
	if got := tab.see(origin+"/edit", "#user"); got != "alice" {
		t.Errorf("the other tab shows %s", got)
	}
	n.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, page.BringToFront, cdp.Empty{})
		return err
	}))
	n.do(idptest.Leave(idptest.Click("#back")))
	n.see(origin+"/edit", "#save")
	if got := n.js(`document.querySelector("#text").value`); got != "what was typed" {
		t.Errorf("the form has %q", got)
	}
	n.do(idptest.Leave(idptest.Click("#save")))
	if got := n.see(origin+"/intern/save", "#text-sent"); got != "what was typed" {
		t.Errorf("saved: %q", got)
	}

	n.open(origin + "/board/?a=b")
	n.see(origin+"/board/?a=b", "#on")
	styled()
	n.photograph("gate-wrong-group")
	n.do(idptest.Leave(idptest.Click("#on")))
	n.see(origin+"/persona/logout", "#logout")
	n.click("#logout")
	n.see("https://example.test/persona/authenticate", "#submit") // by way of the page that was asked for
	n.open(origin + "/intern/page?x=1&y=%20ä")
	n.fillIn("alice", password)
	if got := n.see(origin+"/intern/page", "#user"); got != "alice" || n.js("location.search") != "?x=1&y=%20%C3%A4" {
		t.Errorf("back at %s as %s", n.js("location.href"), got)
	}
}
