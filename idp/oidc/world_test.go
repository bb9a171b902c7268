package oidc_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"persona-sidecar/idp"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/idptest"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/memory"
	"persona-sidecar/idp/oidc"
	"persona-sidecar/idp/oidc/backchannel"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"
	"persona-sidecar/idp/signin"
	"persona-sidecar/idp/web"

	"github.com/rs/zerolog"
)

const (
	host     = "id.example.test"
	issuer   = "https://id.example.test/persona"
	password = "correct horse"
	secret   = "a secret of grafana: 0123456789"
)

// ringStore holds the keys of the host, made once for all tests.
var ringStore = sync.OnceValue(func() *idptest.Store {
	store := idptest.NewStore(time.Now)
	ring := keys.New(keys.Config{Store: store, Now: time.Now, Rand: rand.Reader, Log: zerolog.Nop()})
	if err := ring.Ensure(context.Background(), keys.Want{Host: host, Use: keys.UseOpenID}, keys.Want{Host: host, Use: keys.UseAssertions}, keys.Want{Use: keys.UseSession}); err != nil {
		panic(err)
	}
	return store
})

// appRoots are the authorities of the servers that httptest makes.
var appRoots = sync.OnceValue(func() *x509.CertPool {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return pool
})

func grafana() oidc.Client {
	return oidc.Client{
		ID: "grafana", Name: "Grafana", Authority: host, TokenAuth: oidc.SecretBasic, Secret: strings.ReplaceAll(secret, " ", "+"),
		RedirectURIs: []string{"https://grafana.example.test/login/generic_oauth"},
		Scopes:       []string{"openid", "profile", "email", "groups"},
	}
}

// phone is a program on people's devices.
func phone() oidc.Client {
	return oidc.Client{
		ID: "phone", Name: "Phone", Authority: host, TokenAuth: oidc.NoSecret,
		RedirectURIs: []string{"http://127.0.0.1/callback", "com.example.phone:/callback"}, Scopes: []string{"openid"},
	}
}

// world is a server with everything around it.
type world struct {
	t         testing.TB
	clock     *idptest.Clock
	directory *idptest.Directory
	store     *idptest.Store
	ring      *keys.Ring
	server    *httptest.Server
	host      identity.Host
	log       *bytes.Buffer
	keyless   atomic.Bool // the keys are not ready
}

