package session_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/idptest"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/session"
)

func TestVisit(t *testing.T) {
	t.Parallel()
	c := newCompany(t, newWorld(t))
	c.expect(t, browser{}, wiki, "no one")
	b := c.signedIn(t, "anna", session.Private)
	c.expect(t, b, wiki, "no one")
	c.goTo(t, b, wiki)
	if got, want := b[wiki].Raw[strings.Index(b[wiki].Raw, ";"):], "; Path=/; Max-Age=28800; HttpOnly; Secure; SameSite=Lax"; b[wiki].Name != session.SiteCookieName || got != want {
		t.Errorf("the site's cookie: %s", b[wiki].Raw)
	}
	first := c.expect(t, b, wiki, "anna")
	if first.SetCookie != "" || first.Subject.Person.Groups[0] != "editors" || first.Subject.Shared || first.Subject.Ends.Sub(first.Subject.AuthTime) != 8*time.Hour {
		t.Errorf("%+v", first.Subject)
	}
	current, err := c.Current(httptest.NewRecorder(), b.request(c.host.Name), c.host, session.Recent)
	if err != nil || current.ID != first.Subject.ID || !current.AuthTime.Equal(first.Subject.AuthTime) || !current.Ends.Equal(first.Subject.Ends) {
		t.Errorf("at the identity host %+v, %v", current, err)
	}
	if n := c.asked.Load(); n != 0 {
		t.Errorf("the directory was asked %d times just after the sign-in", n)
	}
	c.pass(8 * time.Hour)
	c.expect(t, b, wiki, "lost")
	c.pass(-8*time.Hour - 2*time.Minute) // a clock that was set back loses no session
	c.expect(t, b, wiki, "no one")
	c.pass(3 * time.Minute)
	c.expect(t, b, wiki, "anna")
}

func TestVisitAtTheIdentityHostItself(t *testing.T) {
	t.Parallel()
	c := newCompany(t, newWorld(t))
	b := c.signedIn(t, "anna", session.Private, wiki)
	c.expect(t, b, c.host.Name, "anna")
	if _, err := c.HandOver(httptest.NewRecorder(), b.request(c.host.Name), c.host, c.host.Name, challenge); err == nil {
		t.Error("a session is handed over to its own host")
	}
	b[c.host.Name] = b[wiki] // under the name of the site's cookie
	c.expect(t, b, c.host.Name, "no one")
}

func TestSharedComputerIsRenewedByUseAtASite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCompany(t, newWorldAt(t, time.Time{}))
		b := c.signedIn(t, "anna", session.Shared, wiki, blog)
		for range 8 {
			time.Sleep(10 * time.Minute)
			visit := c.expect(t, b, wiki, "anna")
			if !strings.HasPrefix(visit.SetCookie, session.SiteCookieName+"=") || !strings.HasSuffix(visit.SetCookie, "; Path=/; HttpOnly; Secure; SameSite=Lax") {
				t.Fatalf("not renewed: %q", visit.SetCookie)
			}
			if again := c.expect(t, b, wiki, "anna"); again.SetCookie != "" {
				t.Fatalf("renewed twice within a minute: %q", again.SetCookie)
			}
			b[wiki], _ = http.ParseSetCookie(visit.SetCookie)
		}
		c.expect(t, b, blog, "anna") // it is the same session
		if current, err := c.Current(httptest.NewRecorder(), b.request(c.host.Name), c.host, session.Recent); current == nil || err != nil {
			t.Errorf("at the identity host: %+v, %v", current, err)
		}
		c.Close()
		c.reload() // where the memory of the last use is gone, the cookie has it
		time.Sleep(25 * time.Minute)
		c.expect(t, b, wiki, "anna")
		time.Sleep(15 * time.Minute) // two hours
		c.expect(t, b, wiki, "lost")

		b = c.signedIn(t, "anna", session.Shared)
		time.Sleep(20 * time.Minute)
		c.goTo(t, b, wiki)
		c.Close()
		c.reload()
		time.Sleep(20 * time.Minute)
		c.expect(t, b, wiki, "anna")

		b = c.signedIn(t, "anna", session.Shared, wiki)
		time.Sleep(30*time.Minute - time.Second)
		c.expect(t, b, wiki, "anna")
		time.Sleep(30 * time.Minute)
		c.expect(t, b, wiki, "lost")
	})
}

