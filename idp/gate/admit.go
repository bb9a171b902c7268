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
	site := g.sites[host]
	d := g.decide(r, site, g.Path(r), secure)
	if d.Verdict == TooOpen {
		return d.Admission
	}
	if d.refused == nil {
		g.Count(site.Host, d.outcome())
		return d.Admission
	}
	for _, line := range d.SetCookies {
		w.Header().Add("Set-Cookie", line)
	}
	g.refuse(w, r, site, d)
	return Admission{Verdict: Answered}
}

// decision is what becomes of a request to a website, before anything of it is answered.
type decision struct {
	Admission
	signedIn bool
	refused  *route.Error // nil: it goes to the website. The status 303 sends the browser to its link
	dialog   bool         // the client is told that it may send Authorization
}

// outcome is what is counted of a request that goes to the website.
func (d *decision) outcome() string {
	if d.signedIn {
		return "signed_in"
	}
	return "anonymous"
}

// decide decides about a request to the website of a site. path is as it was sent, escapes kept.
func (g *Gate) decide(r *http.Request, site *Site, path string, secure bool) (d decision) {
	if site.rules.Protects() && access.Odd(path) {
		d.refused = &route.Error{Status: http.StatusBadRequest, Code: "odd_target"}
		return d
	}
	demand := site.rules.For(path)
	open := demand.Public()
	if !secure && !open {
		d.Verdict = TooOpen
		return d
	}
	asked := ownPage
	if changes(r) {
		asked = site.askedBy(r)
	}
	switch {
	case !open && demand.Authorization() && authorizes(r):
		d.Private = true // the website judges
		return d
	case !open && asked == otherPage:
		d.refused = &route.Error{Status: http.StatusForbidden, Code: "cross_site"}
		return d
	case open && (!secure || asked != ownPage || site.Headers == nil && len(site.SignOutCookies) == 0):
		return d
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
	if visit.SetCookie != "" {
		d.SetCookies = append(d.SetCookies, visit.SetCookie)
	}
	if visit.Lost {
		for _, cookie := range site.SignOutCookies {
			d.Hidden, d.SetCookies = append(d.Hidden, cookie.Name), append(d.SetCookies, cookie.expired())
		}
	}
	if !open {
		if d.refused = g.judge(r, site, path, demand, visit.Subject, asked, err); d.refused != nil {
			d.dialog = d.refused.Status == http.StatusUnauthorized && demand.Authorization() && program(r) // it has no dialog of a browser, and waits for this
			return d
		}
	}
	d.signedIn = visit.Subject != nil
	d.Fields = g.fields(site, visit.Subject)
	if !open || len(d.Fields) > 0 {
		d.Private, d.Ended = true, visit.Ended
	}
	d.Private = d.Private || len(d.SetCookies) > 0 // they are for this browser alone
	return d
}

// judge returns why a request does not pass a demand; nil: it does. outage is why it cannot
// be told who is signed in.
func (g *Gate) judge(r *http.Request, site *Site, path string, demand access.Demand, s *session.Subject, asked asker, outage error) *route.Error {
	var lacking *access.Rule
	if s != nil {
		lacking = demand.Lacking(s.Person.Groups)
	}
	if s != nil && asked == ownPage && lacking == nil {
		return nil
	}
	page, reads, here := navigates(r), r.Method == http.MethodGet || r.Method == http.MethodHead, here(path, r.URL.RawQuery)
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
	}
	return refused
}

// refuse answers a refused request in place of the website: with a page where a person sees it,
// in JSON to programs.
func (g *Gate) refuse(w http.ResponseWriter, r *http.Request, site *Site, d decision) {
	class, outcome := route.API, route.Code(d.refused, "")
	if navigates(r) {
		class = route.Notice
	}
	maps.Copy(w.Header(), site.answers[class])
	if d.dialog {
		w.Header().Set("WWW-Authenticate", "Basic realm="+strconv.Quote(site.Host)+`, charset="UTF-8"`)
	}
	if d.refused.Status == http.StatusSeeOther {
		outcome = "login"
		g.Respond.About(g.Log.Debug(), r, site.pages).Str("code", outcome).Msg("sent to sign in")
		see(w, d.refused.Link)
	} else {
		g.Respond.Fail(w, r, site.pages, class, d.refused)
	}
	g.Count(site.Host, outcome)
}

// here is the path and query of a request as a path to return to: without the query, or the
// front page, where it cannot be returned to.
func here(path, query string) string {
	for _, text := range []string{path + "?" + query, path} {
		if back, err := route.ReturnPath(strings.TrimSuffix(text, "?")); err == nil {
			return back
		}
	}
	return "/"
}

func withReturn(path, back string) string { return path + "?return=" + url.QueryEscape(back) }
