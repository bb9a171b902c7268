package idp

import (
	"net/http"
	"net/url"
	"slices"
	"unicode/utf8"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/session"
)

// The states of the authentication page.
const (
	stateForm       = "form"        // sign in
	stateReturn     = "return"      // just signed in: back to the hub
	stateOther      = "other"       // signed in, but not as the person asked for
	stateBlocked    = "blocked"     // signed in, yet the hub could not see it
	stateCookieless = "cookieless"  // just signed in, but no cookie came back
	stateUnknownHub = "unknown_hub" // sent here by a place that is not configured
)

type authenticatePage struct {
	frame
	State string
	// Email is the address that the hub asks for, "" when no hub sent us. It
	// comes from the query: checked for its form, and otherwise anybody's text.
	Email string
	Hub   string // base URL of the host's own hub, where no script corrects it

	Username, Error string // form
	Private         bool   // form
	Name            string // other
	Addresses       []browserid.Address
	Again           string // cookieless: where to begin again
	From            string // unknown_hub: the origin
}

// authenticateURL is where the authentication page for an address is. The
// marker signed_in tells it that the form was just sent with success.
func authenticateURL(email string, signedIn bool) string {
	query := url.Values{}
	if email != "" {
		query.Set("email", email)
	}
	if signedIn {
		query.Set("signed_in", "1")
	}
	if len(query) == 0 {
		return pathAuthenticate
	}
	return pathAuthenticate + "?" + query.Encode()
}

func (s *site) authenticatePage(email, state string) authenticatePage {
	return authenticatePage{frame: s.frame(), State: state, Email: email, Hub: s.host.Hub()}
}

// getAuthenticate looks at the session again and says in words what to do next.
func (s *Server) getAuthenticate(w http.ResponseWriter, r *http.Request, site *site) error {
	query := r.URL.Query()
	email, err := askedFor(query.Get("email"))
	if err != nil {
		return err
	}
	if from := site.unknownHub(r); from != "" && email != "" {
		data := site.authenticatePage(email, stateUnknownHub)
		data.From = from
		return s.render(w, http.StatusForbidden, "authenticate", data)
	}
	visit, err := s.visitor(w, r, site, email != "")
	if err != nil {
		return err
	}
	if visit.unavailable != nil {
		// As if just signed in: cookies are not to blame for what the hub missed.
		return site.errDirectory(visit.unavailable, authenticateURL(email, true))
	}
	justSignedIn := query.Has("signed_in")
	if visit.signedIn() && email == "" {
		http.Redirect(w, r, pathHome, http.StatusSeeOther)
		return nil
	}
	if !visit.signedIn() && justSignedIn && !sentCookie(r) {
		data := site.authenticatePage(email, stateCookieless)
		data.Again = authenticateURL(email, false)
		return s.render(w, http.StatusOK, "authenticate", data)
	}
	return s.render(w, http.StatusOK, "authenticate", site.nextStep(visit, email, justSignedIn))
}

// nextStep chooses what the authentication page says.
func (s *site) nextStep(visit visit, email string, justSignedIn bool) authenticatePage {
	switch {
	case !visit.signedIn():
		data := s.authenticatePage(email, stateForm)
		data.Username = email
		return data
	case !slices.ContainsFunc(visit.person.Addresses, func(a browserid.Address) bool { return a.String() == email }):
		data := s.authenticatePage(email, stateOther)
		data.Name, data.Addresses = visit.person.DisplayName(), visit.person.Addresses
		return data
	case justSignedIn:
		return s.authenticatePage(email, stateReturn)
	}
	// The right person is signed in, and still the hub found no way to a
	// certificate. Sending them back at once would be a loop.
	return s.authenticatePage(email, stateBlocked)
}

// sentCookie says whether a request has a cookie of ours, good or bad.
func sentCookie(r *http.Request) bool {
	_, err := r.Cookie(session.CookieName)
	return err == nil
}

// askedFor checks the form of the address that a hub asks for.
func askedFor(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	address, err := browserid.ParseAddress(text)
	if err != nil {
		return "", &httpError{
			status: http.StatusBadRequest, code: "bad_address", heading: "Not an e-mail address",
			public: "You were sent here for “" + printable(text, 80) + "”, which is not an e-mail address that can be confirmed. Go back and type it again.",
			cause:  err,
		}
	}
	return address.String(), nil
}

// unknownHub returns the origin that sent the browser here, if it is neither
// ours nor that of a hub in the configuration. Without a referrer nothing is
// known, and nothing is refused: who may frame the provisioning page decides.
func (s *site) unknownHub(r *http.Request) string {
	from, err := url.Parse(r.Header.Get("Referer"))
	if err != nil || from.Host == "" || (from.Scheme != "https" && from.Scheme != "http") {
		return ""
	}
	origin := from.Scheme + "://" + from.Host
	if origin == s.host.Origin {
		return ""
	}
	for _, hub := range s.host.Hubs {
		if known, err := identity.HubOrigin(hub); err == nil && known == origin {
			return ""
		}
	}
	return printable(origin, 100)
}

// postAuthenticate takes the sign-in form. A wrong name or password, and every
// other refusal, is the page again with status 403: 401 would demand a
// challenge header, and password managers take a 4xx for what it is.
func (s *Server) postAuthenticate(w http.ResponseWriter, r *http.Request, site *site) error {
	form, err := readForm(w, r, "username", "password", "computer", "email")
	if err != nil {
		return err
	}
	email, err := askedFor(form["email"])
	if err != nil {
		return err
	}
	try := signIn{login: form["username"], password: form["password"], email: email, computer: computer(form["computer"])}
	refusal, err := s.signIn(w, r, site, try)
	s.countSignIn(site, refusal, err)
	if err != nil {
		return err
	}
	if refusal != nil {
		data := site.authenticatePage(email, stateForm)
		data.Username, data.Error = redisplayed(try.login), refusal.words
		data.Private = try.computer == session.Private
		if refusal.retryAfter > 0 {
			w.Header().Set("Retry-After", seconds(refusal.retryAfter))
		}
		return s.render(w, refusal.status, "authenticate", data)
	}
	next := pathHome
	if email != "" {
		next = authenticateURL(email, true)
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}

// computer reads the person's choice; whatever is not clearly private is shared.
func computer(choice string) session.Computer {
	if choice == string(session.Private) {
		return session.Private
	}
	return session.Shared
}

// redisplayed is a typed name as the form shows it again.
func redisplayed(login string) string {
	if len(login) > identity.MaxLogin || !utf8.ValidString(login) {
		return ""
	}
	return login
}
