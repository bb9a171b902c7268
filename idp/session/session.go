package session

import (
	"errors"
	"time"

	"persona-sidecar/idp/identity"
)

// Computer is whose computer the person sits at, as they say at sign-in.
type Computer string

const (
	// Private means: the cookie outlives the browser, up to the configured lifetime.
	Private Computer = "private"
	// Shared means: the cookie ends with the browser, after 30 minutes without use, and 2
	// hours after sign-in.
	Shared Computer = "shared"
)

const (
	defaultLifetime = 8 * time.Hour
	sharedLifetime  = 2 * time.Hour
	sharedIdle      = 30 * time.Minute

	// seenStep is how far the time of last use may lag behind.
	seenStep = time.Minute

	// skew is how far the clocks of machines that share keys may differ.
	skew = time.Minute

	// MaxLifetime is the longest life of any session; a longer Config.Lifetime is cut.
	MaxLifetime = 30 * 24 * time.Hour

	maxPersonLen = 512 // bytes
	maxNameLen   = 255 // bytes, of a host or a directory
)

// errNone means that a request is not signed in: no cookie, more than one, one that is
// not ours or not for here, one that has expired or was signed out. The text of the
// errors that wrap it gives the reason, for a log.
var errNone = errors.New("not signed in")

// errFuture is the errNone of a session that begins in the future.
const errFuture = none("its sign-in time is in the future")

// none is an errNone with its reason.
type none string

func (n none) Error() string        { return errNone.Error() + ": " + string(n) }
func (n none) Is(target error) bool { return target == errNone }

// binding is where a cookie with a session is valid. All names are canonical.
type binding struct {
	Host      string // the identity host
	Directory string // its directory's name in the configuration
	Site      string // the website's host; "": the identity host itself
}

// cookie is the name of the cookie.
func (b binding) cookie() string {
	if b.Site == "" {
		return CookieName
	}
	return SiteCookieName
}

// Place is a host where requests may be signed in.
type Place struct {
	Authority *identity.Host // whose sign-ins count
	Site      string         // canonical host of the website; equal to Authority.Name where the website shares its origin
}

// at is the identity host itself.
func at(h *identity.Host) Place { return Place{Authority: h, Site: h.Name} }

func (p Place) binding() binding {
	b := binding{Host: p.Authority.Name, Directory: p.Authority.DirectoryName}
	if p.Site != p.Authority.Name {
		b.Site = p.Site
	}
	return b
}

// Session is one person's sign-in at one browser.
type Session struct {
	ID        string // 32 hexadecimal digits, made at sign-in
	Directory string // the directory's name; Person is unique only within it
	Person    string // immutable id of the person

	// PasswordChanged is when the password was last changed before it was checked, as
	// the directory told then; zero when it did not tell. Only another time by the same
	// clock, the directory's, compares with it.
	PasswordChanged time.Time
	// PasswordExpired reports that the password had expired when it was checked, and
	// was accepted all the same: then this does not end the session.
	PasswordExpired bool

	Authenticated time.Time // when the password was checked
	Allowed       time.Time // when the directory last confirmed the person, as far as the cookie knows
	Seen          time.Time // last use, up to a minute behind
	Ends          time.Time // absolute end, fixed at sign-in; Manager.expires may be earlier

	Computer Computer
	Epoch    uint64 // which "signed out everywhere" of the person it follows; 0: none
}

// passwordChangedSince reports whether the directory, which says now that the password
// was last changed at some time, said an earlier one when the session began. Clocks
// other than the directory's do not matter.
func (s Session) passwordChangedSince(changed time.Time) bool {
	return millis(changed).After(s.PasswordChanged)
}

// expires returns when a session ends if it is not used any more.
func (m *Manager) expires(session Session) time.Time {
	end := earlier(session.Ends, session.Authenticated.Add(m.longest(session.Computer)))
	if session.Computer == Shared {
		return earlier(end, session.Seen.Add(sharedIdle))
	}
	return end
}

// longest is the time from sign-in to the absolute end.
func (m *Manager) longest(c Computer) time.Duration {
	if c == Shared {
		return min(sharedLifetime, m.lifetime)
	}
	return m.lifetime
}

// checkTimes refuses a session that has expired or begins in the future. The latter
// cannot be forged: our clock is wrong, or was. That is logged once an hour.
func (m *Manager) checkTimes(session Session) error {
	now := m.now()
	if !now.Before(m.expires(session)) {
		return none("the session has expired")
	}
	if soon := now.Add(skew); !session.Authenticated.After(soon) && !session.Seen.After(soon) {
		return nil
	}
	last := m.warnedFuture.Load()
	since := now.Sub(time.UnixMilli(last))
	if (last == 0 || since < 0 || since >= time.Hour) && m.warnedFuture.CompareAndSwap(last, now.UnixMilli()) {
		m.log.Warn().Time("now", now).Time("signed_in", session.Authenticated).
			Str("hint", "was this machine's clock set back? then check that it is right now; those who had signed in before sign in again").
			Msg("session rejected: sign-in time is in the future")
	}
	return errFuture
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// millis cuts a time to what the cookie holds, so that a session is the same before
// and after.
func millis(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }
