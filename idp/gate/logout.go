package gate

import (
	"html/template"
	"net/http"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/signin"
)

// askLogout asks at a website's host whether to sign out: a link alone must not do it.
func (g *Gate) askLogout(w http.ResponseWriter, r *http.Request, h *identity.Host, site *Site) error {
	query, err := begin(w, r, "return")
	if err != nil {
		return err
	}
	data, err := signOutPage(h, site, query)
	if err != nil {
		return err
	}
	visit, err := g.visit(w, r, site)
	if err != nil {
		return err
	}
	if visit.Subject == nil && !visit.Away { // while the directory is away a session can be ended, too
		return g.Respond.Render(w, r, http.StatusOK, "signed_out", data)
	}
	return g.Respond.Render(w, r, http.StatusOK, "logout", data)
}

// logout ends the session, at the identity host and at all of its websites.
func (g *Gate) logout(w http.ResponseWriter, r *http.Request, h *identity.Host, site *Site) error {
	if err := route.Navigation(r); err != nil {
		return err
	}
	form, err := route.Form(w, r, "everywhere", "return")
	if err != nil {
		return err
	}
	data, err := signOutPage(h, site, form)
	if err != nil {
		return err
	}
	everywhere := form["everywhere"] != ""
	ended, err := g.Sessions.SignOutAt(w, r, site.place(), everywhere)
	if err != nil {
		return err
	}
	if err := g.writeLogins(w, site, nil); err != nil {
		return err
	}
	site.expireCookies(w)
	if ended || everywhere {
		data.Done = signin.Outcome(everywhere, ended)
	}
	return g.Respond.Render(w, r, http.StatusOK, "signed_out", data)
}

// ExpireCookies ends the sessions that the website on an identity host has made of ours, as far as the configuration names
// their cookies.
func (g *Gate) ExpireCookies(w http.ResponseWriter, h *identity.Host) {
	if site := g.sites[h.Name]; site != nil {
		site.expireCookies(w)
	}
}

func (s *Site) expireCookies(w http.ResponseWriter) {
	for _, cookie := range s.SignOutCookies {
		w.Header().Add("Set-Cookie", cookie.expired())
	}
}

// expired is the Set-Cookie line that makes the browser forget the cookie. A name with a prefix needs Secure.
func (c Cookie) expired() string {
	return (&http.Cookie{Name: c.Name, Path: c.Path, MaxAge: -1, Secure: true, HttpOnly: true}).String()
}

// signOutPage is the data of the pages, from the parameters or fields of a request.
func signOutPage(h *identity.Host, site *Site, fields map[string]string) (data signin.SignOutPage, err error) {
	data = signin.SignOutPage{Frame: route.NewFrame(h), Authority: site.Authority.Name, Stay: "/", SignIn: route.PathLogin}
	data.Website = true
	if text, ok := fields["return"]; ok {
		path, err := route.ReturnPath(text)
		if err != nil {
			return data, err
		}
		data.Return, data.Stay, data.SignIn = template.URL(path), path, withReturn(route.PathLogin, path)
	}
	return data, nil
}
