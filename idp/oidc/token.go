package oidc

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
	"github.com/go-jose/go-jose/v4/jwt"
)

// idTokenType is the typ of an ID token: no other JWT of ours can pass for one (RFC 8725, section 3.11).
const idTokenType = "JWT"

const (
	idTokenLifetime = 10 * time.Minute
	// backdated is how far iat lies behind: libraries refuse what comes from the future, and clocks
	// differ.
	backdated     = 10 * time.Second
	accessPurpose = "persona openid access token"
)

// accessToken is what an access token is, sealed: apps see nothing in it.
type accessToken struct {
	ClientID string    `json:"client_id"`
	Grant    string    `json:"grant"`
	Scopes   []string  `json:"scope"`
	Session  []byte    `json:"session"` // kept
	Expires  time.Time `json:"exp"`
	Offline  bool      `json:"offline"`
}

// asked reads a form that an app itself sends, and returns it with the app, which has proved that it is the one.
func (p *Provider) asked(w http.ResponseWriter, r *http.Request, h *identity.Host) (url.Values, *Client, error) {
	fields, err := form(w, r)
	if err != nil {
		return nil, nil, err
	}
	client, err := p.authenticate(w, r, h, fields)
	if err != nil {
		return nil, nil, err
	}
	return fields, client, allowOrigin(w, r, client)
}

// token is where an app gets tokens for a code (OpenID Connect Core 1.0, section 3.1.3).
func (p *Provider) token(w http.ResponseWriter, r *http.Request, h *identity.Host) error {
	fields, client, err := p.asked(w, r, h)
	if err != nil {
		return err
	}
	switch {
	case !fields.Has("grant_type"):
		return refuse(http.StatusBadRequest, "invalid_request", "grant_type")
	case fields.Get("grant_type") == "refresh_token":
		return p.refresh(w, r, h, client, fields)
	case fields.Get("grant_type") != "authorization_code":
		return refuse(http.StatusBadRequest, "unsupported_grant_type", "")
	case !fields.Has("code"):
		return refuse(http.StatusBadRequest, "invalid_request", "code")
	case !fields.Has("redirect_uri"):
		return refuse(http.StatusBadRequest, "invalid_request", "redirect_uri")
	}
	behind, subject, err := p.redeem(r, h, client, fields.Get("code"))
	if err != nil {
		return err
	}
	if behind == nil || behind.RedirectURI != fields.Get("redirect_uri") {
		return refuse(http.StatusBadRequest, "invalid_grant", "")
	}
	if !verified(behind.Challenge, fields.Get("code_verifier")) {
		return refuse(http.StatusBadRequest, "invalid_grant", "verifier")
	}
	answer, err := p.tokens(h, client, behind, subject)
	if err != nil {
		return err
	}
	if slices.Contains(behind.Scopes, scopeOffline) {
		now := p.Now()
		if answer["refresh_token"], err = p.sealText(h, refreshPurpose, refreshToken{
			ClientID: client.ID, Grant: behind.Grant, Scopes: behind.Scopes, Session: behind.Session, Offline: behind.Offline, Issued: now, Expires: now.Add(client.RefreshLifetime),
		}); err != nil {
			return err
		}
	}
	route.JSON(w, http.StatusOK, answer)
	return nil
}

// tokens makes an access token and an ID token, in the answer of the token endpoint.
func (p *Provider) tokens(h *identity.Host, c *Client, behind *code, s *session.Subject) (map[string]any, error) {
	access, err := p.sealText(h, accessPurpose, accessToken{
		ClientID: c.ID, Grant: behind.Grant, Scopes: behind.Scopes, Session: behind.Session, Offline: behind.Offline, Expires: p.Now().Add(c.AccessTokenLifetime),
	})
	if err != nil {
		return nil, err
	}
	id, err := p.idToken(h, c, behind, s, access)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"access_token": access, "token_type": "Bearer", "expires_in": int(c.AccessTokenLifetime / time.Second),
		"id_token": id, "scope": strings.Join(behind.Scopes, " "),
	}, nil
}

// verified compares a verifier with a challenge of the method S256 (RFC 7636, section 4.6). A
// verifier without a challenge means that the challenge was taken out on the way.
func verified(challenge, verifier string) bool {
	if challenge == "" {
		return verifier == ""
	}
	sum := sha256.Sum256([]byte(verifier))
	return len(verifier) >= 43 && len(verifier) <= 128 &&
		subtle.ConstantTimeCompare([]byte(challenge), []byte(base64.RawURLEncoding.EncodeToString(sum[:]))) == 1
}

// idToken signs who is signed in, for one client (OpenID Connect Core 1.0, section 2).
func (p *Provider) idToken(h *identity.Host, c *Client, behind *code, s *session.Subject, access string) (string, error) {
	claims := map[string]any{}
	if c.IDTokenClaims {
		claims = c.claims(s.Person, behind.Scopes)
	}
	now := p.Now()
	half := sha256.Sum256([]byte(access))
	for name, value := range map[string]any{
		"iss": issuer(h), "sub": subjectID(s.Person), "aud": c.ID, "iat": now.Add(-backdated).Unix(), "exp": now.Add(idTokenLifetime).Unix(),
		"auth_time": s.AuthTime.Unix(), "sid": sessionID(s.ID), "amr": []string{"pwd"},
		"at_hash": base64.RawURLEncoding.EncodeToString(half[:len(half)/2]),
	} {
		claims[name] = value
	}
	if behind.Nonce != "" {
		claims["nonce"] = behind.Nonce
	}
	return p.sign(h.Name, idTokenType, claims)
}

// sign makes a JWT of a type with the key of an identity host.
func (p *Provider) sign(host, typ string, claims map[string]any) (string, error) {
	kid, key, err := p.Keys.Signer(host, keys.UseOpenID)
	if err != nil {
		return "", fmt.Errorf("signing a %s: %w", typ, err)
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.RS256, Key: cryptosigner.Opaque(key)},
		(&jose.SignerOptions{}).WithType(jose.ContentType(typ)).WithHeader("kid", kid),
	)
	if err != nil {
		return "", fmt.Errorf("signing a %s: %w", typ, err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		return "", fmt.Errorf("signing a %s: %w", typ, err)
	}
	return token, nil
}

// idClaims are the claims by which an ID token is known again.
type idClaims struct {
	jwt.Claims
	Session string `json:"sid"`
}

// readIDToken verifies that an ID token was signed here, expired or not.
func (p *Provider) readIDToken(h *identity.Host, text string) (*idClaims, error) {
	token, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return nil, fmt.Errorf("reading an ID token: %w", err)
	}
	published, err := p.Keys.Published(h.Name, keys.UseOpenID)
	if err != nil {
		return nil, fmt.Errorf("reading an ID token: %w", err)
	}
	for _, public := range published {
		claims := &idClaims{}
		if token.Headers[0].KeyID != public.KID || token.Headers[0].ExtraHeaders[jose.HeaderType] != idTokenType || token.Claims(public.Key, claims) != nil {
			continue
		}
		if claims.Issuer != issuer(h) || claims.Subject == "" {
			return nil, errors.New("reading an ID token: it is of another issuer")
		}
		return claims, nil
	}
	return nil, errors.New("reading an ID token: it is not signed here")
}

// sessionID is the sid of a session: the same for every app, and of no use to who wants to be the person.
func sessionID(id string) string {
	sum := sha256.Sum256([]byte("persona openid sid\x00" + id))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
