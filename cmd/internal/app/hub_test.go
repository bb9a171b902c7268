package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/idp/idptest"
	"persona-sidecar/ldapauth/ldaptest"

	"github.com/chromedp/chromedp"
)

// asker is a website that asks people to sign in, with a hub of another host.
func asker(t testing.TB, hub string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/app.js" {
			w.Header().Set("Content-Type", "text/javascript")
			fmt.Fprint(w, `navigator.id.watch({onlogin: (assertion) => { document.getElementById("got").textContent = assertion; }});
document.querySelector("#sign-in button").onclick = () => navigator.id.request();`)
			return
		}
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self' "+hub)
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><title>app</title><script src="%s/persona/include.js"></script><div id="sign-in"><button>Sign in</button></div><p id="got"></p><script src="/app.js"></script>`, hub)
	}))
	t.Cleanup(server.Close)
	return server
}

// startApart is the safest layout: the website and identity on two hosts, an app below the company's
// domain, and a stranger's app.
func startApart(t *testing.T, more string) (*mall, *http.Client) {
	t.Helper()
	m := &mall{folder: t.TempDir()}
	yaml, roots := filesYAML(t, m.folder, "example.test", "*.example.test", "app.elsewhere.test")
	app := asker(t, "https://id.example.test").URL
	m.program = start(t, m.folder, yaml+more+fmt.Sprintf(`
domains:
  - {name: example.test, upstream: %s, directory: corp, authority: id.example.test}
  - {name: app.example.test, upstream: %s}
  - {name: old.example.test, upstream: %s, disabled: true}
  - {name: app.elsewhere.test, upstream: %s}
