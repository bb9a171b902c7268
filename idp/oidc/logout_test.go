package oidc_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"persona-sidecar/idp/oidc"
)

// TestLogout: an app that has an ID token of the session signs people out; else they are asked.
func TestLogout(t *testing.T) {
	t.Parallel()
	app, other := grafana(), grafana()
	const back = "https://grafana.example.test/bye?a=b"
	app.PostLogoutRedirectURIs = []string{back}
	other.ID = "other"
	program := phone()
	program.PostLogoutRedirectURIs = []string{"com.example.phone:/bye"}
	w := newWorld(t, app, other, program)
	c := w.client()
	signedIn := func() bool { return c.get("/persona/api/session").object(t)["signed_in"] == true }
	logout := func(pairs ...string) answer {
		values := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			values.Add(pairs[i], pairs[i+1])
		}
		return c.get(oidc.PathLogout + "?" + values.Encode())
	}
	c.signIn("alice")
	earlier, _ := c.exchange(c.code()).object(t)["id_token"].(string)
	c.signIn("alice") // a new session
	hint, _ := c.exchange(c.code()).object(t)["id_token"].(string)
	cut := strings.LastIndexByte(hint, '.')
	for name, pairs := range map[string][]string{
		"no hint": {"client_id", "grafana", "post_logout_redirect_uri", back, "state", "x&y"}, "nothing": nil, "of an earlier session": {"id_token_hint", earlier}, "a forged hint": {"id_token_hint", hint[:cut+1] + strings.Repeat("A", len(hint)-cut-1)},
		"another client's": {"id_token_hint", hint, "client_id", "other"}, "alg none": {"id_token_hint", "eyJhbGciOiJub25lIn0." + strings.Split(hint, ".")[1] + "."},
	} {
		if got := logout(pairs...); got.StatusCode != http.StatusOK || !strings.Contains(got.body, `action="/persona/oauth/sign-out"`) || !signedIn() {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.body)
		}
	}
	for name, pairs := range map[string][]string{
		"another address": {"id_token_hint", hint, "post_logout_redirect_uri", back + "/"}, "case": {"id_token_hint", hint, "post_logout_redirect_uri", strings.ToUpper(back)}, "a script": {"client_id", "grafana", "post_logout_redirect_uri", "javascript:alert(1)"},
		"no client": {"post_logout_redirect_uri", back}, "another client": {"client_id", "other", "post_logout_redirect_uri", back}, "an unknown client": {"client_id", "x", "post_logout_redirect_uri", back},
		"twice": {"client_id", "grafana", "post_logout_redirect_uri", back, "post_logout_redirect_uri", back}, "NUL": {"client_id", "grafana", "post_logout_redirect_uri", back, "state", "\x00"},
		"huge": {"client_id", "grafana", "post_logout_redirect_uri", back, "state", strings.Repeat("x", 2049)},
	} {
		if got := logout(pairs...); got.StatusCode != http.StatusBadRequest || got.Header.Get("Location") != "" || !signedIn() {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.body)
		}
	}
	asked := logout("client_id", "grafana", "post_logout_redirect_uri", back, "state", "x&y")
	form := url.Values{}
	for _, field := range regexp.MustCompile(`name="([a-z_]+)" value="([^"]*)"`).FindAllStringSubmatch(asked.body, -1) {
		form.Set(field[1], strings.ReplaceAll(field[2], "&amp;", "&"))
	}
	if got := c.send(http.MethodPost, "/persona/oauth/sign-out", form, "Sec-Fetch-Site", "cross-site"); got.StatusCode != http.StatusForbidden || !signedIn() {
		t.Errorf("by a form of another site: %d", got.StatusCode)
	}
	wantOut := func(name string, got answer) {
		t.Helper()
		if got.StatusCode != http.StatusOK || !strings.Contains(got.body, "You are signed out") || !strings.Contains(got.body, `url=https://grafana.example.test/bye?a=b&amp;state=x%26y"`) || signedIn() {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.body)
		}
	}
	wantOut("confirmed", c.send(http.MethodPost, "/persona/oauth/sign-out", form, "Sec-Fetch-Site", "same-origin"))
	if got := logout("client_id", "grafana", "post_logout_redirect_uri", back); got.Header.Get("Location") != back {
		t.Errorf("signed out before: %d %s", got.StatusCode, got.body)
	}
	c.signIn("alice")
	own := c.send(http.MethodPost, "/persona/oauth/sign-out", url.Values{"client_id": {"phone"}, "post_logout_redirect_uri": {"com.example.phone:/bye"}, "state": {`x"&y`}})
	if want := "com.example.phone:/bye?state=x%22%26y"; strings.Count(own.body, want) != 2 { // the page goes on by itself, and has a button
		t.Errorf("to a scheme of an app's own: %d %s", own.StatusCode, own.body)
	}
	c.signIn("alice")
	hint, _ = c.exchange(c.code()).object(t)["id_token"].(string)
	values := url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {back}, "state": {"x&y"}}
	if got := c.send(http.MethodPost, oidc.PathLogout, values, "Sec-Fetch-Dest", "iframe", "Sec-Fetch-Mode", "navigate"); got.StatusCode != http.StatusForbidden || !signedIn() {
		t.Errorf("in a frame: %d", got.StatusCode)
	}
	wantOut("with a hint, by POST", c.send(http.MethodPost, oidc.PathLogout, values, "Sec-Fetch-Site", "cross-site"))
}
