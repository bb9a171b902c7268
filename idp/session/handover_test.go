package session_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/session"
)

// refused takes a code over, which must not succeed, nor set anything.
func (c *company) refused(t *testing.T, what string, p session.Place, code, challenge string) {
	t.Helper()
	rec := httptest.NewRecorder()
	if ok, err := c.TakeOver(rec, browser{}.request(p.Site), p, code, challenge); ok || err != nil || len(rec.Header()) != 0 {
		t.Errorf("%s: %t, %v, set %v", what, ok, err, rec.Header())
	}
}

func TestCodesAreGoodForOneTakeOver(t *testing.T) {
	t.Parallel()
	c := newCompany(t, newWorld(t))
	b := c.signedIn(t, "anna", session.Private)
	other, directory := *c.host, *c.host
	other.Name, directory.DirectoryName = "other.test", "other"
	for what, p := range map[string]session.Place{
		"another site":          c.at(blog),
		"the identity host":     c.at(c.host.Name),
		"another identity host": {Authority: &other, Site: wiki},
		"another directory":     {Authority: &directory, Site: wiki},
		"a site with its name":  {Authority: &identity.Host{Name: wiki, DirectoryName: "corp"}, Site: wiki},
	} {
		code := c.handOver(t, b, wiki)
		c.refused(t, what, p, code, challenge)
		if p.Site != c.host.Name && p.Site != p.Authority.Name { // where nothing is handed over codes are not looked at
			c.refused(t, "the right place after "+what, c.at(wiki), code, challenge)
		}
	}
	for what, bad := range map[string]string{
		"no challenge": "", "another challenge": strings.ToLower(challenge), "a part of it": challenge[1:], "more": challenge + "A", "a huge one": strings.Repeat("A", 300),
	} {
		c.refused(t, what, c.at(wiki), c.handOver(t, b, wiki), bad)
	}
	code := c.handOver(t, b, wiki)
	guess := []byte(code)
	guess[5] ^= 1
	for what, bad := range map[string]string{
		"none": "", "a guess": string(guess), "zeros": base64.RawURLEncoding.EncodeToString(make([]byte, 32)), "a path": "../revoked/sessions/x", "padded": code + "=",
		"longer": code + code, "with a line break": code[:9] + "\n" + code[9:], "NUL": "\x00", "huge": strings.Repeat("A", 1<<20),
	} {
		c.refused(t, what, c.at(wiki), bad, challenge)
	}
	var taken atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if ok, err := c.TakeOver(httptest.NewRecorder(), browser{}.request(wiki), c.at(wiki), code, challenge); err != nil {
				t.Error(err)
			} else if ok {
				taken.Add(1)
			}
		})
	}
	wg.Wait()
	if taken.Load() != 1 {
		t.Errorf("a code was taken %d times", taken.Load())
	}
	c.refused(t, "replayed", c.at(wiki), code, challenge)
	code = c.handOver(t, b, wiki)
	for _, seen := range []string{"", "no code", string(guess), code} {
		if err := c.Discard(t.Context(), seen); err != nil {
			t.Errorf("discarding %q: %v", seen, err)
		}
	}
	c.refused(t, "discarded", c.at(wiki), code, challenge)
	code = c.handOver(t, b, wiki)
	c.pass(30 * time.Second)
	c.refused(t, "expired", c.at(wiki), code, challenge)
}

func TestOnlyALiveSessionIsTakenOver(t *testing.T) {
	t.Parallel()
	for what, end := range map[string]func(c *company, b browser) error{
		"signed out": func(c *company, b browser) error {
			_, err := c.SignOut(httptest.NewRecorder(), b.request(c.host.Name), c.host, false)
			return err
		},
		"signed out everywhere": func(c *company, _ browser) error { return c.EndPerson(t.Context(), "corp", "a") },
		"its end":               func(c *company, _ browser) error { c.pass(20 * time.Second); return nil },
	} {
		c := newCompany(t, newWorld(t))
		b := c.signedIn(t, "anna", session.Private)
		c.pass(8*time.Hour - 10*time.Second)
		code := c.handOver(t, b, wiki)
		if err := end(c, b); err != nil {
			t.Fatal(err)
		}
		c.refused(t, what, c.at(wiki), code, challenge)
	}
}

