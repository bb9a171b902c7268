package idp

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"persona-sidecar/idp/identity"
)

// httpError is how a handler says that a request went wrong. Exactly one
// place, fail, writes it to the browser and to the log.
type httpError struct {
	status int
	// code is for programs, public for people; neither tells internals.
	code, public string
	// heading stands above public on a page; empty: the status in words.
	heading string
	// cause is for the log only.
	cause error
	// retryAfter is zero when there is no use in trying again.
	retryAfter time.Duration
	// link leads a person on; empty: nowhere.
	link, linkText string
}

func (e *httpError) Error() string {
	if e.cause != nil {
		return e.code + ": " + e.cause.Error()
	}
	return e.code
}

func (e *httpError) Unwrap() error { return e.cause }

// errKeys: the host's keys, or the secret that seals sessions, are not there yet.
func errKeys(cause error) error {
	return &httpError{
		status: http.StatusServiceUnavailable, code: "keys_not_ready", heading: "Not ready yet",
		public: "The keys of this identity provider are not ready yet. Try again in a few seconds.",
		cause:  cause, retryAfter: 5 * time.Second,
	}
}

// errSessions: the store of sessions cannot answer, so nobody counts as signed in.
func errSessions(cause error) error {
	return &httpError{
		status: http.StatusServiceUnavailable, code: "sessions_unavailable", heading: "Temporarily unavailable",
		public: "Who is signed in cannot be checked at the moment. Try again in a few seconds.",
		cause:  cause, retryAfter: 5 * time.Second,
	}
}

// errDirectory: the directory cannot answer. A page leads on to again.
func (s *site) errDirectory(cause error, again string) error {
	return &httpError{
		status: http.StatusServiceUnavailable, code: "directory_unavailable", heading: "The directory cannot be reached",
		public: "The directory of " + s.host.Name + ", which knows who may sign in, cannot be reached at the moment. Nothing is wrong with your account or password. Try again in a few minutes.",
		cause:  cause, retryAfter: 30 * time.Second,
		link: again, linkText: "Try again",
	}
}

// notFound is the answer to every path of ours that is not in the table.
func (s *site) notFound() error {
	e := &httpError{status: http.StatusNotFound, code: "not_found", public: "There is nothing at this address."}
	switch s.host.Role {
	case identity.Provider:
		e.link, e.linkText = pathHome, "Your account at "+s.host.Name
	case identity.Delegating:
		e.public = "People of " + s.host.Name + " sign in at " + s.host.Authority + "."
		e.link, e.linkText = "https://"+s.host.Authority+pathHome, "Go to "+s.host.Authority
	case identity.Disabled:
		e.public = "Nobody signs in at " + s.host.Name + ": identity is switched off here."
	}
	return e
}

type errorPage struct {
	frame
	Heading, Message, Link, LinkText, RequestID string
}

// fail answers a request that went wrong, as a page or as JSON by the class of
// the route, and logs the cause.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, site *site, c class, err error) {
	var e *httpError
	if !errors.As(err, &e) {
		e = &httpError{status: http.StatusInternalServerError, code: "internal", public: "Something went wrong here. It has been noted.", cause: err}
	}
	s.logFailure(r, site, e)
	doNotCache(w)
	if e.retryAfter > 0 {
		w.Header().Set("Retry-After", seconds(e.retryAfter))
	}
	if c == verification {
		writeJSON(w, e.status, map[string]string{"status": "failure", "reason": e.public})
		return
	}
	if !c.read() {
		writeJSON(w, e.status, map[string]string{"error": e.code, "message": e.public})
		return
	}
	heading := e.heading
	if heading == "" {
		heading = http.StatusText(e.status)
	}
	body, err := s.web.Page("error", errorPage{
		frame: site.frame(), Heading: heading, Message: e.public,
		Link: e.link, LinkText: e.linkText, RequestID: s.config.RequestID(r),
	})
	if err != nil {
		s.log.Error().Err(err).Msg("the error page cannot be rendered")
		body = []byte(heading)
	}
	write(w, e.status, "text/html; charset=utf-8", body)
}

func (s *Server) logFailure(r *http.Request, site *site, e *httpError) {
	event := s.log.Debug()
	switch {
	case e.status == http.StatusServiceUnavailable:
		event = s.log.Warn()
	case e.status >= http.StatusInternalServerError:
		event = s.log.Error()
	case e.cause != nil:
		event = s.log.Info()
	}
	event = s.about(event, r, site).Int("status", e.status).Str("code", e.code).AnErr("cause", e.cause)
	if hint := identity.Hint(e.cause); hint != "" {
		event.Str("hint", hint)
	}
	event.Msg("request refused")
}

// render writes a page.
func (s *Server) render(w http.ResponseWriter, status int, name string, data any) error {
	body, err := s.web.Page(name, data)
	if err != nil {
		return err
	}
	write(w, status, "text/html; charset=utf-8", body)
	return nil
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the browser may have left; there is nobody to tell
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil { // only structs of strings, booleans and times come here
		status, body = http.StatusInternalServerError, []byte(`{"error":"internal","message":"Something went wrong here."}`)
	}
	write(w, status, "application/json", body)
}

// seconds writes a duration for Retry-After, rounded up.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// printable cuts foreign text to a number of characters and replaces what is
// not printable.
func printable(text string, limit int) string {
	text = strings.ToValidUTF8(text, "�")
	characters := []rune(text)
	if len(characters) > limit {
		characters = append(characters[:limit:limit], '…')
	}
	for i, c := range characters {
		if !unicode.IsPrint(c) {
			characters[i] = '�'
		}
	}
	return string(characters)
}
