package oidc_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/idptest"
	"persona-sidecar/idp/oidc"
)

func offline() oidc.Client {
	c := grafana()
	c.Scopes = append(c.Scopes, "offline_access")
	c.Groups, c.RefreshLifetime = []string{"staff"}, time.Hour
	return c
}

// refresh sends a refresh token.
func (c *client) refresh(token any, more ...string) answer {
	c.t.Helper()
	text, _ := token.(string)
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return c.send(http.MethodPost, oidc.PathToken, form, "Authorization", basic("grafana", grafana().Secret))
}

// begun returns the tokens of a new sign-in of alice.
func (c *client) begun() map[string]any {
	c.t.Helper()
	c.signIn("alice")
	return c.exchange(c.code("scope", "openid email offline_access")).object(c.t)
}

// TestRefresh: each refresh token gives the next; one that comes again later ends them all.
func TestRefresh(t *testing.T) {
	t.Parallel()
	w := newWorld(t, offline())
	c := w.client()
	begun := c.begun()
	w.clock.Advance(30 * time.Minute)
	got := c.refresh(begun["refresh_token"])
	second := got.object(t)
	if got.StatusCode != http.StatusOK || second["refresh_token"] == begun["refresh_token"] || second["scope"] != "openid email offline_access" || got.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	first, claims := w.claims(begun["id_token"]), w.claims(second["id_token"])
	if claims["sub"] != first["sub"] || claims["sid"] != first["sid"] || claims["auth_time"] != first["auth_time"] || claims["nonce"] != nil || claims["iat"] == first["iat"] {
		t.Errorf("the ID token has %v", claims)
	}
	if got := c.userinfo(second["access_token"]); got.StatusCode != http.StatusOK {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	w.clock.Advance(9 * time.Second) // the answer was lost
	if again := c.refresh(begun["refresh_token"]); again.body != got.body {
		t.Errorf("asked again: %d %s", again.StatusCode, again.body)
	}
	w.clock.Advance(time.Second)
	c.refresh(begun["refresh_token"]).wantError(t, "reused", 400, "invalid_grant")
	c.refresh(second["refresh_token"]).wantError(t, "the next one", 400, "invalid_grant")
	c.userinfo(second["access_token"]).wantError(t, "its access token", 401, "invalid_token")
	if !strings.Contains(w.log.String(), `"event":"refresh_token_reused"`) {
		t.Error("it is not logged")
	}
	if got := c.refresh(c.begun()["refresh_token"], "scope", strings.Repeat("email openid ", 500)).object(t); got["scope"] != "openid email" {
		t.Errorf("a scope asked for many times: %v", got)
	}
	if got := c.exchange(c.code()).object(t); got["refresh_token"] != nil {
		t.Error("a refresh token that was not asked for")
	}
}

// TestRefreshUnderAnotherConfiguration: what an app may no longer have ends at once, and a refresh token that was revoked
// stays so where the lifetime is shorter.
func TestRefreshUnderAnotherConfiguration(t *testing.T) {
	t.Parallel()
	apps := []oidc.Client{offline()}
	apps[0].RefreshLifetime = 7 * time.Hour
	w := newWorld(t, apps...)
	c := w.client()
	begun := c.begun()
	apps[0].RefreshLifetime = time.Hour // which the provider reads at each request
	kept := c.exchange(c.code("scope", "openid offline_access")).object(t)["refresh_token"]
	c.send(http.MethodPost, oidc.PathRevoke, url.Values{"token": {begun["refresh_token"].(string)}}, "Authorization", basic("grafana", grafana().Secret))
	w.clock.Advance(59 * time.Minute)
	if got := c.refresh(kept); got.StatusCode != http.StatusOK {
		t.Errorf("within the lifetime: %d %s", got.StatusCode, got.body)
	}
	second := c.exchange(c.code("scope", "openid email offline_access")).object(t)["refresh_token"]
	apps[0].Scopes = []string{"openid", "offline_access"}
	third := c.refresh(second).object(t)
	if third["scope"] != "openid offline_access" {
		t.Errorf("a scope that the app has no more: %v", third)
	}
	apps[0].Scopes = []string{"openid", "email"}
	c.refresh(third["refresh_token"]).wantError(t, "refresh tokens are for the app no more", 400, "invalid_grant")
	apps[0].Scopes = offline().Scopes
	w.clock.Advance(13 * time.Minute)
	c.refresh(begun["refresh_token"]).wantError(t, "revoked", 400, "invalid_grant")
}

// TestRefreshRefused: who gets no tokens for a refresh token.
func TestRefreshRefused(t *testing.T) {
	t.Parallel()
	other := grafana()
	other.ID = "other"
	for name, test := range map[string]struct {
		change   func(*world, *client)
		signedIn bool
	}{
		"gone": {func(w *world, _ *client) { w.directory.Remove("alice-id") }, false},
		"locked": {func(w *world, _ *client) {
			w.directory.Change("alice-id", func(a *idptest.Account) { a.Status = identity.Locked })
		}, false},
		"group of the app": {func(w *world, _ *client) { w.directory.Change("alice-id", func(a *idptest.Account) { a.Groups = nil }) }, true},
		"signed out":       {func(_ *world, c *client) { c.send(http.MethodPost, "/persona/logout", url.Values{}) }, false},
		"expired":          {func(w *world, _ *client) { w.clock.Advance(time.Hour) }, true},
	} {
		w := newWorld(t, offline(), other)
		c := w.client()
		token := c.begun()["refresh_token"]
		test.change(w, c)
		c.refresh(token).wantError(t, name, 400, "invalid_grant")
		if got := c.get("/persona/api/session").object(t)["signed_in"]; got != test.signedIn {
			t.Errorf("%s: the session is %v", name, got)
		}
		if test.signedIn { // the app's sign-in is over for good
			w.directory.Change("alice-id", func(a *idptest.Account) { a.Groups = []string{"staff"} })
			c.refresh(token).wantError(t, name+", afterwards", 400, "invalid_grant")
		}
	}
	w := newWorld(t, offline(), other)
	c := w.client()
	begun := c.begun()
	token, _ := begun["refresh_token"].(string)
	for name, text := range map[string]any{"an access token": begun["access_token"], "an ID token": begun["id_token"], "cut": token[:len(token)-1], "changed": "B" + token[1:]} {
		c.refresh(text).wantError(t, name, 400, "invalid_grant")
	}
	c.userinfo(token).wantError(t, "as an access token", 401, "invalid_token")
	c.refresh("").wantError(t, "nothing", 400, "invalid_request")
	c.refresh(token, "scope", "openid groups").wantError(t, "more scope", 400, "invalid_scope")
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
	c.send(http.MethodPost, oidc.PathToken, form, "Authorization", basic("other", other.Secret)).wantError(t, "another client", 400, "invalid_grant")
	for name, breaks := range map[string]func(){
		"directory": func() { w.directory.Fail(errors.New("away")) }, "reading": func() { w.store.Fail = failing("get", errors.New("away")) }, "writing": func() { w.store.Fail = failing("add", errors.New("away")) },
	} {
		breaks()
		c.refresh(token).wantError(t, name, 503, "temporarily_unavailable")
		w.directory.Fail(nil)
		w.store.Fail = nil
	}
	narrow := c.refresh(token, "scope", "openid").object(t)
	if person := c.userinfo(narrow["access_token"]).object(t); len(person) != 1 {
		t.Errorf("with less scope: %v", person)
	}
	next, _ := narrow["refresh_token"].(string)
	if got := c.send(http.MethodPost, oidc.PathRevoke, url.Values{"token": {next}}, "Authorization", basic("grafana", grafana().Secret)); got.StatusCode != http.StatusOK {
		t.Errorf("revoking: %d", got.StatusCode)
	}
	c.refresh(next).wantError(t, "revoked", 400, "invalid_grant")
}

// TestGroupLostAtUserinfo: an app that learns there that the person may not use it any more has lost them for good.
func TestGroupLostAtUserinfo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, offline())
	c := w.client()
	begun := c.begun()
	groups := func(groups ...string) { w.directory.Change("alice-id", func(a *idptest.Account) { a.Groups = groups }) }
	groups()
	w.store.Fail = failing("set", errors.New("away"))
	c.userinfo(begun["access_token"]).wantError(t, "that cannot be noted", 503, "temporarily_unavailable")
	w.store.Fail = nil
	c.userinfo(begun["access_token"]).wantError(t, "without the group", 401, "invalid_token")
	groups("staff")
	c.userinfo(begun["access_token"]).wantError(t, "with it again", 401, "invalid_token")
	c.refresh(begun["refresh_token"]).wantError(t, "refreshed with it again", 400, "invalid_grant")
	w.clock.Advance(5 * time.Minute) // the page that refuses goes by what the directory said before
	if again := c.exchange(c.code("scope", "openid offline_access")); again.StatusCode != http.StatusOK {
		t.Errorf("signed in at the app again: %d %s", again.StatusCode, again.body)
	}
}

