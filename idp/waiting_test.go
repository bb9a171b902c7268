package idp_test

import (
	"net/url"
	"testing"

	"persona-sidecar/idp/idptest"

	"github.com/chromedp/chromedp/kb"
)

// A form that waits for the directory says so, keeps the focus, and can be stopped and used again.
func TestBrowserWaits(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, idptest.BrowserOptions{})
	n.open("https://example.test/persona/authenticate")
	arrived, release := n.holdBack("https://example.test/persona/authenticate")
	n.do(idptest.Type("#username", "alice"), idptest.Type("#password", password))
	// The library runs nothing while a page is on its way, so the page watches itself, sends the form once more, and
	// presses the key.
	n.js(`window.states = new Set();
		new MutationObserver(() => {
			const {activeElement: focused} = document, words = document.querySelector("#progress[role=status]").textContent;
			states.add([focused.id, focused.textContent, words].join("|"));
			if (words === "Signing in …") document.querySelector("#sign-in").requestSubmit();
			if (words.startsWith("This takes longer")) document.dispatchEvent(new KeyboardEvent("keydown", {key: "Escape"}));
		}).observe(document.querySelector("#sign-in"), {childList: true, subtree: true});
		document.querySelector("#submit").focus(); ""`)
	n.click("#submit")
	<-arrived
	n.until(`document.querySelector("#progress[role=status]").textContent.startsWith("Stopped")`)
	want := "submit|Signing in …|\nsubmit|Signing in …|Signing in …\nsubmit|Signing in …|This takes longer than usual. Press Escape to stop.\n" +
		"submit|Sign in|Stopped. You are not signed in; try again."
	if got := n.js(`[...states].join("\n")`); got != want {
		t.Errorf("the page went through\n%s\nwant\n%s", got, want)
	}
	if again := len(arrived); again > 0 {
		t.Errorf("the form was sent %d times more", again)
	}
	// A page that the browser kept comes back ready.
	n.js(`new MutationObserver((_, self) => {
			if (document.querySelector("#progress[role=status]").textContent !== "Signing in …") return;
			self.disconnect();
			window.stop();
			dispatchEvent(new PageTransitionEvent("pageshow", {persisted: true}));
		}).observe(document.querySelector("#sign-in"), {childList: true, subtree: true}); ""`)
	n.click("#submit")
	<-arrived
	n.until(`document.querySelector("#submit").getAttribute("aria-disabled") === "false" && document.querySelector("#progress[role=status]").textContent === ""`)
	release()
	n.click("#submit")
	n.see("https://example.test/persona/", "#logout")
}

// An early press in the dialog is answered by words; Escape cancels.
func TestBrowserDialogEarlyPress(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	n.dialogFor(farSite, map[string]any{"email": "alice@example.test"})
	n.screen("address")
	early := n.js(`dispatchEvent(new Event("focus")); document.querySelector("#next").click();
		document.querySelector("#early[role=status]").textContent + document.querySelector("#next").getAttribute("aria-disabled")`)
	if early != "That was too early to see what is asked. Press again.true" {
		t.Errorf("an early press is answered by %q", early)
	}
	n.until(`document.querySelector("#next").getAttribute("aria-disabled") === "false"`)
	n.screen("address")
	n.do(idptest.Press(kb.Escape))
	n.until(`location.href === "` + farSite + `/"`)
}

// What historic sites send for "nothing" is nothing.
func TestBrowserDialogEmptyOptions(t *testing.T) {
	t.Parallel()
	n := newSites(t)
	for _, options := range []string{
		`{"siteName":"","siteLogo":"","backgroundColor":"","returnTo":"","email":""}`,
		`{"siteName":null,"siteLogo":null,"tosURL":"","privacyURL":"","experimental_emailHint":""}`,
		`{"termsOfService":"","tosURL":"/terms","privacyPolicy":"/privacy","experimental_forceIssuer":"issuer.test"}`,
	} {
		n.open(farSite + "/?options=" + url.QueryEscape(options))
		d := n.dialog()
		d.screen("address")
		d.cancel()
		n.heard("ready cancel")
	}
}
