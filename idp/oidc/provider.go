package oidc

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/oidc/backchannel"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"
	"persona-sidecar/idp/web"
)

// The paths, below the issuer.
const (
	PathDiscovery = "/persona/.well-known/openid-configuration"
	PathKeys      = "/persona/jwks.json"
	PathAuthorize = "/persona/oauth/authorize"
	PathToken     = "/persona/oauth/token"
	PathUserinfo  = "/persona/oauth/userinfo"
	PathRevoke    = "/persona/oauth/revoke"
	PathLogout    = "/persona/oauth/logout"
	pathSignOut   = "/persona/oauth/sign-out" // from the page that asks
	pathContinue  = "/persona/oauth/continue" // from the sign-in page
)

// Keys hands out the keys of the use keys.UseOpenID. Errors wrap keys.ErrNotReady.
type Keys interface {
	Signer(host string, use keys.Use) (kid string, s crypto.Signer, err error)
	Published(host string, use keys.Use) ([]keys.Public, error)
}

// Store keeps values that expire. Add reports false where there is a value already: of several
// Adds, in all processes, one succeeds. Get of a value that is not there is fs.ErrNotExist.
type Store interface {
	backchannel.Store
	Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error)
	Get(ctx context.Context, key string) ([]byte, error)
}

// Config is what a Provider needs. All fields but SignedOut and BackChannel are required.
type Config struct {
	Clients  []Client
	Respond  *route.Responder
	Sessions *session.Manager
	Keys     Keys
	Sealer   session.Sealer // of the flows, and of what is behind a code
	Store    Store
	Counters Counters // of wrong secrets
	Now      func() time.Time
	Rand     io.Reader
	// SignedOut adds what a sign-out at a host means to the website there; nil: nothing.
	SignedOut func(w http.ResponseWriter, h *identity.Host)
	// BackChannel sends logout tokens: see [backchannel.NewClient]. It is nil where no app takes them.
	BackChannel *http.Client
}

// Provider is the OpenID provider of all identity hosts that have apps. It is safe for
// concurrent use.
type Provider struct {
	Config
	hosts map[string]map[string]*Client // by identity host, by id
	ends  *backchannel.Notifier         // nil without BackChannel
}

// New checks the clients. The error lists every fault. Close the Provider.
func New(c Config) (*Provider, error) {
	p := &Provider{Config: c, hosts: map[string]map[string]*Client{}}
	var faults []error
	for i := range c.Clients {
		client := &c.Clients[i]
		if err := client.validate(); err != nil {
			faults = append(faults, err)
		}
		if client.BackchannelLogoutURI != "" && c.BackChannel == nil {
			faults = append(faults, fmt.Errorf("the app %.80q: nothing sends it logout tokens", client.ID))
		}
		if client.AccessTokenLifetime == 0 {
			client.AccessTokenLifetime = defaultAccessTokenLifetime
		}
		if client.RefreshLifetime == 0 {
			client.RefreshLifetime = defaultRefreshLifetime
		}
		if p.hosts[client.Authority] == nil {
			p.hosts[client.Authority] = map[string]*Client{}
		}
		if p.hosts[client.Authority][client.ID] != nil {
			faults = append(faults, fmt.Errorf("the app %.80q is listed twice for %s", client.ID, client.Authority))
		}
		p.hosts[client.Authority][client.ID] = client
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("configuring OpenID Connect: %w", err)
	}
	if c.BackChannel != nil {
		p.ends = backchannel.New(backchannel.Config{
			Store: c.Store, Client: c.BackChannel, Now: c.Now, Rand: c.Rand, Log: c.Respond.Log,
			Sign: func(host string, claims map[string]any) (string, error) {
				return p.sign(host, backchannel.TokenType, claims)
			},
			Address: func(host, app string) string {
				if client := p.hosts[host][app]; client != nil {
					return client.BackchannelLogoutURI
				}
				return ""
			},
		})
		c.Sessions.OnEnd(p.ends.Ended)
	}
	return p, nil
}

// Close ends what goes on beside requests, and waits for it.
func (p *Provider) Close() {
	if p.ends != nil {
		p.ends.Close()
	}
}

// issuer returns the iss of a host, which apps compare byte for byte.
func issuer(h *identity.Host) string { return h.Origin + "/persona" }

