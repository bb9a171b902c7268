//go:build linux

package applications_test

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"html"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"persona-sidecar/idp/idptest"
	"persona-sidecar/ldapauth/ldaptest"

	"github.com/chromedp/chromedp"
)

// trip is what people do with an application, in each layout.
func trip(t *testing.T, app *application) {
	for _, layout := range layouts() {
		t.Run(layout.name, func(t *testing.T) {
			w := newWorld(t, app, layout)
			t.Run("public", w.public)
			t.Run("editor", w.editor)
			t.Run("member of no group", w.outsider)
		})
	}
}

// public: what everyone may read is as the application answers it, and a client's claim to be someone is nothing.
func (w *world) public(t *testing.T) {
	before := len(w.app.seen(t, "GET "+w.app.page))
	for _, path := range w.app.public {
		w.get(t, path, nil) // the first request fills caches
		direct, behind := steady(w.app.ask(t, path, nil, "")), steady(w.get(t, path, nil))
		if direct != behind {
			t.Errorf("%s differs from what the application answers:\n%s\n%s", path, direct, behind)
		}
		if len(direct) < 500 {
			t.Errorf("%s is no page: %s", path, direct)
		}
	}
	for _, name := range []string{"Remote-User", "remote_user", "REMOTE.USER", "Remote-Groups", "X-Remote-User", "X-Forwarded-User"} {
		claim := steady(w.get(t, w.app.page, map[string]string{name: "alice", "Remote_Groups": "staff", "Remote-Id": "1"}))
		if claim != steady(w.get(t, w.app.page, nil)) {
			t.Errorf("%s changes the page:\n%s", name, claim)
		}
	}
	if told := w.app.seen(t, "GET "+w.app.page)[before:]; len(told) == 0 || slices.ContainsFunc(told, func(s string) bool { return s != `"-" "-"` }) {
		t.Errorf("the application was told %q", told)
	}
}

// steady returns a page without what differs in each request: times, counters, tokens.
func steady(page string) string {
	page = regexp.MustCompile(`[\w+/.=-]{16,}|\d+`).ReplaceAllString(page, "#")
	return regexp.MustCompile(`\s+`).ReplaceAllString(page, " ")
}

// editor: a member of staff signs in by the application's own link, edits, uploads, and signs out.
func (w *world) editor(t *testing.T) {
	alice := w.person(t)
	w.signIn(alice, "alice")
	if got := alice.evaluate(w.app.person); !strings.Contains(got, "Alice") {
		t.Errorf("signed in as %q", got)
	}
	if !alice.has(w.app.adminLink) {
		t.Errorf("a member of staff does not see what is for administrators: %s", alice.here())
	}
	alice.do(chromedp.Navigate(origin+w.app.adminPage), idptest.Visible(w.app.adminSign))
	alice.do(chromedp.Navigate(origin + w.app.protected))
	if strings.Contains(alice.here(), "staff") {
		t.Errorf("a member of staff is refused: %s", alice.here())
	}

	text := "Alice was here, " + w.name
	page := w.app.edit(alice, text)
	if !strings.Contains(w.get(t, page, nil), text) {
		t.Errorf("%s lacks what was written", page)
	}

	w.pages.HandleFunc("/attack", func(response http.ResponseWriter, _ *http.Request) {
		path, fields := w.app.forged("Mallory was here")
		response.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(response, `<!DOCTYPE html><form method="post" action="%s">`, html.EscapeString(origin+path))
		for name, value := range fields {
			fmt.Fprintf(response, `<input name="%s" value="%s">`, name, html.EscapeString(value))
		}
		fmt.Fprint(response, `<button id="attack">Win</button></form>`)
	})
	path, _ := w.app.forged("")
	before := len(w.app.seen(t, "POST "+path))
	alice.do(chromedp.Navigate(sibling+"/attack"), idptest.Leave(idptest.Click("#attack")))
	alice.until(`location.origin === ` + quote(origin))
	// The server logs a request when it has answered it.
	ldaptest.Eventually(t, "the form of the sibling arrives", func() bool { return len(w.app.seen(t, "POST "+path)) > before })
	if told := w.app.seen(t, "POST "+path)[before:]; told[0] != `"-" "-"` {
		t.Errorf("at the form of a sibling the application was told %q", told)
	}
	if got := w.get(t, page, nil); !strings.Contains(got, text) || strings.Contains(got, "Mallory") {
		t.Errorf("after the form of a sibling, %s:\n%s", page, got)
	}

	file := filepath.Join(t.TempDir(), w.name+".zip")
	content := make([]byte, 50<<20)
	_, _ = rand.Read(content) // never fails
	copy(content, "PK\x03\x04")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	where := w.app.upload(alice, file)
	if got := w.get(t, where, nil); sha256.Sum256([]byte(got)) != sha256.Sum256(content) {
		t.Errorf("%s has %d other bytes", where, len(got))
	}

	alice.do(chromedp.Navigate(origin+w.app.page), idptest.Leave(idptest.Click(w.app.logout)))
	alice.signOut()
	alice.until(`location.origin === ` + quote(origin) + ` && !location.pathname.startsWith("/persona/") && document.readyState === 'complete'`)
	w.signedOut(alice)
	alice.do(chromedp.Navigate(w.identity + "/persona/"))
	if alice.has("#logout") {
		t.Errorf("after the sign-out from the application: %s", alice.here())
	}
}

// outsider: who is in no group of the application signs in, and sees and gets nothing of what is for others. A
// sign-out at the identity host reaches the application.
func (w *world) outsider(t *testing.T) {
	bob := w.person(t)
	w.signIn(bob, "bob")
	if bob.has(w.app.adminLink) {
		t.Error("a person sees what is for administrators")
	}
	bob.do(chromedp.Navigate(origin + w.app.adminPage))
	if bob.has(w.app.adminSign) {
		t.Error("a person gets what is for administrators")
	}
	bob.do(chromedp.Navigate(origin + w.app.protected))
	bob.until(`document.body?.innerText.includes("staff")`)

	bob.do(chromedp.Navigate(w.identity + "/persona/"))
	bob.signOut()
	w.signedOut(bob)
}
