package idp_test

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestCrossingBadRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withSites())
	s := w.signedIn("alice", password)
	handover := "https://" + host + "/persona/handover?host=" + wiki + "&challenge=" + challenge
	for _, address := range []string{
		"https://" + wiki + "/persona/login?return=/x", "https://" + wiki + "/persona/logout?return=/x", "https://" + host + "/persona/login?return=/x",
		"https://" + wiki + "/persona/handover?code=x&challenge=x", handover,
	} {
		name, _, _ := strings.Cut(strings.Split(address, "?")[1], "=")
		for what, test := range map[string]struct {
			method, more string
			header       header
			status       int
		}{
			"HEAD":        {http.MethodHead, "", nil, 405},
			"PUT":         {http.MethodPut, "", nil, 405},
			"unknown":     {http.MethodGet, "&action=edit", nil, 400},
			"twice":       {http.MethodGet, "&" + name + "=/y", nil, 400},
			"malformed":   {http.MethodGet, "&x=%zz", nil, 400},
			"semicolon":   {http.MethodGet, ";x=y", nil, 400},
			"frame":       {http.MethodGet, "", with("Sec-Fetch-Dest", "iframe"), 403},
			"script":      {http.MethodGet, "", with("Sec-Fetch-Dest", "empty"), 403},
			"image":       {http.MethodGet, "", with("Sec-Fetch-Dest", "image"), 403},
			"ahead":       {http.MethodGet, "", with("Sec-Purpose", "prefetch;prerender"), 503},
			"worker":      {http.MethodGet, "", with("Service-Worker", "script"), 403},
			"old browser": {http.MethodGet, "", without("Sec-Fetch-Dest"), 0},
			"passed on":   {http.MethodGet, "", func(h http.Header) { h.Set("Sec-Fetch-Dest", "empty"); h.Set("Sec-Fetch-Mode", "navigate") }, 0},
		} {
			var headers []header
			if test.header != nil {
				headers = append(headers, test.header)
			}
			response := s.send(test.method, address+test.more, nil, headers...)
			if test.status == 0 {
				if response.StatusCode == http.StatusForbidden {
					t.Errorf("%s: %s is refused", address, what)
				}
				continue
			}
			if response.StatusCode != test.status || response.Header.Get("Location") != "" || len(response.Header["Set-Cookie"]) > 0 || response.Header.Get("Referrer-Policy") != "no-referrer" || response.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %s: status %d, headers %v", address, what, response.StatusCode, response.Header)
			}
		}
	}
	for _, back := range []string{
		"", "x", "//evil.test", "/\\evil.test", "/%09/evil.test", "/%0d/evil.test", "/%0a%0dX: y", "https:evil.test", "https://evil.test/", "https://" + wiki + "@evil.test/",
		"data:text/html,x", "/persona/login?return=/", "/persona", "/x/../persona/logout", "/" + strings.Repeat("a", 10<<10),
	} {
		back = strings.NewReplacer("&", "%26", "?", "%3f", "#", "%23", " ", "%20").Replace(back)
		for _, address := range []string{"https://" + wiki + "/persona/login?return=", "https://" + wiki + "/persona/logout?return=", "https://" + host + "/persona/login?return="} {
			response := s.get(address + back)
			wantPage(t, response, http.StatusBadRequest, "Not a page of", `href="/"`)
			if response.Header.Get("Location") != "" || len(response.Header["Set-Cookie"]) > 0 {
				t.Errorf("%s: headers %v", back, response.Header)
			}
		}
	}
	for _, response := range []*http.Response{
		s.send(http.MethodPut, "https://"+wiki+"/persona/login", nil), s.get("https://" + wiki + "/persona/x"),
		s.send(http.MethodPost, "https://"+wiki+"/persona/logout", nil, with("Sec-Fetch-Site", "same-site")),
	} {
		if page := wantPage(t, response, response.StatusCode, `href="/">Go to `+wiki); strings.Contains(page, `href="/persona/`) {
			t.Errorf("the page leads to what is not there: %s", page)
		}
	}
	// The cookies of the website are left alone, however many they are.
	response := s.get("https://"+wiki+"/persona/login", with("Cookie", "app="+strings.Repeat("a", 20<<10)))
	if wantStatus(t, response, http.StatusSeeOther); response.Header.Get("Clear-Site-Data") != "" {
		t.Error("the cookies of the website are deleted")
	}
	// What else is below /persona is not found, and not the website's.
	for _, path := range []string{"/persona", "/persona/", "/persona/authenticate", "/persona/login/", "/%70ersona/login", "/persona//login", "/persona/api/session", "/persona/assertion/jwks.json", "/persona/static/x"} {
		wantStatus(t, s.get("https://"+wiki+path), http.StatusNotFound)
	}
	s.arrives(s.get("https://"+wiki+"/.well-known/browserid"), "https://"+wiki+"/.well-known/browserid")
	wantStatus(t, s.get("https://delegating.test/.well-known/browserid"), http.StatusOK)
	wantStatus(t, s.get("https://disabled.test/persona/login"), http.StatusNotFound)
}

