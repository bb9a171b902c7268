package idp

import (
	"net/http"
	"time"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/session"
)

// frame is what all pages show.
type frame struct {
	Host    string
	Website bool // something else is served on the host, too
	Plain   bool // without style: the host serves no files of ours
}

func (s *site) frame() frame {
	return frame{Host: s.host.Name, Website: s.host.Website, Plain: s.host.Role != identity.Provider}
}

type homePage struct {
	frame
	SignedIn, Unavailable, Private bool
	Name, Login                    string
	Addresses                      []browserid.Address
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
		data.Name, data.Login, data.Addresses = visit.person.DisplayName(), visit.person.Login, visit.person.Addresses
	}
	if visit.unavailable != nil {
		s.about(s.log.Warn(), r, site).Err(visit.unavailable).Str("hint", identity.Hint(visit.unavailable)).Msg("the directory cannot be reached")
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
