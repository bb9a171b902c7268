package app_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/idptest"
	"persona-sidecar/ldapauth/ldaptest"
	"persona-sidecar/proxy/certs/acmetest"

	"github.com/chromedp/chromedp"
)

// company is everything that the main job needs: Pebble, slapd, a website, a hub on the same site and
// one elsewhere, and the program in front of all of them.
type company struct {
	*program
	pebble *acmetest.Server
	slapd  *ldaptest.Server
	client *http.Client
}

func startCompany(t *testing.T) *company {
	t.Helper()
	folder := t.TempDir()
	httpsPort, httpPort := apptest.FreePort(t), apptest.FreePort(t)
	c := &company{
		slapd:  ldaptest.StartSlapd(t, ldaptest.Options{}),
		pebble: acmetest.Start(t, acmetest.Options{HTTPPort: httpPort, TLSPort: httpsPort}),
	}
	writeRoots(t, filepath.Join(folder, "acme-ca.pem"), c.pebble)
	site := website(t)
	c.program = start(t, folder, fmt.Sprintf(`
state_dir: state
listen: {https: "127.0.0.1:%d", http: "127.0.0.1:%d", admin: "127.0.0.1:0"}
tls:
  acme: {directory: %s, ca_file: acme-ca.pem, email: admin@example.test}
domains:
  - {name: example.test, upstream: %s, hosts: [www.example.test], directory: corp}
  - {name: hub.example.test, upstream: %s}
  - {name: hub.elsewhere.test, upstream: %s}
  - {name: example.net, upstream: %s, authority: example.test}
  - {name: old.example.test, upstream: %s, disabled: true}
identity: {hubs: [https://hub.example.test/persona]}
log: {level: debug}
`, httpsPort, httpPort, c.pebble.Directory(), site.URL, hub(t, "https://hub.example.test", 0), hub(t, "https://hub.elsewhere.test", 2*time.Second), site.URL, site.URL)+
		directoryYAML(t, folder, c.slapd))
	c.client = c.program.client(c.pebble.IssuerRoots())
	apptest.Eventually(t, "all names have certificates and keys", func() bool {
		_, body := c.admin(t, "/readyz")
		return strings.Count(body, `"certificate `) == 6 && strings.Contains(body, `"degraded": []`)
	})
	return c
}

// hub serves a page that acts as the dialog, and returns where. For patience see idptest.Hub.
func hub(t *testing.T, audience string, patience time.Duration) string {
	server := httptest.NewServer(idptest.Hub{
		Base: "/persona", Provider: "https://example.test",
		Authentication: "/persona/authenticate", Provisioning: "/persona/provision",
		Audience: audience, Duration: 3600, Patience: patience,
	})
	t.Cleanup(server.Close)
	return server.URL
}

// TestBrowserWholeTrip is the main job on real parts: certificates from Pebble by themselves, the website
// unchanged, a person of slapd signs in with Chromium, and the browser's bundle verifies.
func TestBrowserWholeTrip(t *testing.T) {
	c := startCompany(t)

	t.Run("the website is served unchanged", func(t *testing.T) {
		status, body := get(t, c.client, "https://example.test/a//b/../%2f?x;y=%zz")
		if want := "website host=example.test uri=/a//b/../%2f?x;y=%zz proto=https for=127.0.0.1 cookies=[]"; status != http.StatusOK || body != want {
			t.Errorf("the website got\n%s\nwant\n%s", body, want)
		}
	})
	t.Run("each domain publishes its document", func(t *testing.T) {
		for host, want := range map[string]browserid.Document{
			"example.net":      browserid.Delegation{Authority: "example.test"},
			"old.example.test": browserid.Disabled{},
		} {
			if got := document(t, c.client, host); got != want {
				t.Errorf("%s publishes %#v, want %#v", host, got, want)
			}
		}
		status, body := get(t, c.client, "https://www.example.test/.well-known/browserid")
		if !strings.HasPrefix(body, "website ") {
			t.Errorf("a further host's document is the website's affair; got %d %s", status, body)
		}
	})
	t.Run("plain HTTP redirects", func(t *testing.T) {
		response, err := c.client.Get("http://example.test/persona/?a=b;c")
		if err != nil {
			t.Fatal(err)
		}
		read(t, response)
		if at := response.Header.Get("Location"); response.StatusCode != http.StatusPermanentRedirect || at != "https://example.test/persona/?a=b;c" {
			t.Errorf("got %d to %q", response.StatusCode, at)
		}
	})
	t.Run("a person signs in and is certified", c.signInFromHub)
	t.Run("a hub that is not listed is refused with an explanation", c.signInFromUnlistedHub)
	t.Run("nothing secret is logged", func(t *testing.T) {
		for _, secret := range []string{ldaptest.Password, c.slapd.BindPassword, "__Host-persona="} {
			if strings.Contains(c.log.String(), secret) {
				t.Errorf("the log holds %q", secret)
			}
		}
	})
}

