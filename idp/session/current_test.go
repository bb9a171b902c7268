package session_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/idptest"
	"persona-sidecar/idp/session"
)

// TestCurrent: who is signed in, how fresh the answer is, and what an outage leaves.
func TestCurrent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var ended []string
	w.config.Ended = func(_ *http.Request, h *identity.Host, id, reason string) {
		ended = append(ended, h.Name+" "+id+" "+reason)
	}
	w.restart()
	alice := identity.Person{ID: "a", Login: "alice", Addresses: idptest.Addresses("alice@example.test", "alice@elsewhere.test")}
	directory := idptest.NewDirectory("corp", idptest.Account{Person: alice, Password: "secret"})
	host := &identity.Host{Name: "example.test", DirectoryName: "corp", Directory: directory, Domains: []string{"example.test"}}
	result, err := host.Authenticate(t.Context(), "alice", "secret", nil)
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	if err := w.SignIn(rec, request(), host, result.Person, session.Shared); err != nil {
		t.Fatal(err)
	}
	signedIn := request(cookie(t, rec).String())
	current := func(f session.Freshness) (*session.Subject, error) {
		return w.Current(httptest.NewRecorder(), signedIn, host, f)
	}

	subject, err := current(session.Recent)
	if err != nil || subject == nil || subject.Person.Login != "alice" || !subject.Shared || subject.ID == "" ||
		subject.Ends.Sub(subject.AuthTime) != 2*time.Hour {
		t.Fatalf("%+v, %v", subject, err)
	}
	own, foreign := idptest.Addresses("alice@example.test")[0], idptest.Addresses("alice@elsewhere.test")[0]
	if !subject.Owns(own) || subject.Owns(foreign) {
		t.Errorf("owns the wrong ones of %v", subject.Person.Addresses)
	}
	asked := directory.Asked()
	if _, err := current(session.Recent); err != nil || directory.Asked() != asked {
		t.Errorf("the directory was asked again at once; %v", err)
	}
	if _, err := current(session.Now); err != nil || directory.Asked() != asked+1 {
		t.Errorf("the directory was not asked; %v", err)
	}

	directory.Fail(errors.New("down"))
	subject, err = current(session.Now)
	if !errors.Is(err, identity.ErrUnavailable) || errors.Is(err, session.ErrUnavailable) || subject == nil || subject.Person.ID != "a" || subject.Owns(own) {
		t.Errorf("with the directory away: %+v, %v", subject, err)
	}
	directory.Fail(nil)
	directory.Change("a", func(a *idptest.Account) { a.Status = identity.Locked })
	if subject, err := current(session.Now); subject != nil || err != nil {
		t.Errorf("with the account locked: %+v, %v", subject, err)
	}
	if len(ended) != 1 || ended[0] != "example.test a locked" {
		t.Errorf("told %v", ended)
	}
	directory.Change("a", func(a *idptest.Account) { a.Status = identity.OK })
	if subject, err := current(session.Now); subject != nil || err != nil {
		t.Errorf("the session has come back: %+v, %v", subject, err)
	}
}

// A password that had expired when it was accepted ends no session, on either kind of computer; one that expires later does.
func TestPasswordExpiredBeforeAndAfterTheSignIn(t *testing.T) {
	t.Parallel()
	for _, computer := range []session.Computer{session.Private, session.Shared} {
		for _, before := range []bool{true, false} {
			w := newWorld(t)
			directory := idptest.NewDirectory("corp", idptest.Account{Person: identity.Person{ID: "a", PasswordExpired: before}})
			host := &identity.Host{Name: "example.test", DirectoryName: "corp", Directory: directory}
			rec := httptest.NewRecorder()
			if err := w.SignIn(rec, request(), host, identity.Person{ID: "a", PasswordExpired: before}, computer); err != nil {
				t.Fatal(err)
			}
			directory.Change("a", func(a *idptest.Account) { a.PasswordExpired = true })
			subject, err := w.Current(httptest.NewRecorder(), request(cookie(t, rec).String()), host, session.Now)
			if err != nil || (subject != nil) != before || before && subject.Shared != (computer == session.Shared) {
				t.Errorf("%s, expired before the sign-in %t: %+v, %v", computer, before, subject, err)
			}
		}
	}
}

