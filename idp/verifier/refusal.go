package verifier

import (
	"errors"
	"fmt"

	"persona-sidecar/idp/browserid"
)

// Refusal says why an assertion is not believed: a verdict, not a failure of
// ours. Reason is for the website, in the words of the historic verifiers
// wherever they had words; the cause is for the operator.
type Refusal struct {
	Reason string
	cause  error
}

func (r *Refusal) Error() string { return r.Reason }

func (r *Refusal) Unwrap() error { return r.cause }

// ErrBusy says that the memory against replay is full, so that nothing can be
// believed at the moment.
var ErrBusy = errors.New("too busy")

// refuse makes a refusal of what browserid says about a bundle.
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

// historic says whether relying parties know these words as they stand, with
// nothing around them.
func historic(reason browserid.Reason) bool {
	switch reason {
	case browserid.ErrSeconds, browserid.ErrNotSupported, browserid.ErrKeySize:
		return false // which number, which key, stands around them
	}
	return true
}

func untrustedIssuer(expected, got string) *Refusal {
	return &Refusal{fmt.Sprintf("untrusted issuer, expected '%s', got '%s'", expected, got), nil}
}

func closedDomain(domain string) *Refusal {
	return &Refusal{"this verifier accepts no emails from '" + domain + "'", errors.New("the mail domain is not accepted (hint: verifier.domains)")}
}

func legacyKey(key *browserid.PublicKey) *Refusal {
	err := key.CheckClientKey()
	return &Refusal{err.Error(), fmt.Errorf("%w (hint: identity.legacy_client_keys)", err)}
}
