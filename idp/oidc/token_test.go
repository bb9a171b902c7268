package oidc_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
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

// TestHints: an id_token_hint says who has to be signed in.
func TestHints(t *testing.T) {
	t.Parallel()
	other := grafana()
	other.ID = "other"
	w := newWorld(t, grafana(), other)
	c, bob := w.client(), w.client()
	c.signIn("alice")
	bob.signIn("bob")
	hint, _ := c.exchange(c.code()).object(t)["id_token"].(string)
	w.clock.Advance(time.Hour) // it has expired, which is no fault
	if got := c.authorize(params("id_token_hint", hint, "prompt", "none")).back(t); got.Get("code") == "" {
		t.Errorf("for alice: %v", got)
	}
	if got := bob.authorize(params("id_token_hint", hint, "prompt", "none")).back(t); got.Get("error") != "login_required" {
		t.Errorf("for bob: %v", got)
	}
	_, ticket, _ := strings.Cut(bob.authorize(params("id_token_hint", hint)).Header.Get("Location"), "ticket=")
	bob.signIn("bob")
	if got := bob.get("/persona/oauth/continue?ticket=" + ticket).back(t); got.Get("error") != "login_required" {
		t.Errorf("bob has signed in again: %v", got)
	}
	bob.signIn("alice")
	if got := bob.get("/persona/oauth/continue?ticket=" + ticket).back(t); got.Get("code") == "" {
		t.Errorf("alice has signed in: %v", got)
	}
	parts := strings.Split(hint, ".")
	for name, token := range map[string]string{
		"of another client": hint, "alg none": "eyJhbGciOiJub25lIn0." + parts[1] + ".", "another signature": parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])),
	} {
		changes := []string{"id_token_hint", token}
		if name == "of another client" {
			changes = append(changes, "client_id", "other")
		}
		if got := c.authorize(params(changes...)).back(t); got.Get("error") != "invalid_request" {
			t.Errorf("%s: %v", name, got)
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
