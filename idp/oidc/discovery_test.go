package oidc_test

import (
	"crypto/rand"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/oidc"

	"github.com/go-jose/go-jose/v4"
)

func TestDiscovery(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grafana())
	got := w.client().get("/persona/.well-known/openid-configuration")
	if got.StatusCode != http.StatusOK || got.Header.Get("Content-Type") != "application/json" || got.Header.Get("Access-Control-Allow-Origin") != "*" ||
		got.Header.Get("Access-Control-Allow-Credentials") != "" || got.Header.Get("Set-Cookie") != "" {
		t.Fatalf("%d %v", got.StatusCode, got.Header)
	}
	document := got.object(t)
	for name, want := range map[string]any{
		"issuer": issuer, "jwks_uri": issuer + "/jwks.json", "authorization_endpoint": issuer + "/oauth/authorize", "token_endpoint": issuer + "/oauth/token",
		"userinfo_endpoint": issuer + "/oauth/userinfo", "revocation_endpoint": issuer + "/oauth/revoke",
		"response_types_supported": []any{"code"}, "response_modes_supported": []any{"query", "form_post"},
		"subject_types_supported": []any{"public"}, "id_token_signing_alg_values_supported": []any{"RS256"},
		"code_challenge_methods_supported": []any{"S256"}, "request_parameter_supported": false, "request_uri_parameter_supported": false,
		"claims_parameter_supported": false, "authorization_response_iss_parameter_supported": true,
		"token_endpoint_auth_methods_supported": []any{"client_secret_basic", "client_secret_post", "none"},
	} {
		if !reflect.DeepEqual(document[name], want) {
			t.Errorf("%s is %v", name, document[name])
		}
	}
	// Left out, it would mean implicit, too.
	if grants, _ := document["grant_types_supported"].([]any); len(grants) == 0 || grants[0] != "authorization_code" {
		t.Errorf("the grants are %v", document["grant_types_supported"])
	}
}

// TestKeys: the published keys are those of OpenID Connect alone.
func TestKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grafana())
	got := w.client().get("/persona/jwks.json")
	own, err := w.ring.Published(host, keys.UseOpenID)
	if err != nil {
		t.Fatal(err)
	}
	others, err := w.ring.Published(host, keys.UseAssertions)
	if err != nil {
		t.Fatal(err)
	}
	published, _ := got.object(t)["keys"].([]any)
	if got.StatusCode != http.StatusOK || got.Header.Get("Access-Control-Allow-Origin") != "*" || len(published) != 1 {
		t.Fatalf("%d %v %s", got.StatusCode, got.Header, got.body)
	}
	key, _ := published[0].(map[string]any)
	if key["kid"] != own[0].KID || key["kid"] == others[0].KID || key["alg"] != string(jose.RS256) || key["use"] != "sig" || key["d"] != nil {
		t.Errorf("got %v", key)
	}
}

// TestClients: what an app may not be like.
func TestClients(t *testing.T) {
	t.Parallel()
	good := func(c oidc.Client) error {
		_, err := oidc.New(oidc.Config{Clients: []oidc.Client{c}, Now: time.Now, Rand: rand.Reader})
		return err
	}
	for _, c := range []oidc.Client{grafana(), phone()} {
		if err := good(c); err != nil {
			t.Error(err)
		}
	}
	for want, change := range map[string]func(*oidc.Client){
		"the id is not":                   func(c *oidc.Client) { c.ID = "" },
		"letters, digits":                 func(c *oidc.Client) { c.ID = "a:b" },
		"the id is not 1 to 64":           func(c *oidc.Client) { c.ID = strings.Repeat("a", 65) },
		"the name is not":                 func(c *oidc.Client) { c.Name = "" },
		"bytes of text":                   func(c *oidc.Client) { c.Name = "a\nb" },
		"the identity host is missing":    func(c *oidc.Client) { c.Authority = "" },
		"is unknown":                      func(c *oidc.Client) { c.TokenAuth = "private_key_jwt" },
		"the authentication":              func(c *oidc.Client) { c.TokenAuth = "" },
		"the secret is not":               func(c *oidc.Client) { c.Secret = "short" },
		"without spaces":                  func(c *oidc.Client) { c.Secret = secret },
		"does not authenticate has":       func(c *oidc.Client) { c.TokenAuth = oidc.NoSecret },
		"does not authenticate needs":     func(c *oidc.Client) { c.TokenAuth, c.Secret, c.PKCEOptional = oidc.NoSecret, "", true },
		"no redirect URI":                 func(c *oidc.Client) { c.RedirectURIs = nil },
		"the scope openid is missing":     func(c *oidc.Client) { c.Scopes = []string{"email"} },
		`the scope "username" is unknown`: func(c *oidc.Client) { c.Scopes = append(c.Scopes, "username") },
		`the claim "shoe" is unknown`:     func(c *oidc.Client) { c.Claims = map[string]string{"shoe": "x"} },
		`cannot be named "sub"`:           func(c *oidc.Client) { c.Claims = map[string]string{"email": "sub"} },
		`cannot be named ""`:              func(c *oidc.Client) { c.Claims = map[string]string{"email": ""} },
		"named like another one":          func(c *oidc.Client) { c.Claims = map[string]string{"preferred_username": "email"} },
		"the access token's lifetime":     func(c *oidc.Client) { c.AccessTokenLifetime = 2 * time.Hour },
	} {
		c := grafana()
		change(&c)
		if err := good(c); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), c.Secret) && c.Secret != "" {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := oidc.New(oidc.Config{Clients: []oidc.Client{grafana(), grafana()}}); err == nil {
		t.Error("an app is listed twice")
	}
}

