package session

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"persona-sidecar/idp/identity"

	"github.com/rs/zerolog"
)

// Sealer encrypts and authenticates, and authenticates associated data beside the
// text. Errors of Open mean a text that is not from here, except those that wrap
// keys.ErrNotReady.
type Sealer interface {
	Seal(plaintext, associated []byte) ([]byte, error)
	Open(sealed, associated []byte) ([]byte, error)
}

// Store keeps the sign-outs, as values that expire. Set replaces an earlier value
// and its time; Get of a value that is not there is fs.ErrNotExist. See [SignOuts].
type Store interface {
	Get(ctx context.Context, key string) ([]byte, error)
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
}

// Codes keeps the hand-overs under way, as values that expire. Add reports false where
// there is a value already; of several Takes of a value, in all processes, one gets it,
// and for the others it is fs.ErrNotExist.
type Codes interface {
	Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error)
	Take(ctx context.Context, key string) ([]byte, error)
}

// Config is what a Manager needs. All fields but Answers, Codes, Lifetime and Ended are required.
type Config struct {
	Sealer   Sealer
	SignOuts *SignOuts
	Answers  *Answers // nil: what this Manager is told ends with it
	Codes    Codes    // nil where nothing is handed over
	Now      func() time.Time
	Rand     io.Reader
	Lifetime time.Duration // from sign-in to the absolute end on a private computer; 0: 8 h
	Log      zerolog.Logger
	// Ended is told of each session that ends before its time. The reason is
	// signed_out, signed_out_everywhere, signed_in_again, password_changed,
	// password_expired or the identity.Status that the directory answered to a re-check. The
	// request is nil where that was beside requests.
	Ended func(r *http.Request, h *identity.Host, personID, reason string)
}

// Manager begins, reads and ends sessions. Its methods may be called from many
// goroutines at once.
type Manager struct {
	sealer   Sealer
	codes    Codes
	now      func() time.Time
	rand     io.Reader
	lifetime time.Duration
	revoked  revocations
	answers  *Answers
	sessions *table[*known]  // by id
	cookies  *table[*opened] // by value
	log      zerolog.Logger
	ended    func(r *http.Request, h *identity.Host, personID, reason string)

	// What goes on beside requests, until Close.
	closing  context.Context // Done then
	close    context.CancelFunc
	work     sync.WaitGroup
	flights  atomic.Int64  // questions to directories
	heldBack atomic.Bool   // a question was put off until there are fewer
	woken    chan struct{} // holds one value when look is to go round

	mu       sync.Mutex
	watched  map[string]*watch // by id
	watching bool              // look runs

	ends atomic.Pointer[func(End)] // nil: no one is told

	warnedFuture atomic.Int64 // when a session from the future was last logged, Unix milliseconds; 0: never
}

// New returns a Manager without doing any I/O. Close it.
func New(c Config) *Manager {
	lifetime := c.Lifetime
	if lifetime <= 0 {
		lifetime = defaultLifetime
	}
	if c.Ended == nil {
		c.Ended = func(*http.Request, *identity.Host, string, string) {}
	}
	if c.Answers == nil {
		c.Answers = NewAnswers()
	}
	m := &Manager{
		sealer:   c.Sealer,
		codes:    c.Codes,
		now:      func() time.Time { return millis(c.Now()) },
		rand:     c.Rand,
		lifetime: min(lifetime, MaxLifetime),
		revoked:  revocations{signOuts: c.SignOuts, now: c.Now},
		answers:  c.Answers,
		sessions: newTable[*known](maxSessions),
		cookies:  newTable[*opened](maxOpened),
		log:      c.Log,
		ended:    c.Ended,
		woken:    make(chan struct{}, 1),
		watched:  map[string]*watch{},
	}
	m.closing, m.close = context.WithCancel(context.Background())
	return m
}

