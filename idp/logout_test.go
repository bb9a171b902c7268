package idp_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestLogoutLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	b := newWorld(t).browser()
	for _, email := range []string{"https://evil.test/", "//evil.test", "alice@example.test&x=y", "\r\nX: y"} {
		response := b.postForm("/persona/logout", url.Values{"email": {email}})
		wantStatus(t, response, http.StatusBadRequest)
		if got := response.Header.Get("Location"); got != "" {
			t.Errorf("%q leads to %s", email, got)
		}
	}
}

func TestSignOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	b.signIn("alice", password)
	old := b.cookies[host]
	wantPage(t, b.get("/persona/logout"), http.StatusOK, "Sign out of example.test?", `method="post" action="/persona/logout"`)
	wantStatus(t, b.postForm("/persona/logout", nil, with("Sec-Fetch-Site", "cross-site")), http.StatusForbidden)
	if !b.signedIn() {
		t.Fatal("a request from another site has signed out")
	}
	wantPage(t, b.postForm("/persona/logout", nil), http.StatusOK, "You are signed out<", "other devices you may still be", `id="sign-in"`)
	if b.cookies[host] != "" || b.signedIn() {
		t.Error("still signed in")
	}
	b.cookies[host] = old
	if b.signedIn() {
		t.Error("the old cookie still works")
	}
	wantError(t, b.postJSON("/persona/api/certificate", certificateRequest("alice@example.test")), http.StatusForbidden, "not_signed_in")
	if !strings.Contains(w.logged.String(), `"event":"session_end","person":"alice-id","reason":"signed_out"`) {
		t.Errorf("log: %s", w.logged)
	}
	wantPage(t, b.postForm("/persona/logout", nil), http.StatusOK, "You are signed out<") // no one was signed in
	wantPage(t, b.get("/persona/logout"), http.StatusOK, "Sign in to example.test", `id="sign-in"`)
}

func TestSignOutEverywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, second, other := w.browser(), w.browser(), w.browser()
	first.signIn("alice", password)
	second.signIn("alice", password)
	other.signIn("bob", "bob's")
	everywhere := url.Values{"everywhere": {"1"}}
	// A tab whose session is over must not look as if it had signed out the others.
	over := w.browser()
	wantPage(t, over.postForm("/persona/logout", everywhere), http.StatusOK, "You were signed out here already", "Sign in again", `id="sign-in"`)
	if !first.signedIn() || !second.signedIn() {
		t.Fatal("signed out without a session")
	}
	wantPage(t, first.postForm("/persona/logout", everywhere), http.StatusOK, "You are signed out, here and on all other devices", `id="sign-in"`)
	if first.signedIn() || second.signedIn() {
		t.Error("a session of the person is left")
	}
	if !other.signedIn() {
		t.Error("another person was signed out")
	}
	second.signIn("alice", password)
	if !second.signedIn() {
		t.Error("the person cannot sign in again")
	}
}

func TestSignInAgainEndsTheEarlierSession(t *testing.T) {
	t.Parallel()
	b := newWorld(t).browser()
	b.signIn("alice", password)
	old := b.cookies[host]
	b.signIn("bob", "bob's")
	if b.cookies[host] == "" || !b.signedIn() {
		t.Fatal("not signed in")
	}
	b.cookies[host] = old
	if b.signedIn() {
		t.Error("the earlier session lives on")
	}
}

func TestSharedComputer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, choice := range []string{"shared", "", "PRIVATE", "x"} {
		b := w.browser()
		form := signInForm("alice", password)
		form.Set("computer", choice)
		wantStatus(t, b.postForm("/persona/authenticate", form), http.StatusSeeOther)
		if got := decode[map[string]any](t, b.get("/persona/api/session"))["computer"]; got != "shared" {
			t.Errorf("computer %q is %v", choice, got)
		}
		w.clock.Advance(29 * time.Minute)
		if !b.signedIn() {
			t.Error("signed out too early")
		}
		w.clock.Advance(29 * time.Minute)
		if !b.signedIn() {
			t.Error("signed out although in use")
		}
		w.clock.Advance(30 * time.Minute)
		if b.signedIn() {
			t.Error("signed in although idle")
		}
	}
}
