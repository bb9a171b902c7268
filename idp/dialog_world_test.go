package idp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/hub"
	"persona-sidecar/idp/idptest"
)

// The relying parties of these tests.
const (
	nearSite = "https://app.example.test" // on the hub's site
	farSite  = "https://rp.other.test"    // on another
	evilSite = "https://www.evil.test"    // may not use the hub
)

// relyingPage is a page as a careful site has it: nothing inline, and a policy
// that allows only what include.js needs.
const relyingPage = `<!doctype html><title>relying party</title><script src="https://example.test/persona/include.js"></script>
<body><button id="go">Sign in</button><button id="out">Sign out</button><script src="/rp.js"></script>`

const relyingPolicy = "default-src 'none'; script-src 'self' https://example.test; frame-src https://example.test; require-trusted-types-for 'script'"

// relyingScript notes what happens. The query says how it watches: user is
// JSON, and with it or "stateful" there is an onlogout.
const relyingScript = `window.events = [];
window.said = () => events.join(" ");
const query = new URLSearchParams(location.search);
const watch = {
  onlogin: (assertion) => { window.assertion = assertion; events.push("login"); },
  onready: () => events.push("ready"),
};
if (query.has("stateful") || query.has("user")) watch.onlogout = () => events.push("logout");
if (query.has("user")) { watch.loggedInUser = JSON.parse(query.get("user")); watch.onmatch = () => events.push("match"); }
if (!query.has("unwatched")) navigator.id.watch(watch);
window.options = JSON.parse(query.get("options") || "{}");
document.getElementById("go").onclick = () => navigator.id.request({ ...options, oncancel: () => events.push("cancel") });
document.getElementById("out").onclick = () => navigator.id.logout();
`

// far is the rest of the world, as the hub looks it up.
type far struct{}

func (far) Discover(_ context.Context, _ netip.Prefix, domain string) (hub.Authority, error) {
	switch domain {
	case "company.test":
		return hub.Authority{Issuer: "idp.company.test", Authentication: "https://idp.company.test/sign-in", Provisioning: "https://idp.company.test/provision"}, nil
	case "busy.test":
		return hub.Authority{}, fmt.Errorf("looking up %s: %w", domain, hub.ErrBusy)
	case "off.test":
		return hub.Authority{Disabled: true}, nil
	case "down.test":
		return hub.Authority{}, &hub.NoAuthority{Reason: "timeout trying to load well-known for down.test", Offline: true}
	}
	return hub.Authority{}, &hub.NoAuthority{Reason: domain + " is not a browserid primary - non-200 response code to /.well-known/browserid"}
}

func asHub(c *settings) {
	parties, err := hub.NewRelyingParties(append(hub.DefaultRelyingParties([]string{host}), farSite))
	if err != nil {
		panic(err)
	}
	c.Hub = &hub.Config{RelyingParties: parties, Discovery: far{}}
	c.Hosts[1].Domains = []string{otherHost}
}

// newSites starts a world in which example.test is a hub, with relying parties.
func newSites(t *testing.T, changes ...change) *network {
	t.Helper()
	w := newWorld(t, append([]change{asHub}, changes...)...)
	w.clock.Advance(time.Since(w.clock.Now()))
	n := &network{world: w}
	authority := idptest.NewAuthority(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(n.serveSites))
	server.Listener = listen(t)
	server.TLS = authority.TLS(t, "example.test", "*.example.test", "*.other.test", "*.evil.test", "second.test")
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	n.ctx = idptest.NewBrowser(t, idptest.BrowserOptions{
		Address: server.Listener.Addr().String(), Trust: authority.KeyHash(), BlockThirdPartyCookies: true,
	})
	return n
}

func (n *network) serveSites(w http.ResponseWriter, r *http.Request) {
	origin := "https://" + r.Host
	if page, ok := n.pages.Load(origin + r.URL.Path); ok {
		page.(http.HandlerFunc)(w, r)
		return
	}
	if n.server.Match(r) {
		n.server.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Security-Policy", relyingPolicy)
	w.Header().Set("Referrer-Policy", "no-referrer") // the dialog must learn who asks all the same
	switch r.URL.Path {
	case "/":
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(relyingPage))
	case "/rp.js":
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write([]byte(relyingScript))
	default:
		http.NotFound(w, r)
	}
}

