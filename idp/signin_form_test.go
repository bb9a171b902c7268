package idp_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/idptest"
)

// A name that belongs to no entry may be a password in the wrong field; the log gives
// its length. One that belongs to an entry is in the log.
func TestTypedNameInLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const mistyped = "Zx9SECRET"
	for _, password := range []string{"x", "", "\xff"} {
		w.browser().postForm("/persona/authenticate", signInForm(mistyped, password))
	}
	if log := w.logged.String(); strings.Contains(log, mistyped) || !strings.Contains(log, `"login_length":9`) {
		t.Errorf("log: %s", log)
	}
	w.browser().postForm("/persona/authenticate", signInForm("ALICE@example.test", "wrong"))
	if log := w.logged.String(); !strings.Contains(log, `"person":"alice-id","reason":"refused","login":"ALICE@example.test"`) {
		t.Errorf("log: %s", log)
	}
}

func TestPersonWithoutAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.directory.Change("alice-id", func(a *idptest.Account) {
		a.Addresses = idptest.Addresses("alice@elsewhere.test", "alice@sub.example.test")
	})
	b := w.browser()
	wantPage(t, b.postForm("/persona/authenticate", signInForm("alice", password)), http.StatusForbidden, "no e-mail address that example.test can confirm")
	if b.signedIn() {
		t.Error("a person without an address is signed in")
	}
}

func TestContestedAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.directory.Change("alice-id", func(a *idptest.Account) {
		a.Addresses, a.Contested = idptest.Addresses("a@example.test"), idptest.Addresses("alice@example.test", "alice@elsewhere.test")
	})
	b := w.browser()
	b.signIn("alice", password)
	wantPage(t, b.get(forAlice+"&signed_in=1"), http.StatusOK, "nother entry of the directory of example.test", "alice@example.test", "a@example.test")
	if page := wantPage(t, b.get("/persona/"), http.StatusOK, "nother entry of the directory of example.test", "alice@example.test"); strings.Contains(page, "elsewhere.test") {
		t.Errorf("an address of another domain is told: %s", page)
	}
	w.directory.Change("alice-id", func(a *idptest.Account) { a.Addresses = nil })
	wantPage(t, w.browser().postForm("/persona/authenticate", signInForm("alice", password)), http.StatusForbidden,
		"Another entry of the directory of example.test has your address alice@example.test")
}

// The form asks for the names that the directory takes, and fills in none that keeps a password manager from its work.
func TestFormAsksForWhatTheDirectoryTakes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		byName, byAddress bool
		label, value      string
	}{
		"names":     {true, false, ">User name<", ""},
		"addresses": {false, true, ">E-mail address<", "alice@example.test"},
		"both":      {true, true, ">User name or e-mail address<", ""},
		"not known": {false, false, ">User name or e-mail address<", ""},
	} {
		b := newWorld(t, provider(func(h *identity.Host) { h.LoginByName, h.LoginByAddress = test.byName, test.byAddress })).browser()
		page := wantPage(t, b.get(forAlice), http.StatusOK, `name="username" value="`+test.value+`"`)
		if !strings.Contains(page, test.label) {
			t.Errorf("%s: the label is not %s", name, test.label)
		}
	}
}

