package oidc

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"
	"persona-sidecar/idp/signin"
)

const (
	// flowLifetime is the time for signing in.
	flowLifetime = time.Hour
	flowPurpose  = "persona openid flow"
	secretLen    = 32
)

// flow is a request of an app whose person has to sign in first. It stands, sealed, in the
// addresses of the pages on the way, and counts in the browser that began it alone.
type flow struct {
	request
	Begun time.Time `json:"begun"`
	After time.Time `json:"after"` // an earlier sign-in is not enough
}

// bound is what a seal binds a text to. No name has a zero byte.
func bound(purpose string, h *identity.Host, to string) []byte {
	return []byte(purpose + "\x00" + h.Name + "\x00" + h.DirectoryName + "\x00" + to)
}

// browserSecret returns the secret that a browser keeps for its flows; "": none.
func browserSecret(r *http.Request) string {
	secret, ok := session.Cookie(r, session.FlowCookieName)
	if decoded, err := base64.RawURLEncoding.Strict().DecodeString(secret); !ok || err != nil || len(decoded) != secretLen {
		return ""
	}
	return secret
}

// begin leads a person to the sign-in page.
func (p *Provider) begin(w http.ResponseWriter, r *http.Request, h *identity.Host, q *request) error {
	now := p.Now().Truncate(time.Millisecond) // as sessions know it
	f := flow{request: *q, Begun: now}
	switch {
	case q.Again || q.Subject != "": // who is signed in, if anyone, is not the one
		f.After = now
	case q.MaxAge >= 0:
		f.After = now.Add(-q.MaxAge)
	}
	secret := browserSecret(r)
	if secret == "" {
		random := make([]byte, secretLen)
		if _, err := io.ReadFull(p.Rand, random); err != nil {
			return fmt.Errorf("beginning a sign-in: %w", err)
		}
		secret = base64.RawURLEncoding.EncodeToString(random)
		session.SetCookie(w, session.FlowCookieName, secret, 0)
	}
	plain, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("beginning a sign-in: %w", err)
	}
	sealed, err := p.Sealer.Seal(plain, bound(flowPurpose, h, secret))
	if err != nil {
		return fmt.Errorf("%w: beginning a sign-in: %w", session.ErrUnavailable, err)
	}
	see(w, signin.ForApp(base64.RawURLEncoding.EncodeToString(sealed)))
	return nil
}

// resume opens the flow of a ticket in the browser that began it.
func (p *Provider) resume(r *http.Request, h *identity.Host, ticket string) (*flow, error) {
	lost := &route.Error{Status: http.StatusBadRequest, Code: "not_completed", Detail: "app"}
	secret := browserSecret(r)
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(ticket)
	if err != nil || secret == "" {
		return nil, lost
	}
	plain, err := p.Sealer.Open(sealed, bound(flowPurpose, h, secret))
	if errors.Is(err, keys.ErrNotReady) {
		return nil, fmt.Errorf("%w: reading a sign-in: %w", session.ErrUnavailable, err)
	}
	if err != nil {
		return nil, lost
	}
	f := &flow{}
	if err := json.Unmarshal(plain, f); err != nil {
		return nil, lost
	}
	age := p.Now().Sub(f.Begun)
	// The configuration may be another one by now.
	if f.client = p.hosts[h.Name][f.ClientID]; f.client == nil || !f.client.redirectsTo(f.RedirectURI) || age < 0 || age >= flowLifetime {
		return nil, lost
	}
	return f, nil
}

// Waiting tells the sign-in page which app a ticket is of: it is the Waiting of signin.Config.
func (p *Provider) Waiting(r *http.Request, h *identity.Host, ticket string) (signin.Waiting, error) {
	f, err := p.resume(r, h, ticket)
	if err != nil {
		return signin.Waiting{}, err
	}
	return signin.Waiting{
		Name: f.client.Name, Login: f.Login, After: f.After, Next: pathContinue + "?" + url.Values{"ticket": {ticket}}.Encode(),
	}, nil
}
