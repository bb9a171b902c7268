package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/session"
)

const (
	// codeLifetime is the time for the app to come back with a code.
	codeLifetime = time.Minute
	codePurpose  = "persona openid code"
	codeLen      = 32

	// The keys in the store begin with these.
	codes = "openid/codes/"
)

// code is what is behind an authorization code.
type code struct {
	ClientID    string   `json:"client_id"`
	RedirectURI string   `json:"redirect_uri"`
	Nonce       string   `json:"nonce,omitempty"`
	Challenge   string   `json:"code_challenge,omitempty"`
	Scopes      []string `json:"scope"`
	Session     []byte   `json:"session"` // kept
	Grant       string   `json:"grant"`   // the id of all that is given for it
}

// issueCode returns a code for a session. An error wraps session.ErrUnavailable.
func (p *Provider) issueCode(ctx context.Context, h *identity.Host, q *request, kept []byte) (string, error) {
	random := make([]byte, codeLen+16)
	if _, err := io.ReadFull(p.Rand, random); err != nil {
		return "", fmt.Errorf("%w: making a code: %w", session.ErrUnavailable, err)
	}
	text := base64.RawURLEncoding.EncodeToString(random[:codeLen])
	plain, err := json.Marshal(code{
		ClientID: q.ClientID, RedirectURI: q.RedirectURI, Nonce: q.Nonce, Challenge: q.Challenge, Scopes: q.Scopes,
		Session: kept, Grant: hex.EncodeToString(random[codeLen:]),
	})
	if err != nil {
		return "", fmt.Errorf("making a code: %w", err)
	}
	sealed, err := p.Sealer.Seal(plain, bound(codePurpose, h, text))
	if err != nil {
		return "", fmt.Errorf("%w: making a code: %w", session.ErrUnavailable, err)
	}
	added, err := p.Store.Add(ctx, codes+hashed(text), sealed, codeLifetime)
	if err == nil && !added {
		err = errors.New("it is there already")
	}
	if err != nil {
		return "", fmt.Errorf("%w: keeping a code: %w", session.ErrUnavailable, err)
	}
	return text, nil
}

// hashed is how a code stands in the store: it cannot be told from there.
func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}
