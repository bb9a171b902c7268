package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/idptest"
	"persona-sidecar/idp/session"
)

const (
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	wiki      = "wiki.example.test"
	blog      = "blog.example.test"
)

// company is a world with an identity host, two websites and a directory.
type company struct {
	*world
	directory *idptest.Directory
	host      *identity.Host
	asked     atomic.Int32                    // look-ups
	answers   func(ctx context.Context) error // what a look-up waits for; nil: nothing
	full      atomic.Bool                     // the disk
	mu        sync.Mutex
	ended     []string
}

func newCompany(t testing.TB, w *world) *company {
	t.Helper()
	c := &company{world: w, directory: idptest.NewDirectory("corp",
		idptest.Account{Person: identity.Person{ID: "a", Login: "anna", Groups: []string{"editors"}, Addresses: idptest.Addresses("anna@example.test")}, Password: "secret"},
	)}
	c.host = &identity.Host{
		Name: "id.example.test", DirectoryName: "corp", Directory: c, Domains: []string{"example.test"},
		Sites: map[string]string{wiki: "https://" + wiki, blog: "https://" + blog, "id.example.test": "https://id.example.test"},
	}
	c.config.Ended = func(r *http.Request, h *identity.Host, id, reason string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ended = append(c.ended, fmt.Sprintf("%s %s %s, request %t", h.Name, id, reason, r != nil))
	}
	c.store.Fail = func(op, _ string) error {
		if op == "set" && c.full.Load() {
			return io.ErrShortWrite
		}
		return nil
	}
	c.restart()
	t.Cleanup(func() { c.Close() })
	return c
}

func (c *company) Authenticate(ctx context.Context, login, password string, gate func(string) bool) (identity.Result, error) {
	return c.directory.Authenticate(ctx, login, password, gate)
}

func (c *company) Lookup(ctx context.Context, id string) (identity.Result, error) {
	c.asked.Add(1)
	if c.answers != nil {
		if err := c.answers(ctx); err != nil {
			return identity.Result{}, err
		}
	}
	return c.directory.Lookup(ctx, id)
}

// browser has the cookies of one browser by host.
type browser map[string]*http.Cookie

func (b browser) request(host string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://"+host+"/", nil)
	if c := b[host]; c != nil {
		r.Header.Set("Cookie", c.Name+"="+c.Value)
	}
	return r
}

func (b browser) take(t testing.TB, host string, rec *httptest.ResponseRecorder) {
	t.Helper()
	b[host] = cookie(t, rec)
}

func (c *company) at(site string) session.Place { return session.Place{Authority: c.host, Site: site} }

// signedIn returns a browser that is signed in at the identity host and at sites.
func (c *company) signedIn(t testing.TB, login string, computer session.Computer, sites ...string) browser {
	t.Helper()
	result, err := c.host.Authenticate(t.Context(), login, "secret", nil)
	if err != nil || result.Status != identity.OK {
		t.Fatal(result.Status, err)
	}
	b := browser{}
	rec := httptest.NewRecorder()
	if err := c.SignIn(rec, b.request(c.host.Name), c.host, result.Person, computer); err != nil {
		t.Fatal(err)
	}
	b.take(t, c.host.Name, rec)
	for _, site := range sites {
		c.goTo(t, b, site)
	}
	return b
}

// goTo hands the session over to a site.
func (c *company) goTo(t testing.TB, b browser, site string) {
	t.Helper()
	code := c.handOver(t, b, site)
	rec := httptest.NewRecorder()
	if ok, err := c.TakeOver(rec, b.request(site), c.at(site), code, challenge); !ok || err != nil {
		t.Fatalf("TakeOver: %t, %v", ok, err)
	}
	b.take(t, site, rec)
}

func (c *company) handOver(t testing.TB, b browser, site string) string {
	t.Helper()
	rec := httptest.NewRecorder()
	code, err := c.HandOver(rec, b.request(c.host.Name), c.host, site, challenge)
	if err != nil || len(code) != 43 {
		t.Fatalf("HandOver: %q, %v", code, err)
	}
	if len(rec.Header()) > 0 {
		b.take(t, c.host.Name, rec)
	}
	return code
}

func (c *company) visit(t testing.TB, b browser, site string) session.Visit {
	t.Helper()
	visit, err := c.Visit(b.request(site), c.at(site))
	if err != nil {
		t.Errorf("Visit: %v", err)
	}
	return visit
}

// expect checks what a visit says: anna, no one, away or lost.
func (c *company) expect(t testing.TB, b browser, site, want string) session.Visit {
	t.Helper()
	visit := c.visit(t, b, site)
	got := "no one"
	switch {
	case visit.Lost && visit.Subject == nil && strings.Contains(visit.SetCookie, "=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"):
		got = "lost"
	case visit.Away && visit.Subject == nil:
		got = "away"
	case visit.Lost || visit.Away:
		got = fmt.Sprintf("%+v", visit)
	case visit.Subject != nil:
		got = visit.Subject.Person.Login
	}
	if got != want || (visit.Subject != nil) != (visit.Ended != nil) {
		t.Errorf("at %s: %s, want %s", site, got, want)
	}
	return visit
}

var errDown = errors.New("down")
