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
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/oidc/backchannel"
	"persona-sidecar/idp/session"
)

const (
	// codeLifetime is the time for the app to come back with a code.
	codeLifetime = time.Minute
	codePurpose  = "persona openid code"
	codeLen      = 32

	// The keys in the store begin with these.
	codes = "openid/codes/"
	used  = "openid/used/"  // by code: the client that used it, a space, and the grant that it was used for
	ended = "openid/ended/" // by grant: what was given for it is worth nothing
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
	Offline     bool     `json:"offline"` // what is given outlives the session
}

// issueCode returns a code for a session. An error wraps session.ErrUnavailable.
func (p *Provider) issueCode(ctx context.Context, h *identity.Host, q *request, s *session.Subject, kept []byte) (string, error) {
	if q.client.BackchannelLogoutURI != "" { // before redeem looks whether the session holds
		link := backchannel.Link{Host: h.Name, App: q.ClientID, Issuer: issuer(h), Subject: subjectID(s.Person), Session: sessionID(s.ID)}
		if err := p.ends.Link(ctx, link, h.DirectoryName, s.Person.ID, s.ID, s.Ends.Sub(p.Now())); err != nil {
			return "", fmt.Errorf("%w: %w", session.ErrUnavailable, err)
		}
	}
	random := make([]byte, codeLen+16)
	if _, err := io.ReadFull(p.Rand, random); err != nil {
		return "", fmt.Errorf("%w: making a code: %w", session.ErrUnavailable, err)
	}
	text := base64.RawURLEncoding.EncodeToString(random[:codeLen])
	plain, err := json.Marshal(code{
		ClientID: q.ClientID, RedirectURI: q.RedirectURI, Nonce: q.Nonce, Challenge: q.Challenge, Scopes: q.Scopes,
		Session: kept, Grant: hex.EncodeToString(random[codeLen:]), Offline: q.client.Offline && slices.Contains(q.Scopes, scopeOffline),
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

// redeem returns what is behind a code of a client, once; nil where there is nothing, or no longer.
// A second use ends what the first gave (RFC 6749, section 4.1.2). The person is read from the
// directory before the code counts as used, so that an outage does not cost it.
func (p *Provider) redeem(r *http.Request, h *identity.Host, c *Client, text string) (*code, *session.Subject, error) {
	ctx, key := r.Context(), hashed(text)
	sealed, err := p.Store.Get(ctx, codes+key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, p.reused(r, h, c, key)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: reading a code: %w", session.ErrUnavailable, err)
	}
	plain, err := p.Sealer.Open(sealed, bound(codePurpose, h, text))
	if errors.Is(err, keys.ErrNotReady) {
		return nil, nil, fmt.Errorf("%w: reading a code: %w", session.ErrUnavailable, err)
	}
	behind := &code{}
	if err != nil || json.Unmarshal(plain, behind) != nil || behind.ClientID != c.ID {
		return nil, nil, nil
	}
	subject, err := p.Sessions.Recall(r, h, behind.Session)
	if err != nil {
		return nil, nil, err
	}
	first, err := p.Store.Add(ctx, used+key, []byte(c.ID+" "+behind.Grant), c.grantLifetime())
	if err != nil {
		return nil, nil, fmt.Errorf("%w: using a code: %w", session.ErrUnavailable, err)
	}
	if !first {
		return nil, nil, p.reused(r, h, c, key)
	}
	if subject == nil || !c.admits(subject.Person) {
		return nil, nil, nil
	}
	return behind, subject, nil
}

// reused ends the grant of a code that the client used before, if it did. Codes get into logs and histories: another
// client must not end with one what this one was given.
func (p *Provider) reused(r *http.Request, h *identity.Host, c *Client, key string) error {
	value, err := p.Store.Get(r.Context(), used+key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: reading what a code gave: %w", session.ErrUnavailable, err)
	}
	grant, own := strings.CutPrefix(string(value), c.ID+" ")
	if !own {
		return nil
	}
	if err := p.end(r.Context(), grant, c); err != nil {
		return err
	}
	p.Respond.About(p.Respond.Log.Warn(), r, h).Str("event", "code_reused").Str("app", c.ID).
		Msg("a code was used twice: what the first use gave counts no more")
	return nil
}

// grantLifetime is how long something that was given for a code can count.
func (c *Client) grantLifetime() time.Duration {
	return codeLifetime + c.RefreshLifetime + c.AccessTokenLifetime
}

// end makes what a client was given under a grant worth nothing. An error wraps session.ErrUnavailable.
func (p *Provider) end(ctx context.Context, grant string, c *Client) error {
	if err := p.Store.Set(ctx, ended+grant, []byte{}, c.grantLifetime()); err != nil {
		return fmt.Errorf("%w: ending what an app was given: %w", session.ErrUnavailable, err)
	}
	return nil
}

// isEnded reports whether a grant was ended. An error wraps session.ErrUnavailable.
func (p *Provider) isEnded(ctx context.Context, grant string) (bool, error) {
	_, err := p.Store.Get(ctx, ended+grant)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("%w: reading whether a token was revoked: %w", session.ErrUnavailable, err)
	}
	return err == nil, nil
}
