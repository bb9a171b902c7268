package oidc

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"persona-sidecar/idp/session"
)

// TokenAuth is how a client proves at the token endpoint who it is (OpenID Connect Core 1.0,
// section 9).
type TokenAuth string

// The values of TokenAuth.
const (
	SecretBasic TokenAuth = "client_secret_basic"
	SecretPost  TokenAuth = "client_secret_post"
	NoSecret    TokenAuth = "none" // a public client: a program on people's computers, or a page
)

// The scopes. Others are ignored.
const (
	scopeOpenID  = "openid"
	scopeProfile = "profile"
	scopeEmail   = "email"
	scopeGroups  = "groups"
	scopeOffline = "offline_access" // gives a refresh token
)

// The bounds of lifetimes.
const (
	defaultRefreshLifetime     = 8 * time.Hour
	defaultAccessTokenLifetime = 10 * time.Minute
	minAccessTokenLifetime     = time.Minute
	maxAccessTokenLifetime     = time.Hour
)

const (
	maxClientID    = 64
	maxClientName  = 80
	minSecret      = 16 // characters
	maxSecret      = 256
	maxRedirectURI = 1024
)

// Client is an app that signs people in here.
type Client struct {
	ID   string // letters, digits, '.', '_', '-'
	Name string // as people know it
	// Authority is the canonical name of the identity host whose people it signs in.
	Authority    string
	TokenAuth    TokenAuth
	Secret       string   // "" for NoSecret
	RedirectURIs []string // compared character by character; a public client's on loopback may have any port (RFC 8252, section 7.3)
	// PostLogoutRedirectURIs are where people may go back to once they have signed out.
	PostLogoutRedirectURIs []string
	// BackchannelLogoutURI is where the app takes logout tokens; "": it takes none.
	BackchannelLogoutURI string
	// PKCEOptional lets a client begin without a challenge. One that sends it has to know the
	// verifier all the same.
	PKCEOptional bool
	Scopes       []string // that it may ask for; openid is among them
	// Claims gives claims other names, by their own.
	Claims map[string]string
	// IDTokenClaims puts the claims that userinfo tells into the ID token, too.
	IDTokenClaims bool
	// Groups are those whose people may use the app, in either case, as directories compare names; none: everyone may.
	Groups []string
	// SendGroups are the groups that the app is told of: names or patterns with a final "*"; nil: all.
	SendGroups []string
	// Ask is whom a person asks who may not use the app, such as "it@example.com"; "": their administrator.
	Ask                 string
	AccessTokenLifetime time.Duration // 0: 10 minutes
	RefreshLifetime     time.Duration // from the code to the end of the last refresh token, never beyond the session but for Offline; 0: 8 hours
	// Offline lets refresh tokens outlive the session, while the directory agrees.
	Offline bool
	// AllowSharedOrigin permits an identity host that has a website, too, whose scripts could
	// then read the app's codes.
	AllowSharedOrigin bool
}

// validate reports every fault of c at once.
func (c *Client) validate() error {
	var faults []error
	fault := func(is bool, format string, args ...any) {
		if is {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(c.ID == "" || len(c.ID) > maxClientID || !consistsOf(c.ID, func(b byte) bool {
		return 'a' <= b|0x20 && b|0x20 <= 'z' || '0' <= b && b <= '9' || strings.IndexByte("._-", b) >= 0
	}), "the id is not 1 to %d letters, digits, '.', '_' and '-'", maxClientID)
	fault(c.Name == "" || len(c.Name) > maxClientName || strings.ContainsFunc(c.Name, func(r rune) bool { return r < ' ' || r == 0x7f }),
		"the name is not 1 to %d bytes of text", maxClientName)
	fault(c.Authority == "", "the identity host is missing")
	switch c.TokenAuth {
	case SecretBasic, SecretPost:
		fault(len(c.Secret) < minSecret || len(c.Secret) > maxSecret || !consistsOf(c.Secret, func(b byte) bool { return ' ' < b && b < 0x7f }),
			"the secret is not %d to %d printable ASCII characters without spaces", minSecret, maxSecret)
	case NoSecret:
		fault(c.Secret != "", "a client that does not authenticate has a secret")
		fault(c.PKCEOptional, "a client that does not authenticate needs PKCE")
	default:
		fault(true, "the authentication %q is unknown", c.TokenAuth)
	}
	fault(len(c.RedirectURIs) == 0, "no redirect URI is listed")
	for _, uri := range c.RedirectURIs {
		if err := checkRedirectURI(uri, c.TokenAuth == NoSecret); err != nil {
			faults = append(faults, fmt.Errorf("redirect URI %q: %w", uri, err))
		}
	}
	for _, uri := range c.PostLogoutRedirectURIs {
		if err := checkRedirectURI(uri, c.TokenAuth == NoSecret); err != nil {
			faults = append(faults, fmt.Errorf("post-logout redirect URI %q: %w", uri, err))
		}
	}
	if c.BackchannelLogoutURI != "" {
		if err := checkRedirectURI(c.BackchannelLogoutURI, false); err != nil {
			faults = append(faults, fmt.Errorf("back-channel logout URI %q: %w", c.BackchannelLogoutURI, err))
		}
	}
	fault(!slices.Contains(c.Scopes, scopeOpenID), "the scope openid is missing")
	for _, scope := range c.Scopes {
		fault(!slices.Contains(Scopes(), scope), "the scope %q is unknown", scope)
	}
	for claim, name := range c.Claims {
		fault(!slices.Contains(personClaims(), claim), "the claim %q is unknown", claim)
		fault(name == "" || slices.Contains(tokenClaims(), name), "the claim %s cannot be named %q", claim, name)
		fault(name != claim && slices.Contains(personClaims(), name) && c.Claims[name] == "", "the claim %s is named like another one, %q", claim, name)
	}
	fault(c.AccessTokenLifetime != 0 && (c.AccessTokenLifetime < minAccessTokenLifetime || c.AccessTokenLifetime > maxAccessTokenLifetime),
		"the access token's lifetime is not between %s and %s", minAccessTokenLifetime, maxAccessTokenLifetime)
	fault(c.RefreshLifetime < 0 || c.RefreshLifetime > session.MaxLifetime, "the refresh token's lifetime is not between 0 and %s", session.MaxLifetime)
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("the app %.80q: %w", c.ID, err)
	}
	return nil
}

// consistsOf reports whether each byte of a text is one of those meant.
func consistsOf(text string, meant func(b byte) bool) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r > 0x7f || !meant(byte(r)) })
}

