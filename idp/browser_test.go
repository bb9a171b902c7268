package idp_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"persona-sidecar/idp"
	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/idptest"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

const (
	ownHub     = "https://example.test/persona"
	sameSite   = "https://hub.example.test/persona"
	otherSite  = "https://hub.other.test/persona"
	unlisted   = "https://hub.evil.test/persona"
	relyingRP  = "https://rp.other.test"
	waitTime   = 20 * time.Second
	pollPeriod = 50 * time.Millisecond
)

// net is a world behind TLS listeners, with hubs, seen from a browser.
type network struct {
	*world
	ctx   context.Context // of the browser's tab
	pages sync.Map        // further pages, by URL: http.HandlerFunc
}

// newNetwork starts it all. The identity host allows, besides its own hub, one
// on the same site and one on another, which a configuration file may not.
func newNetwork(t *testing.T, options idptest.BrowserOptions) *network {
	t.Helper()
	// Real time: the browser has no other.
	w := newWorld(t, identity(func(i *idp.Identity) { i.Hubs = []string{sameSite, otherSite} }))
	w.clock.Advance(time.Since(w.clock.Now()))
	n := &network{world: w}
	authority := idptest.NewAuthority(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(n.serve))
	server.Listener = listen(t)
	server.TLS = authority.TLS(t, "example.test", "*.example.test", "*.other.test", "*.evil.test")
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	options.Address, options.Trust = server.Listener.Addr().String(), authority.KeyHash()
	n.ctx = idptest.NewBrowser(t, options)
	return n
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// serve is all of the browser's web.
func (n *network) serve(w http.ResponseWriter, r *http.Request) {
	here := "https://" + r.Host + r.URL.Path
	if page, ok := n.pages.Load(here); ok {
		page.(http.HandlerFunc)(w, r)
		return
	}
	for _, base := range []string{sameSite, otherSite, unlisted, ownHub} {
		isHub := strings.HasPrefix(here, base+"/sign_in") || strings.HasPrefix(here, base+"/hub.js")
		if isHub {
			hub := idptest.Hub{
				Base: "/persona", Provider: "https://example.test", Authentication: "/persona/authenticate", Provisioning: "/persona/provision",
				Audience: relyingRP, Duration: 600, Stubborn: base != sameSite && base != ownHub,
			}
			hub.ServeHTTP(w, r)
			return
		}
	}
	if n.server.Match(r) {
		n.server.ServeHTTP(w, r)
		return
	}
	http.NotFound(w, r)
}

// page puts a page of somebody else's into the browser's web.
func (n *network) page(where, contentType, body string) {
	n.pages.Store(where, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write([]byte(body))
	}))
}

func (n *network) do(steps ...chromedp.Action[chromedp.Void]) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.ctx, waitTime)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		n.t.Fatalf("%v\n%s", err, n.seen())
	}
}

func (n *network) open(address string) { n.t.Helper(); n.do(chromedp.Navigate(address)) }

// see waits until the page at an address holds an element, and returns its text.
func (n *network) see(address, selector string) string {
	n.t.Helper()
	n.until(`location.href.startsWith(` + quote(address) + `) && document.querySelector(` + quote(selector) + `) !== null`)
	return n.js(`document.querySelector(` + quote(selector) + `).textContent`)
}

// until waits for a condition of the page, whatever page that becomes.
func (n *network) until(condition string) {
	n.t.Helper()
	deadline := time.After(waitTime)
	for {
		// An error is a page that is just going away.
		if met, err := chromedp.Run(n.ctx, chromedp.Evaluate[bool](condition)); err == nil && met {
			return
		}
		select {
		case <-deadline:
			n.t.Fatalf("never came true: %s\n%s", condition, n.seen())
		case <-time.After(pollPeriod):
		}
	}
}

func (n *network) js(expression string) string {
	n.t.Helper()
	result, err := chromedp.Run(n.ctx, chromedp.Evaluate[string](expression))
	if err != nil {
		n.t.Fatalf("%s: %v\n%s", expression, err, n.seen())
	}
	return result
}

