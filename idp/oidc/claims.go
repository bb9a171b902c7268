package oidc

import (
	"crypto/sha256"
	"encoding/base64"

	"persona-sidecar/idp/identity"
)

// Scopes returns the scopes that are known.
func Scopes() []string {
	return []string{scopeOpenID, scopeProfile, scopeEmail, scopeGroups, scopeOffline}
}

// tokenClaims returns the claims that are about a token, or that apps know people by: they keep
// their names.
func tokenClaims() []string {
	return []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "sid", "amr", "azp", "at_hash", "jti"}
}

// personClaims returns the claims about a person, which a client can have under other names.
func personClaims() []string {
	return []string{"name", "preferred_username", "email", "email_verified", "groups"}
}

// subjectID returns the sub of a person: the same for ever, and for every app of an identity host.
func subjectID(p identity.Person) string {
	const longest = 255 // ASCII characters: OpenID Connect Core 1.0, section 8
	sub := p.Directory + ":" + p.ID
	if len(sub) <= longest && consistsOf(sub, func(b byte) bool { return ' ' < b && b < 0x7f }) {
		return sub
	}
	sum := sha256.Sum256([]byte(p.Directory + "\x00" + p.ID))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
