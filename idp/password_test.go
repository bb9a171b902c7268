package idp_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/idptest"
)

const changed = "an other horse"

// changesPasswords gives the host a page to change passwords.
func changesPasswords() change {
	return provider(func(h *identity.Host) { h.PasswordChanger = h.Directory.(identity.PasswordChanger) })
}

func passwordForm(login, old, changed, again string) url.Values {
	return url.Values{"username": {login}, "old": {old}, "new": {changed}, "again": {again}}
}

func TestPasswordChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, changesPasswords())
	here, there, stolen, other := w.browser(), w.browser(), w.browser(), w.browser()
	here.signIn("alice", password)
	there.signIn("alice", password)
	other.signIn("bob", "bob's")
	stolen.cookies = map[string]string{host: here.cookies[host]} // a copy of the session that goes on
	wantPage(t, here.get("/persona/"), http.StatusOK, `href="/persona/password"`)
	wantPage(t, here.get("/persona/password"), http.StatusOK, `value="alice"`, `autocomplete="new-password"`)
	wantPage(t, here.postForm("/persona/password", passwordForm("alice", password, changed, changed)), http.StatusOK, "Your password is changed", "stay signed in here", `href="/persona/"`)
	if !here.signedIn() || there.signedIn() || stolen.signedIn() || !other.signedIn() {
		t.Errorf("signed in: here %t, there %t, by the old cookie %t, another person %t", here.signedIn(), there.signedIn(), stolen.signedIn(), other.signedIn())
	}
	w.clock.Advance(5 * time.Minute) // the directory's time of the password is that of the session
	if !here.signedIn() {
		t.Error("the session has ended after all")
	}
	wantStatus(t, there.postForm("/persona/authenticate", signInForm("alice", password)), http.StatusForbidden)
	there.signIn("alice", changed)

	// Without a session there is none after it, and what a hub asks for is not forgotten.
	form := passwordForm("bob", "bob's", changed, changed)
	form.Set("email", "bob@example.test")
	wantPage(t, w.browser().postForm("/persona/password", form), http.StatusOK, "Sign in with the new password", `href="/persona/authenticate?email=bob%40example.test"`)
	if other.signedIn() {
		t.Error("the session of the old password goes on")
	}
	log := w.logged.String()
	for _, secret := range []string{password, changed, "bob's"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log tells %q", secret)
		}
	}
	if strings.Count(log, `"event":"password_change","ok":true`) != 2 {
		t.Errorf("the log says %s", log)
	}
}

// A person who must change the password is led to the page and signs in after it.
func TestPasswordMustChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, changesPasswords())
	w.directory.Change("alice-id", func(a *idptest.Account) { a.Status = identity.MustChange })
	b := w.browser()
	form := signInForm("alice", password)
	form.Set("email", "alice@example.test")
	wantPage(t, b.postForm("/persona/authenticate", form), http.StatusForbidden, "must be changed first", `href="/persona/password?email=alice%40example.test"`)
	wantPage(t, b.get("/persona/password?email=alice%40example.test"), http.StatusOK, `name="email" value="alice@example.test"`)
	wantPage(t, b.postForm("/persona/password", passwordForm("alice", password, changed, changed)), http.StatusOK, "is changed")
	if b.signedIn() {
		t.Error("signed in without a sign-in")
	}
	b.signIn("alice", changed)
}

