package idp_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/idptest"
)

const (
	wiki      = "wiki.example.test"
	challenge = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
	forWiki   = "/persona/authenticate?challenge=" + challenge + "&site=" + wiki
	wikiNext  = "/persona/handover?challenge=" + challenge + "&host=" + wiki
)

// tellsWiki ties a website to the identity hosts.
func tellsWiki() change {
	return provider(func(h *identity.Host) { h.Sites = map[string]string{wiki: "https://" + wiki} })
}

func html(address string) string { return strings.ReplaceAll(address, "&", "&amp;") }

// The sign-in page for a website names it, keeps it over everything that can happen on the way, and goes on by itself
// without a script: a redirect would be one of the form, which form-action does not let go to another host.
func TestSignInForASite(t *testing.T) {
	t.Parallel()
	w := newWorld(t, tellsWiki(), changesPasswords())
	b := w.browser()
	hidden := `name="site" value="` + wiki + `"><input type="hidden" name="challenge" value="` + challenge + `"`
	wantPage(t, b.get(forWiki), http.StatusOK, "to go on to <strong>"+wiki+"</strong>", hidden, `action="`+html(forWiki)+`"`, `href="/persona/password?challenge=`)
	wantPage(t, b.get(strings.Replace(forWiki, "authenticate", "password", 1)), http.StatusOK, hidden, `href="`+html(forWiki)+`">Cancel`)
	form := signInForm("alice", "wrong")
	form.Set("site", wiki)
	form.Set("challenge", challenge)
	for range 4 {
		wantPage(t, b.postForm("/persona/authenticate", form), http.StatusForbidden, wrongWords, wiki, hidden)
	}
	wantPage(t, b.postForm("/persona/authenticate", form), http.StatusTooManyRequests, wiki, hidden)

	form.Set("username", "bob")
	form.Set("password", "bob's")
	response := b.postForm("/persona/authenticate", form)
	wantStatus(t, response, http.StatusSeeOther)
	next := response.Header.Get("Location")
	if next != forWiki+"&signed_in=1" && next != "/persona/authenticate?challenge="+challenge+"&signed_in=1&site="+wiki {
		t.Errorf("the form leads to %s", next)
	}
	page := wantPage(t, b.get(next), http.StatusOK, `http-equiv="refresh" content="0; url=`+html(wikiNext)+`"`, `id="continue" href="`+html(wikiNext)+`"`)
	if strings.Contains(page, "data-complete") {
		t.Error("a page for a website goes to a hub")
	}
	// Signed in already: straight on.
	response = b.get(forWiki)
	wantStatus(t, response, http.StatusSeeOther)
	if got := response.Header.Get("Location"); got != wikiNext {
		t.Errorf("the page leads to %s", got)
	}
	// Another account.
	response = b.postForm("/persona/logout", url.Values{"site": {wiki}, "challenge": {challenge}})
	wantStatus(t, response, http.StatusSeeOther)
	if got := response.Header.Get("Location"); got != forWiki || b.signedIn() {
		t.Errorf("signing out leads to %s", got)
	}
	wantPage(t, b.get(next), http.StatusOK, "kept no cookie", `href="`+html(forWiki)+`"`)

	w.directory.Change("bob-id", func(a *idptest.Account) { a.Notice = identity.Notice{PasswordExpired: true} })
	wantPage(t, b.postForm("/persona/authenticate", form), http.StatusOK, "this was the last", `id="continue" href="`+html(next)+`"`)
	form = passwordForm("bob", "bob's", changed, changed)
	form.Set("site", wiki)
	form.Set("challenge", challenge)
	wantPage(t, b.postForm("/persona/password", form), http.StatusOK, "is changed", `href="`+html(next)+`"`)
}

