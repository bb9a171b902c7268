package session

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

const (
	revokedSessions = "persona/revoked/sessions"
	revokedPersons  = "persona/revoked/persons"

	// sweepGrace is how long a record stays after nothing needs it any more: a clock
	// that is a day ahead for an hour must not bring signed-out sessions back.
	sweepGrace = 48 * time.Hour

	// maxPending bounds the memory of sign-outs that the store has refused.
	maxPending = 10_000
)

// revocations are the sign-outs, one record each in the store. The name of a record is
// a hash, so a listing of the store tells nothing about people.
//
// That a session's record exists is enough. A person's record stands for an epoch,
// which sessions carry that began after it; comparing epochs instead of times means
// that clocks, theirs and ours, do not matter.
type revocations struct {
	store Store
	log   zerolog.Logger

	// changing is held for reading while a session's record is written, and for writing
	// while a person's is (the last one counts) and between sweep's look at a record and
	// its deletion.
	changing sync.RWMutex

	mu      sync.Mutex
	pending map[string][]byte // records that the store does not hold yet, by name
}

// record is the content of a revocation.
type record struct {
	Until time.Time `json:"until"`           // when the last cookie that it is against has expired
	Nonce string    `json:"nonce,omitempty"` // makes each epoch of a person another one
}

func newRevocations(store Store, log zerolog.Logger) *revocations {
	return &revocations{store: store, log: log, pending: map[string][]byte{}}
}

// session records that a session has ended.
func (r *revocations) session(ctx context.Context, s Session) error {
	return r.write(ctx, r.changing.RLocker(), revokedSessions+"/"+hashed(s.ID), record{Until: s.Ends})
}

// person begins a new epoch of a person.
func (r *revocations) person(ctx context.Context, directory, person, nonce string, until time.Time) error {
	return r.write(ctx, &r.changing, personRecord(directory, person), record{Until: until, Nonce: nonce})
}

// check returns a none when a session was ended, another error when the store cannot
// tell.
func (r *revocations) check(ctx context.Context, s Session) error {
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

// epoch returns the epoch that a person's sessions begin in now; 0 when there is no
// record. It is a hash of the record, so even a damaged record is an epoch of its
// own: those who were signed in sign in again, and nobody is locked out.
func (r *revocations) epoch(ctx context.Context, directory, person string) (uint64, error) {
	data, err := r.load(ctx, personRecord(directory, person))
	if err != nil || data == nil {
		return 0, err
	}
	sum := sha256.Sum256(data)
	return max(1, binary.BigEndian.Uint64(sum[:])), nil
}

// load returns the content of a record, or nil when there is none.
func (r *revocations) load(ctx context.Context, name string) ([]byte, error) {
	r.mu.Lock()
	data, pending := r.pending[name]
	r.mu.Unlock()
	if pending {
		return data, nil
	}
	data, err := r.store.Load(ctx, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("looking whether the session was ended: %w", err)
	case data == nil:
		return []byte{}, nil
	}
	return data, nil
}

// write makes a record known in this process, and then in the store.
func (r *revocations) write(ctx context.Context, changing sync.Locker, name string, content record) error {
	data, err := json.Marshal(content)
	if err != nil {
		return fmt.Errorf("recording it: %w", err)
	}
	changing.Lock()
	defer changing.Unlock()
	r.remember(name, data)
	return r.put(ctx, name, data)
}

// remember keeps a record in memory. A full memory forgets any other one.
func (r *revocations) remember(name string, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.pending) >= maxPending {
		for other := range r.pending {
			delete(r.pending, other)
			break
		}
	}
	r.pending[name] = data
}

// put stores a pending record, and forgets it once the store holds it.
func (r *revocations) put(ctx context.Context, name string, data []byte) error {
	if err := r.store.Store(ctx, name, data); err != nil {
		return fmt.Errorf("recording it: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.pending, name)
	return nil
}

// sweep stores what is pending and deletes what is outlived.
func (r *revocations) sweep(ctx context.Context, now time.Time) error {
	var faults []error
	if err := r.putPending(ctx); err != nil {
		faults = append(faults, fmt.Errorf("sweeping sign-outs: %w", err))
	}
	for _, prefix := range []string{revokedSessions, revokedPersons} {
		names, err := r.store.List(ctx, prefix, false)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			faults = append(faults, fmt.Errorf("sweeping sign-outs: %w", err))
		}
		for _, name := range names {
			if err := r.sweepOne(ctx, name, now); err != nil {
				return errors.Join(append(faults, fmt.Errorf("sweeping sign-outs: %w", err))...)
			}
		}
	}
	return errors.Join(faults...)
}

// putPending stores what the store has refused before, up to the first refusal.
func (r *revocations) putPending(ctx context.Context) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	r.mu.Lock()
	pending := maps.Clone(r.pending)
	r.mu.Unlock()
	for name, data := range pending {
		if err := r.put(ctx, name, data); err != nil {
			return err
		}
	}
	return nil
}

func (r *revocations) sweepOne(ctx context.Context, name string, now time.Time) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	data, err := r.store.Load(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var content record
	if err := json.Unmarshal(data, &content); err != nil || content.Until.IsZero() {
		r.log.Warn().Str("record", name).Msg("the record of a sign-out is damaged; it is kept (hint: it may be deleted after 30 days)")
		return nil
	}
	if now.Before(content.Until.Add(sweepGrace)) {
		return nil
	}
	return r.store.Delete(ctx, name)
}

func personRecord(directory, person string) string {
	return revokedPersons + "/" + hashed(directory+"\x00"+person)
}

// hashed makes a name of 32 hexadecimal digits.
func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}
