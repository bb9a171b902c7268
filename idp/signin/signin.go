package signin

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"
)

// The paths that other packages name.
const (
	PathAccount      = "/persona/"
	PathAuthenticate = "/persona/authenticate"
)

// longestSignIn bounds a sign-in; the directory has time-outs of its own.
const longestSignIn = 30 * time.Second

// Events receives what is counted. The host is the name of an identity host and
// the result one of a fixed set of words, so neither names a person.
// Implementations are safe for concurrent use and do not block.
type Events interface {
	// SignIn: the form was sent. The result is ok, the reason of a refusal
	// (empty, malformed, throttled, no_address, contested or an identity.Status as text),
	// or the code of an outage (directory_unavailable, sessions_unavailable).
	SignIn(host, result string)
}

// Config is what the pages need. All fields but Events, Waiting and SignedOut are required.
type Config struct {
	Respond  *route.Responder
	Sessions *session.Manager
	Throttle *Throttle
	Events   Events
	// Waiting returns the app that a ticket is for, in the browser of a request; nil: there are
	// no apps. Its error is one for the person.
	Waiting func(r *http.Request, h *identity.Host, ticket string) (Waiting, error)
	// SignedOut adds what a sign-out at a host means to the website there; nil: nothing.
	SignedOut func(w http.ResponseWriter, h *identity.Host)
}

// Pages are the pages and paths of signing in. They are the same for every
// envelope.
type Pages struct{ Config }

// New returns the pages.
func New(c Config) *Pages { return &Pages{Config: c} }

// Routes returns the routes of an identity host; other hosts have none.
func (p *Pages) Routes(h *identity.Host) ([]route.Route, error) {
	if h.Role != identity.Provider {
		return nil, nil
	}
	on := func(handle func(http.ResponseWriter, *http.Request, *identity.Host) error) route.Handler {
		return func(w http.ResponseWriter, r *http.Request) error { return handle(w, r, h) }
	}
	routes := []route.Route{
		{Path: "/persona", Class: route.Page, Methods: route.Get(on(p.getAccount))},
		{Path: PathAccount, Class: route.Page, Methods: route.Get(on(p.getAccount))},
		{Path: PathAuthenticate, Class: route.Page, Methods: map[string]route.Handler{
			http.MethodGet:  on(p.getAuthenticate),
			http.MethodPost: on(p.postAuthenticate),
		}},
		{Path: route.PathLogout, Class: route.Page, Methods: map[string]route.Handler{
			http.MethodGet:  on(p.getLogout),
			http.MethodPost: on(p.postLogout),
		}},
		{Path: "/persona/api/session", Class: route.API, Methods: route.Get(on(p.getSession))},
		{Path: "/persona/authentication_api.js", Class: route.Script, Methods: route.Get(p.Respond.Script("authentication_api.js", h)), Keyless: true},
	}
	if h.PasswordChanger != nil {
		routes = append(routes, route.Route{Path: PathPassword, Class: route.Page, Methods: map[string]route.Handler{
			http.MethodGet:  on(p.getPassword),
			http.MethodPost: on(p.postPassword),
		}})
	}
	return routes, nil
}

// attempted is a form that was sent.
type attempted struct {
	login, password string
	trip            trip
	computer        session.Computer
}

// refusal is the answer to a person who could not sign in.
type refusal struct {
	status       int
	code, detail string // of the sentence
	reason       string // for log and count
	args         map[string]string
	retryAfter   time.Duration
}

func refused(reason, code string) *refusal {
	return &refusal{status: http.StatusForbidden, code: code, reason: reason}
}

// authenticate asks throttle and directory, the latter by ask. The person of the result may be known
// although refused.
func (p *Pages) authenticate(r *http.Request, h *identity.Host, form attempted,
	ask func(ctx context.Context, gate func(id string) bool) (identity.Result, error),
) (identity.Result, *refusal, error) {
	if form.login == "" || form.password == "" {
		return identity.Result{}, &refusal{status: http.StatusBadRequest, code: "empty", reason: "empty"}, nil
	}
	// A browser that leaves must not stop the question: whether it was a
	// failure has to be known, or guesses could be made uncounted.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), longestSignIn)
	defer cancel()
	attempt, admitted, err := p.Throttle.begin(ctx, h.DirectoryName, form.login, p.Respond.ClientAddr(r))
	if err != nil {
		return identity.Result{}, nil, fmt.Errorf("%w: counting a sign-in: %w", session.ErrUnavailable, err)
	}
	if !admitted {
		return identity.Result{}, throttled(attempt), nil
	}
	if !identity.ValidLogin(form.login) || !identity.ValidPassword(form.password) {
		return identity.Result{}, refused("malformed", "wrong"), nil
	}
	result, err := ask(ctx, func(id string) bool {
		return attempt.account(ctx, h.DirectoryName, id)
	})
	if err != nil {
		attempt.takeBack(ctx, false)
		return identity.Result{}, nil, &route.Error{Cause: err, Link: form.trip.at(PathAuthenticate), Cancel: cancelURL(h, form.trip)}
	}
	if result.Status == identity.OK || (result.MayTell && result.Status != identity.Throttled) {
		attempt.takeBack(ctx, true)
	}
	reason := result.Status.String()
	switch result.Status {
	case identity.OK:
		return result, nil, nil
	case identity.Throttled:
		return result, throttled(attempt), nil
	case identity.MustChange, identity.PasswordExpired, identity.Expired, identity.Deactivated, identity.Locked,
		identity.LockedForNow, identity.NotNow, identity.NotHere, identity.NotAllowed, identity.NotInGroup:
		if result.MayTell {
			refusal := refused(reason, reason)
			refusal.args = map[string]string{"host": h.Name}
			return result, refusal, nil
		}
	case identity.Refused, identity.Gone:
	}
	return result, refused(reason, "wrong"), nil
}

// throttled tells how long to wait, in whole minutes rounded up.
func throttled(attempt *attempt) *refusal {
	wait := max(attempt.wait, time.Second)
	to := &refusal{status: http.StatusTooManyRequests, code: "throttled", reason: identity.Throttled.String(), retryAfter: wait}
	if minutes := int((wait + time.Minute - 1) / time.Minute); minutes > 1 {
		to.args = map[string]string{"minutes": strconv.Itoa(minutes)}
	} else {
		to.detail = "minute"
	}
	return to
}
