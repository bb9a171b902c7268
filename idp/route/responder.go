package route

import (
	"net/http"
	"net/netip"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/printable"
	"persona-sidecar/idp/web"

	"github.com/rs/zerolog"
)

// Responder writes pages, errors and log lines. Its fields are all required;
// it is safe for concurrent use.
type Responder struct {
	Web *web.Web
	Log zerolog.Logger
	// ClientAddr returns the address of the browser, as far as it is trusted.
	ClientAddr func(*http.Request) netip.Addr
	// RequestID returns the id under which a request stands in the log.
	RequestID func(*http.Request) string
}

// Frame is what all pages show; their data embed it.
type Frame struct {
	Host    string
	Website bool   // something else is served on the host, too
	Files   string // the origin of scripts and styles; "": the page's own
	Plain   bool   // without style: no host is known that has these files
}

// NewFrame returns the frame of a host's pages.
func NewFrame(h *identity.Host) Frame {
	frame := Frame{Host: h.Name, Website: h.Website}
	if h.Role != identity.Provider {
		frame.Files, frame.Plain = h.Files, h.Files == ""
	}
	return frame
}

// Render writes the page of a template in the browser's language, with data that
// embed a [Frame].
func (a *Responder) Render(w http.ResponseWriter, r *http.Request, status int, template string, data any) error {
	body, err := a.Web.Page(a.Language(r), template, data)
	if err != nil {
		return err
	}
	write(w, status, "text/html; charset=utf-8", body)
	return nil
}

// Script returns a handler that answers with a script for the pages of a host's
// hubs. It is rendered for each request because it lists them: see Route.Sources.
func (a *Responder) Script(name string, h *identity.Host) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		script, err := a.Web.Script(name, append([]string{h.Hub()}, h.Hubs...))
		if err != nil {
			return err
		}
		return Asset(script)(w, r)
	}
}

// Language returns the language that the browser of a request wants.
func (a *Responder) Language(r *http.Request) *web.Language {
	return a.Web.Language(r.Header["Accept-Language"]...)
}

// About adds to a log line which request and host it is about.
func (a *Responder) About(event *zerolog.Event, r *http.Request, h *identity.Host) *zerolog.Event {
	return event.Str("request_id", a.RequestID(r)).Str("host", h.Name).
		Stringer("client", a.ClientAddr(r)).Str("path", printable.Text(r.URL.Path, 80))
}

// SessionEnded logs that a session has ended before its time: it is the Ended of
// session.Config. Where it ended beside requests, r is nil.
func (a *Responder) SessionEnded(r *http.Request, h *identity.Host, personID, reason string) {
	event := a.Log.Info()
	if r == nil {
		event = event.Str("host", h.Name)
	} else {
		event = a.About(event, r, h)
	}
	event.Str("event", "session_end").Str("person", personID).Str("reason", reason).Msg("session ended")
}

// Fail answers a request that went wrong, as a page or as JSON by the class of
// the route, and logs the cause. Errors that wrap session.ErrUnavailable,
// identity.ErrUnavailable or keys.ErrNotReady are answered with status 503,
// those that are no [Error] otherwise with 500.
func (a *Responder) Fail(w http.ResponseWriter, r *http.Request, h *identity.Host, class Class, err error) {
	e := complete(err)
	a.logFailure(r, h, e)
	args := map[string]string{"host": h.Name}
	for name, value := range e.Args {
		args[name] = value
	}
	// JSON answers are in English: clients do not show the message.
	message := a.Web.English().Sentence(e.Code, e.Detail, args).Message
	w.Header().Set("Cache-Control", "no-store") // also where the class may be cached
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", Seconds(e.RetryAfter))
	}
	if e.Status == http.StatusRequestTimeout && r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close") // the rest of the body is not waited for
	}
	switch {
	case class == Verification:
		JSON(w, e.Status, map[string]string{"status": "failure", "reason": message})
		return
	case class == OAuth:
		JSON(w, e.Status, map[string]string{"error": e.oauth(), "error_description": describable(message)})
		return
	case !class.readByPeople():
		answer := map[string]string{"error": e.Code, "message": message}
		if e.SignIn != "" {
			answer["sign_in"] = e.SignIn
		}
		JSON(w, e.Status, answer)
		return
	}
	said := a.Language(r).Sentence(e.Code, e.Detail, args)
	page := struct {
		Frame
		Heading, Message, Link, LinkText, Target, Back, Cancel, SupportCode string
	}{NewFrame(h), said.Heading, said.Message, e.Link, said.Link, e.Target, e.Back, e.Cancel, supportCode(a.RequestID(r))}
	page.Website = page.Website && e.Cancel == "" // the popup is no place for the website
	if page.Heading == "" {
		page.Heading = http.StatusText(e.Status)
	}
	body, err := a.Web.Page(a.Language(r), "error", page)
	if err != nil {
		a.Log.Error().Err(err).Msg("the error page cannot be rendered")
		body = []byte(page.Heading)
	}
	write(w, e.Status, "text/html; charset=utf-8", body)
}

// supportCode is the beginning of a request's id, short enough to be told on the
// telephone and enough to find the log line.
func supportCode(requestID string) string { return requestID[:min(8, len(requestID))] }

func (a *Responder) logFailure(r *http.Request, h *identity.Host, e *Error) {
	event := a.Log.Debug()
	switch {
	case e.Repeated:
	case e.Status == http.StatusServiceUnavailable:
		event = a.Log.Warn()
	case e.Status >= http.StatusInternalServerError:
		event = a.Log.Error()
	case e.Cause != nil:
		event = a.Log.Info()
	}
	event = a.About(event, r, h).Int("status", e.Status).Str("code", e.Code).AnErr("cause", e.Cause)
	if hint := identity.Hint(e.Cause); hint != "" {
		event.Str("hint", hint)
	}
	event.Msg("request refused")
}

// ClientNetwork returns the network whose requests are counted together: a
// whole IPv4 address, or the /56 that a provider gives to one IPv6 customer.
// It is the zero Prefix for the zero Addr, an unknown client.
func ClientNetwork(client netip.Addr) netip.Prefix {
	client = client.Unmap().WithZone("")
	bits := 32
	if client.Is6() {
		bits = 56
	}
	network, err := client.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return network
}
