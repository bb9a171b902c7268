package oidc_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/idptest"
	"persona-sidecar/idp/oidc"
	"persona-sidecar/idp/route"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// listener is an app that takes logout tokens, by the rules of OpenID Connect Back-Channel Logout 1.0, section 2.6.
type listener struct {
	*httptest.Server
	world *world
	sids  chan string // the sessions that ended
	seen  map[string]bool
}

func newListener(t *testing.T) *listener {
	l := &listener{sids: make(chan string, 10), seen: map[string]bool{}}
	l.Server = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		sid, err := l.verify(r)
		if err != nil {
			t.Errorf("logout token: %v", err)
			rw.WriteHeader(http.StatusBadRequest)
		}
		l.sids <- sid
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *listener) verify(r *http.Request) (sid string, err error) {
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost || r.URL.RequestURI() != "/oidc?logout=backchannel" || len(r.PostForm) != 1 || len(r.PostForm["logout_token"]) != 1 {
		return "", fmt.Errorf("%s %s: %v, %w", r.Method, r.URL, r.PostForm, err)
	}
	token, err := jwt.ParseSigned(r.PostForm.Get("logout_token"), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return "", err
	}
	set := jose.JSONWebKeySet{}
	if err := json.Unmarshal([]byte(l.world.client().get(oidc.PathKeys).body), &set); err != nil {
		return "", err
	}
	found := set.Key(token.Headers[0].KeyID)
	if len(found) != 1 || token.Headers[0].ExtraHeaders["typ"] != "logout+jwt" {
		return "", fmt.Errorf("the header is %v", token.Headers)
	}
	standard, claims := jwt.Claims{}, map[string]any{}
	if err := token.Claims(found[0], &standard, &claims); err != nil {
		return "", err
	}
	now := l.world.clock.Now()
	if err := standard.ValidateWithLeeway(jwt.Expected{Issuer: issuer, AnyAudience: jwt.Audience{"grafana"}, Time: now}, 0); err != nil {
		return "", err
	}
	events, _ := claims["events"].(map[string]any)
	event, _ := events["http://schemas.openid.net/event/backchannel-logout"].(map[string]any)
	sid, _ = claims["sid"].(string)
	switch _, nonce := claims["nonce"]; {
	case len(standard.Audience) != 1, standard.Expiry == nil, standard.Expiry.Time().Sub(now) > 2*time.Minute, standard.IssuedAt == nil, event == nil, len(event) != 0, sid == "", standard.Subject != "corp:alice-id", nonce, standard.ID == "", l.seen[standard.ID]:
		return "", fmt.Errorf("the claims are %v", claims)
	}
	l.seen[standard.ID] = true
	return sid, nil
}

// ended returns the sessions of which the app was told.
func (l *listener) ended(t *testing.T, n int) (sids []string) {
	t.Helper()
	for range n {
		select {
		case sid := <-l.sids:
			sids = append(sids, sid)
		case <-time.After(idptest.Patience):
			t.Fatalf("told of %v, and not of %d sessions: %s", sids, n, l.world.log)
		}
	}
	slices.Sort(sids)
	return sids
}