// Cookies of one host at another, of the site at the identity host and back, and planted ones.
func TestSiteCookieIsBound(t *testing.T) {
	t.Parallel()
	c := newCompany(t, newWorld(t))
	b := c.signedIn(t, "anna", session.Private, wiki)
	c.expect(t, b, wiki, "anna") // and known by its value
	own, site := b[c.host.Name].Value, b[wiki].Value
	send := func(p session.Place, lines ...string) session.Visit {
		r := httptest.NewRequest(http.MethodGet, "https://"+p.Site+"/", nil)
		r.Header["Cookie"] = lines
		visit, err := c.Visit(r, p)
		if err != nil {
			t.Error(err)
		}
		return visit
	}
	other, directory := *c.host, *c.host
	other.Name, directory.DirectoryName = "other.test", "other"
	for what, visit := range map[string]session.Visit{
		"a site's at another":           send(c.at(blog), session.SiteCookieName+"="+site),
		"a site's at the identity host": send(c.at(c.host.Name), session.CookieName+"="+site),
		"the identity host's at a site": send(c.at(wiki), session.SiteCookieName+"="+own),
		"of another identity host":      send(session.Place{Authority: &other, Site: wiki}, session.SiteCookieName+"="+site),
		"of another directory":          send(session.Place{Authority: &directory, Site: wiki}, session.SiteCookieName+"="+site),
		"a site as its own authority":   send(session.Place{Authority: &identity.Host{Name: wiki, DirectoryName: "corp"}, Site: wiki}, session.CookieName+"="+site),
		"garbage":                       send(c.at(wiki), session.SiteCookieName+"=x"),
		"empty":                         send(c.at(wiki), session.SiteCookieName+"="),
		"one letter more":               send(c.at(wiki), session.SiteCookieName+"="+site+"A"),
		"one letter less":               send(c.at(wiki), session.SiteCookieName+"="+site[1:]),
		"huge":                          send(c.at(wiki), session.SiteCookieName+"="+strings.Repeat(site, 100)),
		"with a line break":             send(c.at(wiki), session.SiteCookieName+"="+site[:9]+"\n"+site[9:]),
	} {
		if visit.Subject != nil || !visit.Lost || !strings.Contains(visit.SetCookie, "=; Path=/; Max-Age=0;") {
			t.Errorf("%s: %+v", what, visit)
		}
	}
	for what, visit := range map[string]session.Visit{
		"the identity host's under its own name": send(c.at(wiki), session.CookieName+"="+own),
		"two":                                    send(c.at(wiki), session.SiteCookieName+"="+site+"; "+session.SiteCookieName+"="+site),
		"two, one planted":                       send(c.at(wiki), session.SiteCookieName+"=x", session.SiteCookieName+"="+site),
		"two, one malformed":                     send(c.at(wiki), session.SiteCookieName+"; "+session.SiteCookieName+"="+site),
		"another case":                           send(c.at(wiki), "__host-persona-site="+site),
		"that of a login":                        send(c.at(wiki), session.LoginCookieName+"="+site),
	} {
		if visit.Subject != nil || visit.Lost || visit.SetCookie != "" {
			t.Errorf("%s: %+v", what, visit)
		}
	}
	if current, err := c.Current(httptest.NewRecorder(), request(session.CookieName+"="+site), c.host, session.Recent); current != nil || err != nil {
		t.Errorf("the identity host accepts a site's cookie: %+v, %v", current, err)
	}
	c.expect(t, b, wiki, "anna")
}

// lockedSealer opens nothing while it is locked.
type lockedSealer struct {
	session.Sealer
	locked bool
}

func (s *lockedSealer) Open(sealed, associated []byte) ([]byte, error) {
	if s.locked {
		return nil, keys.ErrForged
	}
	return s.Sealer.Open(sealed, associated)
}

// A key that is taken away counts although the cookie is known.
func TestKnownCookiesAreOpenedAgain(t *testing.T) {
	t.Parallel()
	c := newCompany(t, newWorld(t))
	sealer := &lockedSealer{Sealer: c.config.Sealer}
	c.config.Sealer = sealer
	c.reload()
	b := c.signedIn(t, "anna", session.Private, wiki)
	c.expect(t, b, wiki, "anna")
	sealer.locked = true
	c.expect(t, b, wiki, "anna")
	c.pass(5 * time.Minute)
	c.expect(t, b, wiki, "lost")
}

