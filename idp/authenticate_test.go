package idp_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/idptest"
)

const (
	wrongWords = "The user name or the password is wrong."
	forAlice   = "/persona/authenticate?email=alice%40example.test"
)

func TestSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	wantPage(t, b.get("/persona/"), http.StatusOK, "Sign in to example.test", `href="/persona/authenticate"`)
	form := wantPage(t, b.get("/persona/authenticate"), http.StatusOK,
		`id="username"`, `id="password"`, `id="submit"`, `autocomplete="username"`, `autocomplete="current-password"`, `type="checkbox" name="computer" value="private">`, "for 8 hours")
	if strings.Contains(form, `id="cancel"`) {
		t.Error("without a hub there is nothing to cancel to")
	}
	response := b.postForm("/persona/authenticate", signInForm("ALICE@example.test", password))
	wantStatus(t, response, http.StatusSeeOther)
	if got := response.Header.Get("Location"); got != "/persona/" {
		t.Errorf("Location %s", got)
	}
	cookie := response.Header.Get("Set-Cookie")
	for _, attribute := range []string{"__Host-persona=", "Path=/", "Secure", "HttpOnly", "SameSite=Lax"} {
		if !strings.Contains(cookie, attribute) {
			t.Errorf("the cookie lacks %s: %s", attribute, cookie)
		}
	}
	wantPage(t, b.get("/persona/"), http.StatusOK, "Alice &lt;Example&gt;", "alice@example.test", "a.liddell@example.test", `id="logout"`, "You’ll be signed out at")
	again := b.get("/persona/authenticate")
	wantStatus(t, again, http.StatusSeeOther)
	if strings.Contains(w.logged.String(), password) {
		t.Error("the password stands in the log")
	}
	if !strings.Contains(w.logged.String(), `"event":"sign_in","ok":true,"person":"alice-id"`) {
		t.Errorf("the sign-in is not logged: %s", w.logged)
	}
}

func TestSignInForAHub(t *testing.T) {
	t.Parallel()
	b := newWorld(t).browser()
	wantPage(t, b.get(forAlice), http.StatusOK,
		`name="username" value=""`, "to continue as <strong>alice@example.test</strong>", `name="email" value="alice@example.test"`,
		`id="cancel" data-hub="cancel" href="https://example.test/persona/sign_in?AUTH_RETURN_CANCEL"`)
	form := signInForm("alice", password)
	form.Set("email", "Alice@Example.test")
	response := b.postForm("/persona/authenticate", form)
	wantStatus(t, response, http.StatusSeeOther)
	next := response.Header.Get("Location")
	if next != forAlice+"&signed_in=1" {
		t.Errorf("Location %s", next)
	}
	wantPage(t, b.get(next), http.StatusOK, "data-complete", `href="https://example.test/persona/sign_in?AUTH_RETURN"`)

	// Sent here again although signed in: never straight back, that would be a loop.
	page := wantPage(t, b.get(forAlice), http.StatusOK, "third-party cookies", "Try again")
	if strings.Contains(page, "data-complete") {
		t.Error("the page returns to the hub by itself")
	}

	// The cookie did not come back.
	b.cookies = map[string]string{}
	page = wantPage(t, b.get(next), http.StatusOK, "kept no cookie", `href="/persona/authenticate?email=alice%40example.test"`)
	if strings.Contains(page, "data-complete") {
		t.Error("the page returns to the hub although no one is signed in")
	}
}

func TestSignedInAsAnotherPerson(t *testing.T) {
	t.Parallel()
	b := newWorld(t).browser()
	b.signIn("bob", "bob's")
	for _, target := range []string{forAlice, forAlice + "&signed_in=1"} {
		page := wantPage(t, b.get(target), http.StatusOK, "You are signed in as <strong>bob</strong>", "bob@example.test", "Use another account", `id="cancel"`)
		if strings.Contains(page, "data-complete") {
			t.Error("the page returns to the hub as the wrong person")
		}
	}
	response := b.postForm("/persona/logout", url.Values{"email": {"alice@example.test"}})
	wantStatus(t, response, http.StatusSeeOther)
	if got := response.Header.Get("Location"); got != forAlice {
		t.Errorf("Location %s", got)
	}
	wantPage(t, b.get(forAlice), http.StatusOK, `id="username"`)
}

