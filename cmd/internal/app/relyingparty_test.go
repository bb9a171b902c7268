package app_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/deploy/relying-party/relyingpartytest"
	"persona-sidecar/idp/idptest"
	"persona-sidecar/ldapauth/ldaptest"

	"github.com/chromedp/chromedp"
)

// exampleSites says where each example website is: on the identity host's site, or elsewhere.
var exampleSites = map[string]string{
	"go": "go.example.test", "node": "node.elsewhere.test", "php": "php.example.test", "python": "python.elsewhere.test",
}

// mall is an identity host, the example websites behind it, and where their servers ask the verifier.
type mall struct {
	*program
	folder   string
	listen   map[string]string // addresses of the examples
	verifier *httptest.Server
}

func startMall(t *testing.T) *mall {
	t.Helper()
	m := &mall{folder: t.TempDir(), listen: map[string]string{}}
	yaml, roots := filesYAML(t, m.folder, "example.test", "*.example.test", "*.elsewhere.test")
	yaml += "hub: {relying_parties: ['https://*.example.test', 'https://*.elsewhere.test']}\n" + oneDomain(website(t).URL)
	for _, example := range relyingpartytest.Examples() {
		m.listen[example.Name] = relyingpartytest.FreeAddress(t)
		yaml += fmt.Sprintf("  - {name: %s, upstream: 'http://%s'}\n", exampleSites[example.Name], m.listen[example.Name])
	}
	m.program = start(t, m.folder, yaml+directoryYAML(t, m.folder, ldaptest.StartSlapd(t, ldaptest.Options{})))
	apptest.Eventually(t, "the keys are made and the directory answers", func() bool {
		_, body := m.admin(t, "/readyz")
		return strings.Contains(body, `"degraded": []`)
	})
	// This machine does not know the name example.test, so the servers ask at an address.
	m.verifier = httptest.NewUnstartedServer(&httputil.ReverseProxy{
		Transport: m.client(roots).Transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "https", Host: "example.test"}) },
	})
	m.verifier.EnableHTTP2 = true
	m.verifier.StartTLS()
	t.Cleanup(m.verifier.Close)
	apptest.Write(t, filepath.Join(m.folder, "verifier-ca.pem"),
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.verifier.Certificate().Raw})))
	return m
}

// settings are what an administrator would give an example.
func (m *mall) settings(example string) relyingpartytest.Settings {
	return relyingpartytest.Settings{
		Listen: m.listen[example], Persona: "https://example.test", Audience: "https://" + exampleSites[example],
		Verifier: m.verifier.URL + "/persona/v2", CAFile: filepath.Join(m.folder, "verifier-ca.pem"),
	}
}

