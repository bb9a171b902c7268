package app_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"persona-sidecar/cmd/internal/app"
	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/cmd/internal/config"
	settings "persona-sidecar/cmd/internal/config/website"
	"persona-sidecar/cmd/internal/translate"
	"persona-sidecar/idp/oidc/catalogue"
	"persona-sidecar/ldapauth/ldaptest"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/rs/zerolog"
	"golang.org/x/oauth2"
)

// appWorld is the program with apps, and what an app made with go-oidc and golang.org/x/oauth2 has.
type appWorld struct {
	*program
	roots    *x509.CertPool
	surfer   *surfer
	ctx      context.Context // of the app's own requests
	provider *gooidc.Provider
	app      oauth2.Config
	verifier *gooidc.IDTokenVerifier
	logouts  chan string // the logout tokens that reach the app's server
}

const appSecret = "0123456789abcdefghij"

func startAppWorld(t *testing.T) *appWorld {
	t.Helper()
	c := &appWorld{logouts: make(chan string, 10)}
	folder, slapd := t.TempDir(), ldaptest.StartSlapd(t, ldaptest.Options{})
	slapd.AddPerson("nomail", ldaptest.Password)
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { c.logouts <- r.FormValue("logout_token") }))
	t.Cleanup(server.Close)
	apptest.Write(t, filepath.Join(folder, "app-ca.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	yaml, roots := filesYAML(t, folder, "id.example.test", "app.test")
	apptest.Write(t, filepath.Join(folder, "app.secret"), appSecret+"\n")
	// The website is where the app would be.
	yaml += fmt.Sprintf(`
lookups: {ca_file: app-ca.pem}
domains:
  - {name: example.test, directory: corp, authority: id.example.test}
  - {name: app.test, upstream: %s}
apps:
  - id: tool
    name: The Tool
    url: https://app.test
    secret_file: app.secret
    groups: [STAFF]
    redirect_uris: [https://app.test/callback]
    post_logout_redirect_uris: [https://app.test/bye]
    backchannel_logout_uri: %s/logout?of=tool
    claims: {preferred_username: login}
    send_groups: [ST*]
  - {id: grafana, preset: grafana, url: "https://app.test", secret_file: app.secret, offline: true}
`, mirror(t).URL, server.URL) + directoryYAML(t, folder, slapd)
	c.program = start(t, folder, yaml)
	waitForKeys(t, c.program)
	c.roots, c.surfer = roots, newSurfer(t, c.program, roots)
	c.ctx = gooidc.ClientContext(t.Context(), c.client(roots))
	var err error
	if c.provider, err = gooidc.NewProvider(c.ctx, "https://id.example.test/persona"); err != nil {
		t.Fatal(err)
	}
	c.app = oauth2.Config{
		ClientID: "tool", ClientSecret: appSecret, Endpoint: c.provider.Endpoint(), RedirectURL: "https://app.test/callback",
		Scopes: []string{gooidc.ScopeOpenID, "profile", "email", "groups", gooidc.ScopeOfflineAccess},
	}
	c.verifier = c.provider.Verifier(&gooidc.Config{ClientID: "tool"})
	return c
}

// back returns what the app is sent, if the page is its own.
func back(t *testing.T, p page, at string) url.Values {
	t.Helper()
	u, err := url.Parse(p.at)
	if err != nil || u.Scheme+"://"+u.Host+u.Path != at {
		t.Fatalf("the way ended at %s: %d %s", p.at, p.status, p.body)
	}
	return u.Query()
}

// TestAppSignsPeopleIn is the whole way of a person into an app and out of it, where the app is made with the
// libraries that most apps in Go use.
func TestAppSignsPeopleIn(t *testing.T) {
	t.Parallel()
	c := startAppWorld(t)
	verifier := oauth2.GenerateVerifier()
	begin := c.app.AuthCodeURL("a state", gooidc.Nonce("a nonce"), oauth2.S256ChallengeOption(verifier))
	asked := c.surfer.open(begin)
	if !strings.Contains(asked.body, "The Tool") {
		t.Errorf("the sign-in page does not name the app: %s", asked.body)
	}
	values := back(t, c.surfer.send(asked, url.Values{"username": {"alice"}, "password": {ldaptest.Password}, "computer": {"private"}}), "https://app.test/callback")
	if values.Get("state") != "a state" || values.Get("iss") != "https://id.example.test/persona" {
		t.Fatalf("the app was sent %v", values)
	}
	tokens, err := c.app.Exchange(c.ctx, values.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	id, err := c.verifier.Verify(c.ctx, raw)
	if err != nil || id.Nonce != "a nonce" || id.VerifyAccessToken(tokens.AccessToken) != nil {
		t.Fatalf("the ID token %+v: %v", id, err)
	}

	userinfo := func(tokens *oauth2.Token) (claims struct {
		Login  string   `json:"login"`
		Name   string   `json:"name"`
		Groups []string `json:"groups"`
	},
	) {
		t.Helper()
		info, err := c.provider.UserInfo(c.ctx, oauth2.StaticTokenSource(tokens))
		if err == nil {
			err = info.Claims(&claims)
		}
		if err != nil {
			t.Fatal(err)
		}
		if info.Subject != id.Subject || info.Email != "alice@example.test" || !info.EmailVerified {
			t.Errorf("userinfo tells %+v of the person %s", info, id.Subject)
		}
		return claims
	}
	if got := userinfo(tokens); got.Login != "alice" || got.Name != "Alice Adams" || !slices.Equal(got.Groups, []string{"staff"}) {
		t.Errorf("userinfo tells %+v", got)
	}

	// A token that has expired makes the library refresh.
	refreshed, err := c.app.TokenSource(c.ctx, &oauth2.Token{RefreshToken: tokens.RefreshToken, Expiry: time.Unix(1, 0)}).Token()
	if err != nil || refreshed.AccessToken == tokens.AccessToken || refreshed.RefreshToken == tokens.RefreshToken {
		t.Fatalf("refreshing: %+v, %v", refreshed, err)
	}
	userinfo(refreshed)

	// Another app knows the person without a page.
	grafana := c.app
	grafana.ClientID, grafana.RedirectURL = "grafana", "https://app.test/login/generic_oauth"
	values = back(t, c.surfer.open(grafana.AuthCodeURL("b", oauth2.S256ChallengeOption(verifier))), grafana.RedirectURL)
	offline, err := grafana.Exchange(c.ctx, values.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatalf("the second app was sent %v: %v", values, err)
	}

	var metadata struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if err := c.provider.Claims(&metadata); err != nil {
		t.Fatal(err)
	}
	left := c.surfer.open(metadata.EndSession + "?" + url.Values{
		"id_token_hint": {raw}, "post_logout_redirect_uri": {"https://app.test/bye"}, "state": {"s"},
	}.Encode())
	if got := back(t, left, "https://app.test/bye").Get("state"); got != "s" {
		t.Errorf("after signing out the app was sent the state %q", got)
	}
	select {
	case token := <-c.logouts:
		ended, err := c.verifier.VerifyLogout(c.ctx, token)
		var claims struct {
			Session string `json:"sid"`
		}
		if err != nil || id.Claims(&claims) != nil || ended.Subject != id.Subject || ended.SessionID != claims.Session || claims.Session == "" {
			t.Errorf("the logout token %+v of the session %q: %v", ended, claims.Session, err)
		}
	case <-time.After(apptest.Patience):
		t.Error("the app was not told that the session has ended")
	}
	if p := c.surfer.open(begin); !strings.Contains(p.body, `name="password"`) {
		t.Errorf("after signing out: %s %s", p.at, p.body)
	}
	if _, err := c.app.TokenSource(c.ctx, &oauth2.Token{RefreshToken: refreshed.RefreshToken, Expiry: time.Unix(1, 0)}).Token(); err == nil {
		t.Error("a refresh token counts after signing out")
	}
	if _, err := grafana.TokenSource(c.ctx, &oauth2.Token{RefreshToken: offline.RefreshToken, Expiry: time.Unix(1, 0)}).Token(); err != nil {
		t.Errorf("that of an app that may work offline does not: %v", err)
	}
}

// TestAppRefusesOthers: a person who is in none of the groups is told so here, and the app gets nothing.
func TestAppRefusesOthers(t *testing.T) {
	t.Parallel()
	c := startAppWorld(t)
	p := c.surfer.signIn(c.app.AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier())), "bob")
	if p.status != http.StatusForbidden || !strings.HasPrefix(p.at, "https://id.example.test/") || !strings.Contains(p.body, "STAFF") || !strings.Contains(p.body, "The Tool") {
		t.Errorf("%s: %d %s", p.at, p.status, p.body)
	}
	// Where there are apps, a sign-in is of use without an address, too.
	if p := newSurfer(t, c.program, c.roots).signIn("https://id.example.test/persona/authenticate", "nomail"); p.status != http.StatusOK || strings.Contains(p.body, `name="password"`) {
		t.Errorf("a person without an address: %s %d %s", p.at, p.status, p.body)
	}
	if strings.Contains(c.log.String(), appSecret) {
		t.Error("the log shows the secret")
	}
}