func TestUnknownHub(t *testing.T) {
	t.Parallel()
	b := newWorld(t).browser()
	for referrer, unknown := range map[string]bool{
		"https://evil.test/x": true, "http://example.test/": true, "https://hub.example.test:444/persona/sign_in": true, "https://hub.example.test.evil.test/": true,
		"https://hub.example.test/persona/sign_in": false, "https://hub.example.test/": false, "https://example.test/persona/sign_in": false, "": false, "%": false, "android-app://x": false,
	} {
		response := b.get(forAlice, with("Referer", referrer))
		if !unknown {
			wantPage(t, response, http.StatusOK, `id="username"`)
			continue
		}
		origin, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(referrer, "https://"), "http://"), "/")
		page := wantPage(t, response, http.StatusForbidden, "know the page that sent you here", origin)
		if strings.Contains(page, `id="password"`) {
			t.Error("an unknown hub gets a password form")
		}
		wantPage(t, b.get("/persona/authenticate", with("Referer", referrer)), http.StatusOK, `id="username"`)
	}
}

func TestAddressAskedForIsOnlyText(t *testing.T) {
	t.Parallel()
	b := newWorld(t).browser()
	for _, email := range []string{`"><script>x</script>@example.test`, "x", "a@b@c.test", "\x00", "a b@example.test", strings.Repeat("a", 300) + "@example.test", "ä@example.test", "a@example.test\r\nX: y"} {
		page := wantPage(t, b.get("/persona/authenticate?email="+url.QueryEscape(email)), http.StatusBadRequest, "Not an e-mail address")
		if strings.Contains(page, "<script>x") || len(page) > 3000 {
			t.Errorf("%q is shown as %s", email, page)
		}
		form := signInForm("alice", password)
		form.Set("email", email)
		wantStatus(t, b.postForm("/persona/authenticate", form), http.StatusBadRequest)
		if b.signedIn() {
			t.Fatal("a person is signed in")
		}
	}
	page := wantPage(t, b.get("/persona/authenticate?email="+url.QueryEscape("a'`{|}&b@example.test")), http.StatusOK)
	if strings.Contains(page, "a'`") {
		t.Error("the address is not escaped")
	}
}

func TestSignInRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		login, password string
		status          identity.Status
		code            int
		words           string
	}{
		"wrong password":    {"alice", "wrong", 0, 403, wrongWords},
		"unknown name":      {"unknown", "wrong", 0, 403, wrongWords},
		"empty name":        {"", password, 0, 400, "Type your user name"},
		"empty password":    {"alice", "", 0, 400, "Type your user name"},
		"not UTF-8":         {"al\xffice", password, 0, 403, wrongWords},
		"password not text": {"alice", "\xff\xfe", 0, 403, wrongWords},
		"NUL":               {"alice\x00", password, 0, 403, wrongWords},
		"NUL in password":   {"alice", password + "\x00", 0, 403, wrongWords},
		"line break":        {"alice\r\nX: y", password, 0, 403, wrongWords},
		"LDAP filter":       {"*)(uid=*", password, 0, 403, wrongWords},
		"LDAP star":         {"*", "*", 0, 403, wrongWords},
		"long name":         {strings.Repeat("a", 257), password, 0, 403, wrongWords},
		"long password":     {"alice", strings.Repeat("a", 1025), 0, 403, wrongWords},
		"must change":       {"alice", password, identity.MustChange, 403, "must be changed first"},
		"password expired":  {"alice", password, identity.PasswordExpired, 403, "password has expired"},
		"expired":           {"alice", password, identity.Expired, 403, "account has expired"},
		"disabled":          {"alice", password, identity.Deactivated, 403, "is disabled"},
		"locked":            {"alice", password, identity.Locked, 403, "is locked. Ask"},
		"locked for now":    {"alice", password, identity.LockedForNow, 403, "locked for a while"},
		"not now":           {"alice", password, identity.NotNow, 403, "at this time"},
		"not here":          {"alice", password, identity.NotHere, 403, host + " is not one of them"},
		"not allowed":       {"alice", password, identity.NotAllowed, 403, "may not sign in here"},
		"not in the group":  {"alice", password, identity.NotInGroup, 403, "not in the group of those who may sign in here"},
		"locked, unproven":  {"alice", "wrong", identity.Locked, 403, wrongWords},
		"expired, unproven": {"alice", "wrong", identity.Expired, 403, wrongWords},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			b := w.browser()
			if test.status != 0 {
				w.directory.Change("alice-id", func(a *idptest.Account) { a.Status = test.status })
			}
			form := signInForm(test.login, test.password)
			form.Set("email", "alice@example.test")
			response := b.postForm("/persona/authenticate", form)
			page := wantPage(t, response, test.code, test.words, `role="alert"`, `name="email" value="alice@example.test"`, `value="private" checked`)
			if test.password != "" && test.password != test.login && strings.Contains(page, `value="`+test.password) {
				t.Error("the page repeats the password")
			}
			if b.signedIn() || response.Header.Get("Set-Cookie") != "" {
				t.Error("a person is signed in")
			}
			if log := w.logged.String(); !strings.Contains(log, `"event":"sign_in","ok":false`) || (test.password != "" && test.password != "*" && strings.Contains(log, test.password)) {
				t.Errorf("log: %s", log)
			}
			if len(w.logged.String()) > 1500 {
				t.Errorf("the log repeats the whole input: %s", w.logged)
			}
		})
	}
}

