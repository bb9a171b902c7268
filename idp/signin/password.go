package signin

import (
	"context"
	"errors"
	"net/http"
	"unicode/utf8"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/printable"
	"persona-sidecar/idp/route"
)

// PathPassword is the page on which people change their password.
const PathPassword = "/persona/password"

// longestWords bounds what is shown of the directory's own words, in characters.
const longestWords = 200

// passwordPage is the data of the page.
type passwordPage struct {
	route.Frame
	trip
	Action, Back       string // of the form, and to the sign-in page
	ByName, ByAddress  bool
	Username           string
	Error, Words       string // ours, and the directory's
	WrongName          bool   // the fields that the error is about
	WrongOld, WrongNew bool
	Changed, SignedIn  bool   // done; and this browser's session goes on
	Lingering          bool   // done, but the sessions of the old password could not be ended
	Next               string // where it goes on then
}

// changeURL is where the people of a host change their password; "" for nowhere.
func changeURL(h *identity.Host, t trip) string {
	if h.PasswordChanger == nil {
		return h.PasswordURL
	}
	return t.at(PathPassword)
}

func (p *Pages) newPasswordPage(h *identity.Host, t trip) passwordPage {
	form := p.newPage(h, t, "")
	return passwordPage{Frame: form.Frame, trip: t, Action: t.at(PathPassword), Back: form.Action, ByName: form.ByName, ByAddress: form.ByAddress}
}

// getPassword shows the form, with the name of who is signed in.
func (p *Pages) getPassword(w http.ResponseWriter, r *http.Request, h *identity.Host) error {
	query, err := route.Query(r, tripFields()...)
	if err != nil {
		return err
	}
	t, err := p.newTrip(r, h, query)
	if err != nil {
		return err
	}
	subject, _, err := p.current(w, r, h)
	if err != nil {
		return err
	}
	data := p.newPasswordPage(h, t)
	switch {
	case subject != nil:
		data.Username = subject.Person.Login
	case !data.ByName:
		data.Username = t.Email()
	}
	return p.Respond.Render(w, r, http.StatusOK, "password", data)
}

// postPassword changes a password. The old one is asked for in any case and counted as that of a sign-in; after the change
// no session goes on but this browser's, under a new id. Where it is not known whether it was changed, none does.
func (p *Pages) postPassword(w http.ResponseWriter, r *http.Request, h *identity.Host) error {
	fields, err := route.Form(w, r, tripFields("username", "old", "new", "again")...)
	if err != nil {
		return err
	}
	t, err := p.newTrip(r, h, fields)
	if err != nil {
		return err
	}
	form := attempted{login: identity.CleanLogin(fields["username"]), password: fields["old"], trip: t}
	changed, again := fields["new"], fields["again"]
	change, refusal, err := p.changePassword(r, h, form, changed, again)
	if err != nil {
		return err
	}
	about := p.Respond.About(p.Respond.Log.Info(), r, h).Str("event", "password_change").Bool("ok", refusal == nil).Str("person", change.Person.ID)
	data := p.newPasswordPage(h, t)
	if refusal != nil {
		if change.Outcome == identity.Unknown { // then the old password must not go on if it is one
			if _, err := p.Sessions.PasswordChanged(w, r, h, change.Person, false); err != nil {
				p.Respond.About(p.Respond.Log.Error(), r, h).Err(err).Str("person", change.Person.ID).Msg("sessions of a password that may be old go on")
			}
		}
		about.Str("reason", refusal.reason).Msg("password not changed")
		data.Error = p.Respond.Language(r).Sentence(refusal.code, refusal.detail, refusal.args).Message
		data.Words = printable.Text(change.Words, longestWords)
		empty := refusal.code == "password_empty"
		data.WrongName = refusal.code == "wrong" || empty && form.login == ""
		data.WrongOld = refusal.code == "wrong" || empty && form.password == ""
		switch refusal.code {
		case "password_mismatch", "password_same", "password_malformed", string(identity.Rejected):
			data.WrongNew = true
		case "password_empty":
			data.WrongNew = changed == "" || again == ""
		}
		if len(form.login) <= identity.MaxLogin && utf8.ValidString(form.login) {
			data.Username = form.login
		}
		if refusal.retryAfter > 0 {
			w.Header().Set("Retry-After", route.Seconds(refusal.retryAfter))
		}
		return p.Respond.Render(w, r, refusal.status, "password", data)
	}
	about.Msg("password changed")
	data.Changed = true
	stays := change.Status == identity.OK && useful(h, t, change.Person)
	if data.SignedIn, err = p.Sessions.PasswordChanged(w, r, h, change.Person, stays); err != nil {
		// The password is changed all the same. The sessions end when the directory tells its new time.
		data.Lingering = true
		p.Respond.About(p.Respond.Log.Error(), r, h).Err(err).Str("person", change.Person.ID).Msg("sessions of an old password go on for up to five minutes")
	}
	switch {
	case data.SignedIn && t == (trip{}):
		data.Next = PathAccount
	case data.SignedIn:
		data.Next = t.signedIn()
	default:
		data.Next = t.at(PathAuthenticate)
	}
	return p.Respond.Render(w, r, http.StatusOK, "password", data)
}

// changePassword looks at the form, asks throttle and directory, and returns what keeps the password from being changed. The
// person of the change may be known although refused.
func (p *Pages) changePassword(r *http.Request, h *identity.Host, form attempted, changed, again string) (change identity.PasswordChange, _ *refusal, _ error) {
	switch {
	case form.login == "" || form.password == "" || changed == "" || again == "":
		return change, unacceptable("password_empty"), nil
	case changed != again:
		return change, unacceptable("password_mismatch"), nil
	case changed == form.password:
		return change, unacceptable("password_same"), nil
	case !identity.ValidPassword(changed):
		return change, unacceptable("password_malformed"), nil
	}
	_, refusal, err := p.authenticate(r, h, form, func(ctx context.Context, gate func(string) bool) (result identity.Result, err error) {
		change, err = h.ChangePassword(ctx, form.login, form.password, changed, gate)
		if change.Outcome != identity.NotTried {
			return identity.Result{Status: identity.OK, Person: change.Person, MayTell: true}, err // as far as the old one goes
		}
		return change.Result, err
	})
	var failed *route.Error
	if errors.As(err, &failed) && failed.Link != "" {
		failed.Link = changeURL(h, form.trip)
	}
	if err != nil || refusal != nil || change.Outcome == identity.Changed {
		return change, refusal, err
	}
	refusal = unacceptable(string(change.Outcome))
	if change.Outcome == identity.Unknown {
		refusal.status = http.StatusServiceUnavailable
	}
	return change, refusal, nil
}

// unacceptable is the refusal of a form for its new password.
func unacceptable(code string) *refusal {
	return &refusal{status: http.StatusUnprocessableEntity, code: code, reason: code}
}