// TestAppsComeAndGoByReload: the first app of an identity host makes its provider, and the last one takes it away.
func TestAppsComeAndGoByReload(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	tls, roots := filesYAML(t, folder, "id.example.test")
	none := tls + "domains: [{name: example.test, directory: corp, authority: id.example.test}]\n" + deadDirectory
	p := start(t, folder, none)
	waitForKeys(t, p)
	client := p.client(roots)
	answers := func(path string) int {
		status, _ := get(t, client, "https://id.example.test/persona/"+path)
		return status
	}
	if got := answers(".well-known/openid-configuration"); got != http.StatusNotFound {
		t.Errorf("without apps the description answers %d", got)
	}
	p.mustReload(t, folder, none+"apps: [{id: grafana, preset: grafana, url: 'https://grafana.test', secret: "+appSecret+"}]\n")
	if got := answers(".well-known/openid-configuration"); got != http.StatusOK {
		t.Errorf("with an app the description answers %d", got)
	}
	apptest.Eventually(t, "the key is made", func() bool { return answers("jwks.json") == http.StatusOK })
	p.mustReload(t, folder, none)
	if got := answers("jwks.json"); got != http.StatusNotFound {
		t.Errorf("without apps the keys answer %d", got)
	}
}

// appsYAML is a configuration with these apps.
func appsYAML(apps string) string {
	return `
state_dir: state
domains: [{name: example.test, directory: corp, authority: id.example.test}]
apps:
` + apps + deadDirectory
}