// What the directory said about the password of a person who was let in is on a page of its own, which goes on to
// where the person was going; without a notice there is no such page.
func TestNoticeAfterSignIn(t *testing.T) {
	t.Parallel()
	for words, notice := range map[string]identity.Notice{
		"accepted 2 more times": {PasswordExpired: true, GraceLeft: 2},
		"accepted one more":     {PasswordExpired: true, GraceLeft: 1},
		"this was the last":     {PasswordExpired: true},
		"expires in 3 days":     {ExpiresIn: 80 * time.Hour},
		"expires tomorrow":      {ExpiresIn: 47 * time.Hour},
		"less than a day":       {ExpiresIn: time.Hour},
	} {
		w := newWorld(t)
		w.directory.Change("alice-id", func(a *idptest.Account) { a.Notice = notice })
		for email, next := range map[string]string{"": "/persona/", "alice@example.test": "/persona/authenticate?email=alice%40example.test&amp;signed_in=1"} {
			b := w.browser()
			form := signInForm("alice", password)
			form.Set("email", email)
			wantPage(t, b.postForm("/persona/authenticate", form), http.StatusOK, words, `id="continue" href="`+next+`"`)
			if !b.signedIn() {
				t.Errorf("%s: not signed in", words)
			}
		}
	}
}

func TestSignInBadRequests(t *testing.T) {
	t.Parallel()
	b := newWorld(t).browser()
	good := signInForm("alice", password).Encode()
	form := "application/x-www-form-urlencoded"
	for name, test := range map[string]struct {
		contentType, body string
		headers           []header
		status            int
	}{
		"huge":             {form, good + "&x=" + strings.Repeat("a", 1<<20), nil, 413},
		"JSON":             {"application/json", `{"username":"alice"}`, nil, 415},
		"multipart":        {"multipart/form-data; boundary=x", "--x--", nil, 415},
		"no type":          {"", good, nil, 415},
		"broken escape":    {form, "username=%zz&password=x", nil, 400},
		"semicolon":        {form, "username=a;password=x", nil, 400},
		"name twice":       {form, good + "&username=bob", nil, 400},
		"password twice":   {form, good + "&password=x", nil, 400},
		"cross-site":       {form, good, []header{with("Sec-Fetch-Site", "cross-site")}, 403},
		"same-site":        {form, good, []header{with("Sec-Fetch-Site", "same-site")}, 403},
		"foreign origin":   {form, good, []header{without("Sec-Fetch-Site"), with("Origin", "https://hub.example.test")}, 403},
		"null origin":      {form, good, []header{without("Sec-Fetch-Site"), with("Origin", "null")}, 403},
		"in the query":     {form, "", nil, 400},
		"charset is right": {form + "; charset=UTF-8", signInForm("x", "y").Encode(), nil, 403},
	} {
		response := b.send(http.MethodPost, "/persona/authenticate?"+good, test.contentType, test.body, test.headers...)
		if response.StatusCode != test.status || response.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: status %d, want %d; %v", name, response.StatusCode, test.status, response.Header)
		}
	}
	wantStatus(t, b.send(http.MethodPost, "/persona/authenticate", form, good, without("Sec-Fetch-Site"), without("Origin")), http.StatusSeeOther)
}

func TestThrottledSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	for range 4 {
		wantStatus(t, b.postForm("/persona/authenticate", signInForm("alice", "wrong")), http.StatusForbidden)
	}
	asked := w.directory.Asked()
	response := b.postForm("/persona/authenticate", signInForm(" Alice ", password))
	wantPage(t, response, http.StatusTooManyRequests, "Try again in 10 minutes")
	if got := response.Header.Get("Retry-After"); got != "600" {
		t.Errorf("Retry-After %s", got)
	}
	if w.directory.Asked() != asked {
		t.Error("the directory was asked")
	}
	// The same account by another of its names: the directory finds it, and
	// the password is not tried.
	wantStatus(t, b.postForm("/persona/authenticate", signInForm("alice@example.test", password)), http.StatusTooManyRequests)
	if b.signedIn() {
		t.Error("a throttled person is signed in")
	}
	b.signIn("bob", "bob's")
	w.clock.Advance(10 * time.Minute)
	b.signIn("alice", password)
}

// What is broken in a form may be a piece of the password.
func TestBrokenFormIsNotLogged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	response := w.browser().send(http.MethodPost, "/persona/authenticate", "application/x-www-form-urlencoded", "username=alice&password=%xyz")
	wantStatus(t, response, http.StatusBadRequest)
	if log := w.logged.String(); strings.Contains(log, "xy") || !strings.Contains(log, "malformed escape") {
		t.Errorf("the log says %s", log)
	}
}