`, website(t).URL, app, app, app)+directoryYAML(t, m.folder, ldaptest.StartSlapd(t, ldaptest.Options{})))
	apptest.Eventually(t, "the keys are made and the directory answers", func() bool {
		_, body := m.admin(t, "/readyz")
		return strings.Contains(body, `"degraded": []`)
	})
	return m, m.client(roots)
}

// TestBrowserHubApart: an app on another origin than the identity host signs a person in, and the verifier
// says who that is.
func TestBrowserHubApart(t *testing.T) {
	m, client := startApart(t, "")
	visitor := m.newShopper(t)
	do(t, visitor.ctx, chromedp.Navigate("https://app.example.test/"))
	dialog := visitor.dialog()
	dialog.screen("address")
	do(
		t, dialog.ctx, idptest.Type("#email", "Alice@Example.test"), idptest.Click("#next"),
		idptest.Type("#username", "alice"), idptest.Type("#password", ldaptest.Password),
		idptest.Click("#submit"),
	)
	visitor.until(`document.querySelector("#got").textContent !== ""`)
	assertion := text(t, visitor.ctx, "#got")

	for audience, want := range map[string]string{
		"https://app.example.test": `"status":"okay"`, "https://example.test": "domain mismatch",
	} {
		response, err := client.PostForm("https://id.example.test/persona/verify", url.Values{"assertion": {assertion}, "audience": {audience}})
		if err != nil {
			t.Fatal(err)
		}
		verdict := read(t, response)
		if !strings.Contains(verdict, want) {
			t.Errorf("for %s the verifier says %s", audience, verdict)
		}
		if want == `"status":"okay"` && (!strings.Contains(verdict, `"email":"alice@example.test"`) || !strings.Contains(verdict, `"issuer":"id.example.test"`)) {
			t.Errorf("the verifier says %s", verdict)
		}
	}
	if strings.Contains(m.log.String(), assertion[:40]) {
		t.Error("the log holds the assertion")
	}
}

// TestHubAnswers: what the hub says about addresses and sites, and that the website's host has none.
func TestHubAnswers(t *testing.T) {
	_, client := startApart(t, "")
	for path, want := range map[string]map[string]any{
		"wsapi/address_info?email=bob@example.test": {
			"type": "primary", "issuer": "id.example.test", "auth": "https://id.example.test/persona/authenticate",
			"prov": "https://id.example.test/persona/provision", "state": "unknown", "normalizedEmail": "bob@example.test", "disabled": false,
		},
		"wsapi/address_info?email=bob@old.example.test": {
			"type": "secondary", "issuer": "", "disabled": true, "state": "unknown", "normalizedEmail": "bob@old.example.test",
			"reason": "old.example.test publishes that it has no identity provider",
		},
		"wsapi/relying_party?origin=https://app.example.test":      {"allowed": true},
		"wsapi/relying_party?origin=https://a.b.example.test":      {"allowed": true},
		"wsapi/relying_party?origin=https://app.elsewhere.test":    {"allowed": true}, // a host of ours
		"wsapi/relying_party?origin=https://other.elsewhere.test":  {"allowed": false},
		"wsapi/relying_party?origin=https://app.example.test:8443": {"allowed": false},
	} {
		status, body := get(t, client, "https://id.example.test/persona/"+path)
		var got map[string]any
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != http.StatusOK || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %d %s, want %v", path, status, body, want)
		}
	}
	// A name that no resolver knows. Whether it is worth trying again depends on this machine's resolver.
	status, body := get(t, client, "https://id.example.test/persona/wsapi/address_info?email=a@nothing.invalid")
	if status != http.StatusOK || !strings.Contains(body, `"type":"secondary"`) || !strings.Contains(body, "nothing.invalid is not a browserid primary") {
		t.Errorf("a domain that cannot be reached: %d %s", status, body)
	}
	if status, body := get(t, client, "https://example.test/persona/include.js"); status != http.StatusNotFound || !strings.Contains(body, "id.example.test") {
		t.Errorf("include.js of the website's host: %d %s", status, body)
	}
}

// TestHubLookupFails: whether it helps to ask again is said of a domain that cannot be looked up: a server that is
// down may come back, a host that may not be asked stays one.
func TestHubLookupFails(t *testing.T) {
	t.Parallel()
	closed := apptest.FreePort(t)
	for allowed, state := range map[string]string{"localhost": "offline", "other.test": "unknown"} {
		folder := t.TempDir()
		yaml, roots := filesYAML(t, folder, "example.test", "away.test")
		p := start(t, folder, yaml+fmt.Sprintf("lookups: {allow_private: [%s], ports: [%d]}\n", allowed, closed)+oneDomain(website(t).URL)+
			fmt.Sprintf("  - {name: away.test, authority: \"localhost:%d\"}\n", closed)+deadDirectory)
		status, body := get(t, p.client(roots), "https://example.test/persona/wsapi/address_info?email=a@away.test")
		if status != http.StatusOK || !strings.Contains(body, `"state":"`+state+`"`) || !strings.Contains(body, "cannot be reached") {
			t.Errorf("allowed %s: %d %s, want %s", allowed, status, body, state)
		}
	}
}

// TestHubOff: without the hub there is neither script nor dialog; with a list, its sites alone may ask.
func TestHubOff(t *testing.T) {
	_, client := startApart(t, "hub: {enabled: false}\n")
	for _, path := range []string{"include.js", "sign_in", "communication_iframe", "wsapi/session_context"} {
		if status, _ := get(t, client, "https://id.example.test/persona/"+path); status != http.StatusNotFound {
			t.Errorf("%s is answered with %d", path, status)
		}
	}
}

func TestHubRelyingParties(t *testing.T) {
	_, client := startApart(t, `hub: {relying_parties: ["https://*.partner.example", "http://localhost:3000", "https://one.example:443"]}`+"\n")
	for origin, want := range map[string]string{
		"https://app.partner.example": "true", "http://localhost:3000": "true", "https://one.example": "true",
		"https://app.example.test": "false", "http://localhost": "false",
	} {
		if _, body := get(t, client, "https://id.example.test/persona/wsapi/relying_party?origin="+origin); body != `{"allowed":`+want+`}` {
			t.Errorf("%s: %s", origin, body)
		}
	}
}
