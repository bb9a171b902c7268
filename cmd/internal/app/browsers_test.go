package app_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/cmd/internal/browsertest"
	"persona-sidecar/ldapauth/ldaptest"
)

// TestEveryBrowser takes the whole trip in Firefox and WebKitGTK: sign in to a website with the password, then with
// one click, then sign out. TestBrowserHubApart and TestBrowserRelyingParties do so in Chromium.
func TestEveryBrowser(t *testing.T) {
	for name, open := range map[string]func(testing.TB, browsertest.Options) browsertest.Window{
		"Firefox": browsertest.NewFirefox, "WebKitGTK": browsertest.NewWebKit,
	} {
		t.Run(name, func(t *testing.T) {
			m, client := startApart(t, "")
			window := open(t, browsertest.Options{Address: m.Addr("https").String(), Authority: authorityFile(t, m.folder)})

			window.Open("https://app.example.test/")
			dialog := window.Popup("#sign-in button")
			dialog.Until("document.body?.dataset.shown === 'address'")
			dialog.Type("#email", "Alice@Example.test")
			lookedAt(dialog)
			dialog.Click("#next")
			dialog.Type("#username", "alice")
			dialog.Type("#password", ldaptest.Password)
			dialog.Click("input[name=computer][value=private]")
			dialog.Click("#submit")
			signedIn(t, window, client)

			window.Open("https://app.example.test/")
			dialog = window.Popup("#sign-in button")
			dialog.Until("document.body?.dataset.shown === 'choose'")
			lookedAt(dialog)
			dialog.Click("#sign-in")
			signedIn(t, window, client)

			window.Open("https://id.example.test/persona/")
			if got := window.Text("#addresses"); !strings.Contains(got, "alice@example.test") {
				t.Errorf("the account page lists %q", got)
			}
			lookedAt(window)
			window.Click("#logout")
			window.Until("document.querySelector('#sign-in') !== null && document.querySelector('#logout') === null")
		})
	}
}

// lookedAt waits until a page accepts clicks: dialog and account page ignore those in their first half second.
func lookedAt(window browsertest.Window) {
	window.Until("[...document.querySelectorAll('[data-guarded]')].every((button) => button.getAttribute('aria-disabled') === 'false')")
}

// signedIn waits until the website has got an assertion, and has the verifier judge it.
func signedIn(t *testing.T, window browsertest.Window, client *http.Client) {
	t.Helper()
	window.Until("document.querySelector('#got')?.textContent")
	status, answer := ask(t, client, "id.example.test", window.Text("#got"), "https://app.example.test")
	if status != http.StatusOK || answer["status"] != "okay" || answer["email"] != "alice@example.test" {
		t.Fatalf("the verifier says %d %v", status, answer)
	}
}

// authorityFile writes the authority of the TLS certificate in folder, the last in its file, to a file of its own.
func authorityFile(t *testing.T, folder string) string {
	t.Helper()
	chain, err := os.ReadFile(filepath.Join(folder, "tls.pem"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "tls-authority.pem")
	apptest.Write(t, path, string(chain[bytes.LastIndex(chain, []byte("-----BEGIN")):]))
	return path
}
