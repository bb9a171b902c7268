package app_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/idp/browserid"
)

// ask posts an assertion to the program's verifier as a website does.
func ask(t *testing.T, client *http.Client, host, assertion, audience string) (status int, answer map[string]any) {
	t.Helper()
	response, err := client.PostForm("https://"+host+"/persona/verify", url.Values{"assertion": {assertion}, "audience": {audience}})
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(read(t, response)), &answer); err != nil && response.StatusCode != http.StatusNotFound {
		t.Fatal(err)
	}
	return response.StatusCode, answer
}

// strangersBundle is a bundle of any content, signed with a key of its own.
func strangersBundle(t *testing.T, email, issuer string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := browserid.NewPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	address, err := browserid.ParseAddress(email)
	if err != nil {
		t.Fatal(err)
	}
	domain, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	by, err := browserid.NewIssuer(issuer, domain, rand.Reader, false)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := by.Sign(address, public, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	assertion, err := browserid.SignAssertion(key, rand.Reader, "https://rp.example", time.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return certificate + "~" + assertion
}

// TestVerifierSettings: what the configuration says of the verifier and of look-ups reaches them.
func TestVerifierSettings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, settings, email, issuer string
		status                        int
		reason, logged                string
	}{
		{"our own key is not the stranger's", "", "alice@example.test", "example.test", 200, "invalid signature", ""},
		{"another may not speak for us", "", "alice@example.test", "evil.test", 200, "untrusted issuer, expected 'example.test', got 'evil.test'", ""},
		{"closed by default", "", "eve@localhost", "localhost", 200, "this verifier accepts no emails from 'localhost'", "verifier.domains"},
		{
			"open, and guarded", `verifier: {domains: ["*"]}`, "eve@localhost", "localhost", 200,
			"localhost is not a browserid primary - cannot be reached", "lookups.allow_private",
		},
		{
			"ports", "lookups: {ports: [8443]}\nverifier: {domains: ['*']}", "eve@localhost", "localhost", 200,
			"localhost is not a browserid primary - cannot be reached", "port 443 is not allowed",
		},
		{"off", "verifier: {enabled: false}", "alice@example.test", "example.test", 404, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			yaml, roots := filesYAML(t, folder, "example.test")
			p := start(t, folder, yaml+oneDomain(website(t).URL)+deadDirectory+"\n"+test.settings+"\n")
			client := p.client(roots)
			apptest.Eventually(t, "the keys are made", func() bool {
				status, _ := get(t, client, "https://example.test/.well-known/browserid")
				return status == http.StatusOK
			})
			status, answer := ask(t, client, "example.test", strangersBundle(t, test.email, test.issuer), "https://rp.example")
			if status != test.status || test.reason != "" && answer["reason"] != test.reason {
				t.Errorf("%d %v, want %d %s", status, answer, test.status, test.reason)
			}
			if !strings.Contains(p.log.String(), test.logged) {
				t.Errorf("the log lacks %q:\n%s", test.logged, p.log)
			}
		})
	}
}

// TestVerifierRate: the limit of the configuration is the limit.
func TestVerifierRate(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	yaml, roots := filesYAML(t, folder, "example.test")
	p := start(t, folder, yaml+oneDomain(website(t).URL)+deadDirectory+"\nverifier: {rate: 1}\n")
	client := p.client(roots)
	apptest.Eventually(t, "a second request within one second is too much", func() bool {
		status, answer := ask(t, client, "example.test", "x", "https://rp.example")
		return status == http.StatusServiceUnavailable && answer["reason"] == "too busy"
	})
}
