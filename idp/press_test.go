package idp_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/idptest"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// key sends one event of a key, as the system does.
func (n *network) key(kind input.DispatchKeyEventType, key string, repeated bool) {
	n.t.Helper()
	params := input.DispatchKeyEventParams{Type: kind, Key: key, Code: "Space", WindowsVirtualKeyCode: 32, NativeVirtualKeyCode: 32, AutoRepeat: &repeated}
	text := " "
	if key == "Enter" {
		params.Code, params.WindowsVirtualKeyCode, params.NativeVirtualKeyCode, text = "Enter", 13, 13, "\r"
	}
	if kind == input.DispatchKeyEventTypeKeyDown {
		params.Text, params.UnmodifiedText = text, text
	}
	n.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, input.DispatchKeyEvent, params)
		if err != nil && strings.Contains(err.Error(), "closed") { // the press has ended the page
			err = nil
		}
		return err
	}))
}

// slowly calls press again and again for a second and a half of the page's clock, which goes on by 30 ms
// at most from one to the next: a busy machine would make pauses that count as such. It begins with a
// window that has just come.
func (n *network) slowly(press func()) {
	n.t.Helper()
	n.atOnce(func() {
		for range time.Tick(30 * time.Millisecond) {
			if n.js(`paced = Math.min(clock(), paced + 30); String(paced - since > 1500)`) == "true" {
				return
			}
			press()
		}
	})
}

// atOnce stops the page's clock, lets the window come, and calls act.
func (n *network) atOnce(act func()) {
	n.t.Helper()
	n.js(`window.clock ??= performance.now.bind(performance);
		window.paced = window.since = clock();
		performance.now = () => paced;
		dispatchEvent(new Event("focus")); ""`)
	act()
	n.js(`performance.now = clock; ""`)
}

// hold repeats a key for longer than a page is quiet.
func (n *network) hold(key string, repeated bool) {
	n.t.Helper()
	n.slowly(func() { n.key(input.DispatchKeyEventTypeKeyDown, key, repeated) })
}

// mouse presses or releases the button of the mouse over an element.
func (n *network) mouse(kind input.DispatchMouseEventType, selector string) {
	n.t.Helper()
	n.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		at, err := chromedp.Evaluate[[]float64](`(() => { const r = document.querySelector(`+quote(selector)+`).getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()`)(ctx, t)
		if err != nil {
			return err
		}
		_, err = cdp.Call(ctx, t, input.DispatchMouseEvent, input.DispatchMouseEventParams{Type: kind, X: at[0], Y: at[1], Button: input.MouseButtonLeft, ClickCount: 1})
		return err
	}))
}

// TestBrowserDialogHeldKeys: a key that was pressed before the dialog opened, and is held, signs no one in; a press after it does.
func TestBrowserDialogHeldKeys(t *testing.T) {
	t.Parallel()
	const down, up = input.DispatchKeyEventTypeKeyDown, input.DispatchKeyEventTypeKeyUp
	n := newSites(t)
	n.signInAt(farSite+"/", "alice@example.test")
	for name, press := range map[string]func(d *network){
		"Enter":                  func(d *network) { d.hold("Enter", true); d.key(up, "Enter", false) },
		"Space":                  func(d *network) { d.hold(" ", true); d.settle(); d.key(up, " ", false) },
		"Space, released before": func(d *network) { d.settle(); d.key(up, " ", false) },
		"Enter, not marked":      func(d *network) { d.hold("Enter", false); d.key(up, "Enter", false) },
		"Space, not marked":      func(d *network) { d.hold(" ", false); d.key(up, " ", false) },
		"Space, begun early": func(d *network) {
			d.atOnce(func() { d.key(down, " ", false) })
			d.settle()
			d.key(up, " ", false)
		},
		"pointer, begun early": func(d *network) {
			d.atOnce(func() { d.mouse(input.DispatchMouseEventTypeMousePressed, "#sign-in") })
			d.settle()
			d.mouse(input.DispatchMouseEventTypeMouseReleased, "#sign-in")
		},
		"Enter again and again": func(d *network) {
			d.slowly(func() {
				d.key(down, "Enter", false)
				d.key(up, "Enter", false)
			})
		},
	} {
		n.open(farSite + "/")
		n.heard("ready")
		d := n.dialog()
		d.screen("choose")
		press(d)
		if got := d.js(`document.body.dataset.shown`); got != "choose" {
			t.Fatalf("%s: the dialog went on to %s", name, got)
		}
		n.heard("ready")
		d.settle()
		d.until(`document.activeElement.id === "sign-in"`)
		d.key(down, "Enter", false)
		n.heard("ready login")
	}

	// Also where the site has named the address and nothing was agreed before.
	n.click("#out")
	n.open("https://example.test/persona/")
	n.click("#logout")
	n.see("https://example.test/persona/", "#sign-in")
	n.dialogFor(farSite, map[string]any{"email": "bob@example.test"})
	n.until(`["choose", "address"].includes(document.body?.dataset.shown)`)
	shown := n.js(`document.body.dataset.shown`)
	n.hold("Enter", true)
	if got := n.js(`document.body.dataset.shown`); got != shown {
		t.Errorf("with an address of the site's the dialog went on to %s", got)
	}
}

// TestBrowserAccountHeldKeys: neither a held key nor a press that began too early signs out; a screen reader's press does.
func TestBrowserAccountHeldKeys(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, idptest.BrowserOptions{})
	const home = "https://example.test/persona/"
	for _, page := range []string{home, home + "logout"} {
		n.open(home + "authenticate")
		n.fillIn("alice", password)
		n.see(home, "#logout")
		n.open(page)
		n.settle()
		n.js(`document.querySelector("#logout").focus(); ""`)
		n.hold("Enter", true)
		n.key(input.DispatchKeyEventTypeKeyUp, "Enter", false)
		n.settle()
		n.js(`dispatchEvent(new Event("focus")); ""`)
		n.mouse(input.DispatchMouseEventTypeMousePressed, "#logout")
		n.settle()
		n.mouse(input.DispatchMouseEventTypeMouseReleased, "#logout")
		n.until(`document.querySelector("#early[role=status]").textContent.startsWith("That was too early")`)
		if at := n.js(`location.href`); at != page {
			t.Fatalf("the page went on to %s", at)
		}
		n.settle()
		n.leave(`document.querySelector("#logout").click()`) // no key and no pointer
		n.until(`document.querySelector("h1")?.textContent === "You are signed out"`)
	}
}
