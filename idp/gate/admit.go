package gate

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"persona-sidecar/idp/gate/access"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/printable"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"
)

// Admit decides about a request to the website of a host, which is that of a [Site]. secure
// reports whether the client came by HTTPS. When the verdict is Answered, the answer is
// complete.
//
// No User-Agent is let through, and nothing that looks like a question after the health of
// the website: the rules can do that.
func (g *Gate) Admit(w http.ResponseWriter, r *http.Request, host string, secure bool) Admission {
	site, path := g.sites[host], g.Path(r)
	if site.rules.Protects() && access.Odd(path) {
		return g.refuse(w, r, site, &route.Error{Status: http.StatusBadRequest, Code: "odd_target"})
	}
	demand := site.rules.For(path)
	open := demand.Public()
	if !secure && !open {
		return Admission{Verdict: TooOpen}
	}
	asked := ownPage
	if changes(r) {
		asked = site.askedBy(r)
	}
	switch {
	case !open && demand.Authorization() && strings.TrimSpace(r.Header.Get("Authorization")) != "":
		return g.admit(site, nil, Admission{Private: true}) // the website judges
	case !open && asked == otherPage:
		return g.refuse(w, r, site, &route.Error{Status: http.StatusForbidden, Code: "cross_site"})
	case open && (!secure || asked != ownPage || site.Headers == nil && len(site.SignOutCookies) == 0):
		return g.admit(site, nil, Admission{})
	}

	visit, err := g.Sessions.Visit(r, site.place())
	if visit.Away {
		err = fmt.Errorf("%w: it has not told of a person who is signed in for five minutes", identity.ErrUnavailable)
	}
	if err != nil && r.Context().Err() == nil {
		g.Respond.About(g.outages.Warn(), r, site.pages).Str("authority", site.Authority.Name).Err(err).
			Str("hint", cmp.Or(identity.Hint(err), "the lines of the directory and of the store tell more; sessions stay, and count again as soon as they can be checked")).
			Msg("people who are signed in count as strangers")
	}
	var a Admission
	if visit.SetCookie != "" {
		a.SetCookies = append(a.SetCookies, visit.SetCookie)
	}
	if visit.Lost {
		for _, cookie := range site.SignOutCookies {
			a.Hidden, a.SetCookies = append(a.Hidden, cookie.Name), append(a.SetCookies, cookie.expired())
		}
	}
	if !open {
		refused := g.judge(w, r, site, demand, visit.Subject, asked, err)
		if refused != nil {
			for _, line := range a.SetCookies {
				w.Header().Add("Set-Cookie", line)
			}
			return g.refuse(w, r, site, refused)
		}
	}
	a.Fields = g.fields(site, visit.Subject)
	if !open || len(a.Fields) > 0 {
		a.Private, a.Ended = true, visit.Ended
	}
	a.Private = a.Private || len(a.SetCookies) > 0 // they are for this browser alone
	return g.admit(site, visit.Subject, a)
}

// admit counts a request that goes to the website.
func (g *Gate) admit(site *Site, s *session.Subject, a Admission) Admission {
	if s == nil {
		g.Count(site.Host, "anonymous")
	} else {
		g.Count(site.Host, "signed_in")
	}
	return a
}

// judge returns why a request does not pass a demand; nil: it does. outage is why it cannot
// be told who is signed in.
func (g *Gate) judge(w http.ResponseWriter, r *http.Request, site *Site, demand access.Demand, s *session.Subject, asked asker, outage error) *route.Error {
	var lacking *access.Rule
	if s != nil {
		lacking = demand.Lacking(s.Person.Groups)
	}
	if s != nil && asked == ownPage && lacking == nil {
		return nil
	}
	page, reads, here := navigates(r), r.Method == http.MethodGet || r.Method == http.MethodHead, g.here(r)
	switch {
	case outage != nil:
		refused := &route.Error{Cause: outage, Repeated: true, Args: map[string]string{"host": site.Authority.Name}}
		if reads {
			refused.Link = here
		}
		return refused
	case s != nil && asked == unknownPage:
		return &route.Error{Status: http.StatusForbidden, Code: "cross_site", Detail: "unknown"}
	case s != nil:
		refused := &route.Error{Status: http.StatusForbidden, Code: "wrong_group", Args: map[string]string{
			"login":  printable.Text(cmp.Or(s.Person.Login, s.Person.Name, s.Person.ID), 80),
			"groups": "“" + strings.Join(lacking.Groups, "”, “") + "”",
		}, Link: withReturn(route.PathLogout, here), Target: "_top"}
		if len(lacking.Groups) > 1 {
			refused.Detail = "several"
		}
		return refused
	}
	refused := &route.Error{Status: http.StatusUnauthorized, Code: "sign_in_required", SignIn: route.PathLogin, Link: withReturn(route.PathLogin, here)}
	from := site.referer(r)
	switch {
	case page && !reads:
		refused.Detail, refused.Target, refused.Back = "unsent", "_blank", cmp.Or(from, "/")
		refused.Link = withReturn(route.PathLogin, refused.Back)
	case page && framed(r): // the sign-in page cannot be framed; afterwards the page around is wanted
		refused.Target, refused.Link = "_top", withReturn(route.PathLogin, cmp.Or(from, here))
	case page:
		refused.Status = http.StatusSeeOther
	case demand.Authorization() && program(r): // which has no dialog of a browser, and waits for this
		w.Header().Set("WWW-Authenticate", "Basic realm="+strconv.Quote(site.Host)+`, charset="UTF-8"`)
	}
	return refused
}

// refuse answers a request in place of the website: with a page where a person sees it, in
// JSON to programs. A refusal of the status 303 sends the browser to its link.
func (g *Gate) refuse(w http.ResponseWriter, r *http.Request, site *Site, refused *route.Error) Admission {
	class, outcome := route.API, route.Code(refused, "")
	if navigates(r) {
		class = route.Notice
	}
	maps.Copy(w.Header(), g.headers[site][class])
	if refused.Status == http.StatusSeeOther {
		outcome = "login"
		g.Respond.About(g.Log.Debug(), r, site.pages).Str("code", outcome).Msg("sent to sign in")
		see(w, refused.Link)
	} else {
		g.Respond.Fail(w, r, site.pages, class, refused)
	}
	g.Count(site.Host, outcome)
	return Admission{Verdict: Answered}
}

// here is the path and query of a request as a path to return to: without the query, or the
// front page, where it cannot be returned to.
func (g *Gate) here(r *http.Request) string {
	path := g.Path(r)
	for _, text := range []string{path + "?" + r.URL.RawQuery, path} {
		if back, err := route.ReturnPath(strings.TrimSuffix(text, "?")); err == nil {
			return back
		}
	}
	return "/"
}

func withReturn(path, back string) string { return path + "?return=" + url.QueryEscape(back) }
