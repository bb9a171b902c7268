package oidc

import (
	"encoding/base64"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/printable"
	"persona-sidecar/idp/route"
)

// The longest values of parameters that are kept, in bytes.
const (
	maxState     = 2048
	maxNonce     = 512
	maxParameter = 4096 // of any other
)

// The values of response_mode.
const (
	modeQuery    = "query"
	modeFormPost = "form_post"
)

// request is what an app asks for at the authorization endpoint (OpenID Connect Core 1.0,
// section 3.1.2.1), once it was checked.
type request struct {
	client *Client

	ClientID    string   `json:"client_id"`
	RedirectURI string   `json:"redirect_uri"`
	Mode        string   `json:"response_mode"`
	State       string   `json:"state,omitempty"`
	Nonce       string   `json:"nonce,omitempty"`
	Challenge   string   `json:"code_challenge,omitempty"` // S256; "": none
	Scopes      []string `json:"scope"`                    // that are known, and the client may have
	Login       string   `json:"login_hint,omitempty"`
	Subject     string   `json:"sub,omitempty"` // who has to be signed in; "": anyone
	// None is prompt=none: no page may be shown.
	None bool `json:"-"`
	// Again is prompt=login or select_account: a password has to be typed.
	Again bool `json:"-"`
	// MaxAge is how long ago that may have been; negative: any time.
	MaxAge time.Duration `json:"-"`
}

// denial is the code of an error that goes back to the app (RFC 6749, section 4.1.2.1, and
// OpenID Connect Core 1.0, section 3.1.2.6), with what a developer should know.
type denial struct{ code, description string }

// parameters returns those of a request to the authorization endpoint, empty ones left out: they
// are as if they were not sent (RFC 6749, section 3.1).
func parameters(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	var all url.Values
	if r.Method == http.MethodPost {
		if _, err := route.Form(w, r); err != nil {
			return nil, err
		}
		all = r.PostForm
	} else {
		var err error
		if all, err = url.ParseQuery(r.URL.RawQuery); err != nil {
			return nil, &route.Error{Status: http.StatusBadRequest, Code: "bad_request", Detail: "query"}
		}
	}
	for name, values := range all {
		if values = slices.DeleteFunc(values, func(value string) bool { return value == "" }); len(values) == 0 {
			delete(all, name)
		} else {
			all[name] = values
		}
	}
	return all, nil
}

// read finds out who asks and where the answer goes. As long as that is not certain, an error is
// for the person: nothing is sent to an address that an app does not have.
func (p *Provider) read(h *identity.Host, all url.Values) (*request, error) {
	one := func(name string) string {
		if len(all[name]) != 1 {
			return "" // for a repeated one nothing is listed
		}
		return all[name][0]
	}
	q := &request{ClientID: one("client_id"), RedirectURI: one("redirect_uri"), Mode: modeQuery, MaxAge: -1}
	if q.client = p.hosts[h.Name][q.ClientID]; q.client == nil {
		return nil, &route.Error{Status: http.StatusBadRequest, Code: "unknown_app", Args: map[string]string{"app": printable.Text(q.ClientID, maxClientID)}}
	}
	if !q.client.redirectsTo(q.RedirectURI) {
		return nil, &route.Error{Status: http.StatusBadRequest, Code: "bad_redirect_uri", Args: map[string]string{
			"app": q.client.Name, "uri": printable.Text(q.RedirectURI, 200),
		}}
	}
	// A form is for a web server: a program behind a scheme of its own is only handed an address.
	if web := strings.HasPrefix(q.RedirectURI, "https:") || strings.HasPrefix(q.RedirectURI, "http:"); web && one("response_mode") == modeFormPost {
		q.Mode = modeFormPost
	}
	if state := one("state"); len(state) <= maxState && isText(state) {
		q.State = state
	}
	return q, nil
}

// isText reports whether a value is text without control characters.
func isText(value string) bool {
	return utf8.ValidString(value) && !strings.ContainsFunc(value, unicode.IsControl)
}

// check completes a request of a known client, or returns why it is denied.
func (p *Provider) check(h *identity.Host, q *request, all url.Values) *denial {
	invalid := func(description string) *denial { return &denial{"invalid_request", description} }
	for name, values := range all {
		limit := maxParameter
		switch name {
		case "state":
			limit = maxState
		case "nonce":
			limit = maxNonce
		}
		switch {
		case len(values) > 1:
			return invalid("a parameter is repeated")
		case len(values[0]) > limit:
			return invalid("a parameter is too long")
		case !isText(values[0]):
			return invalid("a parameter is no text")
		}
	}
	switch {
	case all.Has("request"):
		return &denial{"request_not_supported", "request objects are not supported"}
	case all.Has("request_uri"):
		return &denial{"request_uri_not_supported", "request objects are not supported"}
	case all.Has("registration"):
		return &denial{"registration_not_supported", "clients are not registered by themselves"}
	case !all.Has("response_type"):
		return invalid("response_type is missing")
	case all.Get("response_type") != "code":
		return &denial{"unsupported_response_type", "the response_type is code"}
	case all.Has("response_mode") && all.Get("response_mode") != q.Mode:
		return invalid("the response_mode is query, or form_post for an address of the web")
	}
	asked := strings.Fields(all.Get("scope"))
	if !slices.Contains(asked, scopeOpenID) {
		return &denial{"invalid_scope", "the scope openid is missing"}
	}
	for _, scope := range Scopes() {
		if slices.Contains(asked, scope) && slices.Contains(q.client.Scopes, scope) {
			q.Scopes = append(q.Scopes, scope)
		}
	}
	q.Challenge, q.Nonce, q.Login = all.Get("code_challenge"), all.Get("nonce"), all.Get("login_hint")
	switch method := all.Get("code_challenge_method"); {
	case q.Challenge == "" && method == "" && q.client.PKCEOptional:
	case q.Challenge == "":
		return invalid("code_challenge is missing")
	case method != "S256": // left out it would mean plain (RFC 7636, section 4.3)
		return invalid("the code_challenge_method is S256")
	case !isHash(q.Challenge):
		return invalid("code_challenge is no SHA-256 in base64url")
	}
	if len(q.Login) > identity.MaxLogin {
		q.Login = ""
	}
	return p.checkPrompt(h, q, all)
}

// checkPrompt reads what a request says of when and whom to ask for a password.
func (p *Provider) checkPrompt(h *identity.Host, q *request, all url.Values) *denial {
	prompts := strings.Fields(all.Get("prompt"))
	for _, prompt := range prompts {
		switch prompt {
		case "none":
			q.None = true
		case "login", "select_account":
			q.Again = true
		case "consent": // the company has consented by listing the app
		default:
			return &denial{"invalid_request", "the prompt is none, login, select_account or consent"}
		}
	}
	if q.None && len(prompts) > 1 {
		return &denial{"invalid_request", "the prompt none stands alone"}
	}
	if text := all.Get("max_age"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return &denial{"invalid_request", "max_age is no number of seconds"}
		}
		q.MaxAge = time.Duration(min(seconds, math.MaxInt32)) * time.Second
	}
	if hint := all.Get("id_token_hint"); hint != "" {
		token, err := p.readIDToken(h, hint)
		if err != nil || !slices.Contains(token.Audience, q.client.ID) {
			return &denial{"invalid_request", "the id_token_hint is no ID token for this client"}
		}
		q.Subject = token.Subject
	}
	return nil
}

// isHash reports whether a text is a SHA-256 in base64url.
func isHash(text string) bool {
	hash, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(text) == 43 && len(hash) == 32
}
