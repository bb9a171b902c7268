package keys

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math/big"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// Store is where the ring keeps its keysets. Keys are slash-separated paths;
// Store replaces a value as a whole and durably; a missing value or prefix is
// fs.ErrNotExist. A lock is held by one process at most.
type Store interface {
	Load(ctx context.Context, key string) ([]byte, error)
	Store(ctx context.Context, key string, value []byte) error
	List(ctx context.Context, prefix string, recursive bool) ([]string, error)
	Lock(ctx context.Context, name string) error
	Unlock(ctx context.Context, name string) error
}

// Use is the one thing that a key is for.
type Use string

const (
	// UseCertificates signs identity certificates; one key per identity host: RSA
	// of 2048 bits, RS256.
	UseCertificates Use = "certificates"
	// UseAssertions signs what tells websites who is signed in; one key per identity
	// host: RSA of 2048 bits, RS256.
	UseAssertions Use = "assertions"
	// UseOpenID signs the ID tokens and logout tokens of OpenID Connect; one key per
	// identity host: RSA of 2048 bits, RS256.
	UseOpenID Use = "openid"
	// UseSession seals sign-in cookies; one secret for the program: A256GCM.
	UseSession Use = "session"
)

// The algorithms of the uses, as RFC 7518 names them.
const (
	algRS256   = "RS256"
	algA256GCM = "A256GCM"
)

// Public is the public half of a key.
type Public struct {
	KID     string           // key id: 16 hexadecimal digits, derived from the key
	Alg     string           // RS256; A256GCM for a secret
	Key     crypto.PublicKey // *rsa.PublicKey, not to be changed; nil for a secret
	Retires time.Time        // zero: the current key; else it is not used from then on
}

// Entry describes one key of the ring.
type Entry struct {
	Public
	Host    string // the identity host; empty for a key of the program
	Use     Use
	Created time.Time
}

// Want names a key that must exist: ("", UseSession), or an identity host with one of the
// other uses.
type Want struct {
	Host string
	Use  Use
}

// ErrNotReady means that the ring holds no usable key for what was asked: it was
// not created yet, or its keyset is corrupted.
var ErrNotReady = errors.New("the key is not ready")

// ErrForged means that a sealed text was not sealed by this ring for this use and
// this associated data.
var ErrForged = errors.New("not sealed by this key ring")

// CorruptedError is a keyset that is there and cannot be used. It counts as
// ErrNotReady too.
type CorruptedError struct {
	File string // the keyset
	Err  error  // what is wrong with it
	hint string
}

func (e *CorruptedError) Error() string {
	return fmt.Sprintf("reading the key ring: %s: %v", e.File, e.Err)
}

// Hint is what the operator can do about it.
func (e *CorruptedError) Hint() string { return e.hint }

// Unwrap returns the cause, and ErrNotReady.
func (e *CorruptedError) Unwrap() []error { return []error{e.Err, ErrNotReady} }

// Config is what a Ring needs. All fields are required.
type Config struct {
	Store Store
	Now   func() time.Time
	Rand  io.Reader // for secrets; RSA keys come from the system's own source
	Log   zerolog.Logger
}

// Ring holds the keys in memory and in the store. Its methods may be called from
// many goroutines at once; only Load and Ensure do I/O.
type Ring struct {
	store Store
	now   func() time.Time
	rand  io.Reader
	log   zerolog.Logger

	writing sync.Mutex // held by Load and Ensure, which replace keysets
	keysets atomic.Pointer[map[string]*keyset]
}

// New returns an empty ring. Call Load, then Ensure.
func New(c Config) *Ring {
	r := &Ring{store: c.Store, now: c.Now, rand: c.Rand, log: c.Log}
	r.keysets.Store(&map[string]*keyset{})
	return r
}

// Entries describes all keys of the ring, in the order of host, use and age.
func (r *Ring) Entries() []Entry {
	var entries []Entry
	for _, s := range *r.keysets.Load() {
		for _, k := range s.keys {
			entries = append(entries, k.entry)
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Use, b.Use),
			a.Created.Compare(b.Created), cmp.Compare(a.KID, b.KID))
	})
	return entries
}

// Signer returns the current key of a host for a use, with its id. It signs
// SHA-256 digests with RSASSA-PKCS1-v1_5 and nothing else. The error wraps
// ErrNotReady when there is no such key.
func (r *Ring) Signer(host string, use Use) (kid string, s crypto.Signer, err error) {
	k, err := r.current(host, use)
	if err != nil {
		return "", nil, err
	}
	if k.signer == nil {
		return "", nil, fmt.Errorf("the use %q does not sign: %w", use, ErrNotReady)
	}
	return k.entry.KID, k.signer, nil
}

// Published returns the public keys of a host for a use: the current one first,
// then those that are still valid during a rotation, newest first. The error
// wraps ErrNotReady when there is none.
func (r *Ring) Published(host string, use Use) ([]Public, error) {
	if _, err := r.current(host, use); err != nil {
		return nil, err
	}
	var public []Public
	for k := range r.valid(host, use) {
		public = append(public, k.entry.Public)
	}
	return public, nil
}

