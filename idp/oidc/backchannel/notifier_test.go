package backchannel_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"persona-sidecar/idp/idptest"
	"persona-sidecar/idp/memory"
	"persona-sidecar/idp/oidc/backchannel"
	"persona-sidecar/idp/session"

	"github.com/rs/zerolog"
)

const host = "id.example.test"

// world is a notifier, and what apps there are.
type world struct {
	t        *testing.T
	notifier *backchannel.Notifier
	store    backchannel.Store
	apps     map[string]string // addresses by app
	signing  error

	mu     sync.Mutex
	log    bytes.Buffer
	pauses []time.Duration
	ids    []string // the jti of the tokens
	logged chan struct{}
}

func (w *world) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log.Write(line)
	w.logged <- struct{}{}
	return len(line), nil
}

// failures returns the log once it has n lines.
func (w *world) failures(n int) string {
	w.t.Helper()
	for range n {
		select {
		case <-w.logged:
		case <-time.After(idptest.Patience):
			w.t.Fatalf("no %d lines in the log: %s", n, &w.log)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

func newWorld(t *testing.T, roots *x509.CertPool) *world {
	store := memory.New(memory.Config{Now: time.Now})
	w := &world{t: t, store: store, apps: map[string]string{}, logged: make(chan struct{}, 10_000)}
	w.notifier = backchannel.New(backchannel.Config{
		Store: w, Client: backchannel.NewClient(roots), Now: time.Now, Rand: rand.Reader, Log: zerolog.New(w),
		Sign: func(_ string, claims map[string]any) (string, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			id, _ := claims["jti"].(string)
			w.ids = append(w.ids, id)
			text, err := json.Marshal(claims)
			return string(text), errors.Join(err, w.signing)
		},
		Address: func(_, app string) string { return w.apps[app] },
		After: func(pause time.Duration) <-chan time.Time {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.pauses = append(w.pauses, pause)
			over := make(chan time.Time)
			close(over)
			return over
		},
	})
	t.Cleanup(w.notifier.Close)
	return w
}

func (w *world) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return w.store.Set(ctx, key, value, ttl)
}

func (w *world) Take(ctx context.Context, key string) ([]byte, error) { return w.store.Take(ctx, key) }

func (w *world) Keys(ctx context.Context, prefix string) ([]string, error) {
	return w.store.Keys(ctx, prefix)
}

// app makes an app that answers with a handler, and returns its server.
func (w *world) app(name string, answer http.HandlerFunc) *httptest.Server {
	server := httptest.NewTLSServer(answer)
	w.t.Cleanup(server.Close)
	w.apps[name] = server.URL + "/logout?x=y"
	return server
}

func (w *world) link(app, id string) {
	w.t.Helper()
	l := backchannel.Link{Host: host, App: app, Issuer: "https://" + host + "/persona", Subject: "corp:alice-id", Session: "sid of " + id}
	if err := w.notifier.Link(w.t.Context(), l, "corp", "alice-id", id, time.Hour); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) end(id string) {
	w.notifier.Ended(session.End{Directory: "corp", Person: "alice-id", Session: id})
}

var roots = sync.OnceValue(func() *x509.CertPool {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return pool
})

// TestFailures: three tries, each with a token of its own, then a line in the log that helps and holds no token.
func TestFailures(t *testing.T) {
	t.Parallel()
	elsewhere := 0
	other := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	t.Cleanup(other.Close)
	for name, answer := range map[string]http.HandlerFunc{
		"refused": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) },
		"fault":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"redirected": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		},
		"hung up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		w := newWorld(t, roots())
		w.app("wiki", answer)
		w.link("wiki", "1")
		w.end("1")
		log := w.failures(1)
		for _, part := range []string{`"event":"app_not_told"`, `"app":"wiki"`, `"host":"id.example.test"`, w.apps["wiki"], `"hint":"`, `"error":"`} {
			if !strings.Contains(log, part) {
				t.Errorf("%s: no %s in %s", name, part, log)
			}
		}
		if slices.Sort(w.ids); strings.Contains(log, "logout_token=") || strings.Contains(log, w.ids[0]) || len(slices.Compact(w.ids)) != 3 || !slices.Equal(w.pauses, []time.Duration{time.Second, 4 * time.Second}) || elsewhere != 0 {
			t.Errorf("%s: tokens %v after %v, %d elsewhere: %s", name, w.ids, w.pauses, elsewhere, log)
		}
	}
	w := newWorld(t, x509.NewCertPool())
	w.app("wiki", func(http.ResponseWriter, *http.Request) {
		t.Error("a server without a trusted certificate got a token")
	})
	w.link("wiki", "1")
	w.end("1")
	if log := w.failures(1); !strings.Contains(log, "certificate") {
		t.Error(log)
	}
	w = newWorld(t, roots())
	w.signing = errors.New("no key")
	w.app("wiki", func(http.ResponseWriter, *http.Request) { t.Error("a request without a token") })
	w.link("wiki", "1")
	w.end("1")
	if log := w.failures(1); !strings.Contains(log, "no key") {
		t.Error(log)
	}
	w = newWorld(t, roots())
	w.store = broken{}
	w.end("1")
	if log := w.failures(1); !strings.Contains(log, "the disk is away") || !strings.Contains(log, "alice-id") {
		t.Error(log)
	}
	if err := w.notifier.Link(t.Context(), backchannel.Link{}, "corp", "alice-id", "1", time.Hour); err == nil {
		t.Error("a link that was not kept")
	}
}

