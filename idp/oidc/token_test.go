package oidc_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/idptest"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/oidc"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// claims verifies an ID token as an app does.
func (w *world) claims(token any) (claims map[string]any) {
	w.t.Helper()
	text, _ := token.(string)
	parsed, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		w.t.Fatalf("%v: %v", token, err)
	}
	published, err := w.ring.Published(host, keys.UseOpenID)
	if err != nil || parsed.Headers[0].KeyID != published[0].KID {
		w.t.Fatalf("signed by %s, published %v: %v", parsed.Headers[0].KeyID, published, err)
	}
	if err := parsed.Claims(published[0].Key, &claims); err != nil {
		w.t.Fatal(err)
	}
	return claims
}

func TestTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grafana())
	c := w.client()
	c.signIn("alice")
	w.clock.Advance(time.Minute)
	app := w.client() // which has no cookie of hers
	got := app.exchange(c.code())
	answer := got.object(t)
	if got.StatusCode != http.StatusOK || got.Header.Get("Cache-Control") != "no-store" || answer["token_type"] != "Bearer" || answer["expires_in"] != 600.0 || answer["scope"] != "openid profile email groups" {
		t.Fatalf("%d %v %s", got.StatusCode, got.Header, got.body)
	}
	claims, now := w.claims(answer["id_token"]), float64(w.clock.Now().Unix())
	for name, want := range map[string]any{
		"iss": issuer, "aud": "grafana", "sub": "corp:alice-id", "nonce": "a nonce", "iat": now - 10, "exp": now + 600, "auth_time": now - 60, "amr": []any{"pwd"},
	} {
		if !reflect.DeepEqual(claims[name], want) {
			t.Errorf("%s is %v", name, claims[name])
		}
	}
	if claims["sid"] == "" || claims["at_hash"] == "" || len(claims) != 10 {
		t.Errorf("the ID token has %v", claims)
	}
	person := app.userinfo(answer["access_token"]).object(t)
	want := map[string]any{
		"sub": "corp:alice-id", "name": "Alice <Example>", "preferred_username": "alice", "email": "alice@example.test", "email_verified": true,
		"groups": []any{"Buchhaltung, Köln", "staff", "team-red"},
	}
	if !reflect.DeepEqual(person, want) {
		t.Errorf("userinfo tells %v", person)
	}
	for _, secret := range []string{grafana().Secret, answer["access_token"].(string), answer["id_token"].(string)} {
		if strings.Contains(w.log.String(), secret) {
			t.Error("the log has a secret")
		}
	}
	w.clock.Advance(10 * time.Minute)
	app.userinfo(answer["access_token"]).wantError(t, "after ten minutes", http.StatusUnauthorized, "invalid_token")
}

// TestClaims: what an app is told is what it asks for, may ask for, and by its names.
func TestClaims(t *testing.T) {
	t.Parallel()
	odd := grafana()
	odd.Claims = map[string]string{"preferred_username": "login", "groups": "roles"}
	odd.SendGroups, odd.IDTokenClaims, odd.Scopes = []string{"team-*", "Buchhaltung, Köln"}, true, []string{"openid", "profile", "groups"}
	w := newWorld(t, odd)
	c := w.client()
	c.signIn("alice")
	answer := c.exchange(c.code()).object(t)
	told := map[string]any{"sub": "corp:alice-id", "name": "Alice <Example>", "login": "alice", "roles": []any{"Buchhaltung, Köln", "team-red"}}
	if person := c.userinfo(answer["access_token"]).object(t); !reflect.DeepEqual(person, told) {
		t.Errorf("userinfo tells %v", person)
	}
	for name, want := range told {
		if got := w.claims(answer["id_token"])[name]; !reflect.DeepEqual(got, want) {
			t.Errorf("the ID token has %s %v", name, got)
		}
	}
	answer = c.exchange(c.code("scope", "openid")).object(t)
	if person := c.userinfo(answer["access_token"]).object(t); len(person) != 1 || answer["scope"] != "openid" {
		t.Errorf("with openid alone: %v", person)
	}
}

// TestSubject: the sub is the same at each sign-in, whatever the person is called now.
func TestSubject(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grafana())
	for id, want := range map[string]string{"alice-id": "corp:alice-id", "ä": "YOL", strings.Repeat("x", 400): "hHP"} {
		w.directory.Put(idptest.Account{Person: identity.Person{ID: id, Login: "carol", Addresses: idptest.Addresses("carol@example.test")}, Password: password})
		var subs []any
		for _, login := range []string{"carol", "other"} {
			w.directory.Change(id, func(a *idptest.Account) { a.Login, a.Addresses = login, nil })
			c := w.client()
			c.signInTo(login)
			subs = append(subs, w.claims(c.exchange(c.code()).object(t)["id_token"])["sub"])
		}
		if sub, _ := subs[0].(string); subs[0] != subs[1] || len(sub) > 255 || strings.Contains(want, ":") && sub != want || !strings.Contains(want, ":") && len(sub) != 43 {
			t.Errorf("%.10s: %v", id, subs)
		}
		w.directory.Remove(id)
	}
}