func TestSignOutAtASite(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withSites())
	logout := func(s *surfer, form url.Values, headers ...header) *http.Response {
		return s.send(http.MethodPost, "https://"+wiki+"/persona/logout", form, headers...)
	}
	s, elsewhere := w.surfer(), w.surfer()
	s.signInAt(wiki, "alice", password)
	s.arrives(s.visit("https://"+shop+"/persona/login"), "https://"+shop+"/")
	elsewhere.signInAt(wiki, "alice", password)
	copied := s.jar[wiki][siteName]

	page := wantPage(t, s.get("https://"+wiki+"/persona/logout?return=/a%3Fb"), http.StatusOK,
		"Sign out of "+wiki, "signs you out of "+host, `method="post" action="/persona/logout"`, `name="return" value="/a?b"`, `href="/a?b">Stay`, `src="https://`+host+`/persona/static/`)
	if !s.signedInAt(wiki) || strings.Contains(page, "refresh") {
		t.Fatal("a link alone signs out")
	}
	for _, foreign := range []header{with("Sec-Fetch-Site", "cross-site"), with("Sec-Fetch-Site", "same-site"), with("Sec-Fetch-Dest", "iframe")} {
		wantStatus(t, logout(s, nil, foreign), http.StatusForbidden)
	}
	wantStatus(t, logout(s, url.Values{"return": {"//evil.test"}}), http.StatusBadRequest)
	wantStatus(t, logout(s, url.Values{"return": {"/a", "/b"}}), http.StatusBadRequest)
	if !s.signedInAt(wiki) {
		t.Fatal("signed out by a bad request")
	}
	s.jar[wiki][loginName] = "x"
	response := logout(s, url.Values{"return": {"/a?b"}})
	if got := strings.Join(response.Header["Set-Cookie"], "\n"); !strings.Contains(got, "app=; Path=/app/; Max-Age=0") || s.jar[wiki][loginName]+s.jar[wiki][siteName] != "" {
		t.Errorf("cookies are set: %s", got)
	}
	s.arrives(s.refreshed(response), "https://"+wiki+"/a?b")
	s.jar[wiki] = map[string]string{siteName: copied}
	for _, site := range []string{wiki, shop, host} {
		if s.signedInAt(site) {
			t.Errorf("still signed in at %s", site)
		}
	}
	if !elsewhere.signedInAt(wiki) {
		t.Error("another device is signed out")
	}
	wantPage(t, s.get("https://"+wiki+"/persona/logout"), http.StatusOK, "You are not signed in", `href="/persona/login"`, `href="/"`)
	wantPage(t, logout(s, nil), http.StatusOK, "You are not signed in")
	wantPage(t, logout(s, url.Values{"everywhere": {"1"}}), http.StatusOK, "You were signed out here already")
	if !elsewhere.signedInAt(wiki) {
		t.Error("another device is signed out by a stranger")
	}

	s.signInAt(wiki, "alice", password)
	wantPage(t, logout(s, url.Values{"everywhere": {"1"}}), http.StatusOK, "signed out, here and on all other devices", `href="/persona/login"`)
	if elsewhere.signedInAt(wiki) || s.signedInAt(host) {
		t.Error("another device is still signed in")
	}

	// While the directory is away a session can be ended all the same.
	s.signInAt(wiki, "alice", password)
	w.directory.Fail(http.ErrHandlerTimeout)
	w.clock.Advance(5 * time.Minute)
	wantPage(t, s.get("https://"+wiki+"/persona/logout"), http.StatusOK, "Sign out of "+wiki)
	wantPage(t, logout(s, nil), http.StatusOK, "You are signed out<")
}

