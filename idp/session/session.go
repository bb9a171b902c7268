package session

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// Computer says whose computer the person sits at. It is asked at sign-in.
type Computer string

const (
	// Private: the cookie outlives the browser, up to the configured lifetime.
	Private Computer = "private"
	// Shared: the cookie ends with the browser, after 30 minutes without use, and 2
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

// ErrNone says that nobody is signed in by this request: no cookie, more than one,
// one that is not ours or not for here, one that has expired or was signed out. The
// text of the errors that wrap it says which, for a log.
var ErrNone = errors.New("not signed in")

// none is an ErrNone with its reason.
type none string

func (n none) Error() string        { return ErrNone.Error() + ": " + string(n) }
func (n none) Is(target error) bool { return target == ErrNone }

// Binding is where a session is valid. Both names are canonical.
type Binding struct {
	Host      string // the identity host
	Directory string // its directory's name in the configuration
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

	Authenticated time.Time // when the password was checked
	Allowed       time.Time // when the directory last confirmed the person, as far as the cookie knows
	Seen          time.Time // last use, up to a minute behind
	Ends          time.Time // absolute end, fixed at sign-in; Sessions.Expires may be earlier

	Computer Computer
	Epoch    uint64 // which "signed out everywhere" of the person it follows; 0: none
}

// Sealer encrypts and authenticates, and authenticates associated data beside the
// text. Errors of Open mean a text that is not from here, except those that wrap
// keys.ErrNotReady.
type Sealer interface {
	Seal(plaintext, associated []byte) ([]byte, error)
	Open(sealed, associated []byte) ([]byte, error)
}

// Store keeps the sign-outs. Keys are slash-separated paths; Store replaces a value
// as a whole and for good; a missing value or prefix is fs.ErrNotExist.
type Store interface {
	Load(ctx context.Context, key string) ([]byte, error)
	Store(ctx context.Context, key string, value []byte) error
	Delete(ctx context.Context, key string) error
	List(ctx context.Context, prefix string, recursive bool) ([]string, error)
}

// Config is what Sessions needs. All fields but Lifetime are required.
type Config struct {
	Sealer   Sealer
	Store    Store
	Now      func() time.Time
	Rand     io.Reader
	Lifetime time.Duration // from sign-in to the absolute end on a private computer; 0: 8 h
	Log      zerolog.Logger
}

// Sessions makes, reads and ends sessions. Its methods may be called from many
// goroutines at once.
type Sessions struct {
	sealer   Sealer
	now      func() time.Time
	rand     io.Reader
	lifetime time.Duration
	revoked  *revocations
	checks   *checks
	log      zerolog.Logger

	toldFuture atomic.Int64 // when a session from the future was last logged, Unix milliseconds; 0: never
}

// New returns Sessions without doing any I/O.
func New(c Config) *Sessions {
	lifetime := c.Lifetime
	if lifetime <= 0 {
		lifetime = defaultLifetime
	}
	return &Sessions{
		sealer:   c.Sealer,
		now:      func() time.Time { return millis(c.Now()) },
		rand:     c.Rand,
		lifetime: min(lifetime, MaxLifetime),
		revoked:  newRevocations(c.Store, c.Log),
		checks:   newChecks(),
		log:      c.Log,
	}
}

// Start begins a session of a person whose password the directory has just accepted,
// with a new id, and sets its cookie. changed is when the directory says that the
// password was last changed, or zero. On an error no cookie is set.
func (s *Sessions) Start(ctx context.Context, w http.ResponseWriter, b Binding, person string, changed time.Time, c Computer) (Session, error) {
	if person == "" || len(person) > maxPersonLen {
		return Session{}, fmt.Errorf("starting a session: the person's id has %d bytes, not 1 to %d", len(person), maxPersonLen)
	}
	if c != Private && c != Shared {
		return Session{}, fmt.Errorf("starting a session: unknown kind of computer %.20q", string(c))
	}
	id := make([]byte, idLen)
	if _, err := io.ReadFull(s.rand, id); err != nil {
		return Session{}, fmt.Errorf("starting a session: making its id: %w", err)
	}
	epoch, err := s.revoked.epoch(ctx, b.Directory, person)
	if err != nil {
		return Session{}, fmt.Errorf("starting a session: %w", err)
	}
	now := s.now()
	session := Session{
		ID: hex.EncodeToString(id), Directory: b.Directory, Person: person,
		Authenticated: now, Allowed: now, Seen: now, Ends: now.Add(s.longest(c)),
		Computer: c, Epoch: epoch, PasswordChanged: millis(changed),
	}
	if err := s.write(w, b, session); err != nil {
		return Session{}, fmt.Errorf("starting a session: %w", err)
	}
	s.checks.confirm(session.ID, now)
	return session, nil
}

// Read returns the session of a request. The error wraps ErrNone when nobody is
// signed in; any other error means that it cannot be told now (the store or the key
// ring does not answer): neither signed in nor signed out.
func (s *Sessions) Read(ctx context.Context, r *http.Request, b Binding) (Session, error) {
	value, err := cookieOf(r)
	if err != nil {
		return Session{}, err
	}
	session, err := s.open(value, b)
	if err != nil {
		return Session{}, err
	}
	if err := s.checkTimes(session); err != nil {
		return Session{}, err
	}
	if err := s.revoked.check(ctx, session); err != nil {
		return Session{}, err
	}
	return session, nil
}

// Refresh sets the cookie anew, with the same id, when that is due: on a shared
// computer so that use keeps it alive, and after Confirm so that the cookie knows.
// Otherwise, and when the session has expired meanwhile, it does nothing.
func (s *Sessions) Refresh(w http.ResponseWriter, b Binding, session Session) error {
	now := s.now()
	allowed := s.checks.last(session.ID)
	used := session.Computer == Shared && now.Sub(session.Seen) >= seenStep
	confirmed := allowed.After(session.Allowed)
	if !used && !confirmed || !now.Before(s.Expires(session)) {
		return nil
	}
	if confirmed {
		session.Allowed = allowed
	}
	if now.After(session.Seen) {
		session.Seen = now
	}
	if err := s.write(w, b, session); err != nil {
		return fmt.Errorf("refreshing a session: %w", err)
	}
	return nil
}

// End ends a session: its cookie is cleared, and every copy of it is worthless from
// now on, in this process at once even when the error says that the store could not
// record it. Then the person has to be told that signing out did not succeed; Sweep
// tries again.
func (s *Sessions) End(ctx context.Context, w http.ResponseWriter, _ Binding, session Session) error {
	clearCookie(w)
	if session.ID == "" {
		return nil
	}
	if err := s.revoked.session(ctx, session); err != nil {
		return fmt.Errorf("ending a session: %w", err)
	}
	return nil
}

// EndPerson ends all sessions of a person that exist now, at every browser. Sessions
// that start later are not touched. An error means the same as with End.
func (s *Sessions) EndPerson(ctx context.Context, directory, person string) error {
	var nonce [16]byte
	if _, err := io.ReadFull(s.rand, nonce[:]); err != nil {
		return fmt.Errorf("ending the sessions of a person: %w", err)
	}
	if err := s.revoked.person(ctx, directory, person, hex.EncodeToString(nonce[:]), s.now().Add(MaxLifetime)); err != nil {
		return fmt.Errorf("ending the sessions of a person: %w", err)
	}
	return nil
}

// Stale tells whether the directory has to be asked again about the person: the last
// Confirm of this session is 5 minutes old or not known here.
func (s *Sessions) Stale(session Session) bool {
	age := s.now().Sub(s.checks.last(session.ID))
	return age >= recheck || age < -skew
}

// PasswordChangedSince tells whether the directory, which says now that the password
// was last changed at some time, said an earlier one when the session began. Clocks
// other than the directory's do not matter.
func (session Session) PasswordChangedSince(changed time.Time) bool {
	return millis(changed).After(session.PasswordChanged)
}

// Confirm notes that the directory has just allowed the session's person.
func (s *Sessions) Confirm(session Session) { s.checks.confirm(session.ID, s.now()) }

// Sweep deletes the records of sign-outs that no cookie can outlive, and records those
// that the store refused before.
func (s *Sessions) Sweep(ctx context.Context) error { return s.revoked.sweep(ctx, s.now()) }

// Expires returns when a session ends if it is not used any more.
func (s *Sessions) Expires(session Session) time.Time {
	end := earlier(session.Ends, session.Authenticated.Add(s.longest(session.Computer)))
	if session.Computer == Shared {
		return earlier(end, session.Seen.Add(sharedIdle))
	}
	return end
}

// longest is the time from sign-in to the absolute end.
func (s *Sessions) longest(c Computer) time.Duration {
	if c == Shared {
		return min(sharedLifetime, s.lifetime)
	}
	return s.lifetime
}

func (s *Sessions) checkTimes(session Session) error {
	now := s.now()
	if !now.Before(s.Expires(session)) {
		return none("the session has expired")
	}
	if soon := now.Add(skew); session.Authenticated.After(soon) || session.Seen.After(soon) {
		s.tellFuture(session, now)
		return none("the session is from the future")
	}
	return nil
}

// tellFuture logs a session from the future, which nobody can forge: ours is the clock
// that is wrong, or was. Once an hour is enough.
func (s *Sessions) tellFuture(session Session, now time.Time) {
	last := s.toldFuture.Load()
	if since := now.Sub(time.UnixMilli(last)); last != 0 && since >= 0 && since < time.Hour || !s.toldFuture.CompareAndSwap(last, now.UnixMilli()) {
		return
	}
	s.log.Warn().Time("now", now).Time("signed_in", session.Authenticated).
		Str("hint", "was this machine's clock set back? then check that it is right now; those who had signed in before sign in again").
		Msg("a session is from the future and does not count")
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
