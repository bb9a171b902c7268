package session

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"sync"
	"time"
)

const (
	revokedSessions = "revoked/sessions"
	revokedPersons  = "revoked/persons"

	// grace is how long a sign-out is kept after the last cookie that it is against
	// has expired: a clock that is a day ahead for an hour must not bring signed-out
	// sessions back.
	grace = 48 * time.Hour
)

// revocations are the sign-outs, one value each in the store. Its key is a hash, so
// a listing of the store reveals nothing about people.
//
// That a session has a value is enough. A person's value stands for an epoch, which
// sessions carry that began after it; comparing epochs instead of times means that
// clocks, theirs and ours, do not matter.
type revocations struct {
	store Store
	now   func() time.Time
}

// session records that a session has ended.
func (r revocations) session(ctx context.Context, s Session) error {
	return r.write(ctx, revokedSessions+"/"+hashed(s.ID), []byte{}, s.Ends)
}

// person begins a new epoch of a person. The nonce makes each epoch another one.
func (r revocations) person(ctx context.Context, directory, person, nonce string, until time.Time) error {
	return r.write(ctx, personKey(directory, person), []byte(nonce), until)
}

// check returns an errNone when a session was ended, another error when the store cannot
// tell.
func (r revocations) check(ctx context.Context, s Session) error {
	ended, err := r.load(ctx, revokedSessions+"/"+hashed(s.ID))
	if err != nil {
		return err
	}
	if ended != nil {
		return none("the session was signed out")
	}
	epoch, err := r.epoch(ctx, s.Directory, s.Person)
	if err != nil {
		return err
	}
	if epoch != 0 && epoch != s.Epoch {
		return none("the person was signed out everywhere")
	}
	return nil
}

// epoch returns the epoch that a person's sessions begin in now; 0 when there was no
// sign-out. It is a hash of the value, so even a damaged value is an epoch of its
// own: those who were signed in sign in again, and no one is locked out.
func (r revocations) epoch(ctx context.Context, directory, person string) (uint64, error) {
	value, err := r.load(ctx, personKey(directory, person))
	if err != nil || value == nil {
		return 0, err
	}
	sum := sha256.Sum256(value)
	return max(1, binary.BigEndian.Uint64(sum[:])), nil
}

// load returns a value, or nil when there is none.
func (r revocations) load(ctx context.Context, key string) ([]byte, error) {
	value, err := r.store.Get(ctx, key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading whether the session was ended: %w", err)
	case value == nil:
		return []byte{}, nil
	}
	return value, nil
}

// write records a sign-out against cookies that expire at until.
func (r revocations) write(ctx context.Context, key string, value []byte, until time.Time) error {
	if err := r.store.Set(ctx, key, value, until.Add(grace).Sub(r.now())); err != nil {
		return fmt.Errorf("recording a sign-out: %w", err)
	}
	return nil
}

func personKey(directory, person string) string {
	return revokedPersons + "/" + hashed(directory+"\x00"+person)
}

// hashed returns a key of 32 hexadecimal digits.
func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

// Pending is a Store in front of another one, whose sign-outs count in this process
// although the other refuses them: a full disk must not leave a person signed in.
// Make one for the process.
type Pending struct {
	store Store
	now   func() time.Time

	writing sync.Mutex // held while a value is written: the last one counts

	mu   sync.Mutex
	kept map[string]pendingValue // what the store does not hold yet, by key
}

type pendingValue struct {
	value []byte
	until time.Time
}

// maxPending bounds the memory of sign-outs that the store has refused.
const maxPending = 10_000

// NewPending returns a Pending in front of store.
func NewPending(store Store, now func() time.Time) *Pending {
	return &Pending{store: store, now: now, kept: map[string]pendingValue{}}
}

// Get returns a value that is pending, or the store's.
func (p *Pending) Get(ctx context.Context, key string) ([]byte, error) {
	p.mu.Lock()
	kept, ok := p.kept[key]
	p.mu.Unlock()
	if ok {
		return kept.value, nil
	}
	return p.store.Get(ctx, key)
}

// Set makes a value known in this process, and then in the store. When the store
// refuses it, that is the error, and the value stays known. Too many push out others.
func (p *Pending) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	p.mu.Lock()
	if len(p.kept) >= maxPending {
		for other := range p.kept {
			delete(p.kept, other)
			break
		}
	}
	kept := pendingValue{value, p.now().Add(ttl)}
	p.kept[key] = kept
	p.mu.Unlock()
	return p.put(ctx, key, kept)
}

// Retry stores what the store has refused before, up to the first refusal.
func (p *Pending) Retry(ctx context.Context) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	p.mu.Lock()
	all := maps.Clone(p.kept)
	p.mu.Unlock()
	for key, kept := range all {
		if err := p.put(ctx, key, kept); err != nil {
			return fmt.Errorf("recording a sign-out again: %w", err)
		}
	}
	return nil
}

// put stores a value, and forgets it once the store holds it, or it has expired.
func (p *Pending) put(ctx context.Context, key string, kept pendingValue) error {
	if ttl := kept.until.Sub(p.now()); ttl > 0 {
		if err := p.store.Set(ctx, key, kept.value, ttl); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.kept, key)
	return nil
}
