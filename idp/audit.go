package idp

import (
	"net/http"

	"github.com/rs/zerolog"
)

// about adds to a log line which request and host it is about.
func (s *Server) about(event *zerolog.Event, r *http.Request, site *site) *zerolog.Event {
	return event.Str("request", s.config.RequestID(r)).Str("host", site.host.Name).
		Stringer("client", s.config.ClientAddr(r)).Str("path", printable(r.URL.Path, 80))
}
