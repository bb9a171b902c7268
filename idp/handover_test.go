package idp_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestSignInAtASite(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withSites())
	s := w.surfer()
	wantPage(t, s.visit("https://"+wiki+"/persona/login?return="+url.QueryEscape("/gr%C3%B6%C3%9Fe?a=b&c=%20d;e")), http.StatusOK, "to go on to <strong>"+wiki)
	s.arrives(s.fillIn("alice", password), "https://"+wiki+"/gr%C3%B6%C3%9Fe?a=b&c=%20d;e")
	if s.jar[wiki][siteName] == "" || s.jar[wiki][loginName] != "" {
		t.Errorf("cookies %v", s.jar[wiki])
	}
	if !s.signedInAt(wiki) {
		t.Error("not signed in")
	}
	// At other sites, of whatever kind, without a page.
	for _, site := range []string{shop, "delegating.test"} {
		s.arrives(s.visit("https://"+site+"/persona/login?return=/x"), "https://"+site+"/x")
		s.arrives(s.visit("https://"+site+"/persona/login"), "https://"+site+"/")
	}
	// The sign-in page of a browser that goes back leads on again, to the front page: the other is forgotten.
	s.arrives(s.visit("https://"+host+forWiki), "https://"+wiki+"/")
	// Cookies of one host are worth nothing at another.
	for _, pair := range [][2]string{{wiki, shop}, {wiki, host}, {host, wiki}} {
		thief := w.surfer()
		thief.jar[pair[1]] = map[string]string{}
		for _, value := range s.jar[pair[0]] {
			for _, name := range []string{siteName, loginName, "__Host-persona"} {
				thief.jar[pair[1]][name] = value
			}
		}
		if thief.signedInAt(pair[1]) {
			t.Errorf("the cookie of %s signs in at %s", pair[0], pair[1])
		}
	}
}

func TestHandOverIsUsedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withSites())
	s := w.signedIn("alice", password)
	code := s.trip(wiki, "/a")
	begun := s.jar[wiki][loginName]
	stranger := w.surfer()
	stranger.notCompleted("a program that looks at the link", stranger.get(code, without("Sec-Fetch-Dest")), "/") // and the code is not used up by that
	s.arrives(s.visit(code), "https://"+wiki+"/a")
	s.arrives(s.visit(code), "https://"+wiki+"/") // loaded again: no error for who is signed in
	other := w.surfer()
	other.jar[wiki] = map[string]string{loginName: begun}
	other.notCompleted("replayed", other.get(code), "/a")
	other.notCompleted("replayed again", other.get(code), "/")

	// In parallel.
	code = s.trip(shop, "/p")
	begun = s.jar[shop][loginName]
	var done atomic.Int32
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			each := w.surfer()
			each.jar[shop] = map[string]string{loginName: begun}
			if response := each.get(code); each.jar[shop][siteName] != "" && response.StatusCode == http.StatusSeeOther {
				done.Add(1)
			}
		})
	}
	group.Wait()
	if done.Load() != 1 {
		t.Errorf("%d of 8 are signed in", done.Load())
	}
}

func TestHandOverElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withSites())
	s := w.signedIn("alice", password)
	for name, change := range map[string]func(code string, s *surfer) (string, *surfer){
		"another browser": func(code string, _ *surfer) (string, *surfer) { return code, w.surfer() },
		"another host": func(code string, s *surfer) (string, *surfer) {
			return strings.Replace(code, wiki, shop, 1), s
		},
		"another host, its cookie": func(code string, s *surfer) (string, *surfer) {
			s.jar[shop] = map[string]string{loginName: s.jar[wiki][loginName]}
			return strings.Replace(code, wiki, shop, 1), s
		},
		"two cookies": func(code string, s *surfer) (string, *surfer) {
			return code, s
		},
		"a cookie that was changed": func(code string, s *surfer) (string, *surfer) {
			value := []byte(s.jar[wiki][loginName])
			value[len(value)/2] ^= 1
			s.jar[wiki][loginName] = string(value)
			return code, s
		},
		"a session as the cookie": func(code string, s *surfer) (string, *surfer) {
			s.jar[wiki][loginName] = s.jar[host]["__Host-persona"]
			return code, s
		},
		"ten minutes on": func(code string, s *surfer) (string, *surfer) { w.clock.Advance(10 * time.Minute); return code, s },
	} {
		victim := w.surfer()
		victim.jar[host] = map[string]string{"__Host-persona": s.jar[host]["__Host-persona"]}
		code := victim.trip(wiki, "/a")
		var headers []header
		if name == "two cookies" {
			value := victim.jar[wiki][loginName]
			headers = append(headers, func(h http.Header) { h.Add("Cookie", loginName+"="+value) })
		}
		address, at := change(code, victim)
		at.notCompleted(name, at.get(address, headers...), "/")
	}

	// What needs the right cookie to fail: the link begins again at the same page.
	for name, change := range map[string]func(query url.Values){
		"guessed":   func(q url.Values) { q.Set("code", challenge) },
		"malformed": func(q url.Values) { q.Set("code", "x") },
		"huge":      func(q url.Values) { q.Set("code", strings.Repeat("a", 8000)) },
		"empty":     func(q url.Values) { q.Del("code") },
		"expired":   func(url.Values) { w.clock.Advance(31 * time.Second) },
		"signed out": func(url.Values) {
			s.at = nil
			s.send(http.MethodPost, "https://"+host+"/persona/logout", nil)
		},
	} {
		if s.jar[host]["__Host-persona"] == "" {
			s = w.signedIn("alice", password)
		}
		at, err := url.Parse(s.trip(wiki, "/a?b=c"))
		if err != nil {
			t.Fatal(err)
		}
		query := at.Query()
		change(query)
		at.RawQuery = query.Encode()
		s.notCompleted(name, s.get(at.String()), "/a?b=c")
	}
}

