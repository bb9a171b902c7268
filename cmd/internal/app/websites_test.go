package app_test

import (
	"crypto/x509"
	"fmt"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/ldapauth/ldaptest"

	"github.com/google/go-cmp/cmp"
)

// intranet is the program in front of websites that are told who is signed in, and closed in part.
type intranet struct {
	*program
	roots  *x509.CertPool
	slapd  *ldaptest.Server
	clock  *wrongClock
	folder string
	yaml   string
}

func startIntranet(t *testing.T) *intranet {
	t.Helper()
	n := &intranet{folder: t.TempDir(), slapd: ldaptest.StartSlapd(t, ldaptest.Options{}), clock: &wrongClock{}}
	n.yaml, n.roots = filesYAML(t, n.folder, "example.test", "www.example.test", "id.example.test", "jenkins.test", "shared.test", "other.test", "id.other.test", "open.test")
	site := mirror(t).URL
	n.yaml += fmt.Sprintf(`
domains:
  - name: example.test
    hosts: [www.example.test]
    upstream: %[1]s
    directory: corp
    authority: id.example.test
    identity_headers: true
    access:
      - {path: /members/health, exact: true, allow: public}
      - {path: /members/, groups: [STAFF]}
      - {path: /git/, allow: authorization_header}
      - {path: /editors/, groups: [editors, info]}
      - {path: /intern/, allow: signed_in}
  - name: jenkins.test
    upstream: %[1]s
    authority: id.example.test
    identity_headers: {preset: jenkins, names: {assertion: "", email: X-Mail}, user: email, name_encoding: percent, send_groups: [st*]}
  - name: shared.test
    upstream: %[1]s
    directory: corp
    identity_headers: true
    access: [{path: /intern, allow: signed_in}]
  - name: other.test
    upstream: %[1]s
    directory: corp
    authority: id.other.test
    access: [{path: /, groups: [no-members]}]
  - name: open.test
    upstream: %[1]s
`, site) + directoryYAML(t, n.folder, n.slapd)
	n.slapd.AddPerson("sharon", ldaptest.Password, "sharon@shared.test")
	n.slapd.AddPerson("otto", ldaptest.Password, "otto@other.test")
	n.program = startAt(t, n.folder, n.yaml, n.clock.now)
	waitForKeys(t, n.program)
	return n
}

func (n *intranet) surfer(t *testing.T) *surfer { return newSurfer(t, n.program, n.roots) }

