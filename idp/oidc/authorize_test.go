package oidc_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/oidc"
)

// TestSignIn goes all of the way of a person who is not signed in yet.
func TestSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grafana())
	c := w.client()
	begun := c.authorize(params("login_hint", "alice"))
	page := begun.Header.Get("Location")
	if begun.StatusCode != http.StatusSeeOther || !strings.HasPrefix(page, "/persona/authenticate?ticket=") || strings.Contains(page, "state") {
		t.Fatalf("%d %s", begun.StatusCode, page)
	}
	shown := c.get(page)
	if !strings.Contains(shown.body, "to go on to <strong>Grafana</strong>") || !strings.Contains(shown.body, `name="username" value="alice"`) {
		t.Fatalf("%d %s", shown.StatusCode, shown.body)
	}
	ticket := regexp.MustCompile(`name="ticket" value="([^"]+)"`).FindStringSubmatch(shown.body)[1]
	form := url.Values{"username": {"alice"}, "password": {"wrong"}, "ticket": {ticket}}
	if wrong := c.send(http.MethodPost, "/persona/authenticate", form); wrong.StatusCode != http.StatusForbidden || !strings.Contains(wrong.body, ticket) {
		t.Fatalf("a wrong password: %d %s", wrong.StatusCode, wrong.body)
	}
	form.Set("password", password)
	onward := c.get(c.send(http.MethodPost, "/persona/authenticate", form).Header.Get("Location"))
	next := regexp.MustCompile(`id="continue" href="([^"]+)"`).FindStringSubmatch(onward.body)
	if next == nil || !strings.Contains(onward.body, "Going on to Grafana") || !strings.Contains(onward.body, "http-equiv=\"refresh\"") {
		t.Fatalf("%d %s", onward.StatusCode, onward.body)
	}
	got := c.get(strings.ReplaceAll(next[1], "&amp;", "&"))
	values := got.back(t)
	if values.Get("code") == "" || values.Get("state") != "a state & more" || values.Get("iss") != issuer || len(values) != 3 || got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %v, %v", values, got.Header)
	}
	// In another browser the ticket is worth nothing, be it signed in or not.
	other := w.client()
	for range 2 {
		for _, address := range []string{page, next[1]} {
			if got := other.get(address); got.StatusCode != http.StatusBadRequest || !strings.Contains(got.body, "begun in another browser") {
				t.Errorf("in another browser %s is answered %d %s", address, got.StatusCode, got.body)
			}
		}
		other.signIn("alice")
		other.authorize(params("prompt", "login")) // which gives it a secret of its own
	}
	w.clock.Advance(time.Hour)
	if got := c.get(next[1]); got.StatusCode != http.StatusBadRequest {
		t.Errorf("after an hour: %d", got.StatusCode)
	}
	if strings.Contains(w.log.String(), values.Get("code")) || strings.Contains(w.log.String(), ticket) {
		t.Error("the log has a secret")
	}
}

// TestTwoTabs: each sign-in that was begun in a browser goes on by itself, and again after the back button.
func TestTwoTabs(t *testing.T) {
	t.Parallel()
	c := newWorld(t, grafana()).client()
	first, second := c.authorize(params("state", "1")).Header.Get("Location"), c.authorize(params("state", "2")).Header.Get("Location")
	c.signIn("alice")
	for _, tab := range []struct{ page, state string }{{second, "2"}, {first, "1"}, {second, "2"}} {
		onward := c.get(tab.page)
		if got := c.get(onward.Header.Get("Location")).back(t); got.Get("state") != tab.state || got.Get("code") == "" {
			t.Errorf("got %v", got)
		}
	}
}