// checkRedirectURI refuses what two programs could read in two ways, and what would carry a
// code over the network in clear text.
func checkRedirectURI(uri string, public bool) error {
	if len(uri) > maxRedirectURI || !consistsOf(uri, func(b byte) bool { return ' ' < b && b < 0x7f && strings.IndexByte("\\\"<>^`{|}", b) < 0 }) {
		return fmt.Errorf("it has more than %d characters, or some that belong escaped", maxRedirectURI)
	}
	u, err := url.Parse(uri)
	if err != nil {
		return errors.New("it is not a URL")
	}
	if scheme, _, _ := strings.Cut(uri, ":"); scheme != u.Scheme || u.Host != strings.ToLower(u.Host) {
		return errors.New("its scheme and host have to be in lower case")
	}
	_, loopback := withoutLoopbackPort(uri)
	switch {
	case strings.Contains(uri, "#"):
		return errors.New("it has a fragment")
	case strings.Contains(uri, "*"):
		return errors.New("there are no wildcards: list each URI")
	case u.User != nil:
		return errors.New("it has a user name")
	case public && strings.Contains(u.Scheme, "."): // a private-use scheme (RFC 8252, section 7.1)
		return nil
	case u.Scheme != "https" && !loopback:
		return errors.New("it does not begin with https://, nor with http:// and a loopback address")
	case u.Hostname() == "":
		return errors.New("it names no host")
	case u.Path != "" && path.Clean(u.Path) != strings.TrimSuffix(u.Path, "/") && u.Path != "/":
		return errors.New("its path has dot segments or double slashes")
	}
	return nil
}

// redirectsTo reports whether answers for the client may go to a URI. No character of it is
// interpreted but the port on loopback, which a program on a person's computer cannot choose.
func (c *Client) redirectsTo(uri string) bool {
	if slices.Contains(c.RedirectURIs, uri) {
		return true
	}
	asked, ok := withoutLoopbackPort(uri)
	return ok && c.TokenAuth == NoSecret && slices.ContainsFunc(c.RedirectURIs, func(listed string) bool {
		listed, ok := withoutLoopbackPort(listed)
		return ok && listed == asked
	})
}

// withoutLoopbackPort returns a URI of a loopback address without its port; false for any other.
func withoutLoopbackPort(uri string) (string, bool) {
	for _, host := range []string{"http://127.0.0.1", "http://[::1]", "http://localhost"} {
		rest, ok := strings.CutPrefix(uri, host)
		if !ok {
			continue
		}
		if port, ported := strings.CutPrefix(rest, ":"); ported {
			rest = strings.TrimLeft(port, "0123456789")
			if digits := len(port) - len(rest); digits == 0 || digits > 5 {
				return "", false
			}
		}
		return host + rest, rest == "" || rest[0] == '/' || rest[0] == '?'
	}
	return "", false
}

// formTargets returns what a form-action names for the answers of all clients by POST. It holds for
// what the app redirects to as well, so that all of https is listed.
func formTargets(clients map[string]*Client) []string {
	targets := []string{"https:"}
	for _, c := range clients {
		for _, uri := range c.RedirectURIs {
			target, _, _ := strings.Cut(uri, ":")
			target += ":"
			if _, loopback := withoutLoopbackPort(uri); loopback {
				u, _ := url.Parse(uri) // validate has seen it
				target += "//" + strings.TrimSuffix(u.Host, ":"+u.Port()) + ":*"
			}
			targets = append(targets, target)
		}
	}
	slices.Sort(targets)
	return slices.Compact(targets)
}