// TestWebsiteKnowsWhoIsSignedIn is the way of a person to a website, through it, and out again.
func TestWebsiteKnowsWhoIsSignedIn(t *testing.T) {
	t.Parallel()
	n := startIntranet(t)

	t.Run("a stranger", func(t *testing.T) {
		s := n.surfer(t)
		for _, path := range []string{"/", "/members/health", "/membership"} {
			if p := s.open("https://example.test" + path); p.status != http.StatusOK || strings.Contains(p.body, "Remote-") || strings.Contains(p.body, "Assertion") {
				t.Errorf("%s: %d %s", path, p.status, p.body)
			}
		}
	})
	t.Run("signs in and comes back", func(t *testing.T) {
		s := n.surfer(t)
		p := s.signIn("https://example.test/persona/login?return=/a%3Fb%3D1%26c", "ALICE")
		if p.status != http.StatusOK || p.at != "https://example.test/a?b=1&c" {
			t.Fatalf("the way ended at %s: %d %s", p.at, p.status, p.body)
		}
		for field, want := range map[string]string{
			"Remote-User": "alice", "Remote-Email": "alice@example.test", "Remote-Name": "Alice Adams", "Remote-Groups": "staff",
		} {
			if got := p.told(field); got != want {
				t.Errorf("%s is %q, want %q", field, got, want)
			}
		}
		if p.told("Remote-Id") == "" || strings.Count(p.told("X-Persona-Assertion"), ".") != 2 {
			t.Errorf("the website got\n%s", p.body)
		}
		if strings.Contains(p.body, "__Host-persona") {
			t.Errorf("a cookie of ours reached the website:\n%s", p.body)
		}
		if got := p.header.Get("Cache-Control"); !strings.Contains(got, "private") {
			t.Errorf("an answer made for a person has Cache-Control %q", got)
		}
		// The other websites of the same identity host know the person without a page.
		for url, want := range map[string]string{
			"https://www.example.test/persona/login?return=/": "Remote-User: alice\n",
			"https://jenkins.test/persona/login":              "X-Forwarded-User: alice@example.test\n",
		} {
			if p := s.open(url); !strings.Contains(p.body, want) {
				t.Errorf("%s: %d %s, want %s", url, p.status, p.body, want)
			}
		}
		// Those of other identity hosts do not.
		for _, url := range []string{"https://shared.test/", "https://open.test/"} {
			if p := s.open(url); strings.Contains(p.body, "alice") {
				t.Errorf("%s was told of a sign-in elsewhere: %s", url, p.body)
			}
		}
	})
	t.Run("is asked to sign in where it is needed", func(t *testing.T) {
		s := n.surfer(t)
		if p := s.signIn("https://www.example.test/intern/x?y=z", "bob"); p.at != "https://www.example.test/intern/x?y=z" || p.told("Remote-User") != "bob" || p.told("Remote-Groups") != "info" {
			t.Errorf("%s: %d %s", p.at, p.status, p.body)
		}
		p := s.open("https://www.example.test/members/")
		if p.status != http.StatusForbidden || !strings.Contains(p.body, "STAFF") {
			t.Errorf("someone who is not in the group: %d %s", p.status, p.body)
		}
		if p := s.open("https://example.test/members/health"); p.status != http.StatusOK {
			t.Errorf("a public path below a closed one: %d", p.status)
		}
	})
	t.Run("a group of a group", func(t *testing.T) {
		s := n.surfer(t)
		if p := s.signIn("https://example.test/members/list", "nina"); p.at != "https://example.test/members/list" || p.told("Remote-Groups") != "staff,team" {
			t.Errorf("%s: %d %s", p.at, p.status, p.body)
		}
		if p := s.open("https://jenkins.test/persona/login"); p.told("X-Forwarded-Groups") != "staff" || p.told("X-Mail") != "nina@example.test" || strings.Contains(p.body, "Assertion") {
			t.Errorf("with other names: %s", p.body)
		}
	})
	t.Run("a name that is not ASCII", func(t *testing.T) {
		s := n.surfer(t)
		if p := s.signIn("https://example.test/persona/login", "juergen"); p.told("Remote-Name") != "Jürgen Müller" || strings.Contains(p.body, "Remote-Groups") {
			t.Errorf("%s: %d %s", p.at, p.status, p.body)
		}
		if p := s.open("https://jenkins.test/persona/login"); p.told("X-Forwarded-Displayname")+p.told("X-Forwarded-DisplayName") != "J%C3%BCrgen%20M%C3%BCller" {
			t.Errorf("percent-encoded: %s", p.body)
		}
	})
	t.Run("without an address", func(t *testing.T) {
		s := n.surfer(t)
		if p := s.signIn("https://example.test/intern/", "kate"); p.told("Remote-User") != "kate" || strings.Contains(p.body, "Remote-Email") {
			t.Errorf("%s: %d %s", p.at, p.status, p.body)
		}
		if p := n.surfer(t).signIn("https://shared.test/intern", "leo"); p.told("Remote-User") != "leo" {
			t.Errorf("%s: %d %s", p.at, p.status, p.body)
		}
	})
	t.Run("shares its origin with sign-in", func(t *testing.T) {
		s := n.surfer(t)
		if p := s.signIn("https://shared.test/intern?x", "sharon"); p.at != "https://shared.test/intern?x" || p.told("Remote-User") != "sharon" {
			t.Errorf("%s: %d %s", p.at, p.status, p.body)
		}
		if p := s.signOut("https://shared.test/"); p.status != http.StatusOK || s.told("https://shared.test/", "Remote-User") != "" {
			t.Errorf("signing out: %d %s", p.status, p.body)
		}
	})
	t.Run("another identity host", func(t *testing.T) {
		s := n.surfer(t)
		if p := s.signIn("https://other.test/", "otto"); p.status != http.StatusForbidden || !strings.Contains(p.body, "no-members") {
			t.Errorf("%s: %d %s", p.at, p.status, p.body)
		}
		if p := s.open("https://example.test/"); p.told("Remote-User") != "" {
			t.Errorf("a sign-in at id.other.test counts at example.test: %s", p.body)
		}
	})
	t.Run("authorization header", func(t *testing.T) {
		s := n.surfer(t)
		for value, status := range map[string]int{"Basic YTpi": http.StatusOK, "Bearer x": http.StatusOK, "": http.StatusUnauthorized} {
			p := s.ask(http.MethodGet, "https://example.test/git/info/refs", "", map[string]string{"Authorization": value, "Accept": "*/*", "Sec-Fetch-Mode": "", "Sec-Fetch-Dest": ""})
			if p.status != status || strings.Contains(p.body, "Remote-") {
				t.Errorf("Authorization %q: %d %s", value, p.status, p.body)
			}
		}
	})
	want := map[string]float64{
		"gate_requests_total{host=other.test,outcome=login}": 1, "gate_requests_total{host=other.test,outcome=wrong_group}": 1,
		"gate_requests_total{host=www.example.test,outcome=signed_in}": 2, "gate_requests_total{host=www.example.test,outcome=login}": 1, "gate_requests_total{host=www.example.test,outcome=wrong_group}": 1,
		"gate_requests_total{host=jenkins.test,outcome=signed_in}": 3,
		"gate_requests_total{host=shared.test,outcome=login}":      2, "gate_requests_total{host=shared.test,outcome=signed_in}": 2, "gate_requests_total{host=shared.test,outcome=anonymous}": 2,
	}
	got := only(n.series(t), "gate_requests_total{")
	maps.DeleteFunc(got, func(name string, _ float64) bool { return strings.Contains(name, "{host=example.test,") })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what is counted (-want +got):\n%s", diff)
	}
	if log := n.log.String(); strings.Contains(log, ldaptest.Password) || strings.Contains(log, "__Host-persona") {
		t.Error("the log holds a secret")
	}
}

