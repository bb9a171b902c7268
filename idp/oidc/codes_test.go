package oidc_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"persona-sidecar/idp/oidc"
)

// TestCodes: a code is for one client, one address, one verifier, one minute, and one use.
func TestCodes(t *testing.T) {
	t.Parallel()
	other := grafana()
	other.ID = "other"
	optional := grafana()
	optional.ID, optional.PKCEOptional = "optional", true
	w := newWorld(t, grafana(), other, optional)
	c := w.client()
	c.signIn("alice")
	for name, test := range map[string]struct {
		changes []string
		code    string
	}{
		"no grant_type": {[]string{"grant_type", ""}, "invalid_request"}, "password": {[]string{"grant_type", "password"}, "unsupported_grant_type"},
		"refresh_token": {[]string{"grant_type", "refresh_token"}, "invalid_request"}, "client_credentials": {[]string{"grant_type", "client_credentials"}, "unsupported_grant_type"},
		"no code": {[]string{"code", ""}, "invalid_request"}, "another code": {[]string{"code", strings.Repeat("A", 43)}, "invalid_grant"}, "NUL": {[]string{"code", "\x00"}, "invalid_grant"},
		"a path": {[]string{"code", "../../x"}, "invalid_grant"}, "huge": {[]string{"code", strings.Repeat("A", 10<<10)}, "invalid_grant"},
		"no address": {[]string{"redirect_uri", ""}, "invalid_request"}, "another address": {[]string{"redirect_uri", params().Get("redirect_uri") + "/"}, "invalid_grant"},
		"no verifier": {[]string{"code_verifier", ""}, "invalid_grant"}, "a wrong verifier": {[]string{"code_verifier", verifier + "x"}, "invalid_grant"},
		"the challenge": {[]string{"code_verifier", params().Get("code_challenge")}, "invalid_grant"}, "a short verifier": {[]string{"code_verifier", "x"}, "invalid_grant"},
	} {
		c.exchange(c.code(), test.changes...).wantError(t, name, http.StatusBadRequest, test.code)
	}
	// Of another client: it is not used up by that.
	text := c.code()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {text}, "redirect_uri": params()["redirect_uri"], "code_verifier": {verifier}}
	c.send(http.MethodPost, oidc.PathToken, form, "Authorization", basic("other", other.Secret)).wantError(t, "another client", 400, "invalid_grant")
	if got := c.exchange(text); got.StatusCode != http.StatusOK {
		t.Errorf("after another client: %d %s", got.StatusCode, got.body)
	}
	// A verifier for a code without a challenge: someone took that out on the way.
	for name, want := range map[string]int{verifier: http.StatusBadRequest, "": http.StatusOK} {
		form.Set("code", c.code("client_id", "optional", "code_challenge", "", "code_challenge_method", ""))
		form.Set("code_verifier", name)
		if got := c.send(http.MethodPost, oidc.PathToken, form, "Authorization", basic("optional", optional.Secret)); got.StatusCode != want {
			t.Errorf("without a challenge, verifier %q: %d %s", name, got.StatusCode, got.body)
		}
	}
	text = c.code()
	w.clock.Advance(time.Minute)
	c.exchange(text).wantError(t, "after a minute", 400, "invalid_grant")
	text = c.code()
	c.send(http.MethodPost, "/persona/logout", url.Values{})
	c.exchange(text).wantError(t, "after sign-out", 400, "invalid_grant")
	c.send(http.MethodPost, oidc.PathToken, nil, "Content-Type", "application/json", "Authorization", basic("grafana", grafana().Secret)).wantError(t, "JSON", http.StatusUnsupportedMediaType, "invalid_request")
	c.send(http.MethodGet, oidc.PathToken, nil).wantError(t, "GET", http.StatusMethodNotAllowed, "invalid_request")
}

// TestReuse: a second use of a code ends what the first gave, also when the code itself has expired.
func TestReuse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grafana())
	c := w.client()
	c.signIn("alice")
	for _, later := range []time.Duration{0, 2 * time.Minute} {
		text := c.code()
		access := c.exchange(text).object(t)["access_token"]
		if got := c.userinfo(access); got.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", got.StatusCode, got.body)
		}
		w.clock.Advance(later)
		c.exchange(text).wantError(t, "used twice", 400, "invalid_grant")
		c.userinfo(access).wantError(t, "what it gave", 401, "invalid_token")
	}
	if !strings.Contains(w.log.String(), `"event":"code_reused"`) {
		t.Error("it is not logged")
	}
	text := c.code()
	var all sync.WaitGroup
	answers := make([]answer, 8)
	for i := range answers {
		all.Go(func() { answers[i] = c.exchange(text) })
	}
	all.Wait()
	given := slices.DeleteFunc(answers, func(a answer) bool { return a.StatusCode != http.StatusOK })
	if len(given) > 1 {
		t.Errorf("%d tokens for a code", len(given))
	}
	for _, a := range given {
		c.userinfo(a.object(t)["access_token"]).wantError(t, "of parallel uses", 401, "invalid_token")
	}
}

// TestUsedCodeOfAnother: a code that was used and is found in a log ends nothing for a client that it is not of.
func TestUsedCodeOfAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grafana(), phone())
	c := w.client()
	c.signIn("alice")
	text := c.code()
	access := c.exchange(text).object(t)["access_token"]
	for _, later := range []time.Duration{0, 2 * time.Minute} {
		w.clock.Advance(later)
		c.send(http.MethodPost, oidc.PathToken, url.Values{
			"grant_type": {"authorization_code"}, "client_id": {"phone"}, "code": {text}, "redirect_uri": {"http://127.0.0.1:9/callback"}, "code_verifier": {verifier},
		}).wantError(t, "another client's", 400, "invalid_grant")
		if got := c.userinfo(access); got.StatusCode != http.StatusOK {
			t.Errorf("after %s: %d %s", later, got.StatusCode, got.body)
		}
	}
}
