package signin

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/printable"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"
)

// The states of the sign-in page.
const (
	stateForm       = "form"        // sign in
	stateReturn     = "return"      // just signed in: back to the hub
	stateOnward     = "onward"      // just signed in: on to the website
	stateOther      = "other"       // signed in, but not as the person asked for
	stateBlocked    = "blocked"     // signed in, yet the hub could not see it
	stateCookieless = "cookieless"  // just signed in, but no cookie came back
	stateUnknownHub = "unknown_hub" // sent here by a site that is not configured
	stateNotice     = "notice"      // just signed in, and something is to be said about the password
)

// page is the data of the sign-in page.
type page struct {
	route.Frame
	trip
	State string
	Hub   string // base URL of the host's own hub, where no script corrects it

	// Of the form.
	Action                   string
	Username, Error          string
	WrongName, WrongPassword bool   // the fields that the error is about
	Private                  bool   // keep me signed in
	Lifetime                 string // how long that is
	ByName, ByAddress        bool   // what the directory finds people by
	ChangeURL                string // where the password is changed, or ""
	MustChange               bool   // it has to be

	Name      string // other
	Addresses []browserid.Address
	Contested bool   // Email is theirs, and another entry's, too
	Again     string // cookieless: where to begin again
	From      string // unknown_hub: the origin

	Notice string // notice: the sentence
	Next   string // notice, onward: where it goes on
}

func (p *Pages) newPage(h *identity.Host, t trip, state string) page {
	data := page{
		Frame: route.NewFrame(h), trip: t, State: state, Hub: h.Hub(), Action: t.at(PathAuthenticate), Lifetime: lifetime(p.Sessions.Lifetime(h)),
		ChangeURL: changeURL(h, t), ByName: h.LoginByName, ByAddress: h.LoginByAddress,
	}
	if !data.ByName && !data.ByAddress {
		data.ByName, data.ByAddress = true, true
	}
	return data
}

// lifetime writes how long a session lasts.
func lifetime(d time.Duration) string {
	unit, n := "minute", int(d/time.Minute)
	switch {
	case d%(24*time.Hour) == 0:
		unit, n = "day", int(d/(24*time.Hour))
	case d%time.Hour == 0:
		unit, n = "hour", int(d/time.Hour)
	}
	if n != 1 {
		unit += "s"
	}
	return strconv.Itoa(n) + " " + unit
}

// getAuthenticate looks at the session again and tells the person what to do
// next.
func (p *Pages) getAuthenticate(w http.ResponseWriter, r *http.Request, h *identity.Host) error {
	query, err := route.Query(r, tripFields("signed_in")...)
	if err != nil {
		return err
	}
	t, err := p.newTrip(r, h, query)
	if err != nil {
		return err
	}
	_, justSignedIn := query["signed_in"]
	email := t.Email()
	if from := unknownHub(r, h); from != "" && email != "" {
		data := p.newPage(h, t, stateUnknownHub)
		data.From = from
		return p.Respond.Render(w, r, http.StatusForbidden, "authenticate", data)
	}
	freshness := session.Recent
	if email != "" {
		freshness = session.Now
	}
	subject, err := p.Sessions.Current(w, r, h, freshness)
	if errors.Is(err, identity.ErrUnavailable) {
		// As if just signed in: cookies are not to blame for what the hub missed.
		return &route.Error{Cause: err, Link: t.signedIn(), Cancel: cancelURL(h, t)}
	}
	if err != nil {
		return err
	}
	if subject != nil && subject.AuthTime.Before(t.app.After) {
		subject = nil // the app wants to see a password typed
	}
	if subject != nil && email == "" && !(t.onward() && justSignedIn) {
		w.Header().Set("Location", t.end())
		w.WriteHeader(http.StatusSeeOther)
		return nil
	}
	data := p.newPage(h, t, stateForm)
	switch {
	case subject == nil && justSignedIn && !session.SentCookie(r):
		data.State, data.Again = stateCookieless, t.at(PathAuthenticate)
	case subject == nil:
		// A password manager fills in the password of the name that it knows, and of no
		// other: the address is that name only where people sign in by nothing else.
		if !data.ByName {
			data.Username = email
		}
		if login := t.app.Login; identity.ValidLogin(login) && (data.ByName || strings.Contains(login, "@")) {
			data.Username = login
		}
	case t.onward():
		// Not by a redirect of the form: form-action would hold on all of its way.
		data.State, data.Next = stateOnward, t.end()
	case !subject.Owns(t.address):
		data.State, data.Name, data.Addresses = stateOther, subject.Person.DisplayName(), subject.Person.Addresses
		data.Contested = slices.Contains(subject.Person.Contested, t.address)
	case justSignedIn:
		data.State = stateReturn
	default:
		// The right person is signed in, and still the hub found no way to a
		// certificate. Sending them back at once would be a loop.
		data.State = stateBlocked
	}
	return p.Respond.Render(w, r, http.StatusOK, "authenticate", data)
}

// cancelURL is where the hub of a trip is told that the person gives up; "" when no
// hub sent the browser.
func cancelURL(h *identity.Host, t trip) string {
	if t.Email() == "" {
		return ""
	}
	return h.Hub() + "/sign_in?AUTH_RETURN_CANCEL"
}

