package middleware

import (
	"net/http"
	"time"
)

// Served is what is told about a request when it is over, for counting. It names
// nobody, and every text in it is one of few.
type Served struct {
	Site     string        // name of the site, "" for an unknown host
	Handler  string        // name of the intercept or handler that answered, "" for none
	Status   int           // as the access log gives it, 499 when the client went away before the answer
	Upgraded bool          // the connection became a websocket or the like, and Took its life
	Took     time.Duration // from the first byte of the request to the last of the answer
}

// served is the line without what is about persons.
func (l line) served() Served {
	status := l.status(l.clientLeft())
	return Served{
		Site: l.rec.Site, Handler: l.rec.Handler, Status: status,
		Upgraded: status == http.StatusSwitchingProtocols, Took: l.took,
	}
}