func TestPasswordNotChanged(t *testing.T) {
	t.Parallel()
	const marked = ` aria-invalid="true" aria-describedby="error"`
	for name, c := range map[string]struct {
		login, old, changed, again string
		edit                       func(*idptest.Account)
		status                     int
		words                      string
		marks                      []string // ids of the fields that are marked
	}{
		"wrong":        {"alice", "wrong", changed, changed, nil, 403, wrongWords, []string{"username", "old"}},
		"unknown name": {"stranger", password, changed, changed, nil, 403, wrongWords, []string{"username", "old"}},
		"no name":      {"", password, changed, changed, nil, 422, "new password twice", []string{"username"}},
		"no old one":   {"alice", "", changed, changed, nil, 422, "new password twice", []string{"old"}},
		"no new one":   {"alice", password, "", "", nil, 422, "new password twice", []string{"new", "again"}},
		"two of them":  {"alice", password, changed, changed + "s", nil, 422, "not the same", []string{"new", "again"}},
		"the same":     {"alice", password, password, password, nil, 422, "is the current one", []string{"new", "again"}},
		"NUL":          {"alice", password, "a\x00b", "a\x00b", nil, 422, "cannot be used", []string{"new", "again"}},
		"too long":     {"alice", password, strings.Repeat("x", 1025), strings.Repeat("x", 1025), nil, 422, "too long", []string{"new", "again"}},
		"rejected": {"alice", password, changed, changed, func(a *idptest.Account) {
			a.NewPassword, a.Words = identity.Rejected, "Password <b>fails</b>\x1b[31m quality \u202echecks"+strings.Repeat("!", 300)
		}, 422, "The directory says: <q dir=\"auto\">Password &lt;b&gt;fails&lt;/b&gt;\ufffd[31m quality \ufffdchecks!!!", []string{"new", "again"}},
		"unwilling":   {"alice", password, changed, changed, func(a *idptest.Account) { a.NewPassword = identity.Unwilling }, 422, "cannot be changed now", nil},
		"forbidden":   {"alice", password, changed, changed, func(a *idptest.Account) { a.NewPassword = identity.Forbidden }, 422, "may not change", nil},
		"unsupported": {"alice", password, changed, changed, func(a *idptest.Account) { a.NewPassword = identity.Unsupported }, 422, "does not let passwords be changed here", nil},
		"no answer":   {"alice", password, changed, changed, func(a *idptest.Account) { a.NewPassword = identity.Unknown }, 503, "did not say", nil},
		"locked":      {"alice", password, changed, changed, func(a *idptest.Account) { a.Status = identity.Locked }, 403, "is locked", nil},
		"outside":     {"alice", password, changed, changed, func(a *idptest.Account) { a.Status = identity.NotInGroup }, 403, "not in the group", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, changesPasswords())
			b := w.browser()
			b.signIn("alice", password)
			if c.edit != nil {
				w.directory.Change("alice-id", c.edit)
			}
			page := wantPage(t, b.postForm("/persona/password", passwordForm(c.login, c.old, c.changed, c.again)), c.status, c.words)
			for _, id := range []string{"username", "old", "new", "again"} {
				_, field, _ := strings.Cut(page, `id="`+id+`"`)
				field, _, _ = strings.Cut(field, ">")
				want := strings.Contains(strings.Join(c.marks, " "), id)
				if strings.Contains(field, marked) != want {
					t.Errorf("%s is marked: %t", id, !want)
				}
				if id != "username" && strings.Contains(field, "value=") {
					t.Errorf("the page tells a password: %s", field)
				}
			}
			if strings.Contains(page, strings.Repeat("!", 201)) {
				t.Error("the server's words have no bound")
			}
			w.directory.Change("alice-id", func(a *idptest.Account) { a.Status = identity.OK })
			b.signIn("alice", password) // as before
		})
	}
}

// Where no answer came the password may be changed: sessions of the old one end, those of other people do not.
func TestPasswordMayBeChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, changesPasswords())
	here, there, other := w.browser(), w.browser(), w.browser()
	here.signIn("alice", password)
	there.signIn("alice", password)
	other.signIn("bob", "bob's")
	w.directory.Change("alice-id", func(a *idptest.Account) { a.NewPassword = identity.Unknown })
	wantPage(t, here.postForm("/persona/password", passwordForm("alice", password, changed, changed)), http.StatusServiceUnavailable, "did not say")
	if here.signedIn() || there.signedIn() || !other.signedIn() {
		t.Errorf("signed in: here %t, there %t, another person %t", here.signedIn(), there.signedIn(), other.signedIn())
	}
}

// Old passwords are guessed as slowly here as at the sign-in, and count there, too.
func TestPasswordChangeIsThrottled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, changesPasswords())
	b := w.browser()
	for i := range 4 {
		path, form := "/persona/password", passwordForm("alice", "wrong", changed, changed)
		if i%2 == 1 {
			path, form = "/persona/authenticate", signInForm("alice", "wrong")
		}
		wantStatus(t, b.postForm(path, form), http.StatusForbidden)
	}
	asked := w.directory.Asked()
	wantPage(t, b.postForm("/persona/password", passwordForm("alice", password, changed, changed)), http.StatusTooManyRequests, "Too many failed attempts")
	wantStatus(t, b.postForm("/persona/authenticate", signInForm("alice", password)), http.StatusTooManyRequests)
	if w.directory.Asked() != asked {
		t.Error("the directory was asked")
	}
	// A form that is wrong by itself is no attempt.
	for range 10 {
		wantStatus(t, b.postForm("/persona/password", passwordForm("bob", "bob's", changed, "x")), http.StatusUnprocessableEntity)
	}
	wantStatus(t, b.postForm("/persona/password", passwordForm("bob", "bob's", changed, changed)), http.StatusOK)
}

func TestPasswordChangeRefusesOtherSites(t *testing.T) {
	t.Parallel()
	w := newWorld(t, changesPasswords())
	b := w.browser()
	for _, site := range []string{"cross-site", "same-site"} {
		response := b.postForm("/persona/password", passwordForm("alice", password, changed, changed), with("Sec-Fetch-Site", site), with("Origin", "https://evil.example.test"))
		wantStatus(t, response, http.StatusForbidden)
	}
	response := b.get("/persona/password")
	wantStatus(t, response, http.StatusOK)
	if csp := response.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("the policy is %s", csp)
	}
	b.signIn("alice", password)
}