// TestSignOutReachesWebsites: at once in the same process, within a minute in another one, and what the directory changes
// within five.
func TestSignOutReachesWebsites(t *testing.T) {
	t.Parallel()
	n := startIntranet(t)
	second := startAt(t, n.folder, n.yaml, n.clock.now)
	const url = "https://example.test/"

	s := n.surfer(t)
	if p := s.signIn("https://example.test/persona/login", "alice"); p.told("Remote-User") != "alice" {
		t.Fatalf("%s: %d %s", p.at, p.status, p.body)
	}
	there := &surfer{t, second.client(n.roots)}
	there.client.Jar, there.client.CheckRedirect = s.client.Jar, nil
	if got := there.told(url, "Remote-User"); got != "alice" {
		t.Fatalf("the second process tells of %q", got)
	}
	kept := n.surfer(t) // someone who keeps the cookies of before
	kept.client.Jar = copyOf(t, s, url)
	if p := s.signOut(url); p.status != http.StatusOK {
		t.Fatalf("signing out: %d %s", p.status, p.body)
	}
	for who, one := range map[string]*surfer{"the person": s, "the old cookie": kept} {
		if got := one.told(url, "Remote-User"); got != "" {
			t.Errorf("%s is still told as %q", who, got)
		}
	}
	there.client.Jar = copyOf(t, kept, url)
	n.clock.by.Add(int64(time.Minute))
	if got := there.told(url, "Remote-User"); got != "" {
		t.Errorf("the second process tells of %q a minute after the sign-out", got)
	}

	s = n.surfer(t)
	dn := n.slapd.AddPerson("temp", ldaptest.Password, "temp@example.test")
	if p := s.signIn("https://example.test/persona/login", "temp"); p.told("Remote-User") != "temp" {
		t.Fatalf("%s: %d %s", p.at, p.status, p.body)
	}
	join(n.slapd, dn)
	n.clock.by.Add(int64(5 * time.Minute))
	if got := s.told(url, "Remote-Groups"); got != "staff" {
		t.Errorf("five minutes after joining a group the website is told of %q", got)
	}
	n.slapd.Replace(dn, "pwdAccountLockedTime", "000001010000Z")
	n.clock.by.Add(int64(5 * time.Minute))
	if got := s.told(url, "Remote-User"); got != "" {
		t.Errorf("five minutes after the account was locked the website is told of %q", got)
	}
	if p := s.open("https://id.example.test/persona/"); strings.Contains(p.body, "temp@example.test") {
		t.Errorf("the session goes on at the identity host: %s", p.body)
	}
}