// popup does something that opens a window, and returns that.
func (n *network) popup(open func()) *network {
	n.t.Helper()
	return &network{world: n.world, ctx: idptest.Popup(n.ctx, n.t, open)}
}

// click clicks on an element, once the page listens to clicks.
func (n *network) click(selector string) {
	n.t.Helper()
	n.settle()
	n.do(idptest.Click(selector))
}

// dialog clicks on the site's button and returns the dialog.
func (n *network) dialog() *network {
	n.t.Helper()
	return n.popup(func() { n.click("#go") })
}

// screen waits until the dialog shows a screen, and returns its words.
func (n *network) screen(name string) string {
	n.t.Helper()
	return n.when(`document.body?.dataset.shown === `+quote(name), `document.querySelector("main").innerText`)
}

// settle waits until the dialog listens to clicks.
func (n *network) settle() {
	n.t.Helper()
	n.until(`[...document.querySelectorAll("[data-guarded]")].every((button) => button.getAttribute("aria-disabled") === "false")`)
}

// address types an address into the dialog.
func (n *network) address(email string) {
	n.t.Helper()
	n.screen("address")
	n.settle()
	n.do(idptest.Clear("#email"), idptest.Type("#email", email), idptest.Click("#next"))
}

// heard waits until the site has heard exactly these events since it was loaded.
func (n *network) heard(events string) {
	n.t.Helper()
	defer func() {
		if n.t.Failed() {
			n.t.Logf("the site has heard %s", n.js(`typeof said === "function" ? said() : ""`))
		}
	}()
	n.until(`typeof said === "function" && said() === ` + quote(events))
}

// quiet demands that the site hears nothing more for a while.
func (n *network) quiet(events string) {
	n.t.Helper()
	n.js(`window.since = performance.now(); ""`)
	n.until(`performance.now() - window.since > 1000`)
	if got := n.js(`said()`); got != events {
		n.t.Errorf("the site has heard %q, want %q", got, events)
	}
}

// verify verifies the assertion that the site got.
func (n *network) verify(audience, email string) {
	n.t.Helper()
	bundle, err := browserid.ParseBundle(n.js(`window.assertion`))
	if err != nil {
		n.t.Fatal(err)
	}
	document, err := browserid.ParseDocument([]byte(text(n.t, n.browser().get("/.well-known/browserid"))))
	if err != nil {
		n.t.Fatal(err)
	}
	keys := []*browserid.PublicKey{document.(browserid.Support).PublicKey}
	if err := bundle.Verify(keys, audience, time.Now()); err != nil {
		n.t.Fatal(err)
	}
	if got := bundle.Certificate.Email.String(); got != email || bundle.Certificate.Issuer != host {
		n.t.Errorf("certified %s by %s, want %s", got, bundle.Certificate.Issuer, email)
	}
}

func asJSON(value any) string {
	body, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(body)
}

// signInAt signs Alice in at a site, by the whole way, on her own computer.
func (n *network) signInAt(site, email string) {
	n.t.Helper()
	n.open(site)
	n.until(`typeof said === "function" && said().includes("ready")`)
	d := n.dialog()
	d.address(email)
	d.fillInPrivate("alice", password)
	n.until(`typeof said === "function" && said().includes("login")`)
	n.verify(site[:strings.LastIndex(site, "/")], email)
}

// fillInPrivate signs in on a computer that only one person uses.
func (n *network) fillInPrivate(login, password string) {
	n.t.Helper()
	n.see("https://example.test/persona/authenticate", "#submit")
	n.click("input[name=computer][value=private]")
	n.fillIn(login, password)
}

var errDown = errors.New("the directory is down")

// ended is when the directory is asked again whether a session may go on.
const ended = 5 * time.Minute