type broken struct{}

func (broken) Set(context.Context, string, []byte, time.Duration) error {
	return errors.New("the disk is away")
}

func (broken) Take(context.Context, string) ([]byte, error) {
	return nil, errors.New("the disk is away")
}

func (broken) Keys(context.Context, string) ([]string, error) {
	return nil, errors.New("the disk is away")
}

// TestSecondTry: an app that was away for a moment is told.
func TestSecondTry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, roots())
	told, asked := make(chan url.Values, 2), 0
	w.app("wiki", func(rw http.ResponseWriter, r *http.Request) {
		if asked++; asked < 3 {
			rw.WriteHeader(http.StatusBadGateway)
			return
		}
		_ = r.ParseForm()
		rw.WriteHeader(http.StatusNoContent)
		told <- r.Form
	})
	w.link("wiki", "1")
	w.end("1")
	select {
	case form := <-told:
		if form.Get("x") != "y" || form.Get("logout_token") == "" {
			t.Errorf("%v", form)
		}
	case <-time.After(idptest.Patience):
		t.Fatal("not told")
	}
	w.link("wiki", "2") // its turn comes after the answer
	w.end("2")
	<-told
	if len(w.logged) != 0 {
		t.Error(w.failures(1))
	}
}

// TestSlowApp: an app that does not answer delays no other one, its queue is bounded, and Close ends the request.
func TestSlowApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, roots())
	reached, told := make(chan struct{}, 10), make(chan struct{}, 2000)
	w.app("slow", func(_ http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm() // the server notices that the client has left once the body is read
		reached <- struct{}{}
		<-r.Context().Done()
	})
	w.app("quick", func(http.ResponseWriter, *http.Request) { told <- struct{}{} })
	w.link("slow", "first")
	w.end("first")
	<-reached
	const many = 1010
	for i := range many {
		w.link("slow", strings.Repeat("i", i+1))
	}
	w.link("quick", "1")
	w.end("") // all of the person's
	select {
	case <-told:
	case <-time.After(idptest.Patience):
		t.Fatal("the other app was not told")
	}
	if log := w.failures(many - 1000); strings.Count(log, "too many wait") != many-1000 {
		t.Error(log)
	}
	w.notifier.Close()
	log := w.failures(1001)
	if got := strings.Count(log, `"app":"slow"`); got != many+1 {
		t.Errorf("%d lines in the log about the slow app", got)
	}
	w.end("1")
	if log := w.failures(1); !strings.Contains(log, "the program ends") {
		t.Error("after Close it is not logged")
	}
}

// TestRemovedApp: one that is not configured any more is not told, and a link counts once.
func TestRemovedApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, roots())
	told := make(chan struct{}, 10)
	w.app("wiki", func(http.ResponseWriter, *http.Request) { told <- struct{}{} })
	w.link("gone", "1")
	w.link("wiki", "1")
	w.link("wiki", "2")
	w.end("1")
	w.end("1")
	w.end("3")
	w.link("wiki", "4")
	w.end("4")
	for range 2 {
		select {
		case <-told:
		case <-time.After(idptest.Patience):
			t.Fatal("not told")
		}
	}
	keys, err := w.store.Keys(t.Context(), "openid/links")
	if err != nil || len(keys) != 1 || len(told) != 0 {
		t.Errorf("%v are kept, told %d times more: %v", keys, len(told), err)
	}
}
