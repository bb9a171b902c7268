package oidc

import (
	"fmt"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/keys"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// idTokenType is the typ of an ID token: no other JWT of ours can pass for one (RFC 8725, section 3.11).
const idTokenType = "JWT"

// subjectOf returns the sub of an ID token that a client has from here, expired or not.
func (p *Provider) subjectOf(h *identity.Host, c *Client, hint string) (string, error) {
	token, err := jwt.ParseSigned(hint, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return "", fmt.Errorf("reading an ID token: %w", err)
	}
	published, err := p.Keys.Published(h.Name, keys.UseOpenID)
	if err != nil {
		return "", err
	}
	for _, public := range published {
		var claims jwt.Claims
		if token.Headers[0].KeyID != public.KID || token.Headers[0].ExtraHeaders[jose.HeaderType] != idTokenType || token.Claims(public.Key, &claims) != nil {
			continue
		}
		expected := jwt.Expected{Issuer: issuer(h), AnyAudience: jwt.Audience{c.ID}, Time: claims.IssuedAt.Time()}
		if err := claims.ValidateWithLeeway(expected, time.Minute); err != nil || claims.Subject == "" {
			return "", fmt.Errorf("reading an ID token: it is not for %s: %w", c.ID, err)
		}
		return claims.Subject, nil
	}
	return "", fmt.Errorf("reading an ID token: it is not signed here")
}