// unknownHub returns the origin that sent the browser here, if it is neither
// ours nor that of a hub or a website in the configuration. Without a referrer nothing is
// known, and nothing is refused: who may frame the provisioning page decides.
func unknownHub(r *http.Request, h *identity.Host) string {
	from, err := url.Parse(r.Header.Get("Referer"))
	if err != nil || from.Host == "" || (from.Scheme != "https" && from.Scheme != "http") {
		return ""
	}
	origin := from.Scheme + "://" + from.Host
	if origin == h.Origin {
		return ""
	}
	if slices.Contains(h.HubOrigins(), origin) || slices.Contains(slices.Collect(maps.Values(h.Sites)), origin) {
		return ""
	}
	return printable.Text(origin, 100)
}

// postAuthenticate takes the sign-in form. A wrong name or password, and every
// other refusal, is the page again with status 403: 401 would demand a
// challenge header, and password managers take a 4xx for what it is.
func (p *Pages) postAuthenticate(w http.ResponseWriter, r *http.Request, h *identity.Host) error {
	fields, err := route.Form(w, r, tripFields("username", "password", "computer")...)
	if err != nil {
		return err
	}
	t, err := p.newTrip(r, h, fields)
	if err != nil {
		return err
	}
	form := attempted{login: identity.CleanLogin(fields["username"]), password: fields["password"], trip: t, computer: session.Shared}
	if fields["computer"] == string(session.Private) {
		form.computer = session.Private
	}
	result, refusal, err := p.authenticate(r, h, form, func(ctx context.Context, gate func(string) bool) (identity.Result, error) {
		return h.Authenticate(ctx, form.login, form.password, gate)
	})
	person := result.Person
	if err == nil && refusal == nil && !useful(h, t, person) {
		refusal = refused("no_address", "no_address")
		refusal.args = map[string]string{"host": h.Name}
		if len(person.Contested) > 0 {
			refusal = refused("contested", "contested")
			refusal.args = map[string]string{"host": h.Name, "address": person.Contested[0].String()}
		}
	}
	if err == nil && refusal == nil {
		err = p.Sessions.SignIn(w, r, h, person, form.computer)
	}
	if p.Events != nil {
		outcome := route.Code(err, identity.OK.String())
		if refusal != nil {
			outcome = refusal.reason
		}
		p.Events.SignIn(h.Name, outcome)
	}
	if err != nil {
		return err
	}
	about := p.Respond.About(p.Respond.Log.Info(), r, h).Str("event", "sign_in").Bool("ok", refusal == nil).Str("person", person.ID)
	if refusal != nil {
		about = about.Str("reason", refusal.reason)
		if person.ID != "" {
			about = about.Str("login", printable.Text(form.login, 64))
		} else { // a name of no entry may be a password in the wrong field
			about = about.Int("login_length", len(form.login))
		}
		about.Msg("sign-in refused")
		data := p.newPage(h, t, stateForm)
		data.Error = p.Respond.Language(r).Sentence(refusal.code, refusal.detail, refusal.args).Message
		data.MustChange = result.MayTell && (result.Status == identity.MustChange || result.Status == identity.PasswordExpired)
		data.Private = form.computer == session.Private
		data.WrongName = refusal.code == "wrong" || refusal.code == "empty" && form.login == ""
		data.WrongPassword = refusal.code == "wrong" || refusal.code == "empty" && form.password == ""
		if len(form.login) <= identity.MaxLogin && utf8.ValidString(form.login) {
			data.Username = form.login
		}
		if refusal.retryAfter > 0 {
			w.Header().Set("Retry-After", route.Seconds(refusal.retryAfter))
		}
		return p.Respond.Render(w, r, refusal.status, "authenticate", data)
	}
	if result.Notice.PasswordExpired {
		about = about.Int("grace_logins_left", result.Notice.GraceLeft)
	}
	about.Str("login", printable.Text(person.Login, 64)).Str("computer", string(form.computer)).Msg("signed in")
	next := PathAccount
	if t != (trip{}) {
		next = t.signedIn()
	}
	if code, detail, args := sentence(result.Notice); code != "" {
		// Not by way of a redirect: no link can show a person such a notice.
		data := p.newPage(h, t, stateNotice)
		data.MustChange = result.Notice.PasswordExpired
		data.Notice, data.Next = p.Respond.Language(r).Sentence(code, detail, args).Message, next
		return p.Respond.Render(w, r, http.StatusOK, "authenticate", data)
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}

// useful reports whether there is anything that a person can do with a session: confirm an address, or be known to a
// website or an app.
func useful(h *identity.Host, t trip, person identity.Person) bool {
	return len(person.Addresses) > 0 || len(h.Sites) > 0 || h.Apps || t.onward()
}

// sentence names the sentence that tells a notice; "" for nothing to tell.
func sentence(n identity.Notice) (code, detail string, args map[string]string) {
	days := int(n.ExpiresIn / (24 * time.Hour))
	switch {
	case n.PasswordExpired && n.GraceLeft <= 0:
		return "grace", "last", nil
	case n.PasswordExpired && n.GraceLeft == 1:
		return "grace", "once", nil
	case n.PasswordExpired:
		return "grace", "", map[string]string{"times": strconv.Itoa(n.GraceLeft)}
	case n.ExpiresIn <= 0:
		return "", "", nil
	case days < 1:
		return "expires_soon", "today", nil
	case days == 1:
		return "expires_soon", "day", nil
	}
	return "expires_soon", "", map[string]string{"days": strconv.Itoa(days)}
}