// Who begins a sign-in is who it signs in: an attacker can neither have a victim complete theirs, nor complete a victim's.
func TestHandOverBetweenStrangers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withSites())
	attacker, victim := w.signedIn("bob", "bob's"), w.signedIn("alice", password)

	// Begun by the attacker, finished by the victim: with the link to the identity host, and with the last one.
	begun := attacker.get("https://" + wiki + "/persona/login?return=/a").Header.Get("Location")
	response := victim.get(begun)
	wantStatus(t, response, http.StatusSeeOther)
	victims := response.Header.Get("Location")
	victim.notCompleted("the victim ends at the site", victim.get(victims), "/")
	// The page that shows the error refers to nothing, and a script of the website that reads its address comes too late.
	if response.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Error("the code can leave in a referrer")
	}
	attacker.notCompleted("the attacker with the victim's code", attacker.get(victims), "/a")

	// The attacker's code, given to a victim who is signing in: with the victim's challenge, should it be known, it is good for
	// nothing; with its own the victim's sign-in goes on, as the victim.
	mine, own := attacker.trip(wiki, "/a"), victim.trip(wiki, "/b")
	query := func(address string) url.Values {
		at, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		return at.Query()
	}
	mixed := url.Values{"code": {query(mine).Get("code")}, "challenge": {query(own).Get("challenge")}}
	victim.notCompleted("the attacker's code for the victim's sign-in", victim.get("https://"+wiki+"/persona/handover?"+mixed.Encode()), "/b")
	if victim.signedInAt(wiki) || attacker.signedInAt(wiki) {
		t.Error("someone is signed in")
	}
	mine = attacker.trip(wiki, "/a")
	victim.jar[wiki] = nil
	victim.trip(wiki, "/b")
	victim.arrives(victim.visit(mine), "https://"+wiki+"/b")
	attacker.at = nil
	wantStatus(t, attacker.send(http.MethodPost, "https://"+host+"/persona/logout", nil), http.StatusOK)
	if !victim.signedInAt(wiki) {
		t.Error("the victim was signed in as the attacker")
	}
	wantStatus(t, victim.send(http.MethodPost, "https://"+host+"/persona/logout", nil), http.StatusOK)
	if victim.signedInAt(wiki) {
		t.Error("the victim was signed in as someone else")
	}
}

// A session gives out so many codes that a browser can restore its tabs, and no more: the store keeps each for minutes.
func TestHandOversAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withSites())
	s, other := w.signedIn("alice", password), w.signedIn("alice", password)
	for range 100 {
		s.trip(wiki, "/a")
	}
	begun := s.get("https://" + wiki + "/persona/login?return=/a").Header.Get("Location")
	response := s.get(begun)
	wantPage(t, response, http.StatusTooManyRequests, "too often within a minute", "Try again")
	if response.Header.Get("Retry-After") != "60" || response.Header.Get("Location") != "" {
		t.Errorf("headers %v", response.Header)
	}
	other.trip(wiki, "/a")
	w.clock.Advance(time.Minute)
	s.arrives(s.visit(begun), "https://"+wiki+"/a")
}