// signInTo signs a person in on the way to grafana.
func (c *client) signInTo(login string) {
	c.t.Helper()
	_, ticket, _ := strings.Cut(c.authorize(params()).Header.Get("Location"), "ticket=")
	got := c.send(http.MethodPost, "/persona/authenticate", url.Values{"username": {login}, "password": {password}, "computer": {"private"}, "ticket": {ticket}})
	if got.StatusCode != http.StatusSeeOther {
		c.t.Fatalf("%d %s", got.StatusCode, got.body)
	}
}

// TestClientAuthentication: who is not the client gets nothing, and the code stays good.
func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	post := grafana()
	post.ID, post.TokenAuth = "post", oidc.SecretPost
	w := newWorld(t, grafana(), post, phone())
	c := w.client()
	c.signIn("alice")
	codes := map[string]string{"grafana": c.code(), "post": c.code("client_id", "post")}
	_, phoneCode, _ := strings.Cut(c.authorize(params("client_id", "phone", "redirect_uri", "http://127.0.0.1:99/callback", "scope", "openid", "state", "")).Header.Get("Location"), "?")
	codes["phone"] = mustParse(t, phoneCode).Get("code")
	right := grafana().Secret
	send := func(id, authorization string, more ...string) answer {
		form := url.Values{"grant_type": {"authorization_code"}, "code": {codes[id]}, "redirect_uri": params()["redirect_uri"], "code_verifier": {verifier}}
		if id == "phone" {
			form.Set("redirect_uri", "http://127.0.0.1:99/callback")
		}
		for i := 0; i < len(more); i += 2 {
			form.Add(more[i], more[i+1])
		}
		if authorization == "" {
			return c.send(http.MethodPost, oidc.PathToken, form)
		}
		return c.send(http.MethodPost, oidc.PathToken, form, "Authorization", authorization)
	}
	for _, test := range []struct {
		name, id, authorization string
		fields                  []string
		status                  int
		code                    string
	}{
		{"nothing", "grafana", "", nil, 401, "invalid_client"},
		{"an id alone", "grafana", "", []string{"client_id", "grafana"}, 401, "invalid_client"},
		{"a wrong secret", "grafana", basic("grafana", "wrong"), nil, 401, "invalid_client"},
		{"no secret", "grafana", basic("grafana", ""), nil, 401, "invalid_client"},
		{"another client's id", "grafana", basic("phone", right), nil, 401, "invalid_client"},
		{"an unknown client", "grafana", basic("other", right), nil, 401, "invalid_client"},
		{"no id", "grafana", basic("", ""), nil, 401, "invalid_client"},
		{"a public client with a secret", "phone", "", []string{"client_id", "phone", "client_secret", right}, 401, "invalid_client"},
		{"the other place", "grafana", "", []string{"client_id", "grafana", "client_secret", right}, 401, "invalid_client"},
		{"the other place, too", "post", basic("post", right), nil, 401, "invalid_client"},
		{"wrong in the form", "post", "", []string{"client_id", "post", "client_secret", "wrong"}, 401, "invalid_client"},
		{"both places", "grafana", basic("grafana", right), []string{"client_secret", right}, 400, "invalid_request"},
		{"two clients", "grafana", basic("grafana", right), []string{"client_id", "post"}, 400, "invalid_request"},
		{"the id twice", "post", "", []string{"client_id", "post", "client_id", "post", "client_secret", right}, 400, "invalid_request"},
		{"an assertion", "phone", "", []string{"client_id", "phone", "client_assertion", "x"}, 401, "invalid_client"},
		{"a bearer", "phone", "Bearer x", []string{"client_id", "phone"}, 401, "invalid_client"},
		{"no base64", "phone", "Basic ???", []string{"client_id", "phone"}, 401, "invalid_client"},
	} {
		got := send(test.id, test.authorization, test.fields...)
		got.wantError(t, test.name, test.status, test.code)
		if (test.status == 401) != (got.Header.Get("WWW-Authenticate") != "") || strings.Contains(got.body, right) {
			t.Errorf("%s: %v %s", test.name, got.Header, got.body)
		}
	}
	for id, got := range map[string]answer{
		"grafana": send("grafana", basic("grafana", right), "client_id", "grafana"),
		"post":    send("post", "", "client_id", "post", "client_secret", right), "phone": send("phone", "", "client_id", "phone"),
	} {
		if got.StatusCode != http.StatusOK {
			t.Errorf("%s itself: %d %s", id, got.StatusCode, got.body)
		}
	}
	// Not escaped, as many clients send it.
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.SetBasicAuth("grafana", right)
	codes["grafana"] = c.code()
	if got := send("grafana", r.Header.Get("Authorization")); got.StatusCode != http.StatusOK {
		t.Errorf("a secret that is not escaped: %d %s", got.StatusCode, got.body)
	}
}