// TestRegisteredRedirectURIs: what may be listed.
func TestRegisteredRedirectURIs(t *testing.T) {
	t.Parallel()
	list := func(c oidc.Client, uri string) error {
		c.RedirectURIs = []string{uri}
		_, err := oidc.New(oidc.Config{Clients: []oidc.Client{c}})
		return err
	}
	for _, uri := range []string{
		"https://tool.example.test", "https://tool.example.test/", "https://tool/cb/", "https://tool.example.test:8443/a/b?c=d", "https://10.0.0.1/cb", "https://[fd00::1]/cb",
		"http://localhost:3000/cb", "http://127.0.0.1/cb", "http://[::1]:80/cb",
	} {
		if err := list(grafana(), uri); err != nil {
			t.Error(err)
		}
	}
	for _, uri := range []string{
		"", "x", "/cb", "//tool.example.test/cb", "https://", "https:///cb", "https:tool/cb", "http://tool.example.test/cb", "HTTPS://tool.example.test/cb", "https://Tool.example.test/cb",
		"https://tool.example.test/cb#x", "https://tool.example.test/cb#", "https://a@tool.example.test/cb", "https://a:b@tool.example.test/cb", "https://@tool.example.test/cb",
		`https://tool.example.test\cb`, "https://tool.example.test/a b", "https://tool.example.test/\x00", "https://tool.example.test/\n", "https://tool.example.test/ä", "https://*.example.test/cb",
		"https://tool.example.test/*", "https://tool.example.test/../cb", "https://tool.example.test/./cb", "https://tool.example.test/a/..", "https://tool.example.test/%2e%2e/cb",
		"https://tool.example.test//cb", "https://tool.example.test/%", "https://tool.example.test:port/cb", "javascript:alert(1)", "data:text/html,x", "com.example.phone:/cb",
		"http://127.0.0.1.example.test/cb", "http://localhost.example.test/cb", "http://127.0.0.1:123456/cb", "http://127.0.0.1:/cb", "https://tool.example.test/" + strings.Repeat("a", 1024),
	} {
		if err := list(grafana(), uri); err == nil {
			t.Errorf("%.80q is taken", uri)
		}
	}
	if err := list(phone(), "com.example.phone:/cb"); err != nil {
		t.Error(err)
	}
	for _, uri := range []string{"phone:/cb", "javascript:alert(1)", "com.example.phone:/cb#x", "COM.example.phone:/cb"} {
		if err := list(phone(), uri); err == nil {
			t.Errorf("%q is taken", uri)
		}
	}
}

// TestHosts: where there are apps.
func TestHosts(t *testing.T) {
	t.Parallel()
	provider := func(change func(*oidc.Client)) *oidc.Provider {
		c := grafana()
		change(&c)
		p, err := oidc.New(oidc.Config{Clients: []oidc.Client{c}})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	shared := identity.Host{Name: host, Origin: "https://" + host, Role: identity.Provider, Website: true}
	p := provider(func(*oidc.Client) {})
	if _, err := p.Routes(&shared); err == nil || !strings.Contains(err.Error(), "read its codes") {
		t.Errorf("on a shared origin: %v", err)
	}
	if routes, err := provider(func(c *oidc.Client) { c.AllowSharedOrigin = true }).Routes(&shared); err != nil || len(routes) == 0 {
		t.Errorf("on a shared origin that is allowed: %v, %v", routes, err)
	}
	if routes, err := p.Routes(&identity.Host{Name: "other.test", Role: identity.Provider}); err != nil || routes != nil {
		t.Errorf("elsewhere: %v, %v", routes, err)
	}
	if _, err := p.Routes(&identity.Host{Name: host, Role: identity.Delegating}); err == nil {
		t.Error("a host where no one signs in has apps")
	}
}

// TestKeysNotReady: an app can read how to use us, and is told to wait for the keys.
func TestKeysNotReady(t *testing.T) {
	t.Parallel()
	w := newWorld(t, grafana())
	w.keyless.Store(true)
	if got := w.client().get("/persona/.well-known/openid-configuration"); got.StatusCode != http.StatusOK {
		t.Errorf("discovery: %d", got.StatusCode)
	}
	if got := w.client().get("/persona/jwks.json"); got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" || got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("keys: %d %v", got.StatusCode, got.Header)
	}
}