// TestUntrustedRequests: where it is not certain who asks, the person is told, and nothing is sent anywhere.
func TestUntrustedRequests(t *testing.T) {
	t.Parallel()
	c := newWorld(t, grafana(), phone()).client()
	c.signIn("alice")
	refused := func(name, query string) {
		t.Helper()
		for method, got := range map[string]answer{
			"GET": c.get(oidc.PathAuthorize + "?" + query), "POST": c.send(http.MethodPost, oidc.PathAuthorize, mustParse(t, query)),
		} {
			if method == "POST" && strings.Contains(query, "%zz") {
				continue
			}
			if got.StatusCode != http.StatusBadRequest || got.Header.Get("Location") != "" || strings.Contains(got.body, "<form") {
				t.Errorf("%s, %s: %d %s", name, method, got.StatusCode, got.body)
			}
		}
	}
	good := params().Get("redirect_uri")
	refused("nothing", "")
	refused("a bad escape", params().Encode()+"&x=%zz")
	for _, id := range []string{"", "other", "Grafana", "grafana\x00", "grafana ", strings.Repeat("x", 10<<10)} {
		refused("client "+id[:min(10, len(id))], params("client_id", id, "prompt", "none").Encode())
	}
	refused("two clients", params().Encode()+"&client_id=grafana")
	refused("two addresses", params().Encode()+"&redirect_uri="+url.QueryEscape(good))
	refused("two addresses, one empty first", params("redirect_uri", "").Encode()+"&redirect_uri=&redirect_uri=https://evil.test/")
	for _, uri := range []string{
		"", good + "/", good + "?", good + "?x=y", good + "#", good + "#x", good + "\x00", good + "%00", " " + good, good + " ", good + "\n", strings.ToUpper(good), strings.Replace(good, "https", "HTTPS", 1),
		strings.Replace(good, "grafana.", "Grafana.", 1), strings.Replace(good, "login", "Login", 1), strings.Replace(good, ".test/", ".test:443/", 1), strings.Replace(good, ".test/", ".test:8443/", 1),
		strings.Replace(good, ".test/", ".test./", 1), strings.Replace(good, "https://", "https://a@", 1), strings.Replace(good, "https://", "https://a:b@", 1), strings.Replace(good, "https://", "https://evil.test@", 1),
		strings.Replace(good, "https://", `https:\\`, 1), strings.Replace(good, ".test/", `.test\`, 1), strings.Replace(good, ".test/", `.test\@evil.test/`, 1), strings.Replace(good, "/login", "//login", 1),
		strings.Replace(good, "/login", "/./login", 1), strings.Replace(good, "/login", "/x/../login", 1), strings.Replace(good, "/login", "/%2e/login", 1), strings.Replace(good, "/login", "/x/%2e%2e/login", 1),
		strings.Replace(good, "/login", "/%6cogin", 1), good + "/../../evil", good + "%2f..", strings.Replace(good, "https", "http", 1), "https://evil.test/login/generic_oauth",
		"https://grafana.example.test.evil.test/login/generic_oauth", "//grafana.example.test/login/generic_oauth", "/login/generic_oauth", "https://grafana.example.test/", "javascript:alert(1)",
		"data:text/html,x", "http://127.0.0.1/callback", good + strings.Repeat("x", 8<<10), strings.Replace(good, "e.test", "é.test", 1), strings.Replace(good, "a", "а", 1),
	} {
		refused("address "+uri[:min(60, len(uri))], params("redirect_uri", uri, "prompt", "none").Encode())
	}
}

func mustParse(t *testing.T, query string) url.Values {
	t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil && !strings.Contains(query, "%zz") {
		t.Fatal(err)
	}
	return values
}

// TestLoopback: a program on a computer may listen at any port there, and at no other place (RFC 8252).
func TestLoopback(t *testing.T) {
	t.Parallel()
	local := grafana()
	local.ID, local.RedirectURIs = "local", []string{"http://127.0.0.1:3000/callback"}
	c := newWorld(t, phone(), local).client()
	c.signIn("alice")
	for uri, want := range map[string]bool{
		"http://127.0.0.1/callback": true, "http://127.0.0.1:1/callback": true, "http://127.0.0.1:65535/callback": true, "com.example.phone:/callback": true,
		"http://127.0.0.1:/callback": false, "http://127.0.0.1:123456/callback": false, "http://127.0.0.1:80x/callback": false, "http://127.0.0.1:80@evil.test/callback": false,
		"http://127.0.0.1.evil.test/callback": false, "http://127.0.0.1:80.evil.test/callback": false, "http://127.0.0.2/callback": false, "http://localhost/callback": false, "http://[::1]/callback": false,
		"https://127.0.0.1/callback": false, "http://127.0.0.1:80/callback/": false, "http://127.0.0.1:80/Callback": false, "http://127.0.0.1:80/callback?x": false, "http://127.0.0.1:80": false,
		"http://127.0.0.1:80\\callback": false, "http://a@127.0.0.1/callback": false, "http://127.1/callback": false, "com.example.phone:/other": false, "com.example.phone://callback": false,
	} {
		got := c.authorize(params("client_id", "phone", "redirect_uri", uri, "scope", "openid"))
		if location, ok := strings.CutPrefix(got.Header.Get("Location"), uri+"?"); ok != want || want && !strings.Contains(location, "code=") {
			t.Errorf("%s: %d, to %s", uri, got.StatusCode, location)
		}
	}
	form := c.authorize(params("client_id", "phone", "redirect_uri", "com.example.phone:/callback", "scope", "openid", "response_mode", "form_post"))
	if location := form.Header.Get("Location"); !strings.HasPrefix(location, "com.example.phone:/callback?error=invalid_request&") {
		t.Errorf("a form for a scheme of its own: %d, to %q", form.StatusCode, location)
	}
	for uri, want := range map[string]int{"http://127.0.0.1:3000/callback": http.StatusSeeOther, "http://127.0.0.1:3001/callback": http.StatusBadRequest} {
		if got := c.authorize(params("client_id", "local", "redirect_uri", uri)); got.StatusCode != want {
			t.Errorf("a client with a secret, %s: %d", uri, got.StatusCode)
		}
	}
}

// TestDenials: what an app is told, by redirect.
func TestDenials(t *testing.T) {
	t.Parallel()
	optional := grafana()
	optional.ID, optional.PKCEOptional = "optional", true
	c := newWorld(t, grafana(), optional).client()
	c.signIn("alice")
	huge, long := strings.Repeat("x", 2049), strings.Repeat("x", 5000)
	for _, test := range []struct {
		name    string
		changes []string
		more    string
		want    string
	}{
		{"two states", nil, "&state=x", "invalid_request"},
		{"two scopes", nil, "&scope=openid", "invalid_request"},
		{"two challenges", nil, "&code_challenge=x", "invalid_request"},
		{"two of what is unknown", nil, "&x=1&x=2", "invalid_request"},
		{"two prompts", []string{"prompt", "login"}, "&prompt=none", "invalid_request"},
		{"no response_type", []string{"response_type", ""}, "", "invalid_request"},
		{"an empty response_type", []string{"response_type", ""}, "&response_type=", "invalid_request"},
		{"implicit", []string{"response_type", "id_token"}, "", "unsupported_response_type"},
		{"token", []string{"response_type", "token"}, "", "unsupported_response_type"},
		{"hybrid", []string{"response_type", "code id_token"}, "", "unsupported_response_type"},
		{"none", []string{"response_type", "none"}, "", "unsupported_response_type"},
		{"case", []string{"response_type", "Code"}, "", "unsupported_response_type"},
		{"fragment", []string{"response_mode", "fragment"}, "", "invalid_request"},
		{"web_message", []string{"response_mode", "web_message"}, "", "invalid_request"},
		{"no scope", []string{"scope", ""}, "", "invalid_scope"},
		{"no openid", []string{"scope", "profile openid2"}, "", "invalid_scope"},
		{"no challenge", []string{"code_challenge", "", "code_challenge_method", ""}, "", "invalid_request"},
		{"an empty challenge", []string{"code_challenge", ""}, "&code_challenge=", "invalid_request"},
		{"a method without a challenge", []string{"code_challenge", "", "client_id", "optional"}, "", "invalid_request"},
		{"plain", []string{"code_challenge_method", "plain"}, "", "invalid_request"},
		{"plain where it is optional", []string{"code_challenge_method", "plain", "client_id", "optional"}, "", "invalid_request"},
		{"plain by default", []string{"code_challenge_method", "", "client_id", "optional"}, "", "invalid_request"},
		{"s256", []string{"code_challenge_method", "s256"}, "", "invalid_request"},
		{"a short challenge", []string{"code_challenge", "abc"}, "", "invalid_request"},
		{"a challenge that is padded", []string{"code_challenge", params().Get("code_challenge") + "="}, "", "invalid_request"},
		{"a request object", []string{"request", "e30.e30."}, "", "request_not_supported"},
		{"a request object elsewhere", []string{"request_uri", "https://evil.test/"}, "", "request_uri_not_supported"},
		{"a registration", []string{"registration", "{}"}, "", "registration_not_supported"},
		{"an unknown prompt", []string{"prompt", "create"}, "", "invalid_request"},
		{"none and login", []string{"prompt", "none login"}, "", "invalid_request"},
		{"max_age", []string{"max_age", "x"}, "", "invalid_request"},
		{"max_age negative", []string{"max_age", "-1"}, "", "invalid_request"},
		{"max_age huge", []string{"max_age", "99999999999999999999"}, "", "invalid_request"},
		{"id_token_hint", []string{"id_token_hint", "x"}, "", "invalid_request"},
		{"a huge nonce", []string{"nonce", huge}, "", "invalid_request"},
		{"a huge login_hint", []string{"login_hint", long}, "", "invalid_request"},
		{"huge and unknown", []string{"x", long}, "", "invalid_request"},
		{"NUL in the nonce", []string{"nonce", "a\x00b"}, "", "invalid_request"},
		{"NUL in the scope", []string{"scope", "openid\x00"}, "", "invalid_request"},
		{"a line break", []string{"login_hint", "a\r\nb"}, "", "invalid_request"},
		{"no UTF-8", []string{"nonce", "\xff"}, "", "invalid_request"},
	} {
		for _, mode := range []string{"GET", "POST", "form_post"} {
			values, err := url.ParseQuery(params(test.changes...).Encode() + test.more)
			if err != nil {
				t.Fatal(err)
			}
			var got url.Values
			switch mode {
			case "GET":
				got = c.authorize(values).back(t)
			case "POST":
				got = c.send(http.MethodPost, oidc.PathAuthorize, values).back(t)
			case "form_post":
				if values.Has("response_mode") {
					continue
				}
				values.Set("response_mode", "form_post")
				got = c.authorize(values).fields(t)
			}
			wantState := "a state & more"
			if test.name == "two states" {
				wantState = ""
			}
			if got.Get("error") != test.want || got.Get("state") != wantState || got.Get("iss") != issuer || got.Has("code") || got.Get("error_description") == "" {
				t.Errorf("%s, %s: %v", test.name, mode, got)
			}
		}
	}
	for name, state := range map[string]string{"huge": huge, "NUL": "a\x00b"} {
		if got := c.authorize(params("state", state)).back(t); got.Get("error") != "invalid_request" || got.Has("state") {
			t.Errorf("a state that is %s: %v", name, got)
		}
	}
}

// fields returns what a page of the response_mode form_post sends to grafana.
func (a answer) fields(t testing.TB) url.Values {
	t.Helper()
	if a.StatusCode != http.StatusOK || !strings.Contains(a.body, `action="https://grafana.example.test/login/generic_oauth"`) || a.Header.Get("Location") != "" {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	values := url.Values{}
	for _, field := range regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`).FindAllStringSubmatch(a.body, -1) {
		values.Add(field[1], strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">", "&#34;", `"`, "&#39;", "'").Replace(field[2]))
	}
	return values
}

