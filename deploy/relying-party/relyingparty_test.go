// Package relyingparty_test runs the example websites and tries to get in, rightly and wrongly.
// The browser's part is played here; in package app's tests Chromium plays it.
package relyingparty_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"persona-sidecar/deploy/relying-party/relyingpartytest"
)

// each runs a test on every example, with a real verifier.
func each(t *testing.T, test func(t *testing.T, s *site)) {
	t.Helper()
	t.Parallel()
	host := identity(t)
	trust := caFile(t, host)
	for _, example := range relyingpartytest.Examples() {
		t.Run(example.Name, func(t *testing.T) {
			test(t, start(t, example, func(s *relyingpartytest.Settings) {
				s.Verifier, s.CAFile = host.URL+"/persona/v2", trust
			}))
		})
	}
}

func TestSignInAndOut(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		b := s.browser(t)
		home := b.get("/")
		policy := home.Header.Get("Content-Security-Policy")
		if want := "default-src 'none'; script-src 'self' " + persona + "; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"; policy != want {
			t.Errorf("the policy is %s", policy)
		}
		if !strings.Contains(home.body, `<script src="`+persona+`/persona/include.js" defer>`) || strings.Contains(home.body, "{{") {
			t.Errorf("the page:\n%s", home.body)
		}
		if got := b.signedIn(); got != "" {
			t.Fatalf("%s is signed in before any sign-in", got)
		}

		const email = "o'hara&copy@example.test" // holds what HTML would read otherwise
		answer := b.post("/sign-in", url.Values{"csrf": {b.token()}, "assertion": {valid(t, email, s.origin)}})
		if answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "/" {
			t.Fatalf("the sign-in was answered %s: %s", answer.Status, answer.body)
		}
		if got := b.signedIn(); got != email {
			t.Errorf("%q is signed in, want %q", got, email)
		}
		for _, c := range answer.Cookies() {
			if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || !strings.HasPrefix(c.Name, "__Host-") {
				t.Errorf("the cookie is too weak: %s", c)
			}
		}
		if other := s.browser(t); other.signedIn() != "" {
			t.Error("another browser is signed in, too")
		}

		kept := b.cookie()
		if answer := b.post("/sign-out", url.Values{"csrf": {b.token()}}); answer.StatusCode != http.StatusSeeOther || b.signedIn() != "" {
			t.Errorf("the sign-out was answered %s, and %q is signed in", answer.Status, b.signedIn())
		}
		thief := s.browser(t)
		thief.setCookie(kept)
		if got := thief.signedIn(); got != "" {
			t.Errorf("with the cookie from before the sign-out %s is signed in", got)
		}
	})
}

func valid(t *testing.T, email, audience string) string {
	t.Helper()
	return bundle(t, email, audience, domainKey(), clientKey())
}

// TestForgedRequests: a form that no page of the site has sent signs no one in or out.
func TestForgedRequests(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		assertion := valid(t, "mallory@example.test", s.origin)
		strange := s.browser(t).token()
		b := s.browser(t)
		if got := b.post("/sign-in", url.Values{"csrf": {strange}, "assertion": {assertion}}); got.StatusCode != http.StatusForbidden {
			t.Errorf("without a cookie: %s", got.Status)
		}
		own := b.token()
		for name, form := range map[string]url.Values{
			"no token":                {"assertion": {assertion}},
			"an empty token":          {"csrf": {""}, "assertion": {assertion}},
			"another browser's token": {"csrf": {strange}, "assertion": {assertion}},
			"half a token":            {"csrf": {own[:len(own)/2]}, "assertion": {assertion}},
			"a list of tokens":        {"csrf[]": {own}, "assertion": {assertion}},
			"no ASCII":                {"csrf": {"é\xff"}, "assertion": {assertion}},
		} {
			if got := b.post("/sign-in", form); got.StatusCode != http.StatusForbidden || b.signedIn() != "" {
				t.Errorf("%s: %s, and %q is signed in", name, got.Status, b.signedIn())
			}
		}
		if got := b.get("/sign-in?csrf=" + own + "&assertion=" + assertion); got.StatusCode < 400 || b.signedIn() != "" {
			t.Errorf("by GET: %s", got.Status)
		}
		b.post("/sign-in", url.Values{"csrf": {b.token()}, "assertion": {valid(t, "alice@example.test", s.origin)}})
		if got := b.post("/sign-out", url.Values{"csrf": {strange}}); got.StatusCode != http.StatusForbidden || b.signedIn() != "alice@example.test" {
			t.Errorf("a sign-out with a strange token: %s, and %q is signed in", got.Status, b.signedIn())
		}
	})
}

