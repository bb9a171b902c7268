package oidc_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"persona-sidecar/idp/oidc"
)

// TestUserinfo: what is no access token, and where it must not stand.
func TestUserinfo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grafana())
	c := w.client()
	c.signIn("alice")
	text := c.code()
	answer := c.exchange(text).object(t)
	access, _ := answer["access_token"].(string)
	for name, token := range map[string]any{
		"nothing": "", "an ID token": answer["id_token"], "a code": text, "cut": access[:len(access)-1], "changed": "B" + access[1:], "padded": access + "=", "alg none": "eyJhbGciOiJub25lIn0.e30.",
	} {
		got := c.userinfo(token)
		got.wantError(t, name, http.StatusUnauthorized, "invalid_token")
		if !strings.Contains(got.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
			t.Errorf("%s: %v", name, got.Header)
		}
	}
	c.get(oidc.PathUserinfo).wantError(t, "no field", 401, "invalid_request")
	c.get(oidc.PathUserinfo+"?access_token="+access).wantError(t, "in the address", 401, "invalid_request")
	c.userinfo(access, "Cookie", "x=y")
	c.get(oidc.PathUserinfo, "Authorization", "Basic "+access).wantError(t, "Basic", 401, "invalid_request")
	if got := c.send(http.MethodPost, oidc.PathUserinfo, url.Values{}, "Authorization", "bearer "+access); got.StatusCode != http.StatusOK {
		t.Errorf("by POST: %d %s", got.StatusCode, got.body)
	}
	c.send(http.MethodPost, "/persona/logout", url.Values{})
	c.userinfo(access).wantError(t, "after sign-out", 401, "invalid_token")
}

// TestOrigins: pages of a public client's own origin may ask, and no others.
func TestOrigins(t *testing.T) {
	t.Parallel()
	page := phone()
	page.ID, page.RedirectURIs = "page", []string{"https://page.example.test/callback"}
	w := newWorld(t, grafana(), page)
	c := w.client()
	c.signIn("alice")
	for origin, want := range map[string]string{
		"https://page.example.test": "https://page.example.test", "https://grafana.example.test": "", "https://page.example.tes": "", "https://page.example.test.evil.test": "", "null": "", "https:": "", "https://": "", "": "",
	} {
		for _, path := range []string{oidc.PathToken, oidc.PathUserinfo} {
			got := c.send(http.MethodOptions, path, nil, "Origin", origin, "Access-Control-Request-Method", "POST")
			if got.StatusCode != http.StatusNoContent || got.Header.Get("Access-Control-Allow-Origin") != want || got.Header.Get("Access-Control-Allow-Credentials") != "" || got.Header.Get("Vary") != "Origin" {
				t.Errorf("%s, %s: %d %v", path, origin, got.StatusCode, got.Header)
			}
		}
		_, query, _ := strings.Cut(c.authorize(params("client_id", "page", "redirect_uri", page.RedirectURIs[0], "scope", "openid")).Header.Get("Location"), "?")
		form := url.Values{"grant_type": {"authorization_code"}, "client_id": {"page"}, "code": {mustParse(t, query).Get("code")}, "redirect_uri": page.RedirectURIs, "code_verifier": {verifier}}
		got := c.send(http.MethodPost, oidc.PathToken, form, "Origin", origin, "Sec-Fetch-Site", "cross-site")
		if ok := got.StatusCode == http.StatusOK; ok != (want == origin) || got.Header.Get("Access-Control-Allow-Origin") != want {
			t.Errorf("a token for %s: %d %v %s", origin, got.StatusCode, got.Header, got.body)
		}
	}
}

// TestRevocation: an app gives back what it got, and no other's.
func TestRevocation(t *testing.T) {
	t.Parallel()
	other := grafana()
	other.ID = "other"
	w := newWorld(t, grafana(), other)
	c := w.client()
	c.signIn("alice")
	access, _ := c.exchange(c.code()).object(t)["access_token"].(string)
	revoke := func(token, authorization string) answer {
		return c.send(http.MethodPost, oidc.PathRevoke, url.Values{"token": {token}, "token_type_hint": {"access_token"}}, "Authorization", authorization)
	}
	own := basic("grafana", grafana().Secret)
	revoke(access, basic("grafana", "wrong")).wantError(t, "a wrong secret", 401, "invalid_client")
	revoke(access, basic("other", other.Secret)).wantError(t, "another's", 400, "invalid_grant")
	revoke("", own).wantError(t, "no token", 400, "invalid_request")
	w.store.Fail = failing("set", errors.New("the disk is full"))
	revoke(access, own).wantError(t, "the store", 503, "temporarily_unavailable")
	w.store.Fail = nil
	if got := c.userinfo(access); got.StatusCode != http.StatusOK {
		t.Errorf("not revoked yet: %d", got.StatusCode)
	}
	for _, token := range []string{access, access, "none", "\x00", strings.Repeat("A", 10<<10)} {
		if got := revoke(token, own); got.StatusCode != http.StatusOK || got.body != "" {
			t.Errorf("%.20s: %d %s", token, got.StatusCode, got.body)
		}
	}
	c.userinfo(access).wantError(t, "revoked", 401, "invalid_token")
	if got := c.get("/persona/api/session").object(t)["signed_in"]; got != true {
		t.Error("the session has ended, too")
	}
}