// TestAccepted: what is answered with a code.
func TestAccepted(t *testing.T) {
	t.Parallel()
	optional := grafana()
	optional.ID, optional.PKCEOptional = "optional", true
	query := grafana()
	query.ID, query.RedirectURIs = "query", []string{"https://grafana.example.test/login/generic_oauth?a=b"}
	c := newWorld(t, grafana(), optional, query).client()
	c.signIn("alice")
	for name, changes := range map[string][]string{
		"all": nil, "no state": {"state", ""}, "no nonce": {"nonce", ""}, "an unknown scope": {"scope", "openid username"}, "response_mode query": {"response_mode", "query"},
		"prompt none": {"prompt", "none"}, "consent": {"prompt", "consent"}, "max_age": {"max_age", "60"}, "what is ignored": {"claims", `{"id_token":{"x":null}}`, "display", "touch", "ui_locales", "de", "acr_values", "1"},
		"without PKCE": {"client_id", "optional", "code_challenge", "", "code_challenge_method", ""}, "with PKCE": {"client_id", "optional"},
	} {
		if got := c.authorize(params(changes...)).back(t); got.Get("code") == "" || got.Get("iss") != issuer || got.Get("state") != params(changes...).Get("state") {
			t.Errorf("%s: %v", name, got)
		}
	}
	got := c.authorize(params("client_id", "query", "redirect_uri", query.RedirectURIs[0])).Header.Get("Location")
	if !strings.HasPrefix(got, query.RedirectURIs[0]+"&code=") {
		t.Errorf("to an address with a query: %s", got)
	}
	empty := params("max_age", "", "prompt", "").Encode() + "&max_age=&prompt=&request=&request_uri=&id_token_hint=&response_mode="
	if got := c.get(oidc.PathAuthorize + "?" + empty).back(t); got.Get("code") == "" {
		t.Errorf("with empty parameters: %v", got)
	}
}

