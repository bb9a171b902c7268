package keys

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/idp/browserid"
)

// Store is what the ring asks of the place where it keeps keys. Keys are
// slash-separated paths; Store replaces a value as a whole and for good; a missing
// value or prefix is fs.ErrNotExist.
type Store interface {
	Load(ctx context.Context, key string) ([]byte, error)
	Store(ctx context.Context, key string, value []byte) error
	Delete(ctx context.Context, key string) error
	List(ctx context.Context, prefix string, recursive bool) ([]string, error)
	Lock(ctx context.Context, name string) error
	Unlock(ctx context.Context, name string) error
}

// Use is the one thing that a key is for.
type Use string

const (
	// UseCertificates signs identity certificates; one key per identity host, RS256.
	UseCertificates Use = "certificates"
	// UseSession seals sign-in cookies; one key for the program, A256GCM.
	UseSession Use = "session"
)

// The algorithms of the uses, in the words of RFC 7518.
const (
	algRS256   = "RS256"
	algA256GCM = "A256GCM"
)

// Entry describes one key of the ring, without the key.
type Entry struct {
	KID     string // 16 hexadecimal digits, derived from the key itself
	Host    string // the identity host; empty for a key of the program
	Use     Use
	Alg     string // RS256 or A256GCM
	Created time.Time
	Retires time.Time // zero: the current key; else no longer used from then on

	Fingerprint string // hexadecimal SHA-256 of the public key as published; empty for a secret
}

// Want names a key that must exist: (host, UseCertificates) or ("", UseSession).
type Want struct {
	Host string
	Use  Use
}

// ErrNotReady says that the ring holds no usable key for what was asked: it was
// not made yet, or it is corrupted.
var ErrNotReady = errors.New("the key is not ready")

// ErrForged says that a sealed text was not sealed by this ring for this use and
// this associated data.
var ErrForged = errors.New("not sealed by this key ring")

// Config is what a Ring needs. All fields are required.
type Config struct {
	Store Store
	Now   func() time.Time
	Rand  io.Reader
	Log   zerolog.Logger
}

// Ring holds the keys in memory and in the store. Its methods may be called from
// many goroutines at once; none but Load and Ensure does any I/O.
type Ring struct {
	store Store
	now   func() time.Time
	rand  io.Reader
	log   zerolog.Logger

	writing sync.Mutex // held by Load and Ensure, which replace shelves
	shelves atomic.Pointer[map[string]*shelf]
}

// New returns an empty ring. Call Load, then Ensure.
func New(c Config) *Ring {
	r := &Ring{store: c.Store, now: c.Now, rand: c.Rand, log: c.Log}
	r.shelves.Store(&map[string]*shelf{})
	return r
}

// Load reads all keys from the store into the ring. It takes no lock and changes
// nothing in the store.
//
// A corrupted key or index is an error of type *CorruptedError, joined with the
// others, that names the file and the cure. The keys of the other hosts are in
// the ring and usable all the same.
func (r *Ring) Load(ctx context.Context) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	return r.load(ctx)
}

// Ensure creates the keys that are wanted and missing. When nothing is missing it
// does no I/O. Otherwise it takes the store's lock, looks again, and creates; two
// processes that start at once so end up with one key. It waits as long as another
// process makes keys.
//
// It never replaces a key: a corrupted one is an error, and the others are
// created nevertheless.
func (r *Ring) Ensure(ctx context.Context, want ...Want) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	missing, err := r.missing(want)
	if len(missing) == 0 {
		return err
	}
	return errors.Join(err, r.create(ctx, missing))
}

// Entries describes all keys of the ring, in the order of host, use and age.
func (r *Ring) Entries() []Entry {
	var entries []Entry
	for _, s := range *r.shelves.Load() {
		for _, k := range s.keys {
			entries = append(entries, k.entry)
		}
	}
	sortEntries(entries)
	return entries
}

// Signer returns the current domain key of an identity host. It signs SHA-256
// digests with RSASSA-PKCS1-v1_5 and nothing else. The error wraps ErrNotReady
// when there is no such key.
func (r *Ring) Signer(host string) (crypto.Signer, error) {
	k, err := r.current(host, UseCertificates)
	if err != nil {
		return nil, err
	}
	return k.signer, nil
}

// Published returns the public keys that the support document of an identity host
// names: the current one first, then those that are still valid while a rotation
// overlaps, youngest first. The error wraps ErrNotReady when there is none.
func (r *Ring) Published(host string) ([]*browserid.PublicKey, error) {
	if _, err := r.current(host, UseCertificates); err != nil {
		return nil, err
	}
	var public []*browserid.PublicKey
	for k := range r.valid(host, UseCertificates) {
		public = append(public, k.public)
	}
	return public, nil
}

// Seal encrypts and authenticates plaintext, and authenticates associated, under
// the current key of a use of the program. The result holds the key's id, so that
// Open finds it after a rotation. The error wraps ErrNotReady when there is no key.
func (r *Ring) Seal(use Use, plaintext, associated []byte) ([]byte, error) {
	k, err := r.current("", use)
	if err != nil {
		return nil, err
	}
	if k.secret == nil {
		return nil, fmt.Errorf("sealing: the use %q has no secret: %w", use, ErrNotReady)
	}
	return k.secret.seal(plaintext, associated), nil
}

// Open returns the plaintext of what Seal made for the same use and the same
// associated data, by any key that has not retired. The error wraps ErrForged when
// it is anything else, and ErrNotReady when there is no key.
func (r *Ring) Open(use Use, sealed, associated []byte) ([]byte, error) {
	if _, err := r.current("", use); err != nil {
		return nil, err
	}
	for k := range r.valid("", use) {
		if k.secret != nil && k.secret.made(sealed) {
			return k.secret.open(sealed, associated)
		}
	}
	return nil, ErrForged
}

// current returns the key that new things are made with.
func (r *Ring) current(host string, use Use) (*key, error) {
	s := (*r.shelves.Load())[shelfOf(host)]
	if s == nil {
		return nil, fmt.Errorf("use %q, host %q: %w", use, host, ErrNotReady)
	}
	if s.fault != nil {
		return nil, s.fault
	}
	k := s.current(use)
	if k == nil {
		return nil, fmt.Errorf("use %q, host %q: %w", use, host, ErrNotReady)
	}
	return k, nil
}

// valid goes through the keys that have not retired, the current one first.
func (r *Ring) valid(host string, use Use) iter.Seq[*key] {
	return func(yield func(*key) bool) {
		s := (*r.shelves.Load())[shelfOf(host)]
		if s == nil || s.fault != nil {
			return
		}
		now := r.now()
		for _, k := range s.keys {
			if k.entry.Use == use && !k.retired(now) && !yield(k) {
				return
			}
		}
	}
}
