//go:build linux

package applications_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"persona-sidecar/idp/idptest"

	"github.com/chromedp/chromedp"
)

// trip is what people do with an application.
func trip(t *testing.T, app *application) {
	w := stubWorld(t, app)
	alice := w.person(t)
	alice.signIn(app, "alice")
	if got := alice.evaluate(app.person); !strings.Contains(got, "lice") {
		t.Errorf("signed in as %q", got)
	}
	alice.do(idptest.Visible(app.adminLink))
	alice.do(chromedp.Navigate(origin+app.adminPage), idptest.Visible(app.adminSign))

	const text = "Alice was here"
	if page := app.edit(alice, text); !strings.Contains(w.get(t, page), text) {
		t.Errorf("%s lacks what was written", page)
	}

	file := filepath.Join(t.TempDir(), "big.zip")
	content := make([]byte, 50<<20)
	_, _ = rand.Read(content)
	copy(content, "PK\x03\x04")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	path := app.upload(alice, file)
	if got, want := sha256.Sum256([]byte(w.get(t, path))), sha256.Sum256(content); got != want {
		t.Errorf("%s has the sum %s", path, hex.EncodeToString(got[:]))
	}

	alice.do(chromedp.Navigate(origin+app.page), idptest.Leave(idptest.Click(app.logout)), idptest.Leave(idptest.Click("#logout")))
	alice.do(chromedp.Navigate(origin + app.page))
	if got := alice.evaluate(app.person); got != "" {
		t.Errorf("after the sign-out %q is signed in", got)
	}

	bob := w.person(t)
	bob.signIn(app, "bob")
	if has := bob.evaluate(`String(document.querySelector(` + quote(app.adminLink) + `))`); has != "null" {
		t.Error("who is in no group sees what is for administrators")
	}
	bob.do(chromedp.Navigate(origin + app.adminPage))
	if has := bob.evaluate(`String(document.querySelector(` + quote(app.adminSign) + `))`); has != "null" {
		t.Error("who is in no group gets what is for administrators")
	}
}
