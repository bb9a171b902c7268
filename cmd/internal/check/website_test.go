package check_test

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"persona-sidecar/cmd/internal/check"
	"persona-sidecar/cmd/internal/check/report"
)

// site serves a website on loopback and returns its URL.
func site(t *testing.T, answers map[string]func(http.ResponseWriter, *http.Request)) string {
	t.Helper()
	server := httptest.NewServer(&provider{answers: answers})
	t.Cleanup(server.Close)
	return server.URL
}

// withWebsite is the identity host with a website of its own.
func withWebsite(upstream string) string {
	return replaced(identityYAML, "{name: example.test,", "{name: example.test, upstream: \""+upstream+"\",")
}

func TestWebsite(t *testing.T) {
	t.Parallel()
	home := func(body string) func(http.ResponseWriter, *http.Request) { return text(200, "text/html", body) }
	script := func(body string) func(http.ResponseWriter, *http.Request) {
		return text(200, "text/javascript", body)
	}
	for name, test := range map[string]struct {
		answers answers
		want    want
	}{
		"fine":           {answers{"/": home("hello")}, want{"answers", report.OK, "200", ""}},
		"to a language":  {answers{"/": redirect("/en/"), "/en/": redirect("https://example.test/en/home"), "/en/home": home("x")}, want{"answers", report.OK, "200 → /en/ → /en/home", ""}},
		"in circles":     {answers{"/": redirect("/")}, want{"answers", report.Failed, "redirects without end", "behind a proxy"}},
		"elsewhere":      {answers{"/": redirect("https://www.example.test/")}, want{"answers", report.OK, "301 to https://www.example.test/", ""}},
		"persona itself": {answers{"/": text(508, "text/html", "<h1>Loop</h1>")}, want{"answers", report.Failed, "508: the request goes in circles", "upstream leads back to this program"}},
		"asks for NTLM": {answers{"/": func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Www-Authenticate"] = []string{"Basic realm=x", "NTLM"}
			text(401, "text/plain", "who?")(w, r)
		}}, want{"answers", report.Warning, "asks for ntlm", "http2: false"}},
		"in trouble":      {answers{"/": text(500, "text/plain", "no database")}, want{"answers", report.Failed, "500: no database", "own log"}},
		"no own paths":    {answers{"/": home("x")}, want{"paths", report.OK, "nothing at /.well-known/browserid, /persona, /persona/", ""}},
		"a page there":    {answers{"/": home("x"), "/persona/": home("characters")}, want{"paths", report.Warning, "answers /persona/ itself (200)", "authority: id.example.test"}},
		"a document":      {answers{"/": home("x"), "/.well-known/browserid": home("{}")}, want{"paths", report.Warning, "/.well-known/browserid itself (200)", "move"}},
		"protected there": {answers{"/": home("x"), "/persona": text(401, "text/plain", "")}, want{"paths", report.Warning, "/persona itself (401)", ""}},
		"popups cut": {answers{"/": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
			home("x")(w, r)
		}}, want{"popups", report.Warning, "cuts them from every popup", "same-origin-allow-popups"}},
		"popups allowed": {answers{"/": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
			home("x")(w, r)
		}}, want{"popups", report.OK, "", ""}},
		"no worker":      {answers{"/": home(`<script src="/app.js"></script>`), "/app.js": script("1")}, want{"service worker", report.OK, "none found", ""}},
		"worker in page": {answers{"/": home(`<script>navigator.serviceWorker.register("/x.js")</script>`)}, want{"service worker", report.Warning, "its page registers one", "authority: id.example.test"}},
		"worker in script": {
			answers{"/": home(`<script src="https://elsewhere.test/a.js"></script><script src="/app.js"></script>`), "/app.js": script(`navigator["serviceWorker"]; a.serviceWorker?.register("/x.js")`)},
			want{"service worker", report.Warning, "/app.js registers one", ""},
		},
		"worker by name":      {answers{"/": home("x"), "/sw.js": script("self.x=1")}, want{"service worker", report.Warning, "there is /sw.js", ""}},
		"page for all":        {nil, want{"service worker", report.OK, "none found", ""}},
		"page for every path": {nil, want{"paths", report.Skipped, "for unknown paths", ""}},
		"shared origin":       {answers{"/": home("x")}, want{"layout", report.Warning, "share the origin https://example.test", "authority: id.example.test"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var upstream string
			if test.answers == nil {
				server := httptest.NewServer(http.HandlerFunc(home("one page")))
				t.Cleanup(server.Close)
				upstream = server.URL
			} else {
				upstream = site(t, test.answers)
			}
			found := look(t, newInternet(t).checker(load(t, folder(t), withWebsite(upstream))).Everything())
			found.expect(t, test.want)
		})
	}
}

