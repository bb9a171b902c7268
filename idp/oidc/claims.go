package oidc

// scopes returns the scopes that are known.
func scopes() []string { return []string{scopeOpenID, scopeProfile, scopeEmail, scopeGroups} }

// tokenClaims returns the claims that are about a token, or that apps know people by: they keep
// their names.
func tokenClaims() []string {
	return []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "sid", "amr", "azp", "at_hash", "jti"}
}

// personClaims returns the claims about a person, which a client can have under other names.
func personClaims() []string {
	return []string{"name", "preferred_username", "email", "email_verified", "groups"}
}
