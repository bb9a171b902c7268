package session

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

const (
	revokedSessions = "revoked/sessions"
	revokedPersons  = "revoked/persons"

	// endedOffline is the value of a session that did not end by signing out alone.
	endedOffline = "offline"

	// grace is how long a sign-out is kept after the last cookie that it is against
	// has expired: a clock that is a day ahead for an hour must not bring signed-out
	// sessions back.
	grace = 48 * time.Hour
)

// revocations are what the sign-outs mean, one value each in the store. Its key is a
// hash, so a listing of the store reveals nothing about people.
//
// That a session has a value is enough. A person's value stands for an epoch, which
// sessions carry that began after it; comparing epochs instead of times means that
// clocks, theirs and ours, do not matter.
type revocations struct {
	signOuts *SignOuts
	now      func() time.Time
}

// marks are the keys of the values that end a session.
type marks struct{ session, person string }

func marksOf(s Session) marks {
	return marks{revokedSessions + "/" + hashed(s.ID), personKey(s.Directory, s.Person)}
}

// session records that a session has ended, and whether the directory has ended what outlives it, too.
func (r revocations) session(ctx context.Context, s Session, offline bool) error {
	if offline {
		return r.write(ctx, marksOf(s).session, []byte(endedOffline), r.now().Add(MaxLifetime))
	}
	return r.write(ctx, marksOf(s).session, []byte{}, s.Ends)
}

// person begins a new epoch of a person. The nonce makes each epoch another one.
func (r revocations) person(ctx context.Context, directory, person, nonce string, until time.Time) error {
	return r.write(ctx, personKey(directory, person), []byte(nonce), until)
}

// check returns an errNone when a session of an epoch was ended, another error when that
// cannot be told. What the store said less than maxAge ago is good enough.
func (r revocations) check(ctx context.Context, of marks, epoch uint64, maxAge time.Duration) error {
	ended, err := r.signOuts.recent(ctx, of.session, maxAge)
	if err != nil {
		return err
	}
	if ended != nil {
		return none("the session was signed out")
	}
	return r.checkPerson(ctx, of, epoch, maxAge)
}

// checkOffline is check for what outlives the session, by what the store says now.
func (r revocations) checkOffline(ctx context.Context, of marks, epoch uint64) error {
	ended, err := r.signOuts.recent(ctx, of.session, 0)
	if err != nil {
		return err
	}
	if string(ended) == endedOffline {
		return none("the directory ended the session")
	}
	return r.checkPerson(ctx, of, epoch, 0)
}

func (r revocations) checkPerson(ctx context.Context, of marks, epoch uint64, maxAge time.Duration) error {
	now, err := r.epoch(ctx, of.person, maxAge)
	if err != nil {
		return err
	}
	if now != 0 && now != epoch {
		return none("the person was signed out everywhere")
	}
	return nil
}

// epoch returns the epoch that a person's sessions begin in now; 0 when there was no
// sign-out. It is a hash of the value, so even a damaged value is an epoch of its
// own: those who were signed in sign in again, and no one is locked out.
func (r revocations) epoch(ctx context.Context, key string, maxAge time.Duration) (uint64, error) {
	value, err := r.signOuts.recent(ctx, key, maxAge)
	if err != nil || value == nil {
		return 0, err
	}
	sum := sha256.Sum256(value)
	return max(1, binary.BigEndian.Uint64(sum[:])), nil
}

// write records a sign-out against cookies that expire at until.
func (r revocations) write(ctx context.Context, key string, value []byte, until time.Time) error {
	if err := r.signOuts.Set(ctx, key, value, until.Add(grace).Sub(r.now())); err != nil {
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