// TestPathsOfADelegatingHost: a domain whose identity host is another is not told
// to make one.
func TestPathsOfADelegatingHost(t *testing.T) {
	t.Parallel()
	page := text(200, "text/html", "x")
	upstream := site(t, map[string]func(http.ResponseWriter, *http.Request){"/": page, "/.well-known/browserid": page})
	yaml := replaced(withWebsite(upstream), "directory: corp", "directory: corp, authority: id.example.test")
	found := look(t, newInternet(t).checker(load(t, folder(t), yaml)).Everything())
	found.expect(t, want{"paths", report.Warning, "the website answers /.well-known/browserid itself", "move what the website has there"})
	for _, f := range found.of("paths") {
		if strings.Contains(f.Hint, "a host of its own") {
			t.Errorf("it has one: %s", f.Hint)
		}
	}
}

// TestWebsiteDown: a website that gives no answer is the operator's own, so that the
// hint is about upstream alone, and not about the Internet between here and there.
func TestWebsiteDown(t *testing.T) {
	t.Parallel()
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	garbage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		connection, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(connection, "SSH-2.0\r\n")
			_ = connection.Close()
		}
	}))
	t.Cleanup(garbage.Close)
	hangsUp := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(hangsUp.Close)
	at := func(f forged) string {
		server := newServer(t, http.NotFoundHandler())
		server.TLS, _ = f.make(t)
		server.StartTLS()
		return server.URL
	}
	for name, test := range map[string]struct{ upstream, message, hint string }{
		"refused":      {"http://127.0.0.1:1", "the connection is refused", "is the website running, and is upstream right?"},
		"no HTTP":      {garbage.URL, "malformed", "Something else than a web server"},
		"no TLS":       {replaced(garbage.URL, "http:", "https:"), "not TLS", "Write http://"},
		"no plain":     {replaced(untrusted.URL, "https:", "http:"), "it answers 400: Client sent an HTTP request to an HTTPS server", "https:// in upstream"},
		"untrusted":    {untrusted.URL, "TLS: ", "name its authority in upstream_tls.ca_file, or use http://"},
		"expired":      {at(forged{name: "localhost", notBefore: -2 * time.Hour, notAfter: -time.Hour}), "expired", "certificate of 127.0.0.1 renewed"},
		"early":        {at(forged{name: "localhost", notBefore: time.Hour, notAfter: 2 * time.Hour}), "not yet valid", "set this machine's clock, if it is behind"},
		"another name": {at(forged{name: "localhost", notBefore: -time.Hour, notAfter: time.Hour}), "127.0.0.1", "write the name that stands in its certificate into upstream_tls.server_name"},
		"no name":      {"http://cms.nowhere.test", "DNS knows no address of cms.nowhere.test", "correct the host name in upstream"},
		"hangs up":     {hangsUp.URL, "ends without an answer", "is upstream right?"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := look(t, newInternet(t).checker(load(t, folder(t), withWebsite(test.upstream))).Everything())
			found.expect(t, want{"answers", report.Failed, test.message, test.hint})
			for _, f := range found.of("answers") {
				for _, other := range []string{"is the program running", "firewall", "look at the network", `step "certificate"`} {
					if strings.Contains(f.String()+f.Hint, other) {
						t.Errorf("%q is in %s → %s", other, f, f.Hint)
					}
				}
			}
			if found.of("answers")[0].Hint == "" || name == "no name" && strings.Contains(found.of("answers")[0].Hint, "record") {
				t.Errorf("the hint is %q", found.of("answers")[0].Hint)
			}
			for _, step := range []string{"paths", "popups", "service worker"} {
				found.expect(t, want{step, report.Skipped, "shows no page", ""})
			}
		})
	}
}

// TestForbiddenSocket: a socket that persona may not write to.
func TestForbiddenSocket(t *testing.T) {
	t.Parallel()
	world := newInternet(t)
	env := world.world(nil)
	env.Dial = func(context.Context, string, string) (net.Conn, error) { // as for any user but root
		return nil, &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.EACCES)}
	}
	c := load(t, folder(t), withWebsite("unix:///run/cms.sock"))
	look(t, check.New(env, check.Options{Config: c}).Everything()).
		expect(t, want{"answers", report.Failed, "permission denied", "let the user that runs persona write to /run/cms.sock"})
}

// TestIdentityHostWithAWebsite: what is the identity host of another domain has an
// origin of its own already, but for its website.
func TestIdentityHostWithAWebsite(t *testing.T) {
	t.Parallel()
	page := text(200, "text/html", `<script>navigator.serviceWorker.register("/x.js")</script>`)
	upstream := site(t, map[string]func(http.ResponseWriter, *http.Request){"/": page, "/persona/": page})
	yaml := replaced(withWebsite(upstream), "directory: corp}", "directory: corp}\n  - {name: sister.test, authority: example.test}")
	found := look(t, newInternet(t).checker(load(t, folder(t), yaml)).Everything())
	for _, step := range []string{"paths", "service worker", "layout"} {
		found.expect(t, want{step, report.Warning, "", "take upstream away from example.test: it is the identity host of sister.test"})
	}
	for _, f := range found.findings {
		if strings.Contains(f.Hint, "authority: id.") {
			t.Errorf("it has one: %s", f.Hint)
		}
	}
}

