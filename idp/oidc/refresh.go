package oidc

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"
)

const (
	refreshPurpose  = "persona openid refresh token"
	answeredPurpose = "persona openid refresh answer " // and the key in the store
	answered        = "openid/refreshed/"              // by refresh token: what it was answered with
	// sameAnswer is how long a refresh token that was used is answered as before: the first answer
	// may have been lost on its way.
	sameAnswer = 10 * time.Second
)

// refreshToken is what a refresh token is, sealed. Each is used once, and gives the next; all of
// them are of one grant, and none lives longer than the first.
type refreshToken struct {
	ClientID string    `json:"client_id"`
	Grant    string    `json:"grant"`
	Scopes   []string  `json:"scope"`
	Session  []byte    `json:"session"` // kept
	Issued   time.Time `json:"iat"`     // makes each another text
	Expires  time.Time `json:"exp"`
	Offline  bool      `json:"offline"`
}

// refreshed is what a refresh token was answered with.
type refreshed struct {
	Answer map[string]any `json:"answer"`
	At     time.Time      `json:"at"`
}

// sealText seals a value into a text that only we read.
func (p *Provider) sealText(h *identity.Host, purpose string, value any) (string, error) {
	plain, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("making a token: %w", err)
	}
	sealed, err := p.Sealer.Seal(plain, bound(purpose, h, ""))
	if err != nil {
		return "", fmt.Errorf("%w: making a token: %w", session.ErrUnavailable, err)
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// openText is the reverse of sealText; false for what was not sealed here for that purpose.
func (p *Provider) openText(h *identity.Host, purpose, text string, value any) (bool, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return false, nil
	}
	plain, err := p.Sealer.Open(sealed, bound(purpose, h, ""))
	if errors.Is(err, keys.ErrNotReady) {
		return false, fmt.Errorf("%w: reading a token: %w", session.ErrUnavailable, err)
	}
	return err == nil && json.Unmarshal(plain, value) == nil, nil
}

// openRefreshToken returns what a refresh token is; nil where it counts no more.
func (p *Provider) openRefreshToken(r *http.Request, h *identity.Host, text string) (*refreshToken, error) {
	token := &refreshToken{}
	if ok, err := p.openText(h, refreshPurpose, text, token); !ok || err != nil || !p.Now().Before(token.Expires) {
		return nil, err
	}
	// The configuration may be another one by now. The mark of a grant that ended is kept for its lifetime alone.
	c := p.hosts[h.Name][token.ClientID]
	if c == nil || p.Now().Sub(token.Issued) >= c.RefreshLifetime || !slices.Contains(c.Scopes, scopeOffline) {
		return nil, nil
	}
	token.Scopes = slices.DeleteFunc(token.Scopes, func(scope string) bool { return !slices.Contains(c.Scopes, scope) })
	if over, err := p.isEnded(r.Context(), token.Grant); over || err != nil {
		return nil, err
	}
	return token, nil
}

// recall returns the person of a client's token, by what the directory says now; nil where it counts no more. What the
// end of a session does not end, ends here for good: a group or an account may be lost for a while only.
func (p *Provider) recall(r *http.Request, h *identity.Host, c *Client, kept []byte, grant string, offline bool) (*session.Subject, error) {
	recall, offline := p.Sessions.Recall, offline && c.Offline
	if offline {
		recall = p.Sessions.RecallOffline
	}
	subject, err := recall(r, h, kept)
	switch {
	case err != nil, subject == nil && !offline, subject != nil && c.admits(subject.Person):
		return subject, err
	}
	return nil, p.end(r.Context(), grant, c)
}

// refresh gives new tokens for a refresh token, by what the directory says now (RFC 6749, section 6).
// One that comes again later has been stolen from one of the two: all of its grant ends (RFC 9700,
// section 4.14).
func (p *Provider) refresh(w http.ResponseWriter, r *http.Request, h *identity.Host, c *Client, fields url.Values) error {
	text := fields.Get("refresh_token")
	if text == "" {
		return refuse(http.StatusBadRequest, "invalid_request", "refresh_token")
	}
	token, err := p.openRefreshToken(r, h, text)
	if err != nil {
		return err
	}
	unknown := refuse(http.StatusBadRequest, "invalid_grant", "refresh")
	if token == nil || token.ClientID != c.ID {
		return unknown
	}
	subject, err := p.recall(r, h, c, token.Session, token.Grant, token.Offline)
	if err != nil {
		return err
	}
	if subject == nil {
		return unknown
	}
	behind := code{ClientID: c.ID, Scopes: token.Scopes, Session: token.Session, Grant: token.Grant, Offline: token.Offline}
	if asked := strings.Fields(fields.Get("scope")); len(asked) > 0 {
		if slices.ContainsFunc(asked, func(scope string) bool { return !slices.Contains(token.Scopes, scope) }) {
			return refuse(http.StatusBadRequest, "invalid_scope", "")
		}
		// One that is asked for many times is given once.
		behind.Scopes = slices.DeleteFunc(slices.Clone(token.Scopes), func(scope string) bool { return !slices.Contains(asked, scope) })
	}
	answer, err := p.tokens(h, c, &behind, subject)
	if err != nil {
		return err
	}
	next := *token
	next.Issued = p.Now()
	if answer["refresh_token"], err = p.sealText(h, refreshPurpose, next); err != nil {
		return err
	}
	key := answered + hashed(text)
	kept, err := p.sealText(h, answeredPurpose+key, refreshed{answer, p.Now()})
	if err != nil {
		return err
	}
	first, err := p.Store.Add(r.Context(), key, []byte(kept), max(token.Expires.Sub(p.Now()), sameAnswer))
	if err != nil {
		return fmt.Errorf("%w: using a refresh token: %w", session.ErrUnavailable, err)
	}
	if first {
		route.JSON(w, http.StatusOK, answer)
		return nil
	}
	before := refreshed{}
	value, err := p.Store.Get(r.Context(), key)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: reading what a refresh token gave: %w", session.ErrUnavailable, err)
	}
	ok, err := p.openText(h, answeredPurpose+key, string(value), &before)
	if err != nil {
		return err
	}
	if ok && p.Now().Sub(before.At) < sameAnswer {
		route.JSON(w, http.StatusOK, before.Answer)
		return nil
	}
	if err := p.end(r.Context(), token.Grant, c); err != nil {
		return err
	}
	p.Respond.About(p.Respond.Log.Warn(), r, h).Str("event", "refresh_token_reused").Str("app", c.ID).Str("person", subject.Person.ID).
		Msg("a refresh token was used twice: the app's sign-in of this person has ended")
	return unknown
}