// Holds returns the host of a key with an RSA modulus, whatever the exponent and
// the key's use, and though it has retired. ok is false when no key of the ring
// has that modulus.
func (r *Ring) Holds(modulus *big.Int) (host string, ok bool) {
	for _, s := range *r.keysets.Load() {
		for _, k := range s.keys {
			if public, ok := k.entry.Key.(*rsa.PublicKey); ok && public.N.Cmp(modulus) == 0 {
				return k.entry.Host, true
			}
		}
	}
	return "", false
}

// Seal encrypts and authenticates plaintext, and authenticates associated, under
// the current secret of a use of the program. The result holds the key's id, so
// that Open finds it after a rotation. The error wraps ErrNotReady when there is
// no secret.
func (r *Ring) Seal(use Use, plaintext, associated []byte) ([]byte, error) {
	k, err := r.current("", use)
	if err != nil {
		return nil, err
	}
	if k.secret == nil {
		return nil, fmt.Errorf("the use %q does not seal: %w", use, ErrNotReady)
	}
	return k.secret.seal(plaintext, associated), nil
}

// Open returns the plaintext of what Seal returned for the same use and the same
// associated data, by any key that has not retired. The error wraps ErrForged
// when it is anything else, and ErrNotReady when there is no secret.
func (r *Ring) Open(use Use, sealed, associated []byte) ([]byte, error) {
	if _, err := r.current("", use); err != nil {
		return nil, err
	}
	for k := range r.valid("", use) {
		if k.secret != nil && k.secret.sealedBy(sealed) {
			return k.secret.open(sealed, associated)
		}
	}
	return nil, ErrForged
}

// current returns the key that new things are signed or sealed with.
func (r *Ring) current(host string, use Use) (*key, error) {
	s := (*r.keysets.Load())[host]
	if s != nil && s.fault != nil {
		return nil, s.fault
	}
	if k := s.current(use); k != nil {
		return k, nil
	}
	return nil, fmt.Errorf("use %q, host %q: %w", use, host, ErrNotReady)
}

// valid yields the keys that have not retired, the current one first.
func (r *Ring) valid(host string, use Use) iter.Seq[*key] {
	return func(yield func(*key) bool) {
		s := (*r.keysets.Load())[host]
		if s == nil {
			return
		}
		now := r.now()
		for _, k := range s.keys {
			retired := !k.entry.Retires.IsZero() && !now.Before(k.entry.Retires)
			if k.entry.Use == use && !retired && !yield(k) {
				return
			}
		}
	}
}

// lockName is the store's lock that is held while keys are created. Locks under
// "persona/" end with the process that holds them.
const lockName = "persona/keys"

// Ensure creates the keys that are wanted and missing. When nothing is missing it
// does no I/O. Otherwise it takes the store's lock, reads again, and creates, so
// that two processes that start at once end up with one key. It waits as long as
// another process creates keys.
//
// It never replaces a key: a corrupted one is an error, and the others are
// created nevertheless.
func (r *Ring) Ensure(ctx context.Context, want ...Want) (err error) {
	r.writing.Lock()
	defer r.writing.Unlock()
	var missing []Want
	var faults []error
	for _, w := range want {
		if _, err := w.alg(); err != nil {
			faults = append(faults, fmt.Errorf("creating a key: %w", err))
		} else if _, err := r.current(w.Host, w.Use); err != nil { // a corrupted one may have been restored meanwhile
			missing = append(missing, w)
		}
	}
	if len(missing) == 0 {
		return errors.Join(faults...)
	}
	if err := r.store.Lock(ctx, lockName); err != nil {
		return errors.Join(append(faults, fmt.Errorf("creating keys: %w", err))...)
	}
	keysets := maps.Clone(*r.keysets.Load())
	for _, w := range missing {
		faults = append(faults, r.create(ctx, keysets, w))
	}
	r.keysets.Store(&keysets)
	if err := r.store.Unlock(context.WithoutCancel(ctx), lockName); err != nil {
		faults = append(faults, fmt.Errorf("creating keys: unlocking: %w", err))
	}
	return errors.Join(faults...)
}

// create reads a keyset again, now that no other process writes, and adds the
// key if it is still missing. What it puts into keysets was read back from the
// store.
func (r *Ring) create(ctx context.Context, keysets map[string]*keyset, w Want) error {
	s, err := r.read(ctx, w.Host)
	if err != nil {
		return err
	}
	if s.fault == nil && s.current(w.Use) == nil {
		if err := r.add(ctx, s, w); err != nil {
			return fmt.Errorf("creating a key (use %q, host %q): %w", w.Use, w.Host, err)
		}
		if s, err = r.read(ctx, w.Host); err != nil {
			return err
		}
	}
	keysets[w.Host] = s
	return s.fault
}

// add writes the keyset with one key more.
func (r *Ring) add(ctx context.Context, s *keyset, w Want) error {
	alg, err := w.alg()
	if err != nil {
		return err
	}
	added, err := newRecord(r.rand, alg)
	if err != nil {
		return err
	}
	added.Use, added.Created = w.Use, r.now().UTC().Truncate(time.Second)
	data, err := marshalKeyset(w.Host, append(slices.Clone(s.records), added))
	if err != nil {
		return err
	}
	if err := r.store.Store(ctx, keysetKey(w.Host), data); err != nil {
		return err
	}
	r.log.Info().Str("use", string(w.Use)).Str("host", w.Host).Str("kid", added.KID).Msg("created a new key")
	return nil
}
