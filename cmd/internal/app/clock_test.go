package app_test

import (
	"crypto/x509"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"persona-sidecar/ldapauth/ldaptest"
)

// wrongClock is this machine's clock, wrong by some time.
type wrongClock struct{ by atomic.Int64 }

func (c *wrongClock) now() time.Time          { return time.Now().Add(time.Duration(c.by.Load())) }
func (c *wrongClock) set(wrong time.Duration) { c.by.Store(int64(wrong)) }

const day = 24 * time.Hour

// TestClockWrongByADay: when the clock jumps a day, to and fro, while the program runs or while it does
// not, sessions that were ended stay ended, people can sign in, and the log names the clock where it
// can be known.
func TestClockWrongByADay(t *testing.T) {
	t.Parallel()
	slapd := ldaptest.StartSlapd(t, ldaptest.Options{})
	folder := t.TempDir()
	yaml, roots := filesYAML(t, folder, "example.test")
	yaml += oneDomain(website(t).URL) + directoryYAML(t, folder, slapd)
	clock := &wrongClock{}
	p := startAt(t, folder, yaml, clock.now)
	waitForKeys(t, p)

	visit := &visitors{t: t, roots: roots}
	today := visit.signIn(p, "alice")
	out := visit.signIn(p, "bob")
	visit.signOut(p, out)
	visit.expect(p, "at the right time", map[string]bool{today: true, out: false})

	clock.set(day)
	visit.expect(p, "a day ahead", map[string]bool{today: false, out: false})
	tomorrow := visit.signIn(p, "alice")
	visit.expect(p, "signed in a day ahead", map[string]bool{tomorrow: true})

	clock.set(0)
	visit.expect(p, "put right", map[string]bool{today: true, out: false, tomorrow: false})
	if want := "hint\":\"was this machine's clock set back?"; !strings.Contains(p.log.String(), want) {
		t.Errorf("a session from the future was not logged with %s", want)
	}
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}

	clock.set(-day)
	p = startAt(t, folder, yaml, clock.now)
	for _, want := range []string{"the certificate is not valid yet", "key creation time is in the future", "check this machine's clock"} {
		if !strings.Contains(p.log.String(), want) {
			t.Errorf("the start a day behind did not log %q", want)
		}
	}
	visit.expect(p, "a day behind", map[string]bool{today: false, out: false, tomorrow: false})
	yesterday := visit.signIn(p, "alice")
	visit.expect(p, "signed in a day behind", map[string]bool{yesterday: true})
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}

	clock.set(0)
	p = startAt(t, folder, yaml, clock.now)
	visit.expect(p, "put right again", map[string]bool{today: true, out: false, tomorrow: false, yesterday: false})
	if strings.Contains(p.log.String(), "clock") && !strings.Contains(p.log.String(), "sign-in time is in the future") {
		t.Error("a right clock is suspected at the start")
	}
}

// TestPasswordChangeAndTheClock: a changed password ends the sessions begun with the old one, and no other, however far our clock is from the directory's.
func TestPasswordChangeAndTheClock(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]time.Duration{"ahead": day, "right": 0, "behind": -day} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slapd := ldaptest.StartSlapd(t, ldaptest.Options{})
			folder := t.TempDir()
			yaml, roots := filesYAML(t, folder, "example.test")
			clock := &wrongClock{}
			clock.set(wrong)
			p := startAt(t, folder, yaml+oneDomain(website(t).URL)+directoryYAML(t, folder, slapd), clock.now)
			waitForKeys(t, p)
			visit := &visitors{t: t, roots: roots}

			before := visit.signIn(p, "juergen") // whose password was changed years ago
			visit.expectFresh(p, clock, before, true)
			slapd.Replace(ldaptest.PersonDN("juergen"), "userPassword", ldaptest.Password)
			slapd.Replace(ldaptest.PersonDN("juergen"), "pwdReset") // need not choose another one
			visit.expectFresh(p, clock, before, false)
			after := visit.signIn(p, "juergen")
			visit.expectFresh(p, clock, after, true)
		})
	}
}

// visitors send the cookies that they were given.
type visitors struct {
	t     *testing.T
	roots *x509.CertPool
}

func (v *visitors) signIn(p *program, login string) (cookie string) {
	v.t.Helper()
	response := postForm(v.t, p.client(v.roots), login, ldaptest.Password)
	body := read(v.t, response)
	if response.StatusCode != http.StatusSeeOther || len(response.Cookies()) != 1 {
		v.t.Fatalf("signing in answers %d %s", response.StatusCode, body)
	}
	return response.Cookies()[0].Name + "=" + response.Cookies()[0].Value
}

func (v *visitors) signOut(p *program, cookie string) {
	v.t.Helper()
	request := v.request(http.MethodPost, "/persona/logout", cookie)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", "https://example.test")
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	response, err := p.client(v.roots).Do(request)
	if err != nil {
		v.t.Fatal(err)
	}
	if body := read(v.t, response); response.StatusCode != http.StatusOK {
		v.t.Fatalf("signing out answers %d %s", response.StatusCode, body)
	}
}

// expect checks who is signed in, by cookie.
func (v *visitors) expect(p *program, when string, want map[string]bool) {
	v.t.Helper()
	for cookie, signedIn := range want {
		if got := v.signedIn(p, cookie); got != signedIn {
			v.t.Errorf("%s: signed in %t, want %t", when, got, signedIn)
		}
	}
}

// expectFresh is expect once the directory has to be asked again.
func (v *visitors) expectFresh(p *program, clock *wrongClock, cookie string, want bool) {
	v.t.Helper()
	clock.by.Add(int64(6 * time.Minute))
	if got := v.signedIn(p, cookie); got != want {
		v.t.Errorf("signed in %t, want %t", got, want)
	}
}

func (v *visitors) signedIn(p *program, cookie string) bool {
	v.t.Helper()
	response, err := p.client(v.roots).Do(v.request(http.MethodGet, "/persona/api/session", cookie))
	if err != nil {
		v.t.Fatal(err)
	}
	body := read(v.t, response)
	if response.StatusCode != http.StatusOK {
		v.t.Fatalf("the session answers %d %s", response.StatusCode, body)
	}
	return strings.Contains(body, `"signed_in":true`)
}

func (v *visitors) request(method, path, cookie string) *http.Request {
	v.t.Helper()
	request, err := http.NewRequestWithContext(v.t.Context(), method, "https://example.test"+path, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	request.Header.Set("Cookie", cookie)
	return request
}

// TestACMEClockWrong: a certificate that our clock calls not valid yet is served, and logged.
func TestACMEClockWrong(t *testing.T) {
	t.Parallel()
	const name = "clock.test"
	folder := t.TempDir()
	yaml, pebble := acmeYAML(t, folder, name)
	clock := &wrongClock{}
	clock.set(-day)
	p := startAt(t, folder, yaml, clock.now)
	servesTLS(t, p, pebble, name)
	if !strings.Contains(p.log.String(), "the certificate is not valid yet") || !strings.Contains(p.log.String(), "check this machine's clock") {
		t.Error("it was not logged")
	}
	if stored, err := filepath.Glob(filepath.Join(folder, "state/persona/orders/*/*")); err != nil || len(stored) != 0 {
		t.Errorf("the order counts as failed: %v, %v", stored, err)
	}
}
