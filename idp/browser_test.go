package idp_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/idptest"

	"github.com/chromedp/chromedp"
)

const (
	ownHub     = "https://example.test/persona"
	sameSite   = "https://hub.example.test/persona"
	otherSite  = "https://hub.other.test/persona"
	unlisted   = "https://hub.evil.test/persona"
	relyingRP  = "https://rp.other.test"
	pollPeriod = 50 * time.Millisecond
)

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
			if got := n.js(`document.querySelector("#username").value`); got != "" {
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

			// Another person's address: an explanation, and a way to switch.
			n.ask(hub, "bob@example.test")
			n.see("https://example.test/persona/authenticate", "#switch")
			n.do(idptest.Leave(idptest.Click("#switch")))
			n.fillIn("bob", "bob's")
			n.verified(hub, "bob@example.test")
		})
	}
}

// What is to be said about the password comes before the way back to the hub, which one key goes on to.
func TestBrowserNoticeInATrip(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, idptest.BrowserOptions{})
	n.directory.Change("alice-id", func(a *idptest.Account) { a.Notice = identity.Notice{PasswordExpired: true, GraceLeft: 2} })
	n.ask(sameSite, "alice@example.test")
	n.fillIn("alice", password)
	if got := n.see("https://example.test/persona/authenticate", "#notice"); !strings.Contains(got, "accepted 2 more times") {
		t.Errorf("the page says %q", got)
	}
	n.do(idptest.Leave(idptest.Press("\r")))
	n.verified(sameSite, "alice@example.test")
}

// A link with an address that no hub has made ends at the account page, signed in before or not.
func TestBrowserAddressWithoutAHub(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, idptest.BrowserOptions{})
	n.open("https://example.test" + forAlice)
	n.fillIn("alice", "wrong")
	n.see("https://example.test/persona/authenticate", "#error")
	n.fillIn("alice", password)
	n.see("https://example.test/persona/", "#logout")
	if got := n.js(`location.pathname + location.search`); got != "/persona/" {
		t.Errorf("the trip ended at %s", got)
	}
	n.open("https://example.test" + forAlice)
	n.see("https://example.test/persona/", "#logout")
}

func TestBrowserCancel(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, idptest.BrowserOptions{})
	n.ask(sameSite, "alice@example.test")
	n.see("https://example.test/persona/authenticate", "#cancel")
	n.fillIn("alice", "wrong") // the hub is remembered over several pages
	n.see("https://example.test/persona/authenticate", "#error")
	n.do(idptest.Click("#cancel"))
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
	n.do(idptest.Click("#retry"))
	n.until(`!window.old && location.href.startsWith("https://example.test/") && document.querySelector("#retry") !== null`)
	n.stays()
	n.do(idptest.Click("#cancel"))
	n.see(otherSite+"/sign_in?AUTH_RETURN_CANCEL", "#status")
	// Going back explains, too, and does not go to the hub by itself.
	n.leave(`history.back()`) // which may bring the page back as it was, without loading it
	n.until(`location.href.startsWith("https://example.test/") && document.querySelector("#retry") !== null`)
	n.stays()
}

func TestBrowserUnlistedHub(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, idptest.BrowserOptions{})
	// The browser refuses to frame the page for it, so nothing comes; the hub
	// gives up in its own time. It goes to the authentication page at once here.
	n.open(unlisted + "/sign_in")
	n.leave(`location.assign("https://example.test` + forAlice + `")`)
	if got := n.see("https://example.test/persona/authenticate", "h1"); got != "We don’t know the page that sent you here" || !strings.Contains(n.seen(), "https://hub.evil.test") {
		t.Errorf("the page says %s", n.seen())
	}
	n.photograph("unknown-hub")
}

// The person's own page: sign in, addresses, sign out, by keyboard alone.
func TestBrowserOwnPage(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, idptest.BrowserOptions{BlockThirdPartyCookies: true})
	n.open("https://example.test/persona/")
	n.do(idptest.Click("#sign-in"))
	n.see("https://example.test/persona/authenticate", "#submit")
	n.until(`document.activeElement.id === "username"`)
	n.do(chromedp.KeyEvent("alice"), chromedp.KeyEvent("\t"), chromedp.KeyEvent(password), idptest.Press("\r"))
	if got := n.see("https://example.test/persona/", "#addresses"); !strings.Contains(got, "a.liddell@example.test") {
		t.Errorf("the addresses are %s", got)
	}
	if got := n.js(`document.querySelector("#name").textContent`); got != "Alice <Example>" {
		t.Errorf("the name is %s", got)
	}
	n.click("#logout")
	n.see("https://example.test/persona/", "#sign-in")
}

// Every page as it looks, for a person to look at.
func TestBrowserScreenshots(t *testing.T) {
	n := newNetwork(t, idptest.BrowserOptions{}, withSites())
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
		{"form-site", "https://example.test" + forWiki, nil},
		{"site-not-completed", "https://wiki.example.test/persona/handover?code=x&challenge=x", nil},
		{"site-not-signed-in", "https://wiki.example.test/persona/logout?return=/", nil},
		{"cookieless", blocked + "&signed_in=1", nil},
		{"bad-address", "https://example.test/persona/authenticate?email=x", nil},
		{"not-found", "https://example.test/persona/nothing", nil},
		{"home", "", func() {
			n.open("https://example.test/persona/authenticate")
			n.fillIn("alice", password)
			n.see("https://example.test/persona/", "#logout")
		}},
		{"site-logout", "", func() {
			n.page("https://wiki.example.test/", "text/html", "<h1>wiki</h1>")
			n.open("https://wiki.example.test/persona/login")
			n.see("https://wiki.example.test/", "h1")
			n.open("https://wiki.example.test/persona/logout")
			n.see("https://wiki.example.test/", "#logout")
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
		n.see("https://", "h1")
		n.photograph(shot.name)
	}
}
