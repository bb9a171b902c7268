package app_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/idptest"

	"github.com/chromedp/chromedp"
)

func (s *stack) browser(t *testing.T) context.Context {
	t.Helper()
	connection, err := tls.Dial("tcp", "127.0.0.1:443", &tls.Config{ServerName: "id.example.test", RootCAs: s.issuer})
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	hash := sha256.Sum256(connection.ConnectionState().VerifiedChains[0][1].RawSubjectPublicKeyInfo)
	return idptest.NewBrowser(t, idptest.BrowserOptions{
		Address: "127.0.0.1:443", Trust: base64.StdEncoding.EncodeToString(hash[:]), Deadline: 10 * time.Minute,
	})
}

func (s *stack) signIn(t *testing.T, ctx context.Context) {
	t.Helper()
	password, err := os.ReadFile(filepath.Join(s.folder, "secrets", "people_password"))
	if err != nil {
		t.Fatal(err)
	}
	do(t, ctx,
		chromedp.Navigate("https://id.example.test/persona/"),
		idptest.Click("#sign-in"),
		idptest.Visible("#password"),
		idptest.Type("#username", "alice"),
		idptest.Type("#password", strings.TrimSpace(string(password))),
		idptest.Click("input[name=computer][value=private]"),
		idptest.Click("#submit"),
		idptest.Visible("#logout"),
	)
	if login := s.account(ctx); login != "alice" {
		t.Fatalf("signed in as %q", login)
	}
}

// knownToWebsite goes from the website to its sign-in, which the session at the identity host is enough for.
func (s *stack) knownToWebsite(t *testing.T, ctx context.Context) {
	t.Helper()
	do(t, ctx,
		chromedp.Navigate("https://example.test/?back=here"),
		idptest.Click("#login"),
		idptest.Visible("#person"),
		idptest.Visible("#logout"),
	)
	if address := text(t, ctx, "#address"); address != "https://example.test/?back=here" {
		t.Errorf("the way back ended at %s", address)
	}
}

// account loads the person's own page in the browser and returns the login that it shows; "" when it shows none.
func (s *stack) account(ctx context.Context) string {
	if err := chromedp.Do(ctx, chromedp.Navigate("https://id.example.test/persona/")); err != nil {
		return "" // the stack is not back yet
	}
	login, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector("#login")?.textContent ?? ""`))
	if err != nil {
		return ""
	}
	return login
}

func (s *stack) stillSignedIn(t *testing.T, ctx context.Context) {
	t.Helper()
	apptest.Eventually(t, "alice is still signed in", func() bool { return s.account(ctx) == "alice" })
}

// certified has a key of the browser's certified and checks the certificate with the published key.
func (s *stack) certified(t *testing.T, ctx context.Context) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := browserid.NewPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	request, err := json.Marshal(map[string]any{"email": "alice@example.test", "public_key": public, "duration": 600})
	if err != nil {
		t.Fatal(err)
	}
	do(t, ctx, chromedp.Navigate("https://id.example.test/persona/provision"))
	answer, err := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf(
		`fetch("/persona/api/certificate", {method: "POST", headers: {"Content-Type": "application/json"}, body: %q})
			.then(r => r.text())`, request), chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	var issued struct {
		Certificate string `json:"certificate"`
	}
	if err := json.Unmarshal([]byte(answer), &issued); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	certificate, err := browserid.ParseCertificate(issued.Certificate)
	if err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	published := document(t, s.client, "id.example.test").(browserid.Support)
	if err := certificate.Verify([]*browserid.PublicKey{published.PublicKey}, time.Now()); err != nil {
		t.Errorf("the certificate does not verify with the published key: %v", err)
	}
	if certificate.Email.String() != "alice@example.test" || certificate.Issuer != "id.example.test" {
		t.Errorf("the certificate is for %s by %s", certificate.Email, certificate.Issuer)
	}
}
