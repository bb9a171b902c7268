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

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/idptest"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// network is a world behind TLS listeners, with hubs, seen from a browser.
type network struct {
	*world
	ctx   context.Context // of the browser's tab
	pages sync.Map        // further pages, by URL: http.HandlerFunc
}

// newNetwork starts it all. The identity host allows, besides its own hub, one
// on the same site and one on another, which a configuration file may not.
func newNetwork(t *testing.T, options idptest.BrowserOptions, changes ...change) *network {
	t.Helper()
	// Real time: the browser has no other.
	w := newWorld(t, append(changes, provider(func(i *identity.Host) { i.Hubs = []string{sameSite, otherSite} }))...)
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

// page adds a page of another website to the browser's web.
func (n *network) page(where, contentType, body string) {
	n.pages.Store(where, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write([]byte(body))
	}))
}

func (n *network) do(steps ...chromedp.Action[chromedp.Void]) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.ctx, idptest.Patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		n.t.Fatalf("%v\n%s", err, n.seen())
	}
}

func (n *network) open(address string) { n.t.Helper(); n.do(chromedp.Navigate(address)) }

// see waits until the page at an address holds an element, and returns its text.
func (n *network) see(address, selector string) string {
	n.t.Helper()
	return n.when(`location.href.startsWith(`+quote(address)+`) && document.querySelector(`+quote(selector)+`)`, `document.querySelector(`+quote(selector)+`).textContent`)
}

// until waits for a condition of the page, whatever page that becomes.
func (n *network) until(condition string) {
	n.t.Helper()
	n.when(condition, `""`)
}

// when waits for a condition of the page, whatever page that becomes, and
// returns the value of an expression in the same page.
func (n *network) when(condition, expression string) string {
	n.t.Helper()
	deadline := time.After(idptest.Patience)
	for {
		// An error is a page that is just going away, or not all there.
		value, err := chromedp.Run(n.ctx, chromedp.Evaluate[*string](`(`+condition+`) ? String(`+expression+`) : null`))
		if err == nil && value != nil {
			return *value
		}
		select {
		case <-deadline:
			n.t.Fatalf("never came true: %s (%v)\n%s", condition, err, n.seen())
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

// leave runs a statement that ends the page, and waits until it is gone.
func (n *network) leave(statement string) {
	n.t.Helper()
	n.do(idptest.Leave(idptest.Script(statement)))
}

// cancel presses the visible button that ends the dialog.
func (n *network) cancel() {
	n.t.Helper()
	const button = `[...document.querySelectorAll("[data-action=cancel]")].find((button) => button.offsetParent)`
	n.until(button + ` !== undefined`)
	n.leave(button + `.click()`)
}

// seen is what the browser shows, for the report of a failure.
func (n *network) seen() string {
	result, _ := chromedp.Run(n.ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body?.innerText`))
	return result
}

// ask types an address into a hub.
func (n *network) ask(hub, email string) {
	n.t.Helper()
	n.open(hub + "/sign_in")
	n.do(idptest.Type("#email", email), idptest.Click("#go"))
}

// fillIn signs in on the authentication page.
func (n *network) fillIn(login, password string) {
	n.t.Helper()
	n.see("https://example.test/persona/authenticate", "#submit")
	n.do(
		idptest.Clear("#username"), idptest.Type("#username", login),
		idptest.Type("#password", password), idptest.Leave(idptest.Click("#submit")),
	)
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