// TestForgedAssertions: an assertion that the verifier refuses signs no one in.
func TestForgedAssertions(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		b := s.browser(t)
		good := valid(t, "alice@example.test", s.origin)
		for name, assertion := range map[string]string{
			"for another site":       valid(t, "alice@example.test", "https://other.example.test"),
			"for the identity host":  valid(t, "alice@example.test", persona),
			"over http":              valid(t, "alice@example.test", strings.Replace(s.origin, "https:", "http:", 1)),
			"certified by a stray":   bundle(t, "alice@example.test", s.origin, strayKey(), clientKey()),
			"signed by another key":  strings.Split(good, "~")[0] + "~" + strings.Split(bundle(t, "alice@example.test", s.origin, domainKey(), strayKey()), "~")[1],
			"of a stranger's domain": valid(t, "alice@mallory.test", s.origin),
			"a certificate alone":    strings.Split(good, "~")[0],
			"no bundle":              "let me in",
			"hostile bytes":          "\x00\xff\r\nX: y~\"}",
		} {
			got := b.post("/sign-in", url.Values{"csrf": {b.token()}, "assertion": {assertion}})
			if got.StatusCode != http.StatusForbidden || b.signedIn() != "" {
				t.Errorf("%s: %s, and %q is signed in", name, got.Status, b.signedIn())
			}
			if strings.Contains(got.body, "~") || strings.Contains(got.body, "untrusted") {
				t.Errorf("%s: the page tells what is inside: %s", name, got.body)
			}
		}
		if got := b.post("/sign-in", url.Values{"csrf": {b.token()}}); got.StatusCode < 400 || b.signedIn() != "" {
			t.Errorf("no assertion at all: %s", got.Status)
		}
		if got := b.post("/sign-in", url.Values{"csrf": {b.token()}, "assertion": {strings.Repeat("x", 1<<20)}}); got.StatusCode < 400 || b.signedIn() != "" {
			t.Errorf("an endless assertion: %s", got.Status)
		}
	})
}

// TestAudienceIsConfigured: a site that another one fooled a person to sign in to must not be told by the
// browser which site it is.
func TestAudienceIsConfigured(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		b := s.browser(t)
		form := url.Values{"csrf": {b.token()}, "assertion": {valid(t, "alice@example.test", "https://other.example.test")}}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.origin+"/sign-in", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		request.Host = "other.example.test"
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Origin", "https://other.example.test")
		request.Header.Set("X-Forwarded-Host", "other.example.test")
		if got := b.do(request); got.StatusCode != http.StatusForbidden || b.signedIn() != "" {
			t.Errorf("%s, and %q is signed in", got.Status, b.signedIn())
		}
	})
}