// Routes returns the routes of an identity host that has apps.
func (p *Provider) Routes(h *identity.Host) ([]route.Route, error) {
	clients := p.hosts[h.Name]
	if len(clients) == 0 {
		return nil, nil
	}
	if h.Role != identity.Provider {
		return nil, fmt.Errorf("%s has apps, but people do not sign in there", h.Name)
	}
	for _, client := range clients {
		if h.Website && !client.AllowSharedOrigin {
			return nil, fmt.Errorf("the app %s: scripts of the website on %s could read its codes; give people an identity host of its own, or allow the shared origin", client.ID, h.Name)
		}
	}
	discovery, err := json.Marshal(p.metadata(h))
	if err != nil {
		return nil, fmt.Errorf("describing OpenID Connect at %s: %w", h.Name, err)
	}
	on := func(handle func(http.ResponseWriter, *http.Request, *identity.Host) error) route.Handler {
		return func(w http.ResponseWriter, r *http.Request) error { return handle(w, r, h) }
	}
	authorize, logout := on(p.authorize), on(p.askSignOut)
	targets := formTargets(clients)
	sources := func() []string { return targets }
	return []route.Route{
		{Path: PathAuthorize, Class: route.Authorization, Sources: sources, Methods: map[string]route.Handler{http.MethodGet: authorize, http.MethodPost: authorize}},
		{Path: pathContinue, Class: route.Authorization, Sources: sources, Methods: route.Get(on(p.proceed))},
		{Path: PathToken, Class: route.OAuth, Methods: map[string]route.Handler{http.MethodPost: on(p.token), http.MethodOptions: on(p.preflight)}},
		{Path: PathLogout, Class: route.Authorization, Sources: sources, Methods: map[string]route.Handler{http.MethodGet: logout, http.MethodPost: logout}},
		{Path: pathSignOut, Class: route.Page, Methods: route.Post(on(p.confirmSignOut))},
		{Path: PathRevoke, Class: route.OAuth, Methods: map[string]route.Handler{http.MethodPost: on(p.revoke), http.MethodOptions: on(p.preflight)}},
		{Path: PathUserinfo, Class: route.OAuth, Methods: map[string]route.Handler{
			http.MethodGet: on(p.userinfo), http.MethodPost: on(p.userinfo), http.MethodOptions: on(p.preflight),
		}},
		{Path: PathDiscovery, Class: route.Metadata, Keyless: true, Methods: route.Get(route.Asset(
			web.Asset{ContentType: "application/json", Body: discovery, ETag: web.ETag(discovery)}))},
		{Path: PathKeys, Class: route.Metadata, Methods: route.Get(func(w http.ResponseWriter, r *http.Request) error {
			published, err := p.Keys.Published(h.Name, keys.UseOpenID)
			if err != nil {
				return err
			}
			body, err := keys.JWKS(published)
			if err != nil {
				return err
			}
			return route.Asset(web.Asset{ContentType: "application/json", Body: body, ETag: web.ETag(body)})(w, r)
		})},
	}, nil
}

// metadata is the discovery document (OpenID Connect Discovery 1.0, section 3, and RFC 8414).
// What is false there would be taken for true where it is left out.
func (p *Provider) metadata(h *identity.Host) map[string]any {
	at := func(path string) string { return h.Origin + path }
	return map[string]any{
		"issuer":                 issuer(h),
		"authorization_endpoint": at(PathAuthorize),
		"token_endpoint":         at(PathToken),
		"userinfo_endpoint":      at(PathUserinfo),
		"revocation_endpoint":    at(PathRevoke),
		"revocation_endpoint_auth_methods_supported":     []TokenAuth{SecretBasic, SecretPost, NoSecret},
		"end_session_endpoint":                           at(PathLogout),
		"jwks_uri":                                       at(PathKeys),
		"scopes_supported":                               Scopes(),
		"claims_supported":                               slices.Concat(tokenClaims(), personClaims()),
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query", "form_post"},
		"grant_types_supported":                          []string{"authorization_code", "refresh_token"},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{"RS256"},
		"token_endpoint_auth_methods_supported":          []TokenAuth{SecretBasic, SecretPost, NoSecret},
		"code_challenge_methods_supported":               []string{"S256"},
		"prompt_values_supported":                        []string{"none", "login", "select_account", "consent"},
		"claims_parameter_supported":                     false,
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false,
		"authorization_response_iss_parameter_supported": true,
		"backchannel_logout_supported":                   p.ends != nil,
		"backchannel_logout_session_supported":           p.ends != nil,
	}
}
