package idp_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"persona-sidecar/idp/gate"
	"persona-sidecar/idp/identity"
)

const (
	shop      = "shop.other.test"
	loginName = "__Host-persona-login"
	siteName  = "__Host-persona-site"
)

// withSites ties websites to the first identity host: at a sibling of it, at a host that delegates to it and has a website,
// at a host of another site, and at the identity host itself.
func withSites() change {
	return func(s *settings) {
		s.Hosts = append(s.Hosts,
			identity.Host{Name: wiki, Origin: "https://" + wiki, Role: identity.Site, Files: "https://" + host},
			identity.Host{Name: shop, Origin: "https://" + shop, Role: identity.Site, Files: "https://" + host})
		s.Hosts[0].Sites = map[string]string{}
		for _, name := range []string{wiki, shop, "delegating.test", host} {
			s.Sites = append(s.Sites, gate.Site{
				Host: name, Origin: "https://" + name, Authority: &s.Hosts[0], SignOutCookies: []gate.Cookie{{Name: "app", Path: "/app/"}},
			})
			if name != host {
				s.Hosts[0].Sites[name] = "https://" + name
			}
		}
	}
}

// surfer is a browser that goes from host to host, with a cookie jar and without scripts.
type surfer struct {
	*world
	jar map[string]map[string]string // values by host and name
	at  *url.URL                     // of the last answer
}

func (w *world) surfer() *surfer { return &surfer{world: w, jar: map[string]map[string]string{}} }

// send makes one request, and follows nothing. Whatever is not ours is the website's.
func (s *surfer) send(method, address string, form url.Values, headers ...header) *http.Response {
	s.t.Helper()
	at, err := url.Parse(address)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.at != nil {
		at = s.at.ResolveReference(at)
	}
	s.at = at
	r := httptest.NewRequest(method, at.RequestURI(), strings.NewReader(form.Encode()))
	r.Host = at.Host
	r.Header.Set("Sec-Fetch-Dest", "document")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for name, value := range s.jar[at.Host] {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	for _, change := range headers {
		change(r.Header)
	}
	recorder := httptest.NewRecorder()
	if s.server.Match(r) {
		s.server.ServeHTTP(recorder, r)
	} else {
		_, _ = fmt.Fprintf(recorder, "the website %s shows %s", at.Host, at.RequestURI())
	}
	response := recorder.Result()
	for _, cookie := range response.Cookies() {
		if s.jar[at.Host] == nil {
			s.jar[at.Host] = map[string]string{}
		}
		s.jar[at.Host][cookie.Name] = cookie.Value
		if cookie.MaxAge < 0 {
			delete(s.jar[at.Host], cookie.Name)
		}
	}
	return response
}

func (s *surfer) get(address string, headers ...header) *http.Response {
	s.t.Helper()
	return s.send(http.MethodGet, address, nil, headers...)
}

// visit opens an address, follows all redirects, and demands of each answer of ours what all of the way has.
func (s *surfer) visit(address string, headers ...header) *http.Response {
	s.t.Helper()
	for range 10 {
		response := s.get(address, headers...)
		for _, path := range []string{"/persona/login", "/persona/logout", "/persona/handover"} {
			if s.at.Path == path && (response.Header.Get("Cache-Control") != "no-store" || response.Header.Get("Referrer-Policy") != "no-referrer") {
				s.t.Errorf("%s has the headers %v", s.at, response.Header)
			}
		}
		if address = response.Header.Get("Location"); address == "" {
			return response
		}
		wantStatus(s.t, response, http.StatusSeeOther)
	}
	s.t.Fatalf("a circle at %s", s.at)
	return nil
}

// arrives demands that a trip has ended at a page of a website.
func (s *surfer) arrives(response *http.Response, address string) {
	s.t.Helper()
	wantStatus(s.t, response, http.StatusOK)
	if s.at.String() != address || !strings.HasPrefix(text(s.t, response), "the website ") {
		s.t.Fatalf("the trip ends at %s instead of %s", s.at, address)
	}
}

// fillIn sends the sign-in form of the page that is shown, and goes on as its answers ask for.
func (s *surfer) fillIn(login, password string) *http.Response {
	s.t.Helper()
	form := signInForm(login, password)
	for name, values := range s.at.Query() {
		form[name] = values
	}
	response := s.send(http.MethodPost, "/persona/authenticate", form)
	wantStatus(s.t, response, http.StatusSeeOther)
	return s.refreshed(s.visit(response.Header.Get("Location")))
}

// refreshed does what a page that goes on by itself asks for.
func (s *surfer) refreshed(response *http.Response) *http.Response {
	s.t.Helper()
	_, rest, found := strings.Cut(wantPage(s.t, response, http.StatusOK), `http-equiv="refresh" content="0; url=`)
	if !found {
		s.t.Fatalf("the page at %s does not go on", s.at)
	}
	next, _, _ := strings.Cut(rest, `"`)
	return s.visit(strings.ReplaceAll(next, "&amp;", "&"))
}

// signInAt signs a person in at a site, and ends there.
func (s *surfer) signInAt(site, login, password string) {
	s.t.Helper()
	s.visit("https://" + site + "/persona/login")
	s.arrives(s.fillIn(login, password), "https://"+site+"/")
}

// signedInAt asks the way in whether there is a session: then it leads straight to the page.
func (s *surfer) signedInAt(site string) bool {
	s.t.Helper()
	response := s.get("https://" + site + "/persona/login?return=/in")
	wantStatus(s.t, response, http.StatusSeeOther)
	return response.Header.Get("Location") == "/in"
}

// notCompleted demands the page of a sign-in that cannot be completed, with a link that begins again.
func (s *surfer) notCompleted(name string, response *http.Response, back string) {
	s.t.Helper()
	s.t.Log(name)
	page := wantPage(s.t, response, http.StatusBadRequest, "This sign-in cannot be completed here", `href="/persona/login?return=`+url.QueryEscape(back)+`"`)
	if response.Header.Get("Location") != "" || s.jar[s.at.Host][siteName] != "" || !strings.Contains(page, "stylesheet") {
		s.t.Errorf("%s: headers %v, cookies %v", name, response.Header, s.jar[s.at.Host])
	}
}

// trip begins a sign-in in a browser that is signed in at the identity host, and stops before the last step, whose address
// it returns.
func (s *surfer) trip(site, back string) string {
	s.t.Helper()
	begun := s.get("https://" + site + "/persona/login?return=" + url.QueryEscape(back))
	wantStatus(s.t, begun, http.StatusSeeOther)
	handed := s.get(begun.Header.Get("Location"))
	wantStatus(s.t, handed, http.StatusSeeOther)
	return handed.Header.Get("Location")
}

// signedIn returns a browser in which a person is signed in at the identity host alone.
func (w *world) signedIn(login, password string) *surfer {
	s := w.surfer()
	s.get("https://" + host + "/persona/authenticate")
	wantStatus(w.t, s.send(http.MethodPost, "/persona/authenticate", signInForm(login, password)), http.StatusSeeOther)
	return s
}
