package session_test

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/idp/session"
)

func TestExpiry(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		computer session.Computer
		lifetime time.Duration
		lives    time.Duration // without being refreshed
	}{
		{"private", session.Private, 0, 8 * time.Hour},
		{"private, configured", session.Private, time.Hour, time.Hour},
		{"private, endless", session.Private, 1000 * 24 * time.Hour, session.MaxLifetime},
		{"shared is idle", session.Shared, 0, 30 * time.Minute},
		{"shared, shorter than idle", session.Shared, 10 * time.Minute, 10 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.config.Lifetime = test.lifetime
			w.restart()
			s, c := w.signIn(t, test.computer)
			if got, want := w.Expires(s), s.Authenticated.Add(test.lives); !got.Equal(want) {
				t.Errorf("Expires says %v, want %v", got, want)
			}
			w.now = s.Authenticated.Add(test.lives - time.Second)
			w.expectSignedIn(t, c)
			w.pass(time.Second)
			w.expectNone(t, c, "expired")
			w.pass(time.Second)
			w.expectNone(t, c, "expired")
			if again := w.refresh(t, s); again != nil {
				t.Errorf("an expired session was refreshed: %v", again)
			}
		})
	}
}

func TestSharedEndsAfterTwoHoursOfUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, c := w.signIn(t, session.Shared)
	for w.now.Before(first.Authenticated.Add(2*time.Hour - 10*time.Minute)) {
		w.pass(10 * time.Minute)
		s := w.expectSignedIn(t, c)
		if c = w.refresh(t, s); c == nil {
			t.Fatal("use does not refresh")
		}
		if c.MaxAge != 0 || !c.Expires.IsZero() {
			t.Errorf("the cookie outlives the browser: %s", c.Raw)
		}
		if s := w.expectSignedIn(t, c); s.ID != first.ID || !s.Ends.Equal(first.Ends) || !s.Seen.Equal(w.now.Truncate(time.Millisecond)) {
			t.Errorf("refreshed: %+v", s)
		}
	}
	w.now = first.Authenticated.Add(2*time.Hour - time.Second)
	w.expectSignedIn(t, c)
	w.pass(time.Second)
	w.expectNone(t, c, "expired")
}

func TestRefreshOnlyWhenDue(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		computer session.Computer
		after    time.Duration
		confirm  bool
		want     bool
	}{
		{session.Private, time.Hour, false, false},
		{session.Private, time.Hour, true, true},
		{session.Shared, 59 * time.Second, false, false},
		{session.Shared, time.Minute, false, true},
		{session.Shared, 59 * time.Second, true, true},
	} {
		t.Run(fmt.Sprintf("%s %v %v", test.computer, test.after, test.confirm), func(t *testing.T) {
			t.Parallel()
			if test.computer == session.Shared && test.after > 30*time.Minute {
				t.Fatal("it would be idle")
			}
			w := newWorld(t)
			s, _ := w.signIn(t, test.computer)
			w.pass(test.after)
			if test.confirm {
				w.Confirm(s)
			}
			c := w.refresh(t, s)
			if (c != nil) != test.want {
				t.Fatalf("got %v", c)
			}
			if c == nil {
				return
			}
			got := w.expectSignedIn(t, c)
			if got.Allowed.Equal(s.Allowed) == test.confirm {
				t.Errorf("allowed: %v, before %v", got.Allowed, s.Allowed)
			}
			if !got.Authenticated.Equal(s.Authenticated) || got.ID != s.ID {
				t.Errorf("refreshing made it %+v from %+v", got, s)
			}
			if want := int(w.Expires(s).Sub(w.now.Truncate(time.Millisecond)) / time.Second); test.computer == session.Private && c.MaxAge != want {
				t.Errorf("Max-Age is %d, want %d", c.MaxAge, want)
			}
			if w.refresh(t, got) != nil {
				t.Error("refreshed twice")
			}
		})
	}
}

func TestLifetimeIsFixedAtSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Lifetime = 2 * time.Hour
	w.restart()
	_, c := w.signIn(t, session.Private)
	w.pass(90 * time.Minute)

	w.config.Lifetime = time.Hour // shortened: at once
	w.restart()
	w.expectNone(t, c, "expired")

	w.config.Lifetime = 10 * time.Hour // lengthened: not for those signed in
	w.restart()
	w.expectSignedIn(t, c)
	w.pass(30 * time.Minute)
	w.expectNone(t, c, "expired")
}

func TestClockThatJumps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, c := w.signIn(t, session.Private)
	w.pass(-time.Minute + time.Second) // another machine's clock
	w.expectSignedIn(t, c)
	w.pass(-24 * time.Hour)
	w.expectNone(t, c, "future")
	s, back := w.signIn(t, session.Private)
	w.expectSignedIn(t, back)
	w.pass(24 * time.Hour)
	w.expectNone(t, back, "expired")
	w.expectSignedIn(t, c)
	if !w.Stale(s) {
		t.Error("a check of yesterday is fresh")
	}
}

func TestStale(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, _ := w.signIn(t, session.Private)
	if w.Stale(s) {
		t.Error("stale just after sign-in")
	}
	w.pass(5*time.Minute - time.Millisecond)
	if w.Stale(s) {
		t.Error("stale before 5 minutes")
	}
	w.pass(time.Millisecond)
	if !w.Stale(s) {
		t.Error("fresh after 5 minutes")
	}
	w.Confirm(s)
	if w.Stale(s) {
		t.Error("stale just after Confirm")
	}
	w.pass(-2 * time.Minute)
	if !w.Stale(s) {
		t.Error("fresh by a check of the future")
	}
	w.pass(2 * time.Minute)
	w.restart()
	if !w.Stale(s) {
		t.Error("fresh although the check is not known")
	}
}

// TestPasswordChangedSince: only what the directory says later than at sign-in is a
// change, whatever our own clock says, and a directory that says nothing changes nothing.
func TestPasswordChangedSince(t *testing.T) {
	t.Parallel()
	at := changed()
	for _, test := range []struct {
		then, now time.Time
		want      bool
	}{
		{at, at, false},
		{at, at.Add(time.Second), true},
		{at, at.Add(time.Millisecond), true},
		{at, at.Add(time.Microsecond), false}, // below what the cookie holds
		{at, at.Add(-time.Hour), false},       // a replica that lags behind
		{at, time.Time{}, false},
		{time.Time{}, time.Time{}, false},
		{time.Time{}, at, true},
	} {
		w := newWorld(t)
		rec := httptest.NewRecorder()
		if _, err := w.Start(t.Context(), rec, binding(), person, test.then, session.Private); err != nil {
			t.Fatal(err)
		}
		s := w.expectSignedIn(t, cookie(t, rec))
		if got := s.PasswordChangedSince(test.now); got != test.want {
			t.Errorf("from %v to %v: changed %t, want %t", test.then, test.now, got, test.want)
		}
	}
}

// TestSessionFromTheFutureIsLogged: it is proof of a clock that was set back; once an hour.
func TestSessionFromTheFutureIsLogged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var log bytes.Buffer
	w.config.Log = zerolog.New(&log)
	w.restart()
	_, c := w.signIn(t, session.Private)
	for _, step := range []struct {
		pass time.Duration
		want int
	}{{0, 0}, {-24 * time.Hour, 1}, {0, 1}, {59 * time.Minute, 1}, {time.Minute, 2}, {-24 * time.Hour, 3}} {
		w.pass(step.pass)
		for range 2 {
			_, _ = w.read(t, c)
		}
		if got := strings.Count(log.String(), "was this machine's clock set back?"); got != step.want {
			t.Errorf("after %v it was logged %d times, want %d", step.pass, got, step.want)
		}
	}
	if strings.Contains(log.String(), c.Value) || strings.Contains(log.String(), person) {
		t.Errorf("it tells who: %s", log.String())
	}
}
