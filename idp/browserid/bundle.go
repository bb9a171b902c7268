package browserid

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"time"
)

// Bundle is a backed identity assertion, certificate~assertion: what a website
// receives and sends to its verifier.
//
// A signature has up to two spellings (leading zeros may be dropped), so a
// memory against replay must not go by the bundle's text, but by [Bundle.Use].
type Bundle struct {
	Certificate *Certificate
	Assertion   *Assertion
}

// ParseBundle reads a bundle of one certificate and one assertion. Without a
// certificate the error is [ErrNoCertificates], with several [ErrChained],
// without an assertion [ErrNoAssertion].
func ParseBundle(s string) (*Bundle, error) {
	if len(s) > longestBundle {
		return nil, fmt.Errorf("bundle is longer than %d characters", longestBundle)
	}
	certificate, assertion, ok := bytes.Cut([]byte(s), []byte("~"))
	switch {
	case !ok || len(certificate) == 0:
		return nil, ErrNoCertificates
	case bytes.Contains(assertion, []byte("~")):
		return nil, ErrChained
	case len(assertion) == 0:
		return nil, ErrNoAssertion
	}
	c, err := parseCertificate(certificate)
	if err != nil {
		return nil, err
	}
	a, err := parseAssertion(assertion)
	if err != nil {
		return nil, err
	}
	return &Bundle{c, a}, nil
}

// String returns certificate~assertion, byte for byte as parsed.
func (b *Bundle) String() string {
	return b.Certificate.String() + "~" + b.Assertion.String()
}

// Use names what the browser signed with its key: two bundles have the same Use
// if and only if both the key and the decoded assertion are the same, whatever
// the certificate and however the signature is spelled. It is a SHA-256.
func (b *Bundle) Use() [sha256.Size]byte {
	key := sha256.Sum256(b.Certificate.PublicKey.appendJSON(nil))
	return sha256.Sum256(append(key[:], b.Assertion.signed.input()...))
}

// Verify checks the certificate with the issuer's keys, the assertion with the
// certificate's key, and that the assertion is meant for audience, the origin
// that the website was configured with: [ErrAudienceScheme],
// [ErrAudiencePort], [ErrAudienceDomain]. The other errors are those of
// [Certificate.Verify], first of the certificate, then of the assertion.
//
// The caller has still to see to it that keys are those of Certificate.Issuer
// and that this issuer is the authority of Certificate.Email's domain, and to
// decide whether that address may have capitals.
func (b *Bundle) Verify(keys []*PublicKey, audience string, now time.Time) error {
	if err := b.Certificate.Verify(keys, now); err != nil {
		return err
	}
	if err := b.Assertion.Verify(b.Certificate.PublicKey, now); err != nil {
		return err
	}
	return matchAudience(audience, b.Assertion.Audience)
}