// noCodes fails.
type noCodes struct{}

func (noCodes) Add(context.Context, string, []byte, time.Duration) (bool, error) {
	return false, io.ErrClosedPipe
}

func (noCodes) Take(context.Context, string) ([]byte, error) { return nil, io.ErrClosedPipe }

func TestHandOver(t *testing.T) {
	t.Parallel()
	c := newCompany(t, newWorld(t))
	b := c.signedIn(t, "anna", session.Private, wiki)
	for what, r := range map[string]browser{
		"without a cookie": {}, "with a site's": {c.host.Name: b[wiki]},
	} {
		if code, err := c.HandOver(httptest.NewRecorder(), r.request(c.host.Name), c.host, wiki, challenge); code != "" || err != nil {
			t.Errorf("%s: %q, %v", what, code, err)
		}
	}
	for what, test := range map[string]struct{ site, challenge string }{
		"a stranger's site": {"evil.test", challenge}, "no site": {"", challenge}, "the host itself": {c.host.Name, challenge},
		"no challenge": {wiki, ""}, "a huge challenge": {wiki, strings.Repeat("A", 256)},
	} {
		if code, err := c.HandOver(httptest.NewRecorder(), b.request(c.host.Name), c.host, test.site, test.challenge); code != "" || err == nil {
			t.Errorf("%s: %q, %v", what, code, err)
		}
	}
	if keys, err := c.store.Keys(t.Context(), "handovers"); len(keys) != 0 || err != nil {
		t.Errorf("left in the store: %q, %v", keys, err)
	}
	code := c.handOver(t, b, wiki)
	keys, err := c.store.Keys(t.Context(), "handovers")
	if err != nil || len(keys) != 1 || strings.Contains(keys[0], code) {
		t.Fatalf("%q, %v", keys, err)
	}
	value, err := c.store.Get(t.Context(), keys[0])
	if err != nil || strings.Contains(string(value), code) {
		t.Errorf("%v", err)
	}

	c.directory.Fail(errDown)
	c.pass(5 * time.Minute)
	if code, err := c.HandOver(httptest.NewRecorder(), b.request(c.host.Name), c.host, wiki, challenge); code != "" || !errors.Is(err, identity.ErrUnavailable) {
		t.Errorf("with the directory away: %q, %v", code, err)
	}
	c.directory.Fail(nil)
	code = c.handOver(t, b, wiki)
	c.config.Codes = noCodes{}
	c.reload()
	if code, err := c.HandOver(httptest.NewRecorder(), b.request(c.host.Name), c.host, wiki, challenge); code != "" || !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("with no store for codes: %q, %v", code, err)
	}
	if ok, err := c.TakeOver(httptest.NewRecorder(), browser{}.request(wiki), c.at(wiki), code, challenge); ok || !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("with no store for codes: %t, %v", ok, err)
	}
	if err := c.Discard(t.Context(), code); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("with no store for codes: %v", err)
	}
	c.config.Codes = c.store
	c.reload()
	c.store.Fail = func(op, _ string) error {
		if op == "get" {
			return io.ErrClosedPipe
		}
		return nil
	}
	if code, err := c.HandOver(httptest.NewRecorder(), b.request(c.host.Name), c.host, wiki, challenge); code != "" || !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("with the store away: %q, %v", code, err)
	}
	rec := httptest.NewRecorder()
	if ok, err := c.TakeOver(rec, browser{}.request(wiki), c.at(wiki), code, challenge); ok || !errors.Is(err, session.ErrUnavailable) || len(rec.Header()) != 0 {
		t.Errorf("with the store away: %t, %v", ok, err)
	}
}
