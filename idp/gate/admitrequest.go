package gate

import (
	"net/http"
	"strings"

	"persona-sidecar/idp/route"
)

// asker is whose page made a request.
type asker int

const (
	ownPage     asker = iota // of the site itself, or the person, by the address bar
	otherPage                // of another origin
	unknownPage              // it is not said, as by programs
)

// changes reports whether a request may do more than read: its method is not safe (RFC 9110,
// section 9.2.1), or it begins another protocol, which no same-origin policy guards. A neighbour
// that describes a handshake leaves Upgrade out, which is of one connection alone.
func changes(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return len(r.Header["Upgrade"])+len(r.Header["Sec-Websocket-Key"])+len(r.Header["Sec-Websocket-Version"]) > 0
	}
	return true
}

// askedBy returns whose page made a request, as the browser tells. A sibling of the host is
// another: a cookie that is SameSite goes with its requests.
func (s *Site) askedBy(r *http.Request) asker {
	told, own := r.Header["Sec-Fetch-Site"], len(r.Header["Sec-Fetch-Site"]) == 1
	if own {
		own = told[0] == "same-origin" || told[0] == "none"
	}
	if len(told) == 0 {
		if told = r.Header["Origin"]; len(told) == 0 {
			return unknownPage
		}
		own = len(told) == 1 && told[0] == s.Origin
	}
	if own {
		return ownPage
	}
	return otherPage
}

// navigates reports whether a person sees the answer to a request as a page.
func navigates(r *http.Request) bool {
	if modes := r.Header["Sec-Fetch-Mode"]; len(modes) > 0 {
		return modes[0] == "navigate"
	}
	accepted := strings.ToLower(strings.Join(r.Header["Accept"], ","))
	return strings.Contains(accepted, "text/html") || strings.Contains(accepted, "application/xhtml+xml")
}

// framed reports whether a page is asked for by another one, to be shown inside of it.
func framed(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Dest") {
	case "iframe", "frame", "object", "embed", "fencedframe":
		return true
	}
	return false
}

// program reports whether no page of a browser made a request: a challenge in the answer
// opens no dialog then.
func program(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return (site == "" || site == "none") && !navigates(r) && len(r.Header["Origin"]) == 0 && len(r.Header["Referer"]) == 0
}

// referer is the page of the site that made a request, as a path to return to; "": none, or
// it is not told.
func (s *Site) referer(r *http.Request) string {
	path, ok := strings.CutPrefix(r.Header.Get("Referer"), s.Origin)
	if !ok {
		return ""
	}
	back, err := route.ReturnPath(path)
	if err != nil {
		return ""
	}
	return back
}

// authorizes reports whether a request brings what the website judges by itself. A field that
// Connection names does not get there: behind the gate the request would be a stranger's.
func authorizes(r *http.Request) bool {
	dropped := strings.Contains(strings.ToLower(strings.Join(r.Header["Connection"], ",")), "authorization")
	return !dropped && strings.TrimSpace(r.Header.Get("Authorization")) != ""
}