// TestBackchannelLogout: an app is told of each session of its people that ends before its time, once.
func TestBackchannelLogout(t *testing.T) {
	t.Parallel()
	logout := func(fields url.Values) func(*world, *client, map[string]any) {
		return func(_ *world, c *client, _ map[string]any) { c.send(http.MethodPost, route.PathLogout, fields) }
	}
	account := func(change func(*idptest.Account)) func(*world, *client, map[string]any) {
		return func(w *world, c *client, tokens map[string]any) {
			w.directory.Change("alice-id", change)
			c.userinfo(tokens["access_token"])
		}
	}
	for name, test := range map[string]struct {
		end  func(*world, *client, map[string]any)
		both bool // sessions
	}{
		"signed out":            {logout(url.Values{}), false},
		"signed out everywhere": {logout(url.Values{"everywhere": {"1"}}), true},
		"signed in again":       {func(_ *world, c *client, _ map[string]any) { c.signIn("alice") }, false},
		"by the app": {func(_ *world, c *client, tokens map[string]any) {
			hint, _ := tokens["id_token"].(string)
			c.get(oidc.PathLogout + "?" + url.Values{"id_token_hint": {hint}}.Encode())
		}, false},
		"locked":                     {account(func(a *idptest.Account) { a.Status = identity.Locked }), false},
		"password changed elsewhere": {account(func(a *idptest.Account) { a.PasswordChanged = a.PasswordChanged.Add(time.Hour) }), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app, other := offline(), grafana()
			app.Groups, other.ID = nil, "other" // which takes no logout tokens
			l := newListener(t)
			app.BackchannelLogoutURI = l.URL + "/oidc?logout=backchannel"
			w := newWorld(t, app, other)
			l.world = w
			c, elsewhere := w.client(), w.client()
			tokens, more := c.begun(), elsewhere.begun()
			c.code()
			if got := c.authorize(params("client_id", "other")); got.StatusCode != http.StatusSeeOther {
				t.Fatalf("at the other app: %d %s", got.StatusCode, got.body)
			}
			sid, second := w.claims(tokens["id_token"])["sid"].(string), w.claims(more["id_token"])["sid"].(string)
			test.end(w, c, tokens)
			want := []string{sid}
			if test.both {
				want = append(want, second)
				slices.Sort(want)
			}
			if got := l.ended(t, len(want)); !slices.Equal(got, want) {
				t.Errorf("told of %v, not %v", got, want)
			}
			c.refresh(tokens["refresh_token"]).wantError(t, "afterwards", 400, "invalid_grant")
			// One that goes on is told of when it ends, and nothing comes before it.
			if test.both {
				elsewhere = w.client()
				second, _ = w.claims(elsewhere.begun()["id_token"])["sid"].(string)
			}
			elsewhere.send(http.MethodPost, route.PathLogout, url.Values{})
			if got := l.ended(t, 1); got[0] != second {
				t.Errorf("then told of %v, not %s", got, second)
			}
			if strings.Contains(w.log.String(), "app_not_told") {
				t.Error(w.log)
			}
		})
	}
}

// TestBackchannelConfiguration: what is refused, and what cannot be kept.
func TestBackchannelConfiguration(t *testing.T) {
	t.Parallel()
	for _, uri := range []string{"http://grafana.example.test/", "/logout", "https://grafana.example.test/#x", "https://a:b@grafana.example.test/", "https://", "https://*.example.test/", "file:///etc/passwd", "https://grafana.example.test/\r\n"} {
		app := grafana()
		app.BackchannelLogoutURI = uri
		if _, err := oidc.New(oidc.Config{Clients: []oidc.Client{app}, BackChannel: http.DefaultClient}); err == nil || !strings.Contains(err.Error(), "back-channel logout URI") {
			t.Errorf("%q: %v", uri, err)
		}
	}
	app := grafana()
	app.BackchannelLogoutURI = "https://grafana.example.test/logout"
	if _, err := oidc.New(oidc.Config{Clients: []oidc.Client{app}}); err == nil || !strings.Contains(err.Error(), "logout tokens") {
		t.Errorf("without a client: %v", err)
	}
	w := newWorld(t, app)
	if got := w.client().get(oidc.PathDiscovery).object(t); got["backchannel_logout_supported"] != true || got["backchannel_logout_session_supported"] != true {
		t.Errorf("%v", got)
	}
	c := w.client()
	c.signIn("alice")
	w.store.Fail = failing("set", errors.New("away"))
	if got := c.authorize(params()); got.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("an app that could not be told: %d %s", got.StatusCode, got.body)
	}
	w.store.Fail = nil
	c.code()
}
