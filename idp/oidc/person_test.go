package oidc_test

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/idptest"
)

// TestPrompts: when a password has to be typed, and when no page may be shown.
func TestPrompts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grafana())
	c := w.client()
	if got := c.authorize(params("prompt", "none")).back(t); got.Get("error") != "login_required" || got.Get("state") == "" {
		t.Errorf("not signed in: %v", got)
	}
	c.signIn("alice")
	w.clock.Advance(10 * time.Minute)
	if got := c.authorize(params("prompt", "none", "max_age", "60")).back(t); got.Get("error") != "login_required" {
		t.Errorf("signed in too long ago: %v", got)
	}
	if got := c.authorize(params("max_age", "600")).back(t); got.Get("code") == "" {
		t.Errorf("signed in lately: %v", got)
	}
	for name, changes := range map[string][]string{"login": {"prompt", "login"}, "select_account": {"prompt", "select_account consent"}, "max_age": {"max_age", "599"}, "max_age 0": {"max_age", "0"}} {
		w.clock.Advance(time.Second)
		page := c.authorize(params(changes...)).Header.Get("Location")
		shown := c.get(page)
		ticket := regexp.MustCompile(`name="ticket" value="([^"]+)"`).FindStringSubmatch(shown.body)
		if ticket == nil || !strings.Contains(shown.body, `id="password"`) {
			t.Fatalf("%s: no form: %d %s", name, shown.StatusCode, shown.body)
		}
		next := "/persona/oauth/continue?ticket=" + ticket[1]
		if got := c.get(next); got.Header.Get("Location") != page {
			t.Errorf("%s: goes on without a password: %d %s", name, got.StatusCode, got.Header.Get("Location"))
		}
		c.send(http.MethodPost, "/persona/authenticate", url.Values{"username": {"alice"}, "password": {password}, "computer": {"private"}, "ticket": ticket[1:]})
		if got := c.get(next).back(t); got.Get("code") == "" {
			t.Errorf("%s: %v", name, got)
		}
		w.clock.Advance(10 * time.Minute)
	}
}

// TestGroups: who may not use an app is told why.
func TestGroups(t *testing.T) {
	t.Parallel()
	closed, several := grafana(), grafana()
	closed.Groups, closed.Ask = []string{"Geschäftsleitung, <Köln>"}, "Frau Müller"
	several.ID, several.Groups = "several", []string{"admins", "owners"}
	open := grafana()
	open.ID, open.Groups = "open", []string{"admins", "staff"}
	c := newWorld(t, closed, several, open).client()
	c.signIn("alice")
	got := c.authorize(params())
	if got.StatusCode != http.StatusForbidden || !strings.Contains(got.body, "Geschäftsleitung, &lt;Köln&gt; only") || !strings.Contains(got.body, "ask Frau Müller") || !strings.Contains(got.body, "signed in as alice") {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	if got := c.authorize(params("client_id", "several")); got.StatusCode != http.StatusForbidden || !strings.Contains(got.body, "admins; owners") || !strings.Contains(got.body, "the administrators of "+host) {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	if got := c.authorize(params("prompt", "none")).back(t); got.Get("error") != "access_denied" {
		t.Errorf("got %v", got)
	}
	if got := c.authorize(params("client_id", "open")).back(t); got.Get("code") == "" {
		t.Errorf("got %v", got)
	}
}

// TestAuthorizeOutages: what cannot be told now is neither a yes nor a no.
func TestAuthorizeOutages(t *testing.T) {
	t.Parallel()
	outage := errors.New("no route to 10.1.2.3")
	for name, test := range map[string]struct {
		breaks func(*world)
		words  string
	}{
		"the directory": {func(w *world) { w.clock.Advance(6 * time.Minute); w.directory.Fail(outage) }, "cannot be reached"},
		"sign-outs":     {func(w *world) { w.store.Fail = failing("get", outage) }, "cannot be checked"},
		"codes":         {func(w *world) { w.store.Fail = failing("add", outage) }, "cannot be checked"},
	} {
		w := newWorld(t, grafana())
		c := w.client()
		c.signIn("alice")
		test.breaks(w)
		got := c.authorize(params())
		if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" || !strings.Contains(got.body, test.words) || strings.Contains(got.body, "10.1.2.3") {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.body)
		}
		if got := c.authorize(params("prompt", "none")).back(t); got.Get("error") != "temporarily_unavailable" || got.Get("state") == "" {
			t.Errorf("%s, with prompt=none: %v", name, got)
		}
		w.directory.Fail(nil)
		w.store.Fail = nil
		if got := c.authorize(params()).back(t); got.Get("code") == "" {
			t.Errorf("%s, afterwards: %v", name, got)
		}
	}
	w := newWorld(t, grafana())
	c := w.client()
	c.signIn("alice")
	w.keyless.Store(true)
	if got := c.authorize(params()); got.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("without keys: %d", got.StatusCode)
	}
}

// failing makes the operations of a name fail.
func failing(op string, err error) func(string, string) error {
	return func(is, _ string) error {
		if is == op {
			return err
		}
		return nil
	}
}

// TestEndedSessions: the directory's word counts at the authorization endpoint.
func TestEndedSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grafana())
	c := w.client()
	c.signIn("alice")
	w.clock.Advance(6 * time.Minute)
	w.directory.Change("alice-id", func(a *idptest.Account) { a.Status = identity.Locked })
	if got := c.authorize(params("prompt", "none")).back(t); got.Get("error") != "login_required" {
		t.Errorf("got %v", got)
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
