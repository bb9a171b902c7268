package gate_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/idp/gate"
	"persona-sidecar/idp/gate/access"
	"persona-sidecar/idp/gate/assertion"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/idptest"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"
	"persona-sidecar/idp/web"
)

const (
	website = "example.test"
	id      = "id.example.test"
	// elsewhere is the website of another neighbour.
	elsewhere = "elsewhere.test"
)

// keyStore holds the keys, made once for all tests.
var keyStore = sync.OnceValue(func() *idptest.Store {
	store := idptest.NewStore(time.Now)
	ring := keys.New(keys.Config{Store: store, Now: time.Now, Rand: rand.Reader, Log: zerolog.Nop()})
	if err := ring.Ensure(context.Background(), keys.Want{Host: id, Use: keys.UseAssertions}, keys.Want{Use: keys.UseSession}); err != nil {
		panic(err)
	}
	return store
})

type sealer struct{ *keys.Ring }

func (s sealer) Seal(text, bound []byte) ([]byte, error) {
	return s.Ring.Seal(keys.UseSession, text, bound)
}

func (s sealer) Open(text, bound []byte) ([]byte, error) {
	return s.Ring.Open(keys.UseSession, text, bound)
}

// world is a gate before a website that tells what it got, over real sockets.
type world struct {
	*gate.Gate
	clock     *idptest.Clock
	directory *idptest.Directory
	store     *idptest.Store
	sessions  *session.Manager
	place     session.Place
	web       *web.Web
	plain     bool // the client came by plain HTTP
	server    *httptest.Server

	mu      sync.Mutex
	log     bytes.Buffer
	counted map[string]int
	last    gate.Admission
}