// TestFormPost: the page works without a script, and its policy lets it go to the app.
func TestFormPost(t *testing.T) {
	t.Parallel()
	c := newWorld(t, grafana()).client()
	c.signIn("alice")
	got := c.authorize(params("response_mode", "form_post", "state", `"><script>alert(1)</script>`))
	values := got.fields(t)
	if values.Get("code") == "" || values.Get("state") != `"><script>alert(1)</script>` || values.Get("iss") != issuer {
		t.Errorf("got %v", values)
	}
	policy := got.Header.Get("Content-Security-Policy")
	if strings.Contains(got.body, "<script>") || !strings.Contains(got.body, `<button class="button" id="continue" type="submit">`) ||
		!strings.Contains(policy, "form-action https:;") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") ||
		got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("Referrer-Policy") != "strict-origin" {
		t.Errorf("%v\n%s", got.Header, got.body)
	}
	script := regexp.MustCompile(`src="([^"]+/submit.js)"`).FindStringSubmatch(got.body)
	if script == nil || c.get(script[1]).StatusCode != http.StatusOK {
		t.Errorf("the script: %v", script)
	}
}

// TestFormsOfOtherSites: a browser sends a SameSite=Lax cookie with no form of another site. Who is signed in is known by the
// GET that follows, and what other tabs wait by stays.
func TestFormsOfOtherSites(t *testing.T) {
	t.Parallel()
	app := grafana()
	app.PostLogoutRedirectURIs = []string{"https://grafana.example.test/bye"}
	w := newWorld(t, app)
	c, bare := w.client(), w.client()
	bare.Jar = nil
	c.signIn("alice")
	for _, mode := range []string{"none", ""} {
		got := bare.send(http.MethodPost, oidc.PathAuthorize, params("prompt", mode))
		if len(got.Cookies()) > 0 {
			t.Errorf("prompt %q: cookies are set: %v", mode, got.Cookies())
		}
		if values := c.get(got.Header.Get("Location")).back(t); values.Get("code") == "" || values.Get("state") != "a state & more" {
			t.Errorf("prompt %q: %v", mode, values)
		}
	}
	hint, _ := c.exchange(c.code()).object(t)["id_token"].(string)
	got := bare.send(http.MethodPost, oidc.PathLogout, url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": app.PostLogoutRedirectURIs})
	if got = c.get(got.Header.Get("Location")); !strings.Contains(got.body, "You are signed out") || c.get("/persona/api/session").object(t)["signed_in"] == true {
		t.Errorf("signing out: %d %s", got.StatusCode, got.body)
	}
}

// TestNavigations: codes are for pages in windows of their own.
func TestNavigations(t *testing.T) {
	t.Parallel()
	c := newWorld(t, grafana()).client()
	c.signIn("alice")
	for name, headers := range map[string][]string{
		"a frame": {"Sec-Fetch-Dest", "iframe", "Sec-Fetch-Mode", "navigate"}, "a script": {"Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "cors"},
		"an image": {"Sec-Fetch-Dest", "image", "Sec-Fetch-Mode", "no-cors"}, "an object": {"Sec-Fetch-Dest", "object", "Sec-Fetch-Mode", "navigate"}, "ahead": {"Sec-Purpose", "prefetch"},
	} {
		for _, got := range []answer{c.authorize(params("prompt", "none"), headers...), c.send(http.MethodPost, oidc.PathAuthorize, params(), headers...)} {
			if got.StatusCode < 400 || got.Header.Get("Location") != "" {
				t.Errorf("%s: %d", name, got.StatusCode)
			}
		}
	}
	if got := c.send(http.MethodHead, oidc.PathAuthorize+"?"+params().Encode(), nil); got.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("HEAD: %d", got.StatusCode)
	}
	page := []string{"Sec-Fetch-Dest", "document", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "cross-site", "Origin", "https://grafana.example.test"}
	for _, got := range []answer{c.authorize(params(), page...), c.send(http.MethodPost, oidc.PathAuthorize, params(), page...)} {
		if got.back(t).Get("code") == "" {
			t.Error("a page of another site gets no code")
		}
	}
	if got := c.send(http.MethodPost, oidc.PathAuthorize, nil, "Content-Type", "application/json"); got.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("JSON: %d", got.StatusCode)
	}
}
