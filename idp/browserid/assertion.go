package browserid

import (
	"crypto"
	"fmt"
	"io"
	"strconv"
	"time"
)

// Assertion is an identity assertion: the word of a browser's key that its
// holder wants to sign in at one website, now. It was parsed, not yet verified.
type Assertion struct {
	Audience string    // the website's origin, in the form of [ParseAudience]
	IssuedAt time.Time // zero when not stated, as is usual
	Expires  time.Time
	signed   signed
}

// SignAssertion makes an assertion as the dialog does in the browser. The
// signer must hold an RSA key; random is handed to it. The audience must be an
// origin, see [ParseAudience].
func SignAssertion(signer crypto.Signer, random io.Reader, audience string, expires time.Time) (string, error) {
	key, err := publicKeyOf(signer)
	if err != nil {
		return "", fmt.Errorf("signing an assertion: %w", err)
	}
	aud, err := ParseAudience(audience)
	if err != nil {
		return "", fmt.Errorf("signing an assertion: %w", err)
	}
	ms, err := millis(expires)
	if err != nil {
		return "", fmt.Errorf("signing an assertion: %w", err)
	}
	b := make([]byte, 0, 128)
	b = append(b, `{"exp":`...)
	b = strconv.AppendInt(b, ms, 10)
	b = append(b, `,"aud":"`...)
	b = append(b, aud...)
	b = append(b, `"}`...)
	text, err := sign(signer, random, key, b)
	if err != nil {
		return "", fmt.Errorf("signing an assertion: %w", err)
	}
	return text, nil
}

// parseAssertion reads an assertion and checks its form: three parts, an
// audience that is an origin, an expiry in integer milliseconds. Other claims
// are left to [Assertion.OtherClaims].
func parseAssertion(raw []byte) (*Assertion, error) {
	a, err := readAssertion(raw)
	if err != nil {
		return nil, fmt.Errorf("assertion: %w", err)
	}
	return a, nil
}

func readAssertion(raw []byte) (*Assertion, error) {
	parsed, err := parseSigned(raw)
	if err != nil {
		return nil, err
	}
	a := &Assertion{signed: parsed}
	audience, err := parsed.claims.Text("aud")
	if err != nil {
		return nil, err
	}
	if a.Audience, err = ParseAudience(audience); err != nil {
		return nil, err
	}
	if a.IssuedAt, err = optionalTimeOf(parsed.claims, "iat"); err != nil {
		return nil, err
	}
	if a.Expires, err = timeOf(parsed.claims, "exp"); err != nil {
		return nil, err
	}
	return a, nil
}

// String returns the bytes that were parsed.
func (a *Assertion) String() string { return string(a.signed.raw) }

// OtherClaims returns the claims that the protocol does not know, in JSON by
// their names. It is nil when there are none.
func (a *Assertion) OtherClaims() map[string][]byte { return otherClaims(a.signed.claims, nil) }

// Verify checks the signature with the certificate's key, and that now lies in
// the assertion's time, give or take [Skew]. An assertion may expire at most
// [LongestAssertion] ahead: [ErrLifetime]. The other errors are those of
// [Certificate.Verify]. The audience is [Bundle.Verify]'s to compare.
func (a *Assertion) Verify(key *PublicKey, now time.Time) error {
	if err := a.signed.verify(key); err != nil {
		return err
	}
	if err := checkTimes(a.IssuedAt, a.Expires, now); err != nil {
		return err
	}
	if a.Expires.Sub(now) > LongestAssertion+Skew {
		return ErrLifetime
	}
	return nil
}