// After a refusal the page still says what it is for, and marks the fields that are wrong and no others.
func TestFormAfterARefusal(t *testing.T) {
	t.Parallel()
	const marked = ` required aria-invalid="true" aria-describedby="error"`
	for name, test := range map[string]struct {
		login, password string
		status          identity.Status
		marks           [2]bool // name, password
	}{
		"wrong":       {"alice", "wrong", identity.OK, [2]bool{true, true}},
		"no name":     {" ", "x", identity.OK, [2]bool{true, false}},
		"no password": {"alice", "", identity.OK, [2]bool{false, true}},
		"locked":      {"alice", password, identity.Locked, [2]bool{false, false}},
		"must change": {"alice", password, identity.MustChange, [2]bool{false, false}},
	} {
		w := newWorld(t)
		w.directory.Change("alice-id", func(a *idptest.Account) { a.Status = test.status })
		form := signInForm(test.login, test.password)
		form.Set("email", "alice@example.test")
		page := text(t, w.browser().postForm("/persona/authenticate", form))
		for _, want := range []string{
			"<title>Error: Sign in", "to continue as <strong>alice@example.test</strong>",
			`action="/persona/authenticate?email=alice%40example.test"`,
		} {
			if !strings.Contains(page, want) {
				t.Errorf("%s: the page lacks %s", name, want)
			}
		}
		_, fields, _ := strings.Cut(page, `id="username"`)
		first, second, _ := strings.Cut(fields, `id="password"`)
		if got := [2]bool{strings.Contains(first, marked), strings.Contains(second, marked)}; got != test.marks {
			t.Errorf("%s: marked %v, want %v", name, got, test.marks)
		}
	}
}

// The keyboards of phones put a blank behind a word.
func TestTypedNameIsTrimmed(t *testing.T) {
	t.Parallel()
	b := newWorld(t).browser()
	b.signIn(" alice\t", password)
}

func TestDirectoryDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	w.directory.Fail(errors.New("dial tcp 10.1.2.3:636: connection refused"))
	for range 6 { // more often than the throttle lets failures pass
		response := b.postForm("/persona/authenticate", signInForm("alice", password))
		page := wantPage(t, response, http.StatusServiceUnavailable, "The directory of example.test", "cannot be reached")
		if strings.Contains(page, "10.1.2.3") || response.Header.Get("Retry-After") == "" {
			t.Errorf("headers %v, page %s", response.Header, page)
		}
	}
	if !strings.Contains(w.logged.String(), "10.1.2.3") {
		t.Error("the log does not say why")
	}
	w.directory.Fail(nil)
	b.signIn("alice", password)

	w.directory.Fail(errors.New("gone again"))
	w.clock.Advance(5 * time.Minute)
	again := `href="` + strings.ReplaceAll(forAlice+"&signed_in=1", "&", "&amp;") + `"`
	wantPage(t, b.get(forAlice), http.StatusServiceUnavailable, "cannot be reached", again)
	wantPage(t, b.get("/persona/"), http.StatusServiceUnavailable, "You are signed in", `id="logout"`)
	answer := decode[map[string]any](t, b.get("/persona/api/session"))
	if answer["signed_in"] != true || answer["directory_available"] != false {
		t.Errorf("session: %v", answer)
	}
	w.directory.Fail(nil)
	if !b.signedIn() {
		t.Error("the outage has ended the session")
	}
	wantPage(t, b.get(forAlice+"&signed_in=1"), http.StatusOK, "data-complete")
	w.directory.Remove("alice-id")
	wantPage(t, b.get(forAlice+"&signed_in=1"), http.StatusOK, `id="username"`)
}

// The directory is down in the middle of a trip: the popup has a way back to the site, and none to the website.
func TestDirectoryDownInATrip(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.directory.Fail(errors.New("no route to 10.1.2.3"))
	form := signInForm("alice", password)
	form.Set("email", "alice@example.test")
	page := wantPage(t, w.browser().postForm("/persona/authenticate", form), http.StatusServiceUnavailable,
		`id="cancel" data-hub="cancel" href="https://example.test/persona/sign_in?AUTH_RETURN_CANCEL"`, "Tell support this code: request-")
	if strings.Contains(page, "Back to the website") {
		t.Error("the popup leads to the website")
	}
	wantPage(t, w.browser().postForm("/persona/authenticate", signInForm("alice", password)), http.StatusServiceUnavailable, "Try again")

	// The same where a person is signed in already.
	w.directory.Fail(nil)
	b := w.browser()
	b.signIn("alice", password)
	w.directory.Fail(errors.New("no route to 10.1.2.3"))
	wantPage(t, b.get(forAlice), http.StatusServiceUnavailable, `id="cancel" data-hub="cancel"`)
}
