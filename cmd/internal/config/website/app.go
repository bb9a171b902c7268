package website

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"persona-sidecar/cmd/internal/config/kind"
	"persona-sidecar/cmd/internal/config/strict"
)

// App is an application that signs people in by OpenID Connect.
type App struct {
	// Required. What the app calls itself at persona: its client id.
	ID string `yaml:"id" as:"appID" example:"grafana"`
	// Which app it is, where persona knows it: then the keys below that are left out follow from the
	// kind of app and from url.
	Preset string `yaml:"preset" as:"word argocd dokuwiki forgejo gitea gitlab grafana jenkins mediawiki miniflux mod_auth_openidc nextcloud node-red oauth2-proxy paperless-ngx proxmox redmine synapse wordpress" example:"grafana"`
	// How people know it; the sign-in page shows it. Required without preset.
	Name string `yaml:"name" as:"appName" example:"Grafana"`
	// Required. Where people open it.
	URL string `yaml:"url" as:"appURL" example:"https://grafana.example.com"`
	// The secret by which the app proves itself: 16 to 256 characters of ASCII without blanks, best
	// letters and digits alone. Required, except with token_auth none.
	Secret strict.Secret `yaml:"secret" example:"grafana.secret"`
	// The identity host of this file whose people may use the app. Required where there are several.
	Authority string `yaml:"authority" as:"host" example:"id.example.com"`
	// Who may use the app: members of one of these groups, by name (cn). Without the key
	// everyone may who can sign in.
	Groups []string `yaml:"groups" as:"groupName" example:"[staff]"`
	// The addresses that people are sent back to, exactly as the app sends them. Required without preset.
	RedirectURIs []string `yaml:"redirect_uris" as:"redirectURI" example:"[https://tool.example.com/callback]"`
	// The addresses that people may be sent to after they have signed out.
	PostLogoutRedirectURIs []string `yaml:"post_logout_redirect_uris" as:"redirectURI" example:"[https://tool.example.com/]"`
	// Where the app takes logout tokens, by which it is told that a session has ended; "" for nowhere. The address may
	// be on the company's own network; lookups.ca_file is trusted there, too.
	BackchannelLogoutURI string `yaml:"backchannel_logout_uri" as:"logoutURI" example:"https://tool.example.com/logout"`
	// How the app proves itself: client_secret_basic, client_secret_post, or none for a public client, which
	// is a program on people's devices or a page. Without preset and key, client_secret_basic.
	TokenAuth string `yaml:"token_auth" as:"word client_secret_basic client_secret_post none" example:"client_secret_basic"`
	// Whether the app has to use PKCE (RFC 7636), with S256. optional is for apps that cannot.
	// Without preset and key, required.
	PKCE string `yaml:"pkce" as:"word required optional" example:"required"`
	// What the app may ask for, openid included. Without preset and key all of them.
	Scopes []string `yaml:"scopes" as:"word openid profile email groups offline_access" example:"[openid, profile, email, groups, offline_access]"`
	// Other names for claims.
	Claims Claims `yaml:"claims"`
	// Whether the ID token holds the claims about the person too, for apps that do not ask userinfo.
	// A preset may say true where the key is left out.
	IDTokenClaims bool `yaml:"id_token_claims" default:"false"`
	// The groups that the app is told of, by name; a * at the end stands for any rest. Without the key
	// all groups of a person.
	SendGroups []string `yaml:"send_groups" as:"groupPattern" example:"[staff, \"grafana-*\"]"`
	// How long an access token counts.
	AccessTokenLifetime time.Duration `yaml:"access_token_lifetime" default:"10m" min:"1m" max:"1h"`
	// How long refresh tokens of one sign-in count, never beyond the session unless offline is true.
	RefreshLifetime time.Duration `yaml:"refresh_lifetime" default:"8h" min:"1m" max:"720h"`
	// Lets refresh tokens outlive the session, for apps that work while the person is away. They end when the
	// person signs out everywhere, has a new password, or is no longer one whom the directory lets in.
	Offline bool `yaml:"offline" default:"false"`
	// Allows the app at an identity host that shares its origin with a website, whose scripts
	// could then sign in to the app as the person who is signed in.
	AllowSharedOrigin bool `yaml:"allow_shared_origin" default:"false"`

	// OwnIDTokenClaims and OwnLogoutURI report that id_token_claims and backchannel_logout_uri are given, and so count
	// more than the preset.
	OwnIDTokenClaims, OwnLogoutURI bool

	_ strict.Later `yaml:"icon"`
	_ strict.Later `yaml:"description"`
	_ strict.Later `yaml:"launch_only"`
}

// AsksFor reports whether the app may ask for a scope. Where none are given, any can be its preset's.
func (a *App) AsksFor(scope string) bool {
	return len(a.Scopes) == 0 || slices.Contains(a.Scopes, scope)
}