func TestWebsiteThatSaysItsInnerName(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		address := r.Context().Value(http.LocalAddrContextKey).(interface{ String() string }).String()
		w.Header().Set("Location", "http://"+address+"/start")
		w.WriteHeader(http.StatusFound)
	}))
	t.Cleanup(server.Close)
	look(t, newInternet(t).checker(load(t, folder(t), withWebsite(server.URL))).Everything()).
		expect(t, want{"answers", report.Failed, "its inner address", "public name, https://example.test"})
}

// TestHowTheWebsiteIsAsked: as the program asks for a visitor, by the public name.
func TestHowTheWebsiteIsAsked(t *testing.T) {
	t.Parallel()
	asked := make(chan *http.Request, 100)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r }))
	t.Cleanup(server.Close)
	look(t, newInternet(t).checker(load(t, folder(t), withWebsite(server.URL))).Everything())
	r := <-asked
	if r.Host != "example.test" || r.Header.Get("X-Forwarded-Proto") != "https" || r.Header.Get("X-Forwarded-Host") != "example.test" {
		t.Errorf("asked for %s with %v", r.Host, r.Header)
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		ahead []time.Duration // of this clock, compared with each of the others
		want  want
	}{
		"no server":       {nil, want{"clock", report.Skipped, "no other server", ""}},
		"right":           {[]time.Duration{0}, want{"clock", report.OK, "agrees with a0.test", ""}},
		"a day ahead":     {[]time.Duration{24 * time.Hour}, want{"clock", report.Failed, "ahead of a0.test", "NTP"}},
		"a day behind":    {[]time.Duration{-24 * time.Hour}, want{"clock", report.Failed, "behind a0.test", "NTP"}},
		"too far ahead":   {[]time.Duration{20 * time.Second}, want{"clock", report.Failed, "ahead of a0.test", "NTP"}},
		"a little ahead":  {[]time.Duration{8 * time.Second}, want{"clock", report.Warning, "8s ahead of", "NTP"}},
		"one is wrong":    {[]time.Duration{-time.Hour, 0, time.Hour}, want{"clock", report.OK, "agrees with a1.test", ""}},
		"all say another": {[]time.Duration{time.Hour, 2 * time.Hour}, want{"clock", report.Failed, "1h0m0s ahead of a0.test", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := newInternet(t)
			var groups []report.Group
			checker := world.checker(nil)
			for n, ahead := range test.ahead {
				host := "a" + string(rune('0'+n)) + ".test"
				world.serve(host, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Date", time.Now().Add(-ahead).UTC().Format(http.TimeFormat))
					w.WriteHeader(http.StatusNotFound)
				}))
				groups = append(groups, checker.Domain(host)...)
			}
			if test.ahead == nil {
				groups = checker.Domain("nowhere.test")
			}
			found := look(t, groups)
			last := found.of("clock")
			if f := last[len(last)-1]; f.Status != test.want.status || !strings.Contains(f.String(), test.want.seen) || !strings.Contains(f.Hint, test.want.cure) {
				t.Errorf("got %+v, want %+v", f, test.want)
			}
		})
	}
}

// TestClockAndCaches: what a cache kept says nothing of the time.
func TestClockAndCaches(t *testing.T) {
	t.Parallel()
	world := newInternet(t)
	world.serve("example.org", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
		w.Header().Set("Age", "3600")
	}))
	look(t, world.checker(nil).Domain("example.org")).expect(t, want{"clock", report.Skipped, "no other server", ""})
}

// A website is asked the way that its entry describes.
func TestWebsiteKinds(t *testing.T) {
	t.Parallel()
	handler := http.HandlerFunc(text(200, "text/plain", "hello"))
	socket := filepath.Join(t.TempDir(), "website.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	local := httptest.NewUnstartedServer(handler)
	local.Listener = listener
	local.Start()
	t.Cleanup(local.Close)
	clear2 := httptest.NewUnstartedServer(handler)
	clear2.Config.Protocols = new(http.Protocols)
	clear2.Config.Protocols.SetUnencryptedHTTP2(true)
	clear2.Start()
	t.Cleanup(clear2.Close)
	secure := httptest.NewUnstartedServer(handler)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	for name, test := range map[string]struct {
		upstream string
		want     want
	}{
		"unix":     {"unix:" + socket, want{"answers", report.OK, "200", ""}},
		"h2c":      {"h2c://" + clear2.Listener.Addr().String(), want{"answers", report.OK, "200", ""}},
		"trusted":  {secure.URL + `", upstream_tls: {insecure: true}, upstream_timeout: "1m`, want{"answers", report.OK, "200", ""}},
		"distrust": {secure.URL, want{"answers", report.Failed, "certificate", "upstream_tls.ca_file"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			look(t, newInternet(t).checker(load(t, folder(t), withWebsite(test.upstream))).Everything()).expect(t, test.want)
		})
	}
}