// seen is what the browser shows, for the report of a failure.
func (n *network) seen() string {
	result, _ := chromedp.Run(n.ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
	return result
}

// ask types an address into a hub.
func (n *network) ask(hub, email string) {
	n.t.Helper()
	n.open(hub + "/sign_in")
	n.do(chromedp.SendKeys(chromedp.CSS("#email"), email), chromedp.Click(chromedp.CSS("#go")))
}

// fillIn signs in on the authentication page.
func (n *network) fillIn(login, password string) {
	n.t.Helper()
	n.see("https://example.test/persona/authenticate", "#submit")
	n.do(
		chromedp.Clear(chromedp.CSS("#username")), chromedp.SendKeys(chromedp.CSS("#username"), login),
		chromedp.SendKeys(chromedp.CSS("#password"), password), chromedp.Click(chromedp.CSS("#submit")),
	)
}

// verified waits for the hub's bundle and verifies it as a relying party does.
func (n *network) verified(hub, email string) {
	n.t.Helper()
	n.until(`document.querySelector("#status")?.textContent === "certified"`)
	if at := n.js(`location.href`); !strings.HasPrefix(at, hub+"/sign_in") {
		n.t.Errorf("certified at %s", at)
	}
	bundle, err := browserid.ParseBundle(n.js(`document.querySelector("#bundle").textContent`))
	if err != nil {
		n.t.Fatal(err)
	}
	response := n.browser().get("/.well-known/browserid?domain=example.test")
	document, err := browserid.ParseDocument([]byte(text(n.t, response)))
	if err != nil {
		n.t.Fatal(err)
	}
	key := document.(browserid.Support).PublicKey
	if err := bundle.Verify([]*browserid.PublicKey{key}, relyingRP, time.Now()); err != nil {
		n.t.Fatal(err)
	}
	if got := bundle.Certificate; got.Email.String() != email || got.Issuer != host || time.Until(got.Expires) > 10*time.Minute {
		n.t.Errorf("certified %s by %s until %s", got.Email, got.Issuer, got.Expires)
	}
}

func TestBrowserSignInFromAHub(t *testing.T) {
	t.Parallel()
	for _, hub := range []string{sameSite, ownHub} {
		t.Run(hub, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, idptest.BrowserOptions{BlockThirdPartyCookies: true})
			n.ask(hub, "Alice@example.test")
			n.see("https://example.test/persona/authenticate?email=", "#submit")
			if got := n.js(`document.querySelector("#username").value`); got != "alice@example.test" {
				t.Errorf("the form begins with %q", got)
			}
			n.fillIn("alice", "wrong")
			if got := n.see("https://example.test/persona/authenticate", "#error"); got != wrongWords {
				t.Errorf("the page says %q", got)
			}
			n.fillIn("alice", password)
			n.verified(hub, "alice@example.test")
			if got := n.js(`document.querySelector("#attempts").textContent`); got != "2" {
				t.Errorf("%s attempts", got)
			}
			// Signed in, the next certificate comes without a page.
			n.ask(hub, "a.liddell@example.test")
			n.verified(hub, "a.liddell@example.test")

			// Somebody else's address: in words, with a way to switch.
			n.ask(hub, "bob@example.test")
			n.see("https://example.test/persona/authenticate", "#switch")
			n.do(chromedp.Click(chromedp.CSS("#switch")))
			n.fillIn("bob", "bob's")
			n.verified(hub, "bob@example.test")
		})
	}
}

func TestBrowserCancel(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, idptest.BrowserOptions{})
	n.ask(sameSite, "alice@example.test")
	n.see("https://example.test/persona/authenticate", "#cancel")
	n.fillIn("alice", "wrong") // the hub is remembered over several pages
	n.see("https://example.test/persona/authenticate", "#error")
	n.do(chromedp.Click(chromedp.CSS("#cancel")))
	n.until(`document.querySelector("#status")?.textContent === "cancelled"`)
	n.see(sameSite+"/sign_in?AUTH_RETURN_CANCEL", "#status")
}