// start begins a session of a person whose password the directory has just accepted,
// with a new id, and sets its cookie. On an error no cookie is set.
func (m *Manager) start(ctx context.Context, w http.ResponseWriter, h *identity.Host, person identity.Person, c Computer) (Session, error) {
	b := at(h).binding()
	if person.ID == "" || len(person.ID) > maxPersonLen {
		return Session{}, fmt.Errorf("starting a session: the person's id has %d bytes, not 1 to %d", len(person.ID), maxPersonLen)
	}
	if c != Private && c != Shared {
		return Session{}, fmt.Errorf("starting a session: unknown kind of computer %.20q", string(c))
	}
	id := make([]byte, idLen)
	if _, err := io.ReadFull(m.rand, id); err != nil {
		return Session{}, fmt.Errorf("starting a session: making its id: %w", err)
	}
	epoch, err := m.revoked.epoch(ctx, personKey(b.Directory, person.ID), 0)
	if err != nil {
		return Session{}, fmt.Errorf("starting a session: %w", err)
	}
	now := m.now()
	session := Session{
		ID: hex.EncodeToString(id), Directory: b.Directory, Person: person.ID,
		Authenticated: now, Allowed: now, Seen: now, Ends: now.Add(min(m.longest(c), m.Lifetime(h))),
		Computer: c, Epoch: epoch, PasswordChanged: millis(person.PasswordChanged), PasswordExpired: person.PasswordExpired,
	}
	if err := m.write(w, b, session); err != nil {
		return Session{}, fmt.Errorf("starting a session: %w", err)
	}
	m.confirm(m.known(session, h), person)
	return session, nil
}

// read returns the session of a request. The error wraps errNone when it is not
// signed in; any other error means that this cannot be told now, because the store or
// the key ring does not answer.
func (m *Manager) read(ctx context.Context, r *http.Request, b binding) (Session, error) {
	value, err := cookieOf(r, b.cookie())
	if err != nil {
		return Session{}, err
	}
	session, err := m.open(value, b)
	if err != nil {
		return Session{}, err
	}
	if k, ok := m.sessions.get(session.ID); ok {
		session.Seen = k.seen(session.Seen)
	}
	if err := m.holds(ctx, session); err != nil {
		return Session{}, err
	}
	return session, nil
}

// holds returns an errNone when a session has ended, another error when that cannot be
// told.
func (m *Manager) holds(ctx context.Context, session Session) error {
	if err := m.checkTimes(session); err != nil {
		return err
	}
	return m.revoked.check(ctx, marksOf(session), session.Epoch, 0)
}

// refresh sets the cookie anew, with the same id, when that is due: on a shared
// computer so that use keeps it alive, and after a re-check so that the cookie knows.
// Otherwise, and when the session has expired meanwhile, it does nothing.
func (m *Manager) refresh(w http.ResponseWriter, b binding, session Session) error {
	now := m.now()
	var allowed time.Time
	if k, ok := m.sessions.get(session.ID); ok {
		allowed = k.last().at
	}
	used := session.Computer == Shared && now.Sub(session.Seen) >= seenStep
	confirmed := allowed.After(session.Allowed)
	if !used && !confirmed || !now.Before(m.expires(session)) {
		return nil
	}
	if confirmed {
		session.Allowed = allowed
	}
	if now.After(session.Seen) {
		session.Seen = now
	}
	if err := m.write(w, b, session); err != nil {
		return fmt.Errorf("refreshing a session: %w", err)
	}
	return nil
}

// endPerson ends all sessions of a person that exist now, at every browser. Sessions
// that start later are not touched. An error means the same as with
// endEarly.
func (m *Manager) endPerson(ctx context.Context, directory, person string) error {
	var nonce [16]byte
	if _, err := io.ReadFull(m.rand, nonce[:]); err != nil {
		return fmt.Errorf("ending the sessions of a person: %w", err)
	}
	if err := m.revoked.person(ctx, directory, person, hex.EncodeToString(nonce[:]), m.now().Add(MaxLifetime)); err != nil {
		return fmt.Errorf("ending the sessions of a person: %w", err)
	}
	return nil
}

// Lifetime returns how long a session of a host lasts on a private computer.
func (m *Manager) Lifetime(h *identity.Host) time.Duration {
	if h.SessionLifetime > 0 {
		return min(m.lifetime, h.SessionLifetime)
	}
	return m.lifetime
}