// copyOf returns a jar with the cookies that a surfer has for an address.
func copyOf(t *testing.T, s *surfer, address string) http.CookieJar {
	t.Helper()
	at, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	copied, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	copied.SetCookies(at.URL, s.client.Jar.Cookies(at.URL))
	return copied
}

// TestDirectoryDownForWebsites: for five minutes a website goes on to be told; then requests count as anonymous, and the
// session is there again with the directory.
func TestDirectoryDownForWebsites(t *testing.T) {
	t.Parallel()
	n := startIntranet(t)
	s := n.surfer(t)
	if p := s.signIn("https://example.test/intern/", "alice"); p.told("Remote-User") != "alice" {
		t.Fatalf("%s: %d %s", p.at, p.status, p.body)
	}
	n.slapd.Stop()
	n.clock.by.Add(int64(4 * time.Minute))
	if got := s.told("https://example.test/", "Remote-User"); got != "alice" {
		t.Errorf("with the directory down for four minutes the website is told of %q", got)
	}
	n.clock.by.Add(int64(2 * time.Minute))
	if p := s.open("https://example.test/"); p.status != http.StatusOK || p.told("Remote-User") != "" {
		t.Errorf("with the directory down for six minutes: %d %s", p.status, p.body)
	}
	if p := s.open("https://example.test/intern/"); p.status == http.StatusOK && strings.HasPrefix(p.body, "website ") {
		t.Errorf("a closed path while no one can be asked: %s", p.body)
	}
	n.slapd.Restart()
	apptest.Eventually(t, "the session goes on with the directory", func() bool {
		return s.told("https://example.test/", "Remote-User") == "alice"
	})
}

// TestReloadOfWebsites: people stay signed in over a reload, and what the configuration says of a website holds at once.
func TestReloadOfWebsites(t *testing.T) {
	t.Parallel()
	n := startIntranet(t)
	s := n.surfer(t)
	if p := s.signIn("https://example.test/persona/login?return=/", "alice"); p.told("Remote-User") != "alice" {
		t.Fatalf("%s: %d %s", p.at, p.status, p.body)
	}
	n.mustReload(t, n.folder, strings.Replace(n.yaml, "identity_headers: true\n    access:", "identity_headers: {names: {user: Staff, email: \"\"}}\n    access:\n      - {path: /closed, groups: [editors]}", 1))
	p := s.open("https://example.test/")
	if p.told("Staff") != "alice" || p.told("Remote-User") != "" || p.told("Remote-Email") != "" {
		t.Errorf("after a reload the website got\n%s", p.body)
	}
	if p := s.open("https://example.test/closed"); p.status != http.StatusForbidden {
		t.Errorf("a new rule: %d", p.status)
	}
	n.mustReload(t, n.folder, strings.Replace(n.yaml, "identity_headers: true\n", "\n", 1))
	if p := s.open("https://example.test/"); strings.Contains(p.body, "alice") {
		t.Errorf("without identity_headers the website got\n%s", p.body)
	}
	if p := s.open("https://example.test/intern/"); p.status != http.StatusOK {
		t.Errorf("rules alone: %d %s", p.status, p.body)
	}
	if p := s.signOut("https://example.test/"); p.status != http.StatusOK {
		t.Errorf("signing out: %d %s", p.status, p.body)
	}
}
