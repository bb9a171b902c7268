package verifier

import (
	"errors"

	"persona-sidecar/idp/browserid"
)

// Refusal is why an assertion is not accepted: a verdict, not a failure of
// ours. Reason is for the website, in the words of the historic verifiers
// wherever they had words; the cause is for the operator.
type Refusal struct {
	Reason string
	cause  error
}

func (r *Refusal) Error() string { return r.Reason }

func (r *Refusal) Unwrap() error { return r.cause }

// hinted is the cause of a refusal with what the operator can do about it.
type hinted struct {
	error
	hint string
}

func (h *hinted) Hint() string  { return h.hint }
func (h *hinted) Unwrap() error { return h.error }

// ErrBusy means that no answer can be given at the moment: too many look-ups of
// other domains wait, or the memory against replay is full.
var ErrBusy = errors.New("too busy")

// refuse makes a refusal of an error about a bundle.
func refuse(err error) *Refusal {
	if errors.Is(err, browserid.ErrNoEmail) || errors.Is(err, browserid.ErrEmail) {
		return &Refusal{"untrusted assertion, doesn't contain an email, and issuer is untrusted ", err}
	}
	var reason browserid.Reason
	if errors.As(err, &reason) && historic(reason) {
		return &Refusal{string(reason), err}
	}
	return &Refusal{err.Error(), err}
}

// historic reports whether relying parties know these words as they stand, with
// nothing around them.
func historic(reason browserid.Reason) bool {
	switch reason {
	case browserid.ErrSeconds, browserid.ErrNotSupported, browserid.ErrKeySize, browserid.ErrWeakKey:
		return false // their text also names the number or the key
	}
	return true
}