// TestOffline: refresh tokens outlive the session where the app may that, until their own end, and while the directory agrees.
func TestOffline(t *testing.T) {
	t.Parallel()
	account := func(change func(*idptest.Account)) func(*world, *client) {
		return func(w *world, _ *client) { w.directory.Change("alice-id", change) }
	}
	expired := func(w *world, _ *client) { w.clock.Advance(9 * time.Hour) }
	signedOut := func(_ *world, c *client) { c.send(http.MethodPost, "/persona/logout", url.Values{}) }
	after := func(steps ...func(*world, *client)) func(*world, *client) {
		return func(w *world, c *client) {
			for _, step := range steps {
				step(w, c)
			}
		}
	}
	locked := account(func(a *idptest.Account) { a.Status = identity.Locked })
	inOrder := account(func(a *idptest.Account) { a.Status, a.Groups = identity.OK, []string{"staff"} })
	for name, test := range map[string]struct {
		change func(*world, *client)
		goesOn bool
	}{
		"expired":         {expired, true},
		"signed out":      {signedOut, true},
		"signed in again": {func(_ *world, c *client) { c.signIn("alice") }, true},
		"signed out everywhere": {func(_ *world, c *client) {
			c.send(http.MethodPost, "/persona/logout", url.Values{"everywhere": {"1"}})
		}, false},
		"everywhere, from another browser": {func(w *world, _ *client) {
			other := w.client()
			other.signIn("alice")
			other.send(http.MethodPost, "/persona/logout", url.Values{"everywhere": {"1"}})
		}, false},
		"gone":             {after(signedOut, func(w *world, _ *client) { w.directory.Remove("alice-id") }), false},
		"locked":           {after(expired, locked), false},
		"password changed": {after(signedOut, account(func(a *idptest.Account) { a.PasswordChanged = a.PasswordChanged.Add(time.Hour) })), false},
		"required_group":   {after(signedOut, account(func(a *idptest.Account) { a.Status = identity.NotInGroup })), false},
		"group of the app": {after(signedOut, account(func(a *idptest.Account) { a.Groups = nil })), false},
		"locked, which ended the session, and unlocked": {after(locked, func(w *world, c *client) {
			w.clock.Advance(5 * time.Minute)
			c.get("/persona/api/session")
		}, inOrder), false},
		"its own end": {func(w *world, _ *client) { w.clock.Advance(24 * time.Hour) }, false},
	} {
		app := offline()
		app.Offline, app.RefreshLifetime = true, 24*time.Hour
		w := newWorld(t, app)
		c := w.client()
		begun := c.begun()
		test.change(w, c)
		if !test.goesOn {
			c.refresh(begun["refresh_token"]).wantError(t, name, 400, "invalid_grant")
			c.userinfo(begun["access_token"]).wantError(t, name, 401, "invalid_token")
			inOrder(w, c)
			c.refresh(begun["refresh_token"]).wantError(t, name+", afterwards", 400, "invalid_grant")
			continue
		}
		next := c.refresh(begun["refresh_token"], "scope", "openid").object(t)
		if again := c.refresh(next["refresh_token"]); again.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", name, again.StatusCode, again.body)
		}
		if got := c.userinfo(next["access_token"]); got.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.body)
		}
		w.directory.Fail(errors.New("away"))
		c.refresh(next["refresh_token"]).wantError(t, name+", directory", 503, "temporarily_unavailable")
		w.directory.Fail(nil)
		if got := c.get("/persona/api/session").object(t)["signed_in"]; got != (name == "signed in again") {
			t.Errorf("%s: the session is %v", name, got)
		}
	}
	// Without offline_access, and for a code, the session counts.
	app := offline()
	app.Offline = true
	w := newWorld(t, app)
	c := w.client()
	c.signIn("alice")
	access, code := c.exchange(c.code()).object(t)["access_token"], c.code("scope", "openid offline_access")
	signedOut(w, c)
	c.userinfo(access).wantError(t, "without offline_access", 401, "invalid_token")
	c.exchange(code).wantError(t, "a code after sign-out", 400, "invalid_grant")
}