// Claims are the names of the claims about a person; "" is their own.
type Claims struct {
	// The name of the claim name.
	Name string `yaml:"name" as:"claimName" example:"display_name"`
	// The name of the claim preferred_username, the name of the account.
	PreferredUsername string `yaml:"preferred_username" as:"claimName" example:"login"`
	// The name of the claim email.
	Email string `yaml:"email" as:"claimName" example:"mail"`
	// The name of the claim email_verified.
	EmailVerified string `yaml:"email_verified" as:"claimName" example:"mail_verified"`
	// The name of the claim groups.
	Groups string `yaml:"groups" as:"claimName" example:"roles"`
}

// Renamed are the claims that have another name, by their own.
func (c Claims) Renamed() map[string]string {
	renamed := map[string]string{}
	for _, claim := range c.list() {
		if claim.name != "" {
			renamed[claim.own] = claim.name
		}
	}
	return renamed
}

type claim struct{ own, name string }

func (c Claims) list() []claim {
	return []claim{
		{"name", c.Name}, {"preferred_username", c.PreferredUsername}, {"email", c.Email}, {"email_verified", c.EmailVerified}, {"groups", c.Groups},
	}
}

// The words that other keys depend on.
const (
	publicClient = "none"
	pkceOptional = "optional"
)

// The bounds of a secret, in characters.
const (
	minSecret = 16
	maxSecret = 256
)

// Check returns what is wrong with the keys of an app together. given reports whether a key below has
// a value; empty, whether it is a list without items.
func (a *App) Check(given, empty func(key string) bool) []Finding {
	var found []Finding
	add := func(is bool, key, problem, cure string) {
		if is {
			found = append(found, fault(key, problem, cure))
		}
	}
	a.OwnIDTokenClaims, a.OwnLogoutURI = given("id_token_claims"), given("backchannel_logout_uri")
	if empty("post_logout_redirect_uris") { // none, and not the preset's
		a.PostLogoutRedirectURIs = []string{}
	}
	byHand := !given("preset")
	add(!given("id"), "id", "is missing", "write the client id of the app, as in grafana")
	add(!given("url"), "url", "is missing", "write where people open the app, as in https://grafana.example.com")
	add(!given("name") && byHand, "name", "is missing", "write how people know the app, or name a preset")
	add(!given("redirect_uris") && byHand, "redirect_uris", "is missing", "list the addresses that the app is called back at, or name a preset")
	add(empty("redirect_uris"), "redirect_uris", "is an empty list", "list the addresses that the app is called back at")
	add(empty("groups"), "groups", "is an empty list", "name a group, as in [staff], or remove the key to let in everyone who can sign in")
	add(empty("send_groups"), "send_groups", "is an empty list", "remove it to send all groups, or leave groups out of scopes to send none")
	add(given("scopes") && !slices.Contains(a.Scopes, "openid"), "scopes", "does not list openid", "add it: without it there is no sign-in")
	add(a.Offline && given("scopes") && !slices.Contains(a.Scopes, "offline_access"), "offline", "is for refresh tokens, which the app cannot get without the scope offline_access", "add it to scopes, or remove one of them")
	secret := "secret_file"
	if given("secret") {
		secret = "secret"
	}
	if public := a.TokenAuth == publicClient; public {
		add(given(secret), secret, "is for an app that proves itself, which token_auth none says that this one does not", "remove one of them")
		add(a.PKCE == pkceOptional, "pkce", "cannot be optional with token_auth none", "remove it: without a secret PKCE is all that protects a code")
	} else {
		add(!given(secret), secret, "is missing", "write 16 or more random letters and digits into a file, and the same into the app; or token_auth: none for a public client")
		text := a.Secret.Reveal()
		unfit := strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c >= 0x7f })
		add(text != "" && (unfit || len(text) < minSecret || len(text) > maxSecret), secret,
			fmt.Sprintf("is not %d to %d printable characters of ASCII without blanks", minSecret, maxSecret), "make a new one of letters and digits")
		for _, list := range []struct {
			key  string
			uris []string
		}{{"redirect_uris", a.RedirectURIs}, {"post_logout_redirect_uris", a.PostLogoutRedirectURIs}} {
			for _, uri := range list.uris {
				add(kind.PrivateUse(uri), list.key, kind.Quote(uri)+" has a scheme of its own, which is for programs on people's devices", "write https://, or token_auth: none")
			}
		}
	}
	names := map[string]string{} // claim by name
	for _, c := range a.Claims.list() {
		if c.name == "" {
			names[c.own] = c.own
		}
	}
	for _, c := range a.Claims.list() {
		if c.name == "" {
			continue
		}
		other, taken := names[c.name]
		add(taken, "claims."+c.own, fmt.Sprintf("%s is the name of %s too", kind.Quote(c.name), other), "give each claim its own name")
		names[c.name] = c.own
	}
	return found
}
