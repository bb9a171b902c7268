package idp

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/session"
)

// longestSignIn bounds a sign-in; the directory has time-outs of its own.
const longestSignIn = 30 * time.Second

// signIn is an attempt to sign in.
type signIn struct {
	login, password string
	email           string // that a hub asks for, or ""
	computer        session.Computer
}

// refusal is what a person is told who could not sign in.
type refusal struct {
	status     int
	words      string
	reason     string // for the log
	retryAfter time.Duration
}

// wrong is the one message for every refusal whose cause is nobody's business:
// it does not tell unknown names from wrong passwords.
const wrong = "The user name or the password is wrong."

func refuse(reason, words string) *refusal {
	return &refusal{status: http.StatusForbidden, reason: reason, words: words}
}

// signIn checks a name and a password and starts a session. The error is an
// outage; a refusal is not an error.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request, site *site, try signIn) (*refusal, error) {
	refusal, person, err := s.authenticate(r, site, try)
	if err != nil {
		return nil, err
	}
	if refusal != nil {
		s.about(s.log.Info(), r, site).Str("event", "sign_in").Bool("ok", false).
			Str("reason", refusal.reason).Str("login", printable(try.login, 64)).Str("person", person.ID).Msg("sign-in refused")
		return refusal, nil
	}
	if err := s.startSession(w, r, site, person, try.computer); err != nil {
		return nil, err
	}
	return nil, nil
}

// authenticate asks throttle and directory. The person may be known although
// refused.
func (s *Server) authenticate(r *http.Request, site *site, try signIn) (*refusal, identity.Person, error) {
	if try.login == "" || try.password == "" {
		empty := refuse("empty", "Type your user name and your password.")
		empty.status = http.StatusBadRequest
		return empty, identity.Person{}, nil
	}
	name := site.host.DirectoryName
	// A browser that leaves must not stop the question: whether it was a
	// failure has to be known, or guesses could be made uncounted.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), longestSignIn)
	defer cancel()
	attempt, admitted, err := s.config.Throttle.begin(ctx, name, try.login, s.config.ClientAddr(r))
	if err != nil {
		return nil, identity.Person{}, errSessions(fmt.Errorf("counting a sign-in: %w", err))
	}
	if !admitted {
		return throttled(attempt), identity.Person{}, nil
	}
	if !identity.ValidLogin(try.login) || !identity.ValidPassword(try.password) {
		return refuse("malformed", wrong), identity.Person{}, nil
	}
	result, err := site.host.Directory.Authenticate(ctx, try.login, try.password, func(id string) bool {
		return attempt.account(ctx, name, id)
	})
	if err == nil && result.Status == identity.OK {
		err = site.checkPerson(&result.Person, "")
	}
	if err != nil {
		attempt.unanswered(ctx)
		return nil, identity.Person{}, site.errDirectory(fmt.Errorf("asking the directory %s: %w", name, err), authenticateURL(try.email, false))
	}
	if result.Status == identity.OK || (result.MayTell && result.Status != identity.Throttled) {
		attempt.proven(ctx)
	}
	return s.judge(site, attempt, result), result.Person, nil
}

// judge turns the directory's answer into what the person is told; nil: welcome.
func (s *Server) judge(site *site, attempt *attempt, result identity.Result) *refusal {
	reason := result.Status.String()
	switch {
	case result.Status == identity.OK && len(result.Person.Addresses) == 0:
		return refuse("no_address", "You have no e-mail address that "+site.host.Name+" can confirm, so there is nothing to sign in for. Ask your administrator.")
	case result.Status == identity.OK:
		return nil
	case result.Status == identity.Throttled:
		return throttled(attempt)
	case !result.MayTell:
		return refuse(reason, wrong)
	}
	switch result.Status {
	case identity.MustChange:
		return refuse(reason, "Your password has to be changed before you can sign in. Change it where you usually do, then come back.")
	case identity.Expired:
		return refuse(reason, "Your account or its password has expired. Ask your administrator.")
	case identity.Locked:
		return refuse(reason, "Your account is locked. Ask your administrator.")
	case identity.NotAllowed:
		return refuse(reason, "Your account may not sign in here. Ask your administrator.")
	}
	return refuse(reason, wrong)
}

func throttled(attempt *attempt) *refusal {
	wait := attempt.retryAfter()
	return &refusal{
		status: http.StatusTooManyRequests, reason: identity.Throttled.String(), retryAfter: wait,
		words: "Too many attempts failed. Wait " + inWords(wait) + ", then try again.",
	}
}

// inWords rounds a time up to whole minutes.
func inWords(wait time.Duration) string {
	minutes := int((wait + time.Minute - 1) / time.Minute)
	if minutes <= 1 {
		return "a minute"
	}
	return fmt.Sprintf("%d minutes", minutes)
}

// startSession replaces whatever session the browser had by one of the person.
func (s *Server) startSession(w http.ResponseWriter, r *http.Request, site *site, person identity.Person, c session.Computer) error {
	if earlier, err := s.config.Sessions.Read(r.Context(), r, site.binding()); err == nil {
		if err := s.endSession(w, r, site, earlier, "signed_in_again"); err != nil {
			return err
		}
	}
	current, err := s.config.Sessions.Start(r.Context(), w, site.binding(), person.ID, person.PasswordChanged, c)
	if err != nil {
		return errSessions(err)
	}
	s.config.Sessions.Confirm(current)
	s.people.put(current.ID, person)
	s.about(s.log.Info(), r, site).Str("event", "sign_in").Bool("ok", true).
		Str("person", person.ID).Str("login", printable(person.Login, 64)).Str("computer", string(c)).Msg("signed in")
	return nil
}