func TestCrossingOutages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withSites())
	s := w.signedIn("alice", password)
	w.clock.Advance(6 * time.Minute)
	w.directory.Fail(errors.New("no route to 10.1.2.3"))
	response := s.get(s.get("https://" + wiki + "/persona/login?return=/a").Header.Get("Location"))
	page := wantPage(t, response, http.StatusServiceUnavailable, "The directory of "+host, "Try again")
	if strings.Contains(page, "10.1.2.3") || response.Header.Get("Retry-After") == "" {
		t.Errorf("the page is %s", page)
	}
	_, again, _ := strings.Cut(page, `class="button" href="`)
	again, _, _ = strings.Cut(again, `"`)
	again = strings.ReplaceAll(again, "&amp;", "&")
	wantStatus(t, s.visit(again), http.StatusServiceUnavailable)
	w.directory.Fail(nil)
	s.arrives(s.visit(again), "https://"+wiki+"/a") // what was begun is not lost

	code := s.trip(shop, "/b")
	w.sessions.Fail = func(string, string) error { return errors.New("the disk of 10.1.2.3 is gone") }
	w.clock.Advance(2 * time.Second)
	for _, path := range []string{"/persona/handover?host=" + shop + "&challenge=" + challenge} {
		if page := wantPage(t, s.get("https://"+host+path), http.StatusServiceUnavailable, "cannot be checked at the moment"); strings.Contains(page, "10.1.2.3") {
			t.Errorf("the page is %s", page)
		}
	}
	w.sessions.Fail = nil
	s.arrives(s.visit(code), "https://"+shop+"/b")
}

// The way in and out is where a browser may come first with a cookie of a session that has ended elsewhere: the
// application's own cookies end there, too.
func TestLostAtACrossing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withSites())
	for _, site := range []string{wiki, host} {
		for _, path := range []string{"/persona/login", "/persona/logout", "/persona/handover?code=x&challenge=x"} {
			if site == host && path != "/persona/login" {
				continue
			}
			s := w.surfer()
			s.signInAt(site, "alice", password)
			s.at = nil
			kept := maps.Clone(s.jar[site])
			s.send(http.MethodPost, "https://"+host+"/persona/logout", nil)
			s.jar = map[string]map[string]string{site: kept}
			response := s.get("https://" + site + path)
			ours := siteName
			if site == host {
				ours = "__Host-persona"
			}
			if got := strings.Join(response.Header["Set-Cookie"], "\n"); !strings.Contains(got, "app=; Path=/app/; Max-Age=0") || !strings.Contains(got, ours+"=; Path=/; Max-Age=0") {
				t.Errorf("%s%s sets %s", site, path, got)
			}
			if got := strings.Join(w.surfer().get("https://" + site + path).Header["Set-Cookie"], "\n"); strings.Contains(got, "app=") {
				t.Errorf("%s%s ends a stranger's session: %s", site, path, got)
			}
		}
	}
}