// TestPresetsOfApps: the configuration knows the presets of the catalogue, and what each fills in is accepted.
func TestPresetsOfApps(t *testing.T) {
	t.Parallel()
	field, _ := reflect.TypeFor[settings.App]().FieldByName("Preset")
	if want := "word " + strings.Join(catalogue.Names(), " "); field.Tag.Get("as") != want {
		t.Errorf("presets are read as %q, want %q", field.Tag.Get("as"), want)
	}
	var apps strings.Builder
	for _, name := range catalogue.Names() {
		fmt.Fprintf(&apps, "  - {id: %s, preset: %[1]s, url: 'https://%s.example.test/sub', secret: %s}\n", name, strings.ReplaceAll(name, "_", "-"), appSecret)
	}
	if _, _, err := build(t, t.TempDir(), appsYAML(apps.String())); err != nil {
		t.Fatal(err)
	}
}

// TestAppsOverPresets: keys of an app count more than its preset.
func TestAppsOverPresets(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "persona.yaml")
	apptest.Write(t, path, appsYAML(`
  - {id: a, preset: nextcloud, url: "https://a.test", secret: `+appSecret+`}
  - id: b
    preset: nextcloud
    name: B
    url: https://b.test
    redirect_uris: [https://b.test/x]
    post_logout_redirect_uris: []
    token_auth: none
    scopes: [openid]
    id_token_claims: false
    claims: {groups: roles}
    backchannel_logout_uri: ""
`))
	loaded, err := config.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	clients, err := translate.Clients(loaded.Apps)
	if err != nil {
		t.Fatal(err)
	}
	a, b := clients[0], clients[1]
	if a.BackchannelLogoutURI == "" || b.BackchannelLogoutURI != "" {
		t.Errorf("logout tokens are sent to %q and %q", a.BackchannelLogoutURI, b.BackchannelLogoutURI)
	}
	if a.Name != "Nextcloud" || a.TokenAuth != "client_secret_post" || !a.IDTokenClaims || len(a.RedirectURIs) == 0 || a.Secret != appSecret || a.Authority != "id.example.test" {
		t.Errorf("by preset: %+v", a)
	}
	if b.Name != "B" || b.TokenAuth != "none" || b.IDTokenClaims || b.PKCEOptional || !slices.Equal(b.RedirectURIs, []string{"https://b.test/x"}) ||
		len(b.PostLogoutRedirectURIs) != 0 || !slices.Equal(b.Scopes, []string{"openid"}) || b.Claims["groups"] != "roles" {
		t.Errorf("by hand: %+v", b)
	}
}