func (c *company) signInFromHub(t *testing.T) {
	ctx := idptest.NewBrowser(t, c.browser(t, false))
	do(t, ctx,
		chromedp.Navigate("https://hub.example.test/persona/sign_in"),
		idptest.Type("#email", "alice@example.test"),
		idptest.Click("#go"),
		// Provisioning says "not authenticated", and the hub goes to the authentication page.
		idptest.Type("#username", "alice"),
		idptest.Type("#password", ldaptest.Password),
		idptest.Click("#submit"),
	)
	apptest.Eventually(t, "the hub has a certificate", func() bool {
		status, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("#status"))) // fails while pages change
		return err == nil && status == "certified"
	})
	bundle, err := browserid.ParseBundle(text(t, ctx, "#bundle"))
	if err != nil {
		t.Fatalf("the hub's bundle: %v", err)
	}
	published := document(t, c.client, "example.test").(browserid.Support)
	if err := bundle.Verify([]*browserid.PublicKey{published.PublicKey}, "https://hub.example.test", time.Now()); err != nil {
		t.Errorf("the bundle does not verify with the published key: %v", err)
	}
	if got := bundle.Certificate.Email.String(); got != "alice@example.test" {
		t.Errorf("the certificate is for %s", got)
	}
	status, answer := ask(t, c.client, "example.test", bundle.String(), "https://hub.example.test")
	if status != http.StatusOK || answer["status"] != "okay" || answer["email"] != "alice@example.test" || answer["issuer"] != "example.test" {
		t.Errorf("the verifier says %d %v", status, answer)
	}
}

// signInFromUnlistedHub: a hub of another site was never allowed to frame the provisioning page; with
// third-party cookies blocked it could not work anyway. The person ends on a page that says so.
func (c *company) signInFromUnlistedHub(t *testing.T) {
	ctx := idptest.NewBrowser(t, c.browser(t, true))
	do(t, ctx,
		chromedp.Navigate("https://hub.elsewhere.test/persona/sign_in"),
		idptest.Type("#email", "alice@example.test"),
		idptest.Click("#go"),
		idptest.Visible("main"),
	)
	if page := text(t, ctx, "main"); !strings.Contains(page, "hub.elsewhere.test") {
		t.Errorf("the page does not name the unknown hub:\n%s", page)
	}
}

// browser describes a world in which Chromium finds the program under every name.
func (c *company) browser(t *testing.T, blockCookies bool) idptest.BrowserOptions {
	t.Helper()
	address := c.Addr("https").String()
	connection, err := tls.Dial("tcp", address, &tls.Config{ServerName: "example.test", RootCAs: c.pebble.IssuerRoots()})
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	issuer := connection.ConnectionState().VerifiedChains[0][1]
	hash := sha256.Sum256(issuer.RawSubjectPublicKeyInfo)
	return idptest.BrowserOptions{
		Address: address, Trust: base64.StdEncoding.EncodeToString(hash[:]), BlockThirdPartyCookies: blockCookies,
	}
}

func document(t *testing.T, client *http.Client, host string) browserid.Document {
	t.Helper()
	_, body := get(t, client, "https://"+host+"/.well-known/browserid")
	parsed, err := browserid.ParseDocument([]byte(body))
	if err != nil {
		t.Fatalf("the document of %s: %v\n%s", host, err, body)
	}
	return parsed
}

func writeRoots(t *testing.T, path string, server *acmetest.Server) {
	t.Helper()
	connection, err := tls.Dial("tcp", strings.TrimPrefix(strings.Split(server.Directory(), "/dir")[0], "https://"), &tls.Config{RootCAs: server.Roots()})
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	chain := connection.ConnectionState().VerifiedChains[0]
	apptest.Write(t, path, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain[len(chain)-1].Raw})))
}

func do(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		here, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
		t.Fatalf("in the browser: %v\nat %s", err, here)
	}
}

func text(t *testing.T, ctx context.Context, selector string) string {
	t.Helper()
	got, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(selector)))
	if err != nil {
		t.Fatalf("reading %s in the browser: %v", selector, err)
	}
	return got
}

func sameKey(a, b browserid.Document) bool {
	before, ok := a.(browserid.Support)
	after, still := b.(browserid.Support)
	return ok && still && before.PublicKey.Equal(after.PublicKey)
}
