package idp

import (
	"errors"
	"net/http"

	"persona-sidecar/idp/session"
)

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