// A directory that needs short sessions gets them, on either kind of computer; it cannot have longer ones.
func TestSessionLifetimeOfAHost(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		host     time.Duration
		computer session.Computer
		want     time.Duration
	}{
		{0, session.Private, 8 * time.Hour},
		{time.Hour, session.Private, time.Hour},
		{time.Hour, session.Shared, time.Hour},
		{100 * time.Hour, session.Private, 8 * time.Hour},
		{100 * time.Hour, session.Shared, 2 * time.Hour},
	} {
		w := newWorld(t)
		directory := idptest.NewDirectory("corp", idptest.Account{Person: identity.Person{ID: "a"}})
		host := &identity.Host{Name: "example.test", DirectoryName: "corp", Directory: directory, SessionLifetime: test.host}
		rec := httptest.NewRecorder()
		if err := w.SignIn(rec, request(), host, identity.Person{ID: "a"}, test.computer); err != nil {
			t.Fatal(err)
		}
		subject, err := w.Current(httptest.NewRecorder(), request(cookie(t, rec).String()), host, session.Recent)
		if err != nil || subject.Ends.Sub(subject.AuthTime) != test.want {
			t.Errorf("%v, %s: %+v, %v", test.host, test.computer, subject, err)
		}
	}
}

// TestCurrentWithoutStore: an outage of the store is neither signed in nor signed out.
func TestCurrentWithoutStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, c := w.signIn(t, session.Private)
	host := &identity.Host{Name: "example.test", DirectoryName: "corp"}
	w.store.Fail = func(string, string) error { return errors.New("no disk") }
	subject, err := w.Current(httptest.NewRecorder(), request(c.Name+"="+c.Value), host, session.Recent)
	if subject != nil || !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("%+v, %v", subject, err)
	}
	if subject, err := w.Current(httptest.NewRecorder(), request(), host, session.Recent); subject != nil || err != nil {
		t.Errorf("without a cookie: %+v, %v", subject, err)
	}
}

// TestCurrentAsksOnce: requests that come while the directory is asked about their session wait for its answer, whether
// it tells, ends the session or fails.
func TestCurrentAsksOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer     func(c *company) error
		signedIn   bool
		outage     error
		clearsThem bool
	}{
		"in order": {answer: func(*company) error { return nil }, signedIn: true},
		"gone":     {answer: func(c *company) error { c.directory.Remove("a"); return nil }, clearsThem: true},
		"away":     {answer: func(*company) error { return errDown }, signedIn: true, outage: errDown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCompany(t, newWorldAt(t, time.Time{}))
				b := c.signedIn(t, "anna", session.Private)
				time.Sleep(5 * time.Minute)
				before := c.asked.Load()
				c.answers = func(context.Context) error {
					time.Sleep(time.Second)
					return test.answer(c)
				}
				var all sync.WaitGroup
				for range 20 {
					all.Go(func() {
						rec := httptest.NewRecorder()
						subject, err := c.Current(rec, b.request(c.host.Name), c.host, session.Recent)
						if (subject != nil) != test.signedIn || !errors.Is(err, test.outage) || err != nil && !errors.Is(err, identity.ErrUnavailable) {
							t.Errorf("%+v, %v", subject, err)
						}
						if subject != nil && (subject.Person.ID != "a" || (subject.Person.Login == "anna") != (test.outage == nil)) {
							t.Errorf("the person is %+v", subject.Person)
						}
						if cleared := strings.Contains(rec.Header().Get("Set-Cookie"), "Max-Age=0"); cleared != test.clearsThem {
							t.Errorf("cookie: %q", rec.Header().Get("Set-Cookie"))
						}
					})
				}
				all.Wait()
				if asked := c.asked.Load() - before; asked != 1 {
					t.Errorf("the directory was asked %d times", asked)
				}
				if test.outage != nil { // and is back
					c.answers = nil
					if subject, err := c.Current(httptest.NewRecorder(), b.request(c.host.Name), c.host, session.Recent); err != nil || subject == nil || subject.Person.Login != "anna" {
						t.Errorf("at once when it is back: %+v, %v", subject, err)
					}
				}
			})
		})
	}
}
