package oidc

import (
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/printable"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"
	"persona-sidecar/idp/signin"
)

// signOut is what an app asks for at the end (OpenID Connect RP-Initiated Logout 1.0, section 2).
type signOut struct {
	client  *Client // nil: unknown, and then nothing is gone back to
	back    string  // listed by the client; "": nowhere
	state   string
	session string // the sid of the ID token that came along; "": none
}

// readSignOut checks the parameters or fields of a sign-out. Its errors are for the person.
func (p *Provider) readSignOut(h *identity.Host, all url.Values) (*signOut, error) {
	for _, values := range all {
		if len(values) > 1 {
			return nil, &route.Error{Status: http.StatusBadRequest, Code: "bad_request", Detail: "parameter_twice"}
		}
	}
	out, id := &signOut{state: all.Get("state")}, all.Get("client_id")
	// A token that is not from here is as none: the person is asked.
	if hint, err := p.readIDToken(h, all.Get("id_token_hint")); err == nil && len(hint.Audience) == 1 && (id == "" || id == hint.Audience[0]) {
		id, out.session = hint.Audience[0], hint.Session
	}
	if id == "" && !all.Has("post_logout_redirect_uri") {
		return out, nil
	}
	if out.client = p.hosts[h.Name][id]; out.client == nil {
		return nil, &route.Error{Status: http.StatusBadRequest, Code: "unknown_app", Args: map[string]string{"app": printable.Text(id, maxClientID)}}
	}
	out.back = all.Get("post_logout_redirect_uri")
	if out.back != "" && !slices.Contains(out.client.PostLogoutRedirectURIs, out.back) || len(out.state) > maxState || !isText(out.state) {
		return nil, &route.Error{Status: http.StatusBadRequest, Code: "bad_redirect_uri", Args: map[string]string{
			"app": out.client.Name, "uri": printable.Text(out.back, 200),
		}}
	}
	return out, nil
}

// address is where the browser goes back to, or "".
func (o *signOut) address() string {
	if o.back == "" || o.state == "" {
		return o.back
	}
	separator := "?"
	if strings.Contains(o.back, "?") {
		separator = "&"
	}
	return o.back + separator + url.Values{"state": {o.state}}.Encode()
}

// askSignOut is where an app sends people who sign out of it. It asks them, unless the app has an ID
// token of their very session: a link alone must not sign anyone out.
func (p *Provider) askSignOut(w http.ResponseWriter, r *http.Request, h *identity.Host) error {
	if err := navigated(w, r); err != nil {
		return err
	}
	all, err := parameters(w, r)
	if err != nil {
		return err
	}
	out, err := p.readSignOut(h, all)
	if err != nil {
		return err
	}
	if withoutCookies(r) {
		see(w, PathLogout+"?"+all.Encode())
		return nil
	}
	subject, err := p.Sessions.Current(w, r, h, session.Recent)
	switch {
	case subject == nil && err != nil:
		return err
	case subject != nil && out.session == sessionID(subject.ID):
		return p.endSession(w, r, h, out)
	case subject == nil && out.back != "":
		see(w, out.address())
		return nil
	case subject == nil:
		return p.Respond.Render(w, r, http.StatusOK, "signed_out", signin.SignOutPage{Frame: route.NewFrame(h), SignIn: signin.PathAuthenticate})
	}
	page := struct {
		route.Frame
		App, Client, Back, State, Stay string
	}{Frame: route.NewFrame(h), Back: out.back, State: out.state, Stay: signin.PathAccount}
	if out.client != nil {
		page.App, page.Client = out.client.Name, out.client.ID
	}
	return p.Respond.Render(w, r, http.StatusOK, "app_logout", page)
}

// confirmSignOut takes the form of that page.
func (p *Provider) confirmSignOut(w http.ResponseWriter, r *http.Request, h *identity.Host) error {
	all, err := parameters(w, r)
	if err != nil {
		return err
	}
	out, err := p.readSignOut(h, all)
	if err != nil {
		return err
	}
	return p.endSession(w, r, h, out)
}

// endSession signs out, and leads back by a page: the form that came before could not be redirected.
func (p *Provider) endSession(w http.ResponseWriter, r *http.Request, h *identity.Host, out *signOut) error {
	ended, err := p.Sessions.SignOut(w, r, h, false)
	if err != nil {
		return err
	}
	if p.SignedOut != nil {
		p.SignedOut(w, h)
	}
	return p.Respond.Render(w, r, http.StatusOK, "signed_out", signin.SignOutPage{
		Frame: route.NewFrame(h), Return: template.URL(out.address()), SignIn: signin.PathAuthenticate, Done: signin.Outcome(false, ended),
	})
}