// An outage of the directory changes nothing and is no failure; one of the sessions comes too late for that.
func TestPasswordChangeInAnOutage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, changesPasswords())
	b := w.browser()
	w.directory.Fail(context.DeadlineExceeded)
	for range 6 {
		wantPage(t, b.postForm("/persona/password", passwordForm("alice", password, changed, changed)), http.StatusServiceUnavailable, "cannot be reached", `href="/persona/password"`)
	}
	w.directory.Fail(nil)
	b.signIn("alice", password)
	w.sessions.Fail = func(string, string) error { return errors.New("no space") }
	page := wantPage(t, b.postForm("/persona/password", passwordForm("alice", password, changed, changed)), http.StatusOK, "Your password is changed", "for up to five minutes")
	if strings.Contains(page, "signed out on all devices") || !strings.Contains(w.logged.String(), "sessions of an old password go on") {
		t.Errorf("the page says %s, the log %s", page, w.logged.String())
	}
	w.sessions.Fail = nil
	w.clock.Advance(5 * time.Minute)
	if b.signedIn() {
		t.Error("the session outlives its password")
	}
}

// Where the page is elsewhere there is none here, and where there is none no one is led to it.
func TestPasswordChangeElsewhere(t *testing.T) {
	t.Parallel()
	const elsewhere = "https://self-service.example.test/?a=1&b=2#x"
	w := newWorld(t, provider(func(h *identity.Host) { h.PasswordURL = elsewhere }))
	const link = `id="change-password" href="https://self-service.example.test/?a=1&amp;b=2#x"`
	b := w.browser()
	wantPage(t, b.get("/persona/authenticate"), http.StatusOK, link)
	w.directory.Change("bob-id", func(a *idptest.Account) { a.Notice = identity.Notice{PasswordExpired: true, GraceLeft: 2} })
	wantPage(t, w.browser().postForm("/persona/authenticate", signInForm("bob", "bob's")), http.StatusOK, "2 more times", link)
	b.signIn("alice", password)
	wantPage(t, b.get("/persona/"), http.StatusOK, link)
	wantStatus(t, b.get("/persona/password"), http.StatusNotFound)
	w.directory.Change("alice-id", func(a *idptest.Account) { a.Status = identity.PasswordExpired })
	wantPage(t, w.browser().postForm("/persona/authenticate", signInForm("alice", password)), http.StatusForbidden, "has expired and must be changed first. <a "+link)

	without := newWorld(t)
	b = without.browser()
	wantStatus(t, b.get("/persona/password"), http.StatusNotFound)
	without.directory.Change("alice-id", func(a *idptest.Account) { a.Status = identity.PasswordExpired })
	page := wantPage(t, b.postForm("/persona/authenticate", signInForm("alice", password)), http.StatusForbidden, "must be changed first. Ask your help desk how.")
	if strings.Contains(page, "change-password") {
		t.Errorf("a link to nowhere: %s", page)
	}
}

// The page by keyboard alone, on a phone, in the dark and in the popup of a hub.
func TestBrowserPasswordChange(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, idptest.BrowserOptions{}, changesPasswords())
	n.directory.Change("alice-id", func(a *idptest.Account) { a.Status = identity.MustChange })
	n.ask(ownHub, "alice@example.test")
	n.fillIn("alice", password)
	n.see("https://example.test/persona/authenticate", "#error")
	n.photograph("form-must-change")
	n.do(idptest.Leave(idptest.Click("#change-password")))
	n.see("https://example.test/persona/password?email=alice%40example.test", "#change")
	n.photograph("password")
	n.until(`document.activeElement.id === "username"`)
	tab := chromedp.KeyEvent("\t")
	n.do(chromedp.KeyEvent("alice"), tab, chromedp.KeyEvent(password), tab, chromedp.KeyEvent(changed), tab, chromedp.KeyEvent("an other house"))
	if got := n.js(`document.querySelector("#again").validationMessage`); !strings.Contains(got, "not the new password") {
		t.Errorf("the browser says %q of two new passwords", got)
	}
	n.directory.Change("alice-id", func(a *idptest.Account) {
		a.NewPassword, a.Words = identity.Rejected, "Password fails quality checking policy"
	})
	n.js(`document.querySelector("#again").select(); ""`)
	n.do(idptest.Type("#again", changed), idptest.Press("\r"))
	if got := n.see("https://example.test/persona/password", "#error"); !strings.Contains(got, "“Password fails quality checking policy”") && !strings.Contains(got, "Password fails quality") {
		t.Errorf("the page says %s", got)
	}
	n.photograph("password-rejected")
	n.js(`document.documentElement.dir = "rtl"; ""`)
	n.photograph("password-rejected-right-to-left")
	n.js(`document.documentElement.dir = "ltr"; ""`)
	n.directory.Change("alice-id", func(a *idptest.Account) { a.NewPassword = identity.NotTried })
	n.until(`document.activeElement.id === "old"`)
	n.do(chromedp.KeyEvent(password), tab, chromedp.KeyEvent(changed), tab, chromedp.KeyEvent(changed), idptest.Press("\r"))
	n.see("https://example.test/persona/password", "#sign-in")
	n.photograph("password-changed")
	n.do(idptest.Leave(idptest.Click("#sign-in")))
	n.fillIn("alice", changed)
	n.verified(ownHub, "alice@example.test") // the hub's trip goes on where it began
}