// A hub on another site cannot see our cookie. It sends the browser here again
// and again; the second time the page explains, and stays.
func TestBrowserThirdPartyCookiesBlocked(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, idptest.BrowserOptions{BlockThirdPartyCookies: true})
	n.ask(otherSite, "alice@example.test")
	n.fillIn("alice", password)
	words := n.see("https://example.test/persona/authenticate", "#retry")
	if words != "Try again" || !strings.Contains(n.seen(), "third-party cookies") {
		t.Errorf("the page says %s", n.seen())
	}
	n.stays()
	// Trying again by hand comes back to the same words.
	n.js(`window.old = "yes"`)
	n.do(chromedp.Click(chromedp.CSS("#retry")))
	n.until(`!window.old && location.href.startsWith("https://example.test/") && document.querySelector("#retry") !== null`)
	n.stays()
	n.do(chromedp.Click(chromedp.CSS("#cancel")))
	n.see(otherSite+"/sign_in?AUTH_RETURN_CANCEL", "#status")
	// Going back explains, too, and does not go to the hub by itself.
	n.js(`history.back(); ""`) // which may bring the page back as it was, without loading it
	n.until(`location.href.startsWith("https://example.test/") && document.querySelector("#retry") !== null`)
	n.stays()
}

// stays demands that the page has loaded everything and goes nowhere.
func (n *network) stays() {
	n.t.Helper()
	before := n.js(`window.marked = "here"; location.href`)
	n.until(`document.readyState === "complete" && performance.now() > 1000`)
	if after := n.js(`window.marked + location.href`); after != "here"+before {
		n.t.Errorf("the page went on from %s to %s", before, after)
	}
}

func TestBrowserUnlistedHub(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, idptest.BrowserOptions{})
	// The browser refuses to frame the page for it, so nothing comes; the hub
	// gives up in its own time. It goes to the authentication page at once here.
	n.open(unlisted + "/sign_in")
	n.js(`location.assign("https://example.test` + forAlice + `"); ""`)
	if got := n.see("https://example.test/persona/authenticate", "h1"); got != "Unknown hub" || !strings.Contains(n.seen(), "https://hub.evil.test") {
		t.Errorf("the page says %s", n.seen())
	}
	n.photograph("unknown-hub")
}

// frames is a page that frames another and notes every message it gets from
// it; say posts a message into the frame.
const frames = `<!doctype html><title>parent</title><body><script>
window.heard = [];
addEventListener("message", (event) => heard.push(event.data));
const frame = document.createElement("iframe");
frame.src = "FRAMED";
frame.onload = () => { window.loaded = true; };
document.body.append(frame);
window.say = (message) => { frame.contentWindow.postMessage(JSON.stringify(message), "*"); };
</script>`

// provisions is a page of the website that uses the provisioning script and
// may be framed by anybody.
const provisions = `<!doctype html><title>child</title><script src="https://example.test/persona/provisioning_api.js"></script><script>
window.got = [];
navigator.id.beginProvisioning((email, seconds) => {
  got.push(email, seconds);
  navigator.id.genKeyPair((key) => {
    got.push(key);
    navigator.id.registerCertificate("certificate");
    navigator.id.raiseProvisioningFailure("after completion");
    navigator.id.beginProvisioning(() => got.push("after completion"));
  });
});
</script>`

const child = `document.querySelector("iframe").contentWindow`

// The script answers only hubs of the list. To an unlisted one it is silent,
// although this page may be framed by it.
func TestBrowserScriptIsSilentToAnUnlistedHub(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, idptest.BrowserOptions{})
	n.page("https://example.test/own", "text/html", provisions)
	n.page("https://hub.evil.test/", "text/html", strings.ReplaceAll(frames, "FRAMED", "https://example.test/own"))
	n.page("https://hub.example.test/", "text/html", strings.ReplaceAll(frames, "FRAMED", "https://example.test/own"))
	for parent, want := range map[string]string{
		"https://hub.evil.test/":    `[]`,
		"https://hub.example.test/": `ping`,
	} {
		n.open(parent)
		n.until(`window.loaded === true`)
		n.js(`say({method: "vep_prov::__ready", params: "ping"}); say({id: 1, result: {email: "x", cert_duration_s: 1}}); ""`)
		n.until(`window.loaded === true && performance.now() > 1000`)
		heard := n.js(`JSON.stringify(heard)`)
		if !strings.Contains(heard, want) || (want == "[]" && heard != want) {
			t.Errorf("%s heard %s", parent, heard)
		}
	}
}