// newWorld makes a server with the apps.
func newWorld(t testing.TB, clients ...oidc.Client) *world {
	t.Helper()
	w := &world{
		t: t, clock: idptest.NewClock(time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)),
		directory: idptest.NewDirectory("corp", idptest.Account{
			Person: identity.Person{
				ID: "alice-id", Login: "alice", Name: "Alice <Example>", Groups: []string{"Buchhaltung, Köln", "staff", "team-red"},
				Addresses: idptest.Addresses("alice@example.test", "a.liddell@example.test"),
			},
			Password: password,
		}, idptest.Account{Person: identity.Person{ID: "bob-id", Login: "bob", Addresses: idptest.Addresses("bob@example.test")}, Password: password}),
	}
	w.store = idptest.NewStore(w.clock.Now)
	w.host = identity.Host{
		Name: host, Origin: "https://" + host, Role: identity.Provider, Directory: w.directory, DirectoryName: "corp",
		Domains: []string{"example.test"}, CertificateLifetime: time.Hour,
	}
	w.ring = keys.New(keys.Config{Store: ringStore(), Now: w.clock.Now, Rand: rand.Reader, Log: zerolog.Nop()})
	if err := w.ring.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.log = &bytes.Buffer{}
	files, err := web.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	respond := &route.Responder{
		Web: files, Log: zerolog.New(zerolog.SyncWriter(w.log)),
		ClientAddr: func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.7") }, RequestID: func(*http.Request) string { return "request-1" },
	}
	sealer := sealer{w.ring}
	sessions := session.New(session.Config{
		Sealer: sealer, SignOuts: session.NewSignOuts(w.store, w.clock.Now), Now: w.clock.Now, Rand: rand.Reader, Log: respond.Log,
	})
	t.Cleanup(sessions.Close)
	provider, err := oidc.New(oidc.Config{BackChannel: backchannel.NewClient(appRoots()), Clients: clients, Respond: respond, Sessions: sessions, Keys: w.ring, Sealer: sealer, Store: w.store, Counters: memory.New(memory.Config{Now: w.clock.Now}), Now: w.clock.Now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(provider.Close)
	counters := memory.New(memory.Config{Now: w.clock.Now})
	pages := signin.New(signin.Config{Respond: respond, Sessions: sessions, Waiting: provider.Waiting, Throttle: signin.NewThrottle(signin.ThrottleConfig{
		Failures: 4, Window: 10 * time.Minute, Log: respond.Log, Accounts: counters, Counters: counters,
	})})
	server, err := idp.New(idp.Config{
		Hosts: []identity.Host{w.host}, Respond: respond, HostName: func(*http.Request) string { return host },
		KeysReady: func(string) error {
			if w.keyless.Load() {
				return keys.ErrNotReady
			}
			return nil
		},
	}, pages, provider)
	if err != nil {
		t.Fatal(err)
	}
	w.server = httptest.NewTLSServer(server)
	t.Cleanup(w.server.Close)
	return w
}

// sealer joins the key ring to the sessions.
type sealer struct{ ring *keys.Ring }

func (s sealer) Seal(plaintext, associated []byte) ([]byte, error) {
	return s.ring.Seal(keys.UseSession, plaintext, associated)
}

func (s sealer) Open(sealed, associated []byte) ([]byte, error) {
	return s.ring.Open(keys.UseSession, sealed, associated)
}

// client is a browser, or a program with its own cookies, that follows no redirect.
type client struct {
	*world
	http.Client
}

func (w *world) client() *client {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &client{w, http.Client{
		Transport: w.server.Client().Transport, Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answer is a response that was read.
type answer struct {
	*http.Response
	body string
}

// send makes a request; a form is sent by POST. A target without a host is on ours.
func (c *client) send(method, target string, form url.Values, headers ...string) answer {
	c.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.server.URL+strings.TrimPrefix(target, "https://"+host), body)
	if err != nil {
		c.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := c.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer{response, string(text)}
}

func (c *client) get(target string, headers ...string) answer {
	c.t.Helper()
	return c.send(http.MethodGet, target, nil, headers...)
}

// object is the answer's JSON.
func (a answer) object(t testing.TB) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(a.body), &object); err != nil {
		t.Fatalf("status %d, %v: %s", a.StatusCode, err, a.body)
	}
	return object
}

const verifier = "a verifier of forty-three characters or more"

// params are those of a good request of grafana, changed by pairs of a name and a value; "" takes one away.
func params(changes ...string) url.Values {
	sum := sha256.Sum256([]byte(verifier))
	values := url.Values{
		"client_id": {"grafana"}, "redirect_uri": {"https://grafana.example.test/login/generic_oauth"}, "response_type": {"code"},
		"scope": {"openid profile email groups"}, "state": {"a state & more"}, "nonce": {"a nonce"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == "" {
			values.Del(changes[i])
		} else {
			values.Set(changes[i], changes[i+1])
		}
	}
	return values
}

// authorize goes to the authorization endpoint.
func (c *client) authorize(values url.Values, headers ...string) answer {
	c.t.Helper()
	return c.get(oidc.PathAuthorize+"?"+values.Encode(), headers...)
}

// signIn signs a person in without an app.
func (c *client) signIn(login string) {
	c.t.Helper()
	if got := c.send(http.MethodPost, signin.PathAuthenticate, url.Values{"username": {login}, "password": {password}, "computer": {"private"}}); got.StatusCode != http.StatusSeeOther {
		c.t.Fatalf("signing in: %d %s", got.StatusCode, got.body)
	}
}

// back returns the parameters with which the browser is sent back to grafana.
func (a answer) back(t testing.TB) url.Values {
	t.Helper()
	uri, query, _ := strings.Cut(a.Header.Get("Location"), "?")
	values, err := url.ParseQuery(query)
	if a.StatusCode != http.StatusSeeOther || uri != "https://grafana.example.test/login/generic_oauth" || err != nil {
		t.Fatalf("status %d, to %s: %s", a.StatusCode, a.Header.Get("Location"), a.body)
	}
	return values
}

// code signs alice in where need be, and returns a code for her.
func (c *client) code(changes ...string) string {
	c.t.Helper()
	values := c.authorize(params(changes...)).back(c.t)
	if values.Get("code") == "" {
		c.t.Fatalf("no code: %v", values)
	}
	return values.Get("code")
}

// exchange sends a code of grafana to the token endpoint, with changes as those of params.
func (c *client) exchange(code string, changes ...string) answer {
	c.t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": params()["redirect_uri"], "code_verifier": {verifier}}
	for i := 0; i < len(changes); i += 2 {
		form.Set(changes[i], changes[i+1])
	}
	return c.send(http.MethodPost, oidc.PathToken, form, "Authorization", basic("grafana", grafana().Secret))
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

// userinfo asks with an access token.
func (c *client) userinfo(token any, headers ...string) answer {
	c.t.Helper()
	text, _ := token.(string)
	return c.get(oidc.PathUserinfo, append(headers, "Authorization", "Bearer "+text)...)
}

// wantError expects an error of RFC 6749, section 5.2.
func (a answer) wantError(t testing.TB, what string, status int, code string) {
	t.Helper()
	if got := a.object(t); a.StatusCode != status || got["error"] != code || got["error_description"] == "" || len(got) != 2 || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %d %s", what, a.StatusCode, a.body)
	}
}