// newShopper is a person's browser, which blocks the cookies of third parties.
func (m *mall) newShopper(t *testing.T) *shopper {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(m.folder, "tls.pem"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest := pem.Decode(text)
	issuer, _ := pem.Decode(rest)
	authority, err := x509.ParseCertificate(issuer.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(authority.RawSubjectPublicKeyInfo)
	return &shopper{t, idptest.NewBrowser(t, idptest.BrowserOptions{
		Address: m.Addr("https").String(), Trust: base64.StdEncoding.EncodeToString(hash[:]), BlockThirdPartyCookies: true,
	})}
}

// shopper is a person in front of one window of a browser.
type shopper struct {
	t   *testing.T
	ctx context.Context
}

// dialog clicks on a website's button and looks at the window that opens.
func (s *shopper) dialog() *shopper {
	s.t.Helper()
	return &shopper{s.t, idptest.Popup(s.ctx, s.t, func() { do(s.t, s.ctx, idptest.Click("#sign-in button")) })}
}

func (s *shopper) until(condition string) {
	s.t.Helper()
	apptest.Eventually(s.t, condition, func() bool {
		holds, err := chromedp.Run(s.ctx, chromedp.Evaluate[bool](condition)) // fails while pages change
		return err == nil && holds
	})
}

// screen waits until the dialog shows a screen and listens to clicks.
func (s *shopper) screen(name string) {
	s.t.Helper()
	s.until("document.body?.dataset.shown === " + strconv.Quote(name) +
		" && [...document.querySelectorAll('[data-guarded]')].every((button) => button.getAttribute('aria-disabled') === 'false')")
}

// signedIn waits until the website greets the address.
func (s *shopper) signedIn(email string) {
	s.t.Helper()
	s.until("document.querySelector('#email')?.textContent === " + strconv.Quote(email))
}

// TestBrowserRelyingParties: people sign in to the four example websites with the whole program, slapd and
// Chromium: first with the password, then in one click.
func TestBrowserRelyingParties(t *testing.T) {
	m := startMall(t)
	for _, example := range relyingpartytest.Examples() {
		t.Run(example.Name, func(t *testing.T) {
			example.Start(t, m.settings(example.Name))
			visitor := m.newShopper(t)
			do(t, visitor.ctx, chromedp.Navigate("https://"+exampleSites[example.Name]+"/"))

			dialog := visitor.dialog()
			dialog.screen("address")
			do(
				t, dialog.ctx, idptest.Type("#email", "alice@example.test"), idptest.Click("#next"),
				idptest.Type("#username", "alice"), idptest.Type("#password", ldaptest.Password),
				idptest.Click("input[name=computer][value=private]"), idptest.Click("#submit"),
			)
			visitor.signedIn("alice@example.test")

			do(t, visitor.ctx, idptest.Click("#sign-out button"), idptest.Visible("#sign-in"))
			dialog = visitor.dialog()
			dialog.screen("choose")
			do(t, dialog.ctx, idptest.Click("#sign-in"))
			visitor.signedIn("alice@example.test")
			idptest.SaveScreenshot(visitor.ctx, t, "relying-party/"+example.Name)
		})
	}
}

// TestBrowserRelyingPartyMistakes: what a developer gets wrong at first ends with an explanation, and without a sign-in.
func TestBrowserRelyingPartyMistakes(t *testing.T) {
	m := startMall(t)
	example := relyingpartytest.Examples()[0]

	t.Run("wrong audience", func(t *testing.T) {
		settings := m.settings(example.Name)
		settings.Audience = "https://shop.example.test"
		site := example.Start(t, settings)
		visitor := m.newShopper(t)
		do(t, visitor.ctx, chromedp.Navigate("https://"+exampleSites[example.Name]+"/"))
		dialog := visitor.dialog()
		dialog.screen("address")
		do(
			t, dialog.ctx, idptest.Type("#email", "alice@example.test"), idptest.Click("#next"),
			idptest.Type("#username", "alice"), idptest.Type("#password", ldaptest.Password),
			idptest.Click("#submit"),
		)
		visitor.until("document.body?.innerText.includes('You were not signed in')")
		site.AwaitLog(t, "audience mismatch: domain mismatch")
	})
	t.Run("include.js does not load", func(t *testing.T) {
		settings := m.settings(example.Name)
		settings.Persona = "https://go.example.test" // no identity host
		example.Start(t, settings)
		visitor := m.newShopper(t)
		do(t, visitor.ctx, chromedp.Navigate("https://"+exampleSites[example.Name]+"/"), idptest.Click("#sign-in button"))
		visitor.until("document.querySelector('#status').textContent.includes('did not load')")
	})
	t.Run("window closed", func(t *testing.T) {
		example.Start(t, m.settings(example.Name))
		visitor := m.newShopper(t)
		do(t, visitor.ctx, chromedp.Navigate("https://"+exampleSites[example.Name]+"/"))
		dialog := visitor.dialog()
		dialog.screen("address")
		do(t, dialog.ctx, idptest.Leave(idptest.Click("[data-screen=address] [data-action=cancel]")))
		visitor.until("document.querySelector('#status').textContent === 'You were not signed in.'")
	})
}