// A conversation with an allowed hub, with messages thrown in that are wrong
// by form, id, origin or source, and the silence after completion.
func TestBrowserScriptConversation(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, idptest.BrowserOptions{})
	// On the own origin, so that the test can look into the frame.
	n.page("https://example.test/own", "text/html", provisions)
	n.page("https://example.test/parent", "text/html", strings.ReplaceAll(frames, "FRAMED", "https://example.test/own"))
	n.open("https://example.test/parent")
	n.until(`window.loaded === true && heard.length === 1`) // the script's own ping
	if got := n.js(`heard[0]`); got != `{"method":"vep_prov::__ready","params":"ping"}` {
		t.Errorf("the script begins with %s", got)
	}
	heard := func(count string) { t.Helper(); n.until(`heard.length === ` + count) }
	n.js(`say({method: "vep_prov::__ready", params: "pung"}); say({method: "other::__ready", params: "ping"}); say(null); say([]); say("x");
		document.querySelector("iframe").contentWindow.postMessage("{", "*");
		document.querySelector("iframe").contentWindow.postMessage({method: "vep_prov::__ready", params: "ping"}, "*");
		say({method: "vep_prov::__ready", params: "ping"}); ""`)
	heard(`3`)
	if got := n.js(`heard[1]`); got != `{"method":"vep_prov::__ready","params":"pong"}` {
		t.Errorf("a ping is answered by %s", got)
	}
	if got := n.js(`JSON.parse(heard[2]).method`); got != "vep_prov::beginProvisioning" {
		t.Errorf("what waited is %s", got)
	}
	// Wrong source: the frame posts to itself. Wrong id. Then the answer.
	n.js(`window.id = JSON.parse(heard[2]).id; window.answer = JSON.stringify({id, result: {email: "evil@example.test", cert_duration_s: 1}});
		` + child + `.eval("window.postMessage(" + JSON.stringify(answer) + ", '*')");
		say({id: id + 7, result: {email: "evil@example.test", cert_duration_s: 1}});
		say({method: "vep_prov::__ready", params: "ping"});
		` + child + `.setTimeout(() => say({id, result: {email: "alice@example.test", cert_duration_s: 600}}), 50);
		""`)
	heard(`4`)
	n.js(`say({id, result: {email: "again@example.test", cert_duration_s: 1}}); say({id: JSON.parse(heard[3]).id, result: "key"}); ""`)
	heard(`5`)
	if got := n.js(`heard[4]`); got != `{"method":"vep_prov::registerCertificate","params":"certificate"}` {
		t.Errorf("the end is %s", got)
	}
	if got := n.js(`JSON.stringify(` + child + `.got)`); got != `["alice@example.test",600,"key"]` {
		t.Errorf("the page got %s", got)
	}
	n.js(`say({method: "vep_prov::__ready", params: "ping"}); ""`)
	n.until(`performance.now() > 1000`)
	heard(`5`)
}

func TestBrowserScriptsLeaveAnotherImplementationAlone(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, idptest.BrowserOptions{})
	n.page("https://example.test/native", "text/html", `<script>navigator.id = {beginProvisioning: "native", beginAuthentication: "native"};</script>
<script src="/persona/provisioning_api.js"></script><script src="/persona/authentication_api.js"></script>`)
	n.open("https://example.test/native")
	if got := n.js(`[navigator.id.beginProvisioning, navigator.id.beginAuthentication, navigator.id.genKeyPair].join()`); got != "native,native," {
		t.Errorf("the scripts have replaced %s", got)
	}
	n.page("https://example.test/shimmed", "text/html", `<script>navigator.id = {beginProvisioning: 1, beginAuthentication: 1, _primaryAPIIsShimmed: true};</script>
<script src="/persona/provisioning_api.js"></script><script src="/persona/authentication_api.js"></script>`)
	n.open("https://example.test/shimmed")
	const thrown = `["beginProvisioning", "genKeyPair", "beginAuthentication"].map((name) => { try { navigator.id[name]("x"); return "nothing"; } catch (error) { return error.message; } }).join()`
	if got := n.js(thrown); strings.Count(got, "requires a callback argument") != 3 {
		t.Errorf("thrown: %s", got)
	}
	n.open("https://example.test/shimmed?email=a%2Bb+c%40x")
	n.js(`navigator.id.beginAuthentication((email) => { window.email = email; }); ""`)
	n.until(`window.email === "a+b c@x"`)
}