func TestSignOutAt(t *testing.T) {
	t.Parallel()
	for _, everywhere := range []bool{false, true} {
		c := newCompany(t, newWorld(t))
		b, elsewhere := c.signedIn(t, "anna", session.Private, wiki, blog), c.signedIn(t, "anna", session.Private, wiki)
		for _, site := range []string{wiki, blog} {
			c.expect(t, b, site, "anna")
		}
		c.expect(t, elsewhere, wiki, "anna")
		old := c.Manager
		c.reload() // the new generation of a reload has seen none of them yet; the sign-out is by the old one
		c.expect(t, b, blog, "anna")
		rec := httptest.NewRecorder()
		if ended, err := old.SignOutAt(rec, b.request(wiki), c.at(wiki), everywhere); !ended || err != nil {
			t.Errorf("SignOutAt: %t, %v", ended, err)
		}
		if got := cookie(t, rec); got.Name != session.SiteCookieName || got.MaxAge >= 0 {
			t.Errorf("set %v", got)
		}
		for _, m := range []*session.Manager{old, c.Manager} {
			c.Manager = m
			for _, site := range []string{wiki, blog, c.host.Name} {
				c.expect(t, b, site, "lost")
			}
			c.expect(t, elsewhere, wiki, map[bool]string{false: "anna", true: "lost"}[everywhere])
		}
		if current, err := c.Current(httptest.NewRecorder(), b.request(c.host.Name), c.host, session.Recent); current != nil || err != nil {
			t.Errorf("at the identity host: %+v, %v", current, err)
		}
		rec = httptest.NewRecorder()
		if ended, err := c.SignOutAt(rec, b.request(wiki), c.at(wiki), everywhere); ended || err != nil || cookie(t, rec).MaxAge >= 0 {
			t.Errorf("again: %t, %v", ended, err)
		}
	}
}

// A person is the directory's immutable id: not the name that is typed, and not a name that was given again.
func TestSessionIsBoundToTheImmutableID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCompany(t, newWorldAt(t, time.Time{}))
		b, shouting := c.signedIn(t, "anna", session.Private, wiki), c.signedIn(t, "ANNA", session.Private, wiki)
		first, second := c.expect(t, b, wiki, "anna"), c.expect(t, shouting, wiki, "anna")
		if first.Subject.Person.ID != second.Subject.Person.ID || first.Subject.ID == second.Subject.ID {
			t.Errorf("%+v and %+v", first.Subject, second.Subject)
		}
		c.directory.Remove("a") // anna leaves; another anna gets her user name and her address
		c.directory.Put(idptest.Account{Person: identity.Person{ID: "new", Login: "anna", Addresses: idptest.Addresses("anna@example.test")}, Password: "secret"})
		time.Sleep(5 * time.Minute)
		for _, b := range []browser{b, shouting} {
			c.expect(t, b, wiki, "lost")
		}
		if visit := c.expect(t, c.signedIn(t, "anna", session.Private, wiki), wiki, "anna"); visit.Subject.Person.ID != "new" {
			t.Errorf("%+v", visit.Subject)
		}
	})
}

// TestVisitsInParallel: many requests of many browsers, while some of them sign out and the program reloads.
func TestVisitsInParallel(t *testing.T) {
	t.Parallel()
	c := newCompany(t, newWorld(t))
	place := c.at(wiki)
	var wg sync.WaitGroup
	for range 8 {
		b := c.signedIn(t, "anna", session.Private, wiki)
		other := session.New(c.config)
		wg.Go(func() {
			for range 50 {
				visit, err := other.Visit(b.request(wiki), place)
				if err != nil || visit.Subject == nil {
					t.Errorf("%+v, %v", visit, err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				visit.Ended(ctx)
				cancel()
			}
			rec := httptest.NewRecorder()
			if ended, err := c.SignOutAt(rec, b.request(wiki), place, false); !ended || err != nil {
				t.Errorf("%t, %v", ended, err)
			}
			if visit, err := other.Visit(b.request(wiki), place); err != nil || !visit.Lost {
				t.Errorf("after the sign-out %+v, %v", visit, err)
			}
			other.Close()
		})
	}
	wg.Wait()
}

func BenchmarkVisit(b *testing.B) {
	c := newCompany(b, newWorld(b))
	place := c.at(wiki)
	r := c.signedIn(b, "anna", session.Private, wiki).request(wiki)
	r.Header["Cookie"] = []string{"_ga=GA1.1.1234567890.1234567890; wordpress_logged_in=anna; " + r.Header.Get("Cookie")}
	b.ReportAllocs()
	for b.Loop() {
		if visit, err := c.Visit(r, place); err != nil || visit.Subject == nil {
			b.Fatal(visit, err)
		}
	}
}
