package session_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"persona-sidecar/idp/idptest"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/session"
)

const person = "11111111-2222-3333-4444-555555555555"

// changed is when the password was changed, by the directory's own clock.
func changed() time.Time { return time.Date(2031, 1, 2, 3, 4, 5, 678_900_000, time.UTC) }

func binding() session.Binding { return session.Binding{Host: "example.test", Directory: "corp"} }

// sealer is the key ring as app lends it to sessions.
type sealer struct{ ring *keys.Ring }

func (s sealer) Seal(plaintext, associated []byte) ([]byte, error) {
	return s.ring.Seal(keys.UseSession, plaintext, associated)
}

func (s sealer) Open(sealed, associated []byte) ([]byte, error) {
	return s.ring.Open(keys.UseSession, sealed, associated)
}

// world is one store, one key ring, one clock, and Sessions on them.
type world struct {
	*session.Manager
	store *idptest.Store
	*session.SignOuts
	config session.Config
	now    time.Time
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldAt(t, time.Date(2026, 11, 20, 12, 0, 0, 123456789, time.UTC))
}

// newWorldAt is a world at a time; the zero time is that of the bubble that a test runs in.
func newWorldAt(t testing.TB, now time.Time) *world {
	t.Helper()
	w := &world{now: now}
	w.store = idptest.NewStore(w.clock)
	ring := keys.New(keys.Config{Store: w.store, Now: w.clock, Rand: rand.Reader, Log: zerolog.Nop()})
	if err := ring.Ensure(t.Context(), keys.Want{Use: keys.UseSession}); err != nil {
		t.Fatal(err)
	}
	w.config = session.Config{Sealer: sealer{ring}, Now: w.clock, Rand: rand.Reader, Log: zerolog.Nop()}
	w.restart()
	return w
}

func (w *world) clock() time.Time {
	if w.now.IsZero() {
		return time.Now()
	}
	return w.now
}

func (w *world) pass(d time.Duration) { w.now = w.now.Add(d) }