// The person's own page: sign in, addresses, sign out, by keyboard alone.
func TestBrowserOwnPage(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, idptest.BrowserOptions{BlockThirdPartyCookies: true})
	n.open("https://example.test/persona/")
	n.do(chromedp.Click(chromedp.CSS("#sign-in")))
	n.see("https://example.test/persona/authenticate", "#submit")
	n.until(`document.activeElement.id === "username"`)
	n.do(chromedp.KeyEvent("alice"), chromedp.KeyEvent("\t"), chromedp.KeyEvent(password), chromedp.KeyEvent("\r"))
	if got := n.see("https://example.test/persona/", "#addresses"); !strings.Contains(got, "a.liddell@example.test") {
		t.Errorf("the addresses are %s", got)
	}
	if got := n.js(`document.querySelector("#name").textContent`); got != "Alice <Example>" {
		t.Errorf("the name is %s", got)
	}
	n.do(chromedp.Click(chromedp.CSS("#logout")))
	n.see("https://example.test/persona/", "#sign-in")
}

// Every page as it looks, for a person to look at.
func TestBrowserScreenshots(t *testing.T) {
	n := newNetwork(t, idptest.BrowserOptions{})
	blocked := "https://example.test" + forAlice
	shots := []struct {
		name    string
		address string
		before  func()
	}{
		{"home-signed-out", "https://example.test/persona/", nil},
		{"form", "https://example.test/persona/authenticate", nil},
		{"form-hub", blocked, nil},
		{"form-wrong", "", func() { n.open(blocked); n.fillIn("alice", "wrong"); n.see("https://example.test/", "#error") }},
		{"cookieless", blocked + "&signed_in=1", nil},
		{"bad-address", "https://example.test/persona/authenticate?email=x", nil},
		{"not-found", "https://example.test/persona/nothing", nil},
		{"home", "", func() {
			n.open("https://example.test/persona/authenticate")
			n.fillIn("alice", password)
			n.see("https://example.test/persona/", "#logout")
		}},
		{"blocked", blocked, nil},
		{"other", "https://example.test/persona/authenticate?email=bob%40example.test", nil},
		{"directory-down", blocked, func() { n.directory.Fail(context.DeadlineExceeded); n.clock.Advance(5 * time.Minute) }},
		{"home-directory-down", "https://example.test/persona/", nil},
	}
	for _, shot := range shots {
		if shot.before != nil {
			shot.before()
		}
		if shot.address != "" {
			n.open(shot.address)
		}
		n.see("https://example.test/", "h1")
		n.photograph(shot.name)
	}
}

// photograph takes the page in each shape, and demands that nothing sticks out
// and that the hub's small popup shows the whole form.
func (n *network) photograph(name string) {
	n.t.Helper()
	for shape, size := range map[string][2]int64{"phone": {360, 740}, "desktop": {1280, 800}, "popup": {700, 375}} {
		for _, scheme := range []string{"light", "dark"} {
			n.do(chromedp.EmulateViewport(size[0], size[1]), prefer(scheme))
			idptest.SaveScreenshot(n.ctx, n.t, name+"-"+shape+"-"+scheme)
			if n.js(`String(document.documentElement.scrollWidth <= innerWidth)`) != "true" {
				n.t.Errorf("%s sticks out on a %s", name, shape)
			}
			if shape == "popup" && n.js(`String((document.querySelector("#submit")?.getBoundingClientRect().bottom ?? 0) <= innerHeight)`) != "true" {
				n.t.Errorf("%s: the button is out of sight in a popup", name)
			}
		}
	}
}

func prefer(scheme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
}
