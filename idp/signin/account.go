package signin

import (
	"errors"
	"html/template"
	"net/http"
	"time"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"
)

// current asks who is signed in, for an answer that is also given while the
// directory is away: that is logged here and reported as unavailable.
func (p *Pages) current(w http.ResponseWriter, r *http.Request, h *identity.Host) (subject *session.Subject, unavailable bool, err error) {
	subject, err = p.Sessions.Current(w, r, h, session.Recent)
	if subject != nil && errors.Is(err, identity.ErrUnavailable) {
		p.Respond.About(p.Respond.Log.Warn(), r, h).Err(err).Str("hint", identity.Hint(err)).Msg("the directory cannot be reached")
		return subject, true, nil
	}
	return subject, false, err
}

// account is the data of the person's own page.
type account struct {
	route.Frame
	SignedIn, Unavailable, Private bool
	Name, Login                    string
	Addresses, Contested           []browserid.Address
	Ends                           time.Time // at the latest
	ChangeURL                      string    // where the password is changed, or ""
}

// getAccount serves the person's own page: who am I, my addresses, sign in,
// sign out.
func (p *Pages) getAccount(w http.ResponseWriter, r *http.Request, h *identity.Host) error {
	subject, unavailable, err := p.current(w, r, h)
	if err != nil {
		return err
	}
	data := account{Frame: route.NewFrame(h), SignedIn: subject != nil, Unavailable: unavailable, ChangeURL: changeURL(h, trip{})}
	status := http.StatusOK
	if subject != nil {
		data.Private, data.Ends = !subject.Shared, subject.Ends
		data.Name, data.Login, data.Addresses = subject.Person.DisplayName(), subject.Person.Login, subject.Person.Addresses
		data.Contested = subject.Person.Contested
	}
	if unavailable {
		w.Header().Set("Retry-After", "30")
		status = http.StatusServiceUnavailable
	}
	return p.Respond.Render(w, r, status, "home", data)
}

// sessionAnswer is what /persona/api/session tells our own pages.
type sessionAnswer struct {
	SignedIn bool `json:"signed_in"`
	// DirectoryAvailable is false when it cannot be told who is signed in.
	DirectoryAvailable bool     `json:"directory_available"`
	Name               string   `json:"name,omitempty"`
	Addresses          []string `json:"addresses"`
	Computer           string   `json:"computer,omitempty"` // private or shared
}

// getSession tells who is signed in: 200 always, because not being signed in is
// no error.
func (p *Pages) getSession(w http.ResponseWriter, r *http.Request, h *identity.Host) error {
	subject, unavailable, err := p.current(w, r, h)
	if err != nil {
		return err
	}
	answer := sessionAnswer{SignedIn: subject != nil, DirectoryAvailable: !unavailable, Addresses: []string{}}
	if subject != nil {
		answer.Computer = string(session.Private)
		if subject.Shared {
			answer.Computer = string(session.Shared)
		}
	}
	if subject != nil && !unavailable {
		answer.Name = subject.Person.DisplayName()
		for _, address := range subject.Person.Addresses {
			answer.Addresses = append(answer.Addresses, address.String())
		}
	}
	route.JSON(w, http.StatusOK, answer)
	return nil
}

// SignOutPage is the data of the pages that ask whether to sign out, and say what was done. Websites have them, too.
type SignOutPage struct {
	route.Frame
	Authority string // the identity host, where the page is on another
	// Return is where it goes on, or "": a page of the website, or an address in the configuration, whose scheme may be an
	// app's own.
	Return template.URL
	Stay   string // where it goes on without signing out
	SignIn string // where to sign in again
	Done   SignedOut
}

// SignedOut is what signing out did.
type SignedOut string

// The values of SignedOut.
const (
	SignedOutHere       SignedOut = "here"
	SignedOutEverywhere SignedOut = "everywhere"
	NotSignedOut        SignedOut = "nothing" // the person was signed out here before, and wanted to be everywhere
	NotSignedIn         SignedOut = ""
)

// Outcome returns what a form of the page did.
func Outcome(everywhere, ended bool) SignedOut {
	switch {
	case everywhere && ended:
		return SignedOutEverywhere
	case everywhere:
		return NotSignedOut
	}
	return SignedOutHere
}

// Onward reports whether the page goes on by itself: not where something is to be read.
func (p SignOutPage) Onward() bool {
	return p.Return != "" && (p.Done == SignedOutHere || p.Done == SignedOutEverywhere)
}

// getLogout asks whether to sign out, for links to here: a link alone must not do it.
func (p *Pages) getLogout(w http.ResponseWriter, r *http.Request, h *identity.Host) error {
	query, err := route.Query(r, "return")
	if err != nil {
		return err
	}
	t, err := p.newTrip(r, h, query)
	if err != nil {
		return err
	}
	subject, _, err := p.current(w, r, h)
	if err != nil {
		return err
	}
	data := SignOutPage{Frame: route.NewFrame(h), Return: template.URL(t.Return), Stay: t.end(), SignIn: t.at(PathAuthenticate)}
	switch {
	case subject != nil:
		return p.Respond.Render(w, r, http.StatusOK, "logout", data)
	case t.Return != "":
		return p.Respond.Render(w, r, http.StatusOK, "signed_out", data)
	}
	return p.Respond.Render(w, r, http.StatusOK, "home", account{Frame: route.NewFrame(h)})
}

// postLogout ends the session, or all sessions of the person. On a trip to a hub or to another website it leads back to
// the sign-in page; else the page says what was done. It is no redirect, so that no link can claim that it was done.
func (p *Pages) postLogout(w http.ResponseWriter, r *http.Request, h *identity.Host) error {
	form, err := route.Form(w, r, tripFields("everywhere")...)
	if err != nil {
		return err
	}
	t, err := p.newTrip(r, h, form)
	if err != nil {
		return err
	}
	everywhere := form["everywhere"] != ""
	ended, err := p.Sessions.SignOut(w, r, h, everywhere)
	if err != nil {
		return err
	}
	if p.SignedOut != nil {
		p.SignedOut(w, h)
	}
	if t.Email() != "" || t.Site != "" || t.Ticket != "" {
		http.Redirect(w, r, t.at(PathAuthenticate), http.StatusSeeOther)
		return nil
	}
	return p.Respond.Render(w, r, http.StatusOK, "signed_out", SignOutPage{
		Frame: route.NewFrame(h), Return: template.URL(t.Return), SignIn: t.at(PathAuthenticate), Done: Outcome(everywhere, ended),
	})
}