// signOuts returns the keys of the sign-outs in the store.
func (w *world) signOuts(t testing.TB) []string {
	t.Helper()
	keys, err := w.store.Keys(t.Context(), "revoked")
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// restart is a new process on the same store, or another one beside it.
func (w *world) restart() {
	w.SignOuts = session.NewSignOuts(w.store, w.clock)
	w.config.SignOuts, w.config.Codes = w.SignOuts, w.store
	w.reload()
}

// reload is the same process with another configuration.
func (w *world) reload() { w.Manager = session.New(w.config) }

// signIn starts a session and returns it with its cookie.
func (w *world) signIn(t testing.TB, c session.Computer) (session.Session, *http.Cookie) {
	t.Helper()
	rec := httptest.NewRecorder()
	s, err := w.Start(t.Context(), rec, binding(), person, changed(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s, cookie(t, rec)
}

// cookie returns the one cookie that a response sets.
func cookie(t testing.TB, rec *httptest.ResponseRecorder) *http.Cookie {
	t.Helper()
	cookies := rec.Result().Cookies()
	if len(cookies) != 1 {
		t.Fatalf("the response sets %v", rec.Header()["Set-Cookie"])
	}
	return cookies[0]
}

// request carries Cookie header lines.
func request(lines ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://example.test/persona/", nil)
	r.Header["Cookie"] = lines
	return r
}

func (w *world) read(t testing.TB, c *http.Cookie) (session.Session, error) {
	t.Helper()
	return w.Read(t.Context(), request(c.Name+"="+c.Value), binding())
}

func (w *world) expectNone(t testing.TB, c *http.Cookie, reason string) {
	t.Helper()
	s, err := w.read(t, c)
	if !errors.Is(err, session.ErrNone) || !strings.Contains(err.Error(), reason) || s != (session.Session{}) {
		t.Errorf("Read: %+v, %v; want not signed in, with %q", s, err, reason)
	}
}

func (w *world) expectSignedIn(t testing.TB, c *http.Cookie) session.Session {
	t.Helper()
	s, err := w.read(t, c)
	if err != nil {
		t.Errorf("Read: %v", err)
	}
	return s
}

func (w *world) end(t testing.TB, s session.Session) *httptest.ResponseRecorder {
	t.Helper()
	rec := httptest.NewRecorder()
	if err := w.End(t.Context(), rec, s); err != nil {
		t.Fatal(err)
	}
	return rec
}

// refresh returns the new cookie, or nil when there is none.
func (w *world) refresh(t testing.TB, s session.Session) *http.Cookie {
	t.Helper()
	rec := httptest.NewRecorder()
	if err := w.Refresh(rec, binding(), s); err != nil {
		t.Fatal(err)
	}
	if len(rec.Header()) == 0 {
		return nil
	}
	return cookie(t, rec)
}

func TestSession(t *testing.T) {
	t.Parallel()
	for _, c := range []session.Computer{session.Private, session.Shared} {
		w := newWorld(t)
		started, sent := w.signIn(t, c)
		now := w.now.Truncate(time.Millisecond)
		want := session.Session{
			ID: started.ID, Directory: "corp", Person: person,
			Authenticated: now, Allowed: now, Seen: now, Ends: started.Ends, Computer: c,
			PasswordChanged: changed().Truncate(time.Millisecond),
		}
		if diff := cmp.Diff(want, started); diff != "" {
			t.Errorf("started (-want +got):\n%s", diff)
		}
		if len(started.ID) != 32 {
			t.Errorf("the id is %q", started.ID)
		}
		if diff := cmp.Diff(started, w.expectSignedIn(t, sent)); diff != "" {
			t.Errorf("read (-want +got):\n%s", diff)
		}
		w.restart()
		if diff := cmp.Diff(started, w.expectSignedIn(t, sent)); diff != "" {
			t.Errorf("read after a restart (-want +got):\n%s", diff)
		}
		if other, _ := w.signIn(t, c); other.ID == started.ID {
			t.Error("two sessions have one id")
		}
		if got := w.signOuts(t); len(got) != 0 {
			t.Errorf("signing in left %q in the store", got)
		}
	}
}

func TestCookieAttributes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	private, c := w.signIn(t, session.Private)
	if got, want := c.Raw[strings.Index(c.Raw, ";"):], "; Path=/; Max-Age=28800; HttpOnly; Secure; SameSite=Lax"; got != want {
		t.Errorf("private: %s", got)
	}
	if c.Name != "__Host-persona" || len(c.Raw) > 400 {
		t.Errorf("%d bytes: %s", len(c.Raw), c.Raw)
	}
	for _, secret := range []string{person, private.ID, "corp"} {
		if strings.Contains(c.Raw, secret) {
			t.Errorf("the cookie shows %q", secret)
		}
	}
	_, c = w.signIn(t, session.Shared)
	if got, want := c.Raw[strings.Index(c.Raw, ";"):], "; Path=/; HttpOnly; Secure; SameSite=Lax"; got != want {
		t.Errorf("shared: %s", got)
	}
	rec := w.end(t, private)
	if got, want := rec.Header()["Set-Cookie"], "__Host-persona=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"; len(got) != 1 || got[0] != want {
		t.Errorf("cleared: %q", got)
	}
}

func TestLastCookieOfAResponseCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rec := httptest.NewRecorder()
	http.SetCookie(rec, &http.Cookie{Name: "__Host-persona-x", Value: "of another name"})
	first, err := w.Start(t.Context(), rec, binding(), person, changed(), session.Private)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.End(t.Context(), rec, first); err != nil {
		t.Fatal(err)
	}
	second, err := w.Start(t.Context(), rec, binding(), "other", changed(), session.Private)
	if err != nil {
		t.Fatal(err)
	}
	cookies := rec.Result().Cookies()
	if len(cookies) != 2 || cookies[0].Name != "__Host-persona-x" {
		t.Fatalf("the response sets %q", rec.Header()["Set-Cookie"])
	}
	if got := w.expectSignedIn(t, cookies[1]); got != second {
		t.Errorf("signed in: %+v", got)
	}
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, test := range map[string]struct {
		binding  session.Binding
		person   string
		computer session.Computer
	}{
		"no id":            {binding(), "", session.Private},
		"a huge id":        {binding(), strings.Repeat("x", 513), session.Private},
		"no computer":      {binding(), person, ""},
		"another computer": {binding(), person, "public"},
		"no host":          {session.Binding{Directory: "corp"}, person, session.Private},
		"no directory":     {session.Binding{Host: "example.test"}, person, session.Private},
		"a huge directory": {session.Binding{Host: "example.test", Directory: strings.Repeat("x", 256)}, person, session.Private},
	} {
		rec := httptest.NewRecorder()
		s, err := w.Start(t.Context(), rec, test.binding, test.person, changed(), test.computer)
		if err == nil || errors.Is(err, session.ErrNone) || s != (session.Session{}) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
		if len(rec.Header()) != 0 {
			t.Errorf("%s: it set %v", name, rec.Header())
		}
	}
}

func TestStartWithoutWhatItNeeds(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(w *world){
		"randomness": func(w *world) { w.config.Rand = strings.NewReader("short") },
		"a key": func(w *world) {
			w.config.Sealer = sealer{keys.New(keys.Config{Store: w.store, Now: w.clock, Rand: rand.Reader})}
		},
		"a store": func(w *world) { w.store.Fail = func(string, string) error { return io.ErrClosedPipe } },
	} {
		w := newWorld(t)
		spoil(w)
		w.restart()
		rec := httptest.NewRecorder()
		if s, err := w.Start(t.Context(), rec, binding(), person, changed(), session.Private); err == nil || errors.Is(err, session.ErrNone) {
			t.Errorf("without %s: %+v, %v", name, s, err)
		}
		if len(rec.Header()) != 0 {
			t.Errorf("without %s it set %v", name, rec.Header())
		}
	}
}

func TestAnyPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, id := range []string{"a", "a\x00b", "\xff\xfe", "ü", `","`, strings.Repeat("x", 512)} {
		rec := httptest.NewRecorder()
		if _, err := w.Start(t.Context(), rec, binding(), id, changed(), session.Shared); err != nil {
			t.Fatal(err)
		}
		if got := w.expectSignedIn(t, cookie(t, rec)); got.Person != id {
			t.Errorf("%q came back as %q", id, got.Person)
		}
	}
}

func TestKeysOrStoreNotReadyIsNotSignedOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, c := w.signIn(t, session.Private)

	w.store.Fail = func(string, string) error { return io.ErrClosedPipe }
	if s, err := w.read(t, c); err == nil || errors.Is(err, session.ErrNone) || !errors.Is(err, io.ErrClosedPipe) || s != (session.Session{}) {
		t.Errorf("without a store: %+v, %v", s, err)
	}
	w.store.Fail = nil

	w.config.Sealer = sealer{keys.New(keys.Config{Store: w.store, Now: w.clock, Rand: rand.Reader})}
	w.restart()
	if s, err := w.read(t, c); err == nil || errors.Is(err, session.ErrNone) || !errors.Is(err, keys.ErrNotReady) || s != (session.Session{}) {
		t.Errorf("without a key: %+v, %v", s, err)
	}
	if _, err := w.Read(t.Context(), request(), binding()); !errors.Is(err, session.ErrNone) {
		t.Errorf("without a key and a cookie: %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w = newWorld(t)
	_, c = w.signIn(t, session.Private)
	if _, err := w.Read(ctx, request(c.Name+"="+c.Value), binding()); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}
