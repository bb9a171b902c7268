package oidc

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"
	"persona-sidecar/idp/signin"
)

// authorize is where apps send people (OpenID Connect Core 1.0, section 3.1.2): back with a code
// where they are signed in, else to the sign-in page.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request, h *identity.Host) error {
	if err := navigated(w, r); err != nil {
		return err
	}
	all, err := parameters(w, r)
	if err != nil {
		return err
	}
	q, err := p.read(h, all)
	if err != nil {
		return err
	}
	if denied := p.check(h, q, all); denied != nil {
		return p.deny(w, r, h, q, denied)
	}
	if withoutCookies(r) {
		see(w, PathAuthorize+"?"+all.Encode())
		return nil
	}
	subject, kept, err := p.Sessions.Keep(w, r, h, session.Recent)
	if err != nil {
		if q.None && (errors.Is(err, identity.ErrUnavailable) || errors.Is(err, session.ErrUnavailable)) {
			p.Respond.About(p.Respond.Log.Warn(), r, h).Str("app", q.ClientID).Err(err).Str("hint", identity.Hint(err)).Msg("an app is told to try again")
			return p.deny(w, r, h, q, &denial{"temporarily_unavailable", "who is signed in cannot be checked now"})
		}
		again := ""
		if r.Method == http.MethodGet {
			again = r.URL.RequestURI()
		}
		return &route.Error{Cause: err, Link: again}
	}
	if subject != nil && !q.Again && (q.MaxAge < 0 || p.Now().Sub(subject.AuthTime) <= q.MaxAge) && q.meant(subject) {
		return p.grant(w, r, h, q, subject, kept)
	}
	if q.None {
		return p.deny(w, r, h, q, &denial{"login_required", "the person has to sign in"})
	}
	return p.begin(w, r, h, q)
}

// proceed goes on with a flow after the sign-in page.
func (p *Provider) proceed(w http.ResponseWriter, r *http.Request, h *identity.Host) error {
	if err := navigated(w, r); err != nil {
		return err
	}
	query, err := route.Query(r, "ticket")
	if err != nil {
		return err
	}
	f, err := p.resume(r, h, query["ticket"])
	if err != nil {
		return err
	}
	subject, kept, err := p.Sessions.Keep(w, r, h, session.Recent)
	switch {
	case err != nil:
		return &route.Error{Cause: err, Link: r.URL.RequestURI()}
	case subject == nil || subject.AuthTime.Before(f.After):
		see(w, signin.ForApp(query["ticket"]))
		return nil
	case !f.meant(subject):
		return p.deny(w, r, h, &f.request, &denial{"login_required", "another person has signed in"})
	}
	return p.grant(w, r, h, &f.request, subject, kept)
}

// navigated refuses what is no page in a window of its own, and programs that look where a link
// leads: a code is for the person who went there.
func navigated(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodHead {
		w.Header().Set("Allow", "GET, POST")
		return &route.Error{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Args: map[string]string{"method": r.Method}}
	}
	return route.Navigation(r)
}

// withoutCookies reports whether a form came without the session's cookie. A browser sends it with no form of another
// site, as it is SameSite=Lax, and the flow's neither: only by a GET after it shows who is signed in.
func withoutCookies(r *http.Request) bool {
	return r.Method == http.MethodPost && !session.SentCookie(r)
}

// meant reports whether a person is the one whom the app's id_token_hint names.
func (q *request) meant(s *session.Subject) bool {
	return q.Subject == "" || q.Subject == subjectID(s.Person)
}

// grant answers with a code, if the person may use the app.
func (p *Provider) grant(w http.ResponseWriter, r *http.Request, h *identity.Host, q *request, s *session.Subject, kept []byte) error {
	if !q.client.admits(s.Person) {
		if q.None {
			return p.deny(w, r, h, q, &denial{"access_denied", "the person may not use this app"})
		}
		refused := &route.Error{Status: http.StatusForbidden, Code: "app_group", Link: route.PathLogout, Args: map[string]string{
			"login": s.Person.Login, "app": q.client.Name, "groups": strings.Join(q.client.Groups, "; "), "ask": q.client.Ask,
		}}
		if len(q.client.Groups) > 1 {
			refused.Detail = "several"
		}
		if q.client.Ask == "" {
			refused.Args["ask"] = "the administrators of " + h.Name
		}
		return refused
	}
	code, err := p.issueCode(r.Context(), h, q, s, kept)
	if err != nil {
		if q.None {
			p.Respond.About(p.Respond.Log.Warn(), r, h).Str("app", q.ClientID).Err(err).Msg("an app is told to try again")
			return p.deny(w, r, h, q, &denial{"temporarily_unavailable", "no code can be kept now"})
		}
		return err
	}
	p.Respond.About(p.Respond.Log.Info(), r, h).Str("event", "app_sign_in").Str("app", q.ClientID).Str("person", s.Person.ID).Msg("signed in to an app")
	return p.answer(w, r, h, q, url.Values{"code": {code}})
}

// admits reports whether a person is in one of the groups that may use the app.
func (c *Client) admits(person identity.Person) bool {
	return len(c.Groups) == 0 || slices.ContainsFunc(person.Groups, func(group string) bool {
		return slices.ContainsFunc(c.Groups, func(wanted string) bool { return strings.EqualFold(wanted, group) })
	})
}

// deny answers with an error.
func (p *Provider) deny(w http.ResponseWriter, r *http.Request, h *identity.Host, q *request, d *denial) error {
	p.Respond.About(p.Respond.Log.Info(), r, h).Str("app", q.ClientID).Str("error", d.code).Str("reason", d.description).Msg("an app is refused")
	return p.answer(w, r, h, q, url.Values{"error": {d.code}, "error_description": {d.description}})
}

// answer sends the browser back to the app, with the state and with who answers (RFC 9207).
func (p *Provider) answer(w http.ResponseWriter, r *http.Request, h *identity.Host, q *request, values url.Values) error {
	values.Set("iss", issuer(h))
	if q.State != "" {
		values.Set("state", q.State)
	}
	if q.Mode == modeFormPost {
		return p.Respond.Render(w, r, http.StatusOK, "form_post", struct {
			route.Frame
			App, Action string
			Fields      url.Values
		}{route.NewFrame(h), q.client.Name, q.RedirectURI, values})
	}
	// What is listed has no fragment. Its own query stays as it is (RFC 6749, section 3.1.2).
	separator := "?"
	if strings.Contains(q.RedirectURI, "?") {
		separator = "&"
	}
	see(w, q.RedirectURI+separator+values.Encode())
	return nil
}

// see sends the browser on. The address is taken as it is: http.Redirect would clean a path.
func see(w http.ResponseWriter, address string) {
	w.Header().Set("Location", address)
	w.WriteHeader(http.StatusSeeOther)
}
