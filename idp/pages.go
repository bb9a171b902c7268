package idp

import (
	"errors"
	"net/http"
	"time"

	"persona-sidecar/idp/session"
)

// frame is what all pages show.
type frame struct {
	Host    string
	Website bool
}

func (s *site) frame() frame { return frame{Host: s.host.Name, Website: s.identity.Website} }

// name is how a page addresses a person.
func (p Person) name() string {
	for _, name := range []string{p.DisplayName, p.GivenName + " " + p.FamilyName, p.Login} {
		if name != "" && name != " " {
			return name
		}
	}
	return p.ID
}

type homePage struct {
	frame
	SignedIn, Unavailable, Private bool
	Name, Login                    string
	Addresses                      []string
	Ends                           time.Time // at the latest
}

// getHome serves the person's own page: who am I, my addresses, sign in, sign out.
func (s *Server) getHome(w http.ResponseWriter, r *http.Request, site *site) error {
	visit, err := s.visitor(w, r, site, false)
	if err != nil {
		return err
	}
	data := homePage{frame: site.frame(), SignedIn: visit.signedIn(), Unavailable: visit.unavailable != nil}
	status := http.StatusOK
	if visit.signedIn() {
		data.Private = visit.session.Computer == session.Private
		data.Ends = visit.session.Ends
		data.Name, data.Login, data.Addresses = visit.person.name(), visit.person.Login, visit.person.Addresses
	}
	if visit.unavailable != nil {
		s.about(s.log.Warn(), r, site).Err(visit.unavailable).Msg("the directory cannot be reached")
		w.Header().Set("Retry-After", "30")
		status = http.StatusServiceUnavailable
	}
	return s.render(w, status, "home", data)
}

// getProvision serves the page that a hub frames. It says nothing about
// anybody: its module asks.
func (s *Server) getProvision(w http.ResponseWriter, _ *http.Request, site *site) error {
	return s.render(w, http.StatusOK, "provision", site.frame())
}

// postLogout ends the session, or all sessions of the person. With an address
// it leads back to the authentication page, else to the person's page.
func (s *Server) postLogout(w http.ResponseWriter, r *http.Request, site *site) error {
	form, err := readForm(w, r, "everywhere", "email")
	if err != nil {
		return err
	}
	next := pathHome
	if form["email"] != "" {
		next = authenticateURL(form["email"], false)
	}
	current, err := s.config.Sessions.Read(r.Context(), r, site.binding())
	switch {
	case errors.Is(err, session.ErrNone):
		// Whatever cookie there is, it is of no use: it goes.
		if err := s.config.Sessions.End(r.Context(), w, site.binding(), session.Session{}); err != nil {
			return errSessions(err)
		}
	case err != nil:
		return errSessions(err)
	default:
		if err := s.signOut(w, r, site, current, form["everywhere"] != ""); err != nil {
			return err
		}
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}

func (s *Server) signOut(w http.ResponseWriter, r *http.Request, site *site, current session.Session, everywhere bool) error {
	reason := "signed_out"
	if everywhere {
		reason = "signed_out_everywhere"
		if err := s.config.Sessions.EndPerson(r.Context(), current.Directory, current.Person); err != nil {
			return errSessions(err)
		}
	}
	return s.endSession(w, r, site, current, reason)
}
