package idp_test

import (
	"net/http"
	"net/url"
	"testing"
)

// redirect goes from a page of a site to the dialog, with a request in the
// fragment, as where popups are blocked.
func (n *network) redirect(site, request string) {
	n.t.Helper()
	n.open("about:blank")
	n.open(site + "/")
	n.leave(`const link = document.createElement("a"); link.referrerPolicy = "origin";
		link.href = "https://example.test/persona/sign_in#request=` + url.PathEscape(request) + `"; link.click()`)
}

// A page of another site cannot ask in a site's name and have the answer, which
// travels in the fragment, carried on to itself by a redirect of that site: the
// request has to come from the site that the answer goes to.
func TestBrowserDialogRedirectByAnother(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	n.signInAt(farSite+"/", "alice@example.test")
	n.pages.Store(farSite+"/go", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
	}))
	n.page(evilSite+"/take", "text/html", `<!doctype html><title>take</title><body data-shown="taken">`)
	request := url.PathEscape(asJSON(map[string]any{
		"returnTo": farSite + "/go?to=" + url.QueryEscape(evilSite+"/take"), "state": "1", "silent": true,
	}))
	for name, policy := range map[string]string{"with a referrer": "", "without": "no-referrer"} {
		n.page(evilSite+"/lure", "text/html", `<!doctype html><title>lure</title><meta name="referrer" content="`+policy+`"><body>`)
		n.open(evilSite + "/lure")
		n.leave(`location.assign("https://example.test/persona/sign_in#request=` + request + `")`)
		n.until(`!["", "loading", "working", undefined].includes(document.body?.dataset.shown)`)
		if got := n.js(`document.body.dataset.shown + " " + location.origin`); got != "claimed https://example.test" {
			t.Errorf("%s: %s, with %s", name, got, n.js(`location.hash.slice(0, 60)`))
		}
	}
}