// Tabs that a browser restores all at once overwrite one another's cookie. In whichever the person signs in, it ends at the
// website.
func TestTabsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withSites())
	for first := range 3 {
		s := w.surfer()
		var pages []string
		for i := range 3 {
			delete(s.jar, wiki)
			pages = append(pages, s.get(fmt.Sprintf("https://%s/persona/login?return=/%d", wiki, i)).Header.Get("Location"))
		}
		wantPage(t, s.visit(pages[first]), http.StatusOK, `id="password"`)
		s.arrives(s.fillIn("alice", password), "https://"+wiki+"/2")
		for i := range 3 {
			s.arrives(s.visit(pages[i]), "https://"+wiki+"/")
		}
	}
}

func TestTabs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withSites())
	s := w.signedIn("alice", password)
	first, second := s.trip(wiki, "/1"), s.trip(wiki, "/2")
	s.arrives(s.visit(first), "https://"+wiki+"/1")
	s.arrives(s.visit(second), "https://"+wiki+"/2")
	if s.jar[wiki][loginName] != "" {
		t.Error("a sign-in is left")
	}

	// Four are kept, and the cookie stays small.
	for _, test := range []struct {
		back string
		kept int
	}{{"/", 4}, {"/" + strings.Repeat("a", 700), 3}, {"/" + strings.Repeat("a", 1200), 2}, {"/" + strings.Repeat("a", 2047), 1}} {
		s := w.signedIn("alice", password)
		var codes []string
		for i := range 6 {
			w.clock.Advance(time.Second)
			codes = append(codes, s.trip(wiki, fmt.Sprint(test.back[:len(test.back)-1], "/", i)[:max(len(test.back), 2)]))
			if size := len(s.jar[wiki][loginName]); size > 3500 {
				t.Errorf("the cookie has %d bytes", size)
			}
		}
		all := s.jar[wiki][loginName]
		kept := 0
		for _, code := range slices.Backward(codes) {
			s.jar[wiki] = map[string]string{loginName: all}
			if next := s.get(code).Header.Get("Location"); strings.HasPrefix(next, "/") {
				kept++
			}
		}
		if kept != test.kept {
			t.Errorf("of paths of %d bytes %d are kept, not %d", len(test.back), kept, test.kept)
		}
	}
}

// The identity host hands over to the hosts that its configuration names, and to no other.
func TestHandOverToNoSite(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withSites())
	s := w.signedIn("alice", password)
	for query, words := range map[string]string{
		"": "know the website", "host=" + wiki: "This link cannot be used", "host=" + host + "&challenge=" + challenge: "know the website",
		"host=" + otherHost + "&challenge=" + challenge: "know the website", "host=disabled.test&challenge=" + challenge: "know the website",
		"host=Wiki.example.test&challenge=" + challenge: "know the website", "host=" + wiki + "%3a443&challenge=" + challenge: "know the website",
		"host=" + wiki + "%00&challenge=" + challenge: "know the website", "host=%2f%2fevil.test&challenge=" + challenge: "know the website",
		"host=" + wiki + "&challenge=" + challenge + "%3d": "This link cannot be used", "host=" + wiki + "&challenge=" + strings.Repeat("a", 9000): "This link cannot be used",
	} {
		response := s.get("https://" + host + "/persona/handover?" + query)
		wantPage(t, response, http.StatusBadRequest, words)
		if response.Header.Get("Location") != "" {
			t.Errorf("%s leads to %s", query, response.Header.Get("Location"))
		}
	}
	// Another identity host, without sites, has no such path.
	wantStatus(t, s.get("https://"+otherHost+"/persona/handover?host="+wiki+"&challenge="+challenge), http.StatusNotFound)
	wantStatus(t, s.get("https://"+otherHost+"/persona/assertion/jwks.json"), http.StatusNotFound)
	wantStatus(t, s.get("https://"+host+"/persona/assertion/jwks.json"), http.StatusOK)
}

// A website on the identity host itself: nothing is handed over.
func TestSignInAtTheHostItself(t *testing.T) {
	t.Parallel()
	s := newWorld(t, withSites()).surfer()
	wantPage(t, s.visit("https://"+host+"/persona/login?return=/a%3Fb"), http.StatusOK, `id="password"`)
	s.arrives(s.fillIn("alice", password), "https://"+host+"/a?b")
	s.arrives(s.visit("https://"+host+"/persona/login?return=/c"), "https://"+host+"/c")
	response := s.send(http.MethodPost, "https://"+host+"/persona/logout", url.Values{"return": {"/d"}})
	if got := strings.Join(response.Header["Set-Cookie"], "\n"); !strings.Contains(got, "app=; Path=/app/; Max-Age=0") {
		t.Errorf("cookies are set: %s", got)
	}
	s.arrives(s.refreshed(response), "https://"+host+"/d")
	if s.signedInAt(host) {
		t.Error("still signed in")
	}
}
