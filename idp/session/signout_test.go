package session_test

import (
	"context"
	"io"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"persona-sidecar/idp/session"
)

func TestSignOutEndsEveryCopy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, older := w.signIn(t, session.Shared)
	_, elsewhere := w.signIn(t, session.Shared)
	w.pass(2 * time.Minute)
	younger := w.refresh(t, first)
	w.end(t, first)
	for range 2 {
		w.expectNone(t, older, "signed out")
		w.expectNone(t, younger, "signed out")
		w.expectSignedIn(t, elsewhere)
		w.restart()
	}
	w.end(t, first) // again is no error
}

func TestSignOutWithoutSessionClearsTheCookie(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if c := cookie(t, w.end(t, session.Session{})); c.MaxAge >= 0 || c.Value != "" {
		t.Errorf("set %v", c)
	}
}

func TestSignOutEverywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, one := w.signIn(t, session.Private)
	_, two := w.signIn(t, session.Shared)
	other := httptest.NewRecorder()
	if _, err := w.Start(t.Context(), other, binding(), "other", changed(), session.Private); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time ends those of the first
		if err := w.EndPerson(t.Context(), "corp", person); err != nil {
			t.Fatal(err)
		}
		_, later := w.signIn(t, session.Private) // at the very same time
		for range 2 {
			w.expectNone(t, one, "everywhere")
			w.expectNone(t, two, "everywhere")
			w.expectSignedIn(t, later)
			w.expectSignedIn(t, cookie(t, other))
			w.restart()
		}
		if c := w.refresh(t, w.expectSignedIn(t, later)); c != nil {
			t.Errorf("refreshed without reason: %v", c)
		}
		one = later
	}
}

func TestSignOutEverywhereIsOfOneDirectory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, c := w.signIn(t, session.Private)
	for _, other := range []struct{ directory, person string }{
		{"other", person}, {"corp", "other"}, {"corp" + person[:1], person[1:]}, {"", "corp" + person},
	} {
		if err := w.EndPerson(t.Context(), other.directory, other.person); err != nil {
			t.Fatal(err)
		}
	}
	w.expectSignedIn(t, c)
}

func TestRefreshKeepsTheEpoch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.EndPerson(t.Context(), "corp", person); err != nil {
		t.Fatal(err)
	}
	s, _ := w.signIn(t, session.Shared)
	w.pass(2 * time.Minute)
	c := w.refresh(t, s)
	w.expectSignedIn(t, c)
	if err := w.EndPerson(t.Context(), "corp", person); err != nil {
		t.Fatal(err)
	}
	w.expectNone(t, c, "everywhere")
}

// TestStoreRefusesSignOut checks that a sign-out that cannot be recorded counts in this
// process all the same, and lasts once the store is back.
func TestStoreRefusesSignOut(t *testing.T) {
	t.Parallel()
	full := func(op, _ string) error {
		if op == "set" {
			return io.ErrShortWrite
		}
		return nil
	}
	w := newWorld(t)
	s, c := w.signIn(t, session.Private)
	_, elsewhere := w.signIn(t, session.Private)

	w.store.Fail = full
	rec := httptest.NewRecorder()
	if err := w.End(t.Context(), rec, s); err == nil || !strings.Contains(err.Error(), "ending a session") {
		t.Errorf("End: %v", err)
	}
	if c := cookie(t, rec); c.MaxAge >= 0 {
		t.Errorf("the cookie was not cleared: %v", c)
	}
	w.expectNone(t, c, "signed out")
	w.expectSignedIn(t, elsewhere)

	if err := w.EndPerson(t.Context(), "corp", person); err == nil {
		t.Error("EndPerson succeeded")
	}
	w.expectNone(t, elsewhere, "everywhere")
	_, later := w.signIn(t, session.Private)
	w.expectSignedIn(t, later)
	if err := w.Retry(t.Context()); err == nil {
		t.Error("Retry succeeded")
	}
	w.reload()
	w.expectNone(t, c, "signed out")

	w.store.Fail = nil
	if err := w.Retry(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.restart()
	w.expectNone(t, c, "signed out")
	w.expectNone(t, elsewhere, "everywhere")
	w.expectSignedIn(t, later)
}

func TestSignOutOfAnEndedRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, c := w.signIn(t, session.Private)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.End(ctx, httptest.NewRecorder(), s); err == nil {
		t.Error("End succeeded")
	}
	w.expectNone(t, c, "signed out")
}

func TestSignOutsExpire(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	expect := func(want int) {
		t.Helper()
		if got := w.signOuts(t); len(got) != want {
			t.Errorf("%d sign-outs are left, want %d", len(got), want)
		}
	}
	expect(0)
	s, c := w.signIn(t, session.Private)
	w.end(t, s)
	if err := w.EndPerson(t.Context(), "corp", person); err != nil {
		t.Fatal(err)
	}
	expect(2)
	start := w.now

	// A clock that ran a day ahead for a while brings no session back.
	w.pass(24*time.Hour + 8*time.Hour)
	expect(2)
	w.now = start
	w.expectNone(t, c, "signed out")

	_, kept := w.signIn(t, session.Private)
	w.pass(8*time.Hour + 48*time.Hour)
	expect(1)
	w.expectNone(t, c, "expired")
	w.now = start.Add(session.MaxLifetime + 48*time.Hour)
	expect(0)
	w.now = start
	w.expectSignedIn(t, kept)
}

func TestSignOutsRevealNothingAboutPeople(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, _ := w.signIn(t, session.Private)
	w.end(t, s)
	if err := w.EndPerson(t.Context(), "corp", person); err != nil {
		t.Fatal(err)
	}
	for _, key := range w.signOuts(t) {
		value, err := w.store.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{person, s.ID, "corp"} {
			if strings.Contains(key+string(value), secret) {
				t.Errorf("%s holds %q", key, secret)
			}
		}
	}
}

// TestDamagedSignOuts: what a store makes of a damaged value still counts.
func TestDamagedSignOuts(t *testing.T) {
	t.Parallel()
	for _, damage := range []string{"", "\x00\x00", "null", "17953489200"} {
		w := newWorld(t)
		s, c := w.signIn(t, session.Private)
		_, elsewhere := w.signIn(t, session.Private)
		w.end(t, s)
		if err := w.EndPerson(t.Context(), "corp", person); err != nil {
			t.Fatal(err)
		}
		_, before := w.signIn(t, session.Private)
		for _, key := range w.signOuts(t) {
			if err := w.store.Set(t.Context(), key, []byte(damage), time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		w.expectNone(t, c, "signed out")
		w.expectNone(t, elsewhere, "everywhere")
		w.expectNone(t, before, "everywhere") // not known any more, so: sign in again
		_, later := w.signIn(t, session.Private)
		w.expectSignedIn(t, later)
	}
}

func TestSignOutLastsAsLongAsTheCookie(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, _ := w.signIn(t, session.Shared)
	w.pass(time.Hour)
	w.end(t, s)
	w.now = s.Authenticated.Add(2*time.Hour + 48*time.Hour - time.Second)
	if got := w.signOuts(t); len(got) != 1 {
		t.Errorf("in its last second there are %q", got)
	}
	w.pass(2 * time.Second)
	if got := w.signOuts(t); len(got) != 0 {
		t.Errorf("after it there are %q", got)
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				s, c := w.signIn(t, session.Private)
				w.expectSignedIn(t, c)
				w.Confirm(s)
				w.Stale(s)
				w.end(t, s)
				w.expectNone(t, c, "signed out")
				if err := w.EndPerson(t.Context(), "corp", "another"); err != nil {
					t.Error(err)
				}
				if err := w.Retry(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