// Only what the configuration ties to the host is gone on to, and only one place.
func TestSignInForNoSite(t *testing.T) {
	t.Parallel()
	w := newWorld(t, tellsWiki())
	for query, words := range map[string]string{
		"site=evil.test&challenge=" + challenge:                  "know the website that sent you here",
		"site=https%3A%2F%2F" + wiki + "&challenge=" + challenge: "know the website",
		"site=WIKI.example.test&challenge=" + challenge:          "know the website",
		"site=" + wiki + ".&challenge=" + challenge:              "know the website",
		"site=" + wiki + ":443&challenge=" + challenge:           "know the website",
		"challenge=" + challenge:                                 "know the website",
		"site=" + strings.Repeat("a", 5000) + "&challenge=x":     "know the website",
		"site=" + wiki: "This link cannot be used",
		"site=" + wiki + "&challenge=" + challenge[1:]:            "This link cannot be used",
		"site=" + wiki + "&challenge=" + challenge + "A":          "This link cannot be used",
		"site=" + wiki + "&challenge=" + challenge[1:] + "%0a":    "This link cannot be used",
		"site=" + wiki + "&challenge=" + challenge[:42] + "V":     "This link cannot be used", // bits beyond 32 bytes
		"site=" + wiki + "&challenge=" + challenge + "&site=a":    "a parameter twice",
		"site=" + wiki + "&challenge=" + challenge + "&return=/x": "more than one place",
		"email=a@example.test&return=/x":                          "more than one place",
		"site=%zz":                                                "cannot be read",
		"return=//evil.test":                                      "Not a page of example.test",
	} {
		for _, page := range []string{"/persona/authenticate?", "/persona/authenticate?signed_in=1&"} {
			response := w.browser().get(page + query)
			body := wantPage(t, response, http.StatusBadRequest, words)
			if strings.Contains(body, `id="password"`) || strings.Contains(body, "evil.test/") || len(body) > 3000 {
				t.Errorf("%s: %s", query, body)
			}
		}
		fields, err := url.ParseQuery(query)
		if err != nil {
			continue
		}
		form := signInForm("alice", password)
		for name, values := range fields {
			form[name] = values
		}
		b := w.browser()
		wantStatus(t, b.postForm("/persona/authenticate", form), http.StatusBadRequest)
		if b.signedIn() {
			t.Errorf("%s: signed in", query)
		}
	}
}

// A website on the identity host itself: the sign-in page leads back to its page.
func TestSignInForAPageOfTheHost(t *testing.T) {
	t.Parallel()
	b := newWorld(t).browser()
	const forEdit = "/persona/authenticate?return=%2Fgr%25C3%25B6%25C3%259Fe%3Fa%3Db%26c%3D%2520%23d"
	const edit = "/gr%C3%B6%C3%9Fe?a=b&c=%20#d"
	wantPage(t, b.get("/persona/authenticate?return="+url.QueryEscape("/größe?a=b&c= #d")), http.StatusOK, `name="return" value="`+html(edit)+`"`)
	form := signInForm("alice", password)
	form.Set("return", "/größe?a=b&c= #d")
	response := b.postForm("/persona/authenticate", form)
	wantStatus(t, response, http.StatusSeeOther)
	next := response.Header.Get("Location")
	if next != forEdit+"&signed_in=1" {
		t.Errorf("the form leads to %s", next)
	}
	wantPage(t, b.get(next), http.StatusOK, `content="0; url=`+html(edit)+`"`, `href="`+html(edit)+`"`)
	response = b.get(forEdit)
	wantStatus(t, response, http.StatusSeeOther)
	if got := response.Header.Get("Location"); got != edit {
		t.Errorf("the page leads to %s", got)
	}

	// And out again.
	wantPage(t, b.get("/persona/logout?return=%2Fx"), http.StatusOK, "Sign out of example.test", `name="return" value="/x"`, `href="/x">Stay`)
	wantPage(t, b.postForm("/persona/logout", url.Values{"return": {"/x"}}), http.StatusOK, "You are signed out<", `content="0; url=/x"`, `id="continue" href="/x"`)
	if b.signedIn() {
		t.Error("still signed in")
	}
	page := wantPage(t, b.postForm("/persona/logout", url.Values{"return": {"/x"}, "everywhere": {"1"}}), http.StatusOK, "signed out here already", `href="/x"`, `href="/persona/authenticate?return=%2Fx"`)
	page += wantPage(t, b.get("/persona/logout?return=%2Fx"), http.StatusOK, "You are not signed in", `id="continue" href="/x"`)
	if strings.Contains(page, "refresh") {
		t.Error("what is to be read goes on by itself")
	}
	b.signIn("alice", password)
	for _, response := range []*http.Response{b.get("/persona/logout?return=//evil.test"), b.postForm("/persona/logout", url.Values{"return": {"//evil.test"}})} {
		wantPage(t, response, http.StatusBadRequest, "Not a page of example.test", `href="/"`)
	}
}