// TestAcceptedAppsStart: what the configuration accepts of an app, the provider accepts, too: otherwise the program would
// not start, and name no line.
func TestAcceptedAppsStart(t *testing.T) {
	t.Parallel()
	accepted := 0
	try := func(auth, key, value string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "persona.yaml")
		apptest.Write(t, path, appsYAML(fmt.Sprintf(
			"  - {id: tool, name: x, url: 'https://a.test', %s, redirect_uris: [%q], post_logout_redirect_uris: [%q], backchannel_logout_uri: %q, claims: {groups: %q, name: %q}}\n",
			auth, of(key, "uri", value, "https://a.test/cb"), of(key, "uri", value, "https://a.test/cb"), of(key, "logout", value, ""), of(key, "claim", value, "roles"), of(key, "claim", value+"2", "full"))))
		loaded, err := config.Load(path, nil)
		if err != nil {
			return
		}
		accepted++
		if _, err := app.New(app.Options{Config: loaded, Log: zerolog.Nop(), Now: time.Now}); err != nil {
			t.Errorf("%s %q is accepted, and then refused: %v", key, value, err)
		}
	}
	for _, auth := range []string{"secret: " + appSecret, "token_auth: none"} {
		for _, uri := range []string{
			"https://a.test", "https://a.test/", "https://a.test//", "https://a.test/.", "https://a.test/a/", "https://a.test/a//", "https://a.test/a/..", "https://a.test/%2e%2e/b",
			"https://a.test/a%2fb", "https://a.test?x", "https://a.test?", "https://a.test/?a=//", "https://A.test", "HTTPS://a.test", "https://a.test#", "https://u@a.test",
			"https://a.test:1", "https://a.test:0", "https://a.test:", "http://localhost", "http://localhost:", "http://localhost:80/x", "http://localhost:123456/", "http://localhost.test/",
			"http://127.0.0.1:1?x", "http://[::1]/x", "http://[::1]:5/x", "http://127.0.0.2/", "com.a.b:/x", "com.a.b:x", "com.a.b://h/..", "a.b:", "mailto:a.b", "https:a.test", "https:/a.test",
			"//a.test", "https://", "https://:1", "https://ä.test", "https://a.test/ä", "https://a.test/{x}", "https://a.test/*", `https://a.test\x`, "https://a.test/%", "https://[::1", "localhost:80",
			"https://a.test/" + strings.Repeat("a", 1100), "urn:a.b", "1.2:/x",
		} {
			try(auth, "uri", uri)
			try(auth, "logout", uri)
		}
	}
	for _, name := range []string{"sub", "iss", "amr", "name", "email", "email_verified", "preferred_username", "groups", "roles", "at_hash", "jti", "c_hash", "azp", " x", "ü"} {
		try("secret: "+appSecret, "claim", name)
	}
	if accepted < 20 {
		t.Errorf("%d were accepted only", accepted)
	}
}

// of returns a value if a key is meant, and otherwise another.
func of(key, meant, value, otherwise string) string {
	if key == meant {
		return value
	}
	return otherwise
}