// TestSessionFixation: the cookie from before a sign-in does not stand for the person after it.
func TestSessionFixation(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		mallory := s.browser(t)
		mallory.get("/")
		planted := mallory.cookie()
		for name, cookie := range map[string]string{
			"a cookie of the site": planted,
			"an invented cookie":   strings.Split(planted, "=")[0] + "=mallorymallorymallorymallory",
		} {
			victim := s.browser(t)
			victim.setCookie(cookie)
			answer := victim.post("/sign-in", url.Values{"csrf": {victim.token()}, "assertion": {valid(t, "alice@example.test", s.origin)}})
			if got := victim.signedIn(); got != "alice@example.test" {
				t.Errorf("%s: %s, and %q is signed in", name, answer.Status, got)
			}
			if victim.cookie() == cookie {
				t.Errorf("%s: the sign-in kept it", name)
			}
			first := victim.cookie()
			victim.post("/sign-in", url.Values{"csrf": {victim.token()}, "assertion": {valid(t, "alice@example.test", s.origin)}})
			for _, known := range []string{cookie, first} {
				thief := s.browser(t)
				thief.setCookie(known)
				if got := thief.signedIn(); got != "" {
					t.Errorf("%s: who knows a cookie from before is signed in as %s", name, got)
				}
			}
		}
	})
}

// TestVerifierOutOfReach: sign-in is refused, and the log has the cause.
func TestVerifierOutOfReach(t *testing.T) {
	t.Parallel()
	host := identity(t)
	broken := func(change func(*relyingpartytest.Settings)) func(*testing.T) {
		return func(t *testing.T) {
			for _, example := range relyingpartytest.Examples() {
				t.Run(example.Name, func(t *testing.T) {
					s := start(t, example, change)
					b := s.browser(t)
					got := b.post("/sign-in", url.Values{"csrf": {b.token()}, "assertion": {valid(t, "alice@example.test", s.origin)}})
					if got.StatusCode != http.StatusBadGateway || b.signedIn() != "" {
						t.Errorf("%s, and %q is signed in", got.Status, b.signedIn())
					}
					if !strings.Contains(got.body, "at the moment") || strings.Contains(got.body, "127.0.0.1") {
						t.Errorf("the page says %s", got.body)
					}
					s.AwaitLog(t, "asking the verifier: ")
				})
			}
		}
	}
	t.Run("no listener", broken(func(s *relyingpartytest.Settings) { s.Verifier = "https://127.0.0.1:1/persona/v2" }))
	t.Run("no verifier there", broken(func(s *relyingpartytest.Settings) {
		s.Verifier, s.CAFile = host.URL+"/", caFile(t, host)
	}))
	// An impostor could claim any address.
	t.Run("certificate not trusted", broken(func(s *relyingpartytest.Settings) { s.Verifier = host.URL + "/persona/v2" }))
}

func TestNoFilesBesides(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		b := s.browser(t)
		for path, kind := range map[string]string{"/sign-in.js": "text/javascript", "/style.css": "text/css"} {
			if got := b.get(path); got.StatusCode != http.StatusOK || !strings.HasPrefix(got.Header.Get("Content-Type"), kind) {
				t.Errorf("%s: %s, %s", path, got.Status, got.Header.Get("Content-Type"))
			}
		}
		for _, path := range []string{"/signed-in.html", "/pages.go", "/server.py", "/server.php", "/../pages/pages.go", "/..%2fpages%2fpages.go", "/sign-in.js/../pages.go", "//x", "/x"} {
			if got := b.get(path); got.StatusCode < 300 {
				t.Errorf("%s: %s", path, got.Status)
			}
		}
	})
}

// TestNotSetUp: without its settings an example says which it wants, and guesses none.
func TestNotSetUp(t *testing.T) {
	t.Parallel()
	for _, example := range relyingpartytest.Examples() {
		t.Run(example.Name, func(t *testing.T) {
			t.Parallel()
			for _, settings := range []relyingpartytest.Settings{{Persona: persona}, {Audience: "https://shop.example.test"}} {
				settings.Listen = relyingpartytest.FreeAddress(t)
				begin := example.Run
				if example.Name == "php" {
					begin = example.Start // it reads its settings when it is asked for a page
				}
				begin(t, settings).AwaitLog(t, "set PERSONA_ORIGIN to the identity host's origin and AUDIENCE to your own")
			}
		})
	}
}