func newWorld(t testing.TB, change func(*gate.Site)) *world {
	t.Helper()
	w := &world{clock: idptest.NewClock(time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)), counted: map[string]int{}}
	w.directory = idptest.NewDirectory("corp", idptest.Account{Person: identity.Person{
		ID: "anna-id", Login: "anna", Name: "Änne Müller", Groups: []string{"editors", "staff"}, Addresses: idptest.Addresses("anna@example.test"),
	}})
	w.store = idptest.NewStore(w.clock.Now)
	ring := keys.New(keys.Config{Store: keyStore(), Now: w.clock.Now, Rand: rand.Reader, Log: zerolog.Nop()})
	if err := ring.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.sessions = session.New(session.Config{Sealer: sealer{ring}, SignOuts: session.NewSignOuts(w.store, w.clock.Now), Codes: w.store, Now: w.clock.Now, Rand: rand.Reader, Log: zerolog.Nop()})
	t.Cleanup(w.sessions.Close)
	authority := &identity.Host{
		Name: id, Origin: "https://" + id, Role: identity.Provider, Directory: w.directory, DirectoryName: "corp",
		Domains: []string{"example.test"}, Sites: map[string]string{website: "https://" + website},
	}
	w.place = session.Place{Authority: authority, Site: website}
	site := gate.Site{
		Host: website, Origin: "https://" + website, Authority: authority,
		Rules: access.Rules{
			{Path: "/admin/health", Exact: true, Allow: access.Public},
			{Path: "/admin/", Allow: access.Members, Groups: []string{"Editors"}},
			{Path: "/board", Allow: access.Members, Groups: []string{"board", "<boss>"}},
			{Path: "/git/", Allow: access.AuthorizationHeader},
			{Path: "/intern/", Allow: access.SignedIn},
		},
		Headers: &gate.Headers{
			User: "Remote-User", Groups: "Remote-Groups", Assertion: "X-Persona-Assertion",
			UserIs: gate.UserIsLogin, GroupSeparator: ",", NameEncoding: gate.NameUTF8, Audience: "https://" + website,
		},
		SignOutCookies: []gate.Cookie{{Name: "i_like_gitea", Path: "/git"}, {Name: "__Host-wiki", Path: "/"}},
	}
	if change != nil {
		change(&site)
	}
	sites := []gate.Site{site}
	if site.Peers != nil { // of two websites of neighbours
		other := site
		other.Host, other.Origin, other.Peers = elsewhere, "https://"+elsewhere, []netip.Addr{netip.MustParseAddr("127.0.0.2")}
		sites = append(sites, other)
	}
	files, err := web.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	w.web = files
	log := zerolog.New(zerolog.SyncWriter(&w.log)).Level(zerolog.DebugLevel)
	w.Gate, err = gate.New(gate.Config{
		Sites: sites, Sessions: w.sessions, Assertions: assertion.New(assertion.Config{Keys: ring, Now: w.clock.Now}), Sealer: sealer{ring},
		Respond: &route.Responder{
			Web: files, Log: log, ClientAddr: func(*http.Request) netip.Addr { return netip.Addr{} }, RequestID: func(*http.Request) string { return "request-1" },
		},
		Path: func(r *http.Request) string { path, _, _ := strings.Cut(r.RequestURI, "?"); return path },
		Peer: func(r *http.Request) netip.Addr { return netip.MustParseAddrPort(r.RemoteAddr).Addr() },
		CanonicalHost: func(host string) string {
			name, _, _ := strings.Cut(strings.TrimSuffix(strings.ToLower(host), "."), ":")
			if strings.ContainsAny(name, " ,/@") {
				return ""
			}
			return name
		},
		Now: w.clock.Now, Rand: rand.Reader, Log: log,
		Count: func(host, outcome string) { w.mu.Lock(); w.counted[outcome]++; w.mu.Unlock() },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.server = httptest.NewServer(http.HandlerFunc(func(to http.ResponseWriter, r *http.Request) {
		admission := w.Admit(to, r, website, !w.plain)
		w.mu.Lock()
		w.last = admission
		w.mu.Unlock()
		switch admission.Verdict {
		case gate.TooOpen:
			to.WriteHeader(http.StatusTeapot)
		case gate.Admitted:
			fmt.Fprintf(to, "website, for ")
			for _, field := range admission.Fields {
				if field.Name == "Remote-User" {
					fmt.Fprint(to, field.Value)
				}
			}
		case gate.Answered:
		}
	}))
	t.Cleanup(w.server.Close)
	return w
}

// signIn signs anna in and returns the Cookie line of her browser at the website.
func (w *world) signIn(t testing.TB) string {
	t.Helper()
	ask := func(lines ...string) (*httptest.ResponseRecorder, *http.Request) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["Cookie"] = lines
		return httptest.NewRecorder(), r
	}
	cookie := func(to *httptest.ResponseRecorder) string {
		line, _, _ := strings.Cut(to.Header().Get("Set-Cookie"), ";")
		return line
	}
	person, err := w.place.Authority.Lookup(t.Context(), "anna-id")
	if err != nil {
		t.Fatal(err)
	}
	to, r := ask()
	if err := w.sessions.SignIn(to, r, w.place.Authority, person.Person, session.Private); err != nil {
		t.Fatal(err)
	}
	if w.place.Site == w.place.Authority.Name {
		return cookie(to)
	}
	to, r = ask(cookie(to))
	code, err := w.sessions.HandOver(to, r, w.place.Authority, website, "challenge")
	if err != nil || code == "" {
		t.Fatalf("no hand-over: %v", err)
	}
	to, r = ask()
	if ok, err := w.sessions.TakeOver(to, r, w.place, code, "challenge"); err != nil || !ok {
		t.Fatalf("no take-over: %v", err)
	}
	return cookie(to)
}

// send sends a request line with fields, "name: value", and returns the answer.
func (w *world) send(t testing.TB, method, target string, fields ...string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", w.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	lines := append([]string{method + " " + target + " HTTP/1.1", "Host: " + website, "Connection: close"}, fields...)
	if method == http.MethodPost {
		lines = append(lines, "Content-Length: 0")
	}
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// What kinds of clients send.
var (
	navigation = []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: none", "Accept: text/html,*/*"}
	oldBrowser = []string{"Accept: text/html,application/xhtml+xml"}
	iframe     = []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe", "Sec-Fetch-Site: same-origin", "Accept: text/html", "Referer: https://example.test/around?a=b"}
	form       = []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: same-origin", "Origin: https://example.test", "Referer: https://example.test/intern/edit?id=1#x", "Accept: text/html"}
	fetch      = []string{"Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", "Sec-Fetch-Site: same-origin", "Accept: */*"}
	image      = []string{"Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image", "Sec-Fetch-Site: same-origin", "Accept: image/*"}
	curl       = []string{"Accept: */*", "User-Agent: curl/8"}
	websocket  = []string{"Upgrade: websocket", "Origin: https://example.test"}
	sibling    = []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: same-site", "Origin: https://shop.example.test", "Accept: text/html"}
)
