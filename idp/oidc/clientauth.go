package oidc

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"
)

// Wrong secrets that a network may send for a client, and the time in which they count.
const (
	secretFailures = 20
	secretWindow   = 10 * time.Minute
)

// Counters count recent events by key. An error means that they could not answer; the client is
// refused then.
type Counters interface {
	// Count counts one event under key unless limit events lie within the window that ends now.
	// It returns 0 when it counted, else how long it takes until there is room for one.
	Count(ctx context.Context, key string, limit int, window time.Duration) (wait time.Duration, err error)
	// Return takes back the newest event counted under key, if there is one.
	Return(ctx context.Context, key string) error
}

// refuse is an error of an endpoint that apps call.
func refuse(status int, code, detail string) *route.Error {
	return &route.Error{Status: status, Code: code, Detail: detail}
}

// form reads the body of a request to an endpoint that apps call. A field given twice is an error
// (RFC 6749, section 3.2), an empty one is none.
func form(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if _, err := route.Form(w, r); err != nil {
		return nil, err
	}
	for name, values := range r.PostForm {
		if len(values) > 1 {
			return nil, refuse(http.StatusBadRequest, "invalid_request", "repeated")
		}
		if values[0] == "" {
			delete(r.PostForm, name)
		}
	}
	return r.PostForm, nil
}

// authenticate returns the client that calls (RFC 6749, section 2.3): it proves that in the one way
// that is configured for it. Wrong secrets are counted by client and network, so that no one locks
// an app out from elsewhere.
func (p *Provider) authenticate(w http.ResponseWriter, r *http.Request, h *identity.Host, fields url.Values) (*Client, error) {
	by, ids, secrets := NoSecret, []string{fields.Get("client_id")}, []string{""}
	authorization := r.Header["Authorization"]
	switch id, secret, basic := r.BasicAuth(); {
	case len(authorization) > 1 || len(authorization) == 1 && fields.Has("client_secret"):
		return nil, refuse(http.StatusBadRequest, "invalid_request", "two_secrets")
	case basic:
		// Both are escaped (RFC 6749, section 2.3.1), which many clients leave undone.
		by, ids, secrets = SecretBasic, []string{id}, []string{secret}
		plainID, err := url.QueryUnescape(id)
		plain, err2 := url.QueryUnescape(secret)
		if err == nil && err2 == nil {
			ids, secrets = append(ids, plainID), append(secrets, plain)
		}
		if fields.Has("client_id") && !slices.Contains(ids, fields.Get("client_id")) {
			return nil, refuse(http.StatusBadRequest, "invalid_request", "two_clients")
		}
	case fields.Has("client_secret"):
		by, secrets = SecretPost, []string{fields.Get("client_secret")}
	}
	var client *Client
	for _, id := range ids {
		if client == nil {
			client = p.hosts[h.Name][id]
		}
	}
	unknown := refuse(http.StatusUnauthorized, "invalid_client", "")
	w.Header().Set("WWW-Authenticate", `Basic realm="persona"`)
	key := "openid " + h.Name + " " + route.ClientNetwork(p.Respond.ClientAddr(r)).String()
	if client != nil {
		key += " " + client.ID
	}
	wait, err := p.Counters.Count(r.Context(), key, secretFailures, secretWindow)
	if err != nil {
		return nil, fmt.Errorf("%w: counting wrong secrets: %w", session.ErrUnavailable, err)
	}
	if wait > 0 {
		return nil, &route.Error{Status: http.StatusTooManyRequests, Code: "invalid_client", Detail: "throttled", RetryAfter: wait}
	}
	var known string
	if client != nil {
		known = client.Secret
	}
	right := 0
	want := sha256.Sum256([]byte(known))
	for _, secret := range secrets {
		got := sha256.Sum256([]byte(secret))
		right |= subtle.ConstantTimeCompare(want[:], got[:])
	}
	scheme := len(authorization) == 1 && by != SecretBasic
	if client == nil || right == 0 || scheme || by != client.TokenAuth || fields.Has("client_assertion") {
		if client != nil && right == 1 && by != client.TokenAuth {
			unknown.Detail, unknown.Args = "method", map[string]string{"method": string(client.TokenAuth)}
		}
		return nil, unknown
	}
	if err := p.Counters.Return(r.Context(), key); err != nil {
		return nil, fmt.Errorf("%w: counting wrong secrets: %w", session.ErrUnavailable, err)
	}
	w.Header().Del("WWW-Authenticate")
	return client, nil
}

// allowOrigin lets the pages of a public client read the answer, and refuses those of any other origin.
func allowOrigin(w http.ResponseWriter, r *http.Request, c *Client) error {
	w.Header().Add("Vary", "Origin")
	asking := r.Header.Get("Origin")
	if asking == "" || c.TokenAuth != NoSecret {
		return nil
	}
	if !c.hasOrigin(asking) {
		return refuse(http.StatusForbidden, "invalid_request", "origin")
	}
	w.Header().Set("Access-Control-Allow-Origin", asking)
	return nil
}

// hasOrigin reports whether an origin is that of one of the client's redirect URIs.
func (c *Client) hasOrigin(origin string) bool {
	return slices.ContainsFunc(c.RedirectURIs, func(uri string) bool {
		rest, ok := strings.CutPrefix(uri, origin)
		return ok && strings.Contains(origin, "://") && (rest == "" || rest[0] == '/' || rest[0] == '?')
	})
}

// preflight answers what a browser asks before a page of another origin sends a request (Fetch
// Standard, section 3.2.2): which client it is of is not known yet.
func (p *Provider) preflight(w http.ResponseWriter, r *http.Request, h *identity.Host) error {
	w.Header().Add("Vary", "Origin")
	asking := r.Header.Get("Origin")
	for _, c := range p.hosts[h.Name] {
		if asking != "" && c.TokenAuth == NoSecret && c.hasOrigin(asking) {
			w.Header().Set("Access-Control-Allow-Origin", asking)
			w.Header().Set("Access-Control-Allow-Methods", "GET, POST")
			w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
			w.Header().Set("Access-Control-Max-Age", "600")
			break
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