// TestSecretsAreThrottled: guesses are slowed down for the client that is guessed at, and no other.
func TestSecretsAreThrottled(t *testing.T) {
	t.Parallel()
	post := grafana()
	post.ID, post.TokenAuth = "post", oidc.SecretPost
	w := newWorld(t, grafana(), post)
	c := w.client()
	c.signIn("alice")
	for range 30 { // right ones do not count
		if got := c.exchange(c.code()); got.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", got.StatusCode, got.body)
		}
	}
	guess := func() answer {
		return c.send(http.MethodPost, oidc.PathToken, url.Values{"grant_type": {"authorization_code"}, "code": {"x"}}, "Authorization", basic("grafana", "a wrong one"))
	}
	for range 20 {
		guess().wantError(t, "a guess", http.StatusUnauthorized, "invalid_client")
	}
	if got := guess(); got.StatusCode != http.StatusTooManyRequests || got.Header.Get("Retry-After") == "" {
		t.Errorf("one more: %d %v", got.StatusCode, got.Header)
	}
	if got := c.exchange(c.code()); got.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the right one, among guesses: %d", got.StatusCode)
	}
	if got := c.send(http.MethodPost, oidc.PathToken, url.Values{"client_id": {"post"}, "client_secret": {post.Secret}, "grant_type": {"x"}}); got.StatusCode != http.StatusBadRequest {
		t.Errorf("another client: %d", got.StatusCode)
	}
	w.clock.Advance(10 * time.Minute)
	if got := c.exchange(c.code()); got.StatusCode != http.StatusOK {
		t.Errorf("later: %d", got.StatusCode)
	}
}

// TestDirectoryDecides: at each step the directory's word of that time counts.
func TestDirectoryDecides(t *testing.T) {
	t.Parallel()
	closed := grafana()
	closed.Groups = []string{"staff"}
	for name, change := range map[string]func(*idptest.Account){
		"locked":           func(a *idptest.Account) { a.Status = identity.Locked },
		"required_group":   func(a *idptest.Account) { a.Status = identity.NotInGroup },
		"password changed": func(a *idptest.Account) { a.PasswordChanged = time.Date(2026, 5, 4, 11, 0, 0, 0, time.UTC) },
		"group of the app": func(a *idptest.Account) { a.Groups = nil },
		"gone":             nil,
	} {
		w := newWorld(t, closed)
		c := w.client()
		c.signIn("alice")
		text, access := c.code(), c.exchange(c.code()).object(t)["access_token"]
		if change == nil {
			w.directory.Remove("alice-id")
		} else {
			w.directory.Change("alice-id", change)
		}
		c.exchange(text).wantError(t, name, 400, "invalid_grant")
		c.userinfo(access).wantError(t, name, 401, "invalid_token")
		signedIn := c.get("/persona/api/session").object(t)["signed_in"]
		if want := name == "group of the app"; signedIn != want {
			t.Errorf("%s: the session is %v", name, signedIn)
		}
	}
}

// TestTokenOutages: what cannot be told now is answered with 503, and costs no code.
func TestTokenOutages(t *testing.T) {
	t.Parallel()
	outage := errors.New("no route to 10.1.2.3")
	for name, breaks := range map[string]func(*world){
		"directory": func(w *world) { w.directory.Fail(outage) }, "reading": func(w *world) { w.store.Fail = failing("get", outage) }, "using": func(w *world) { w.store.Fail = failing("add", outage) },
		"keys": func(w *world) { w.keyless.Store(true) },
	} {
		w := newWorld(t, grafana())
		c := w.client()
		c.signIn("alice")
		text, access := c.code(), c.exchange(c.code()).object(t)["access_token"]
		breaks(w)
		got := c.exchange(text)
		got.wantError(t, name, http.StatusServiceUnavailable, "temporarily_unavailable")
		if got.Header.Get("Retry-After") == "" || strings.Contains(got.body, "10.1.2.3") {
			t.Errorf("%s: %v %s", name, got.Header, got.body)
		}
		if name != "using" {
			c.userinfo(access).wantError(t, name, http.StatusServiceUnavailable, "temporarily_unavailable")
		}
		w.directory.Fail(nil)
		w.store.Fail = nil
		w.keyless.Store(false)
		if got := c.exchange(text); got.StatusCode != http.StatusOK {
			t.Errorf("%s, afterwards: %d %s", name, got.StatusCode, got.body)
		}
		if got := c.userinfo(access); got.StatusCode != http.StatusOK {
			t.Errorf("%s, afterwards: %d %s", name, got.StatusCode, got.body)
		}
	}
}
