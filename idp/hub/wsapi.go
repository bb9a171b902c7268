package hub

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/printable"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"
)

// How many look-ups of other domains a client network may cause.
const (
	lookupLimit  = 30
	lookupWindow = time.Minute
	// lookupBusy is when to ask again where too much was asked at once: most
	// look-ups have ended by then.
	lookupBusy = 5 * time.Second
)

// wsapiFailure is how the historic centre answered bad parameters.
type wsapiFailure struct {
	Success bool   `json:"success"`
	Reason  string `json:"reason"`
}

// parameters reads query parameters by name, each at most once; others than
// the names, and those that do not parse, are refused with the reason.
func parameters(r *http.Request, required string, optional ...string) (url.Values, string) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, "the query cannot be read"
	}
	known := map[string]bool{required: true}
	for _, name := range optional {
		known[name] = true
	}
	for name, values := range query {
		if !known[name] {
			return nil, "extra parameter: " + printable.Text(name, 40)
		}
		if len(values) > 1 {
			return nil, "parameter given twice: " + name
		}
	}
	if required != "" && query.Get(required) == "" {
		return nil, "missing required argument: " + required
	}
	return query, ""
}

func badParameters(w http.ResponseWriter, reason string) error {
	w.Header().Set("Cache-Control", "no-store")
	route.JSON(w, http.StatusBadRequest, wsapiFailure{Reason: reason})
	return nil
}

// getAddressInfo tells who confirms an address.
func (hub *Hub) getAddressInfo(w http.ResponseWriter, r *http.Request, h *identity.Host) error {
	query, reason := parameters(r, "email", "issuer")
	if reason != "" {
		return badParameters(w, reason)
	}
	if asked := query.Get("issuer"); asked != "" && asked != "default" {
		return badParameters(w, "no issuer can be forced here")
	}
	address, err := browserid.ParseAddress(query.Get("email"))
	if err != nil {
		return badParameters(w, "invalid email")
	}
	if !hub.authorities.Owns(address.Domain()) {
		if err := hub.admitLookup(r); err != nil {
			return err
		}
	}
	info, err := hub.authorities.AddressInfo(r.Context(), route.ClientNetwork(hub.Respond.ClientAddr(r)), address)
	switch {
	case errors.Is(err, ErrBusy):
		return &route.Error{Status: http.StatusServiceUnavailable, Code: "too_busy", RetryAfter: lookupBusy, Cause: err}
	case err != nil:
		hub.Respond.About(hub.Respond.Log.Info(), r, h).Err(err).Str("domain", address.Domain()).Msg("no authority is known for a mail domain")
	}
	route.JSON(w, http.StatusOK, info)
	return nil
}

// admitLookup counts a look-up, because strangers choose where it goes.
func (hub *Hub) admitLookup(r *http.Request) error {
	key := "lookup " + route.ClientNetwork(hub.Respond.ClientAddr(r)).String()
	wait, err := hub.Lookups.Count(r.Context(), key, lookupLimit, lookupWindow)
	if err != nil {
		return &route.Error{Status: http.StatusServiceUnavailable, Code: "too_busy", RetryAfter: lookupBusy, Cause: err}
	}
	if wait > 0 {
		return &route.Error{Status: http.StatusTooManyRequests, Code: "too_many_lookups", RetryAfter: wait}
	}
	return nil
}

// sessionContext is the historic answer. Fields about accounts of the
// central service are constant: there are none here.
type sessionContext struct {
	CSRFToken     string  `json:"csrf_token"`
	ServerTime    int64   `json:"server_time"` // milliseconds
	Authenticated bool    `json:"authenticated"`
	AuthLevel     *string `json:"auth_level"`
	HasPassword   bool    `json:"has_password"`
	// DomainKeyCreationTime told dialogs to drop older certificates; ours
	// keeps none.
	DomainKeyCreationTime int64  `json:"domain_key_creation_time"`
	RandomSeed            string `json:"random_seed"`
	DataSampleRate        int    `json:"data_sample_rate"`
	Cookies               bool   `json:"cookies"` // the browser sent our cookie
}

// getSessionContext returns the server's time, which the dialog uses for assertions.
func (hub *Hub) getSessionContext(w http.ResponseWriter, r *http.Request, h *identity.Host) error {
	if _, reason := parameters(r, ""); reason != "" {
		return badParameters(w, reason)
	}
	subject, err := hub.Sessions.Current(w, r, h, session.Recent)
	if err != nil && !errors.Is(err, identity.ErrUnavailable) {
		return err
	}
	seed := make([]byte, 32)
	if _, err := io.ReadFull(hub.Rand, seed); err != nil {
		return fmt.Errorf("making a random seed: %w", err)
	}
	answer := sessionContext{
		ServerTime: hub.Now().UnixMilli(), Authenticated: subject != nil,
		RandomSeed: base64.StdEncoding.EncodeToString(seed), Cookies: session.SentCookie(r),
	}
	if subject != nil {
		level := "assertion"
		answer.AuthLevel = &level
	}
	route.JSON(w, http.StatusOK, answer)
	return nil
}

// getRelyingParty tells whether the site of an origin may use the hub.
func (hub *Hub) getRelyingParty(w http.ResponseWriter, r *http.Request) error {
	query, reason := parameters(r, "origin")
	if reason != "" {
		return badParameters(w, reason)
	}
	route.JSON(w, http.StatusOK, map[string]bool{"allowed": hub.RelyingParties.Allow(query.Get("origin"))})
	return nil
}
