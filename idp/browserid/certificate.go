package browserid

import (
	"errors"
	"fmt"
	"time"

	"persona-sidecar/idp/browserid/strictjson"
)

// Certificate is an identity certificate: an identity provider's word that the
// holder of a key owns an address. It was parsed, not yet verified, until
// [Certificate.Verify] says nil.
type Certificate struct {
	Issuer    string     // who says so: an authority, host or host:port
	Email     Address    // the address certified, as it was signed
	PublicKey *PublicKey // the browser's key
	IssuedAt  time.Time  // zero when not stated
	Expires   time.Time
	signed    signed
}

// ParseCertificate reads a certificate and checks its form: three parts, an
// issuer, a client key, an expiry in integer milliseconds, and an address
// ([ErrNoEmail] when it has another kind of principal, [ErrEmail] when the
// address is malformed, [ErrCapitals] when its domain is not in lower case).
// Other claims are left to [Certificate.OtherClaims].
func ParseCertificate(s string) (*Certificate, error) {
	return parseCertificate([]byte(s))
}

func parseCertificate(raw []byte) (*Certificate, error) {
	c, err := readCertificate(raw)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return c, nil
}

func readCertificate(raw []byte) (*Certificate, error) {
	parsed, err := parseSigned(raw)
	if err != nil {
		return nil, err
	}
	c := &Certificate{signed: parsed}
	if c.Issuer, err = parseIssuer(parsed.claims); err != nil {
		return nil, err
	}
	if c.Email, err = parsePrincipal(parsed.claims); err != nil {
		return nil, err
	}
	if c.PublicKey, err = parseCertifiedKey(parsed.claims); err != nil {
		return nil, err
	}
	if c.IssuedAt, err = optionalTimeOf(parsed.claims, "iat"); err != nil {
		return nil, err
	}
	if c.Expires, err = timeOf(parsed.claims, "exp"); err != nil {
		return nil, err
	}
	return c, nil
}

func parseIssuer(claims strictjson.Object) (string, error) {
	issuer, err := claims.Text("iss")
	if err != nil {
		return "", err
	}
	return ParseAuthority(issuer)
}

// parsePrincipal returns the address certified: that of the principal, or else
// the newer claim "sub".
func parsePrincipal(claims strictjson.Object) (Address, error) {
	from, name := claims, "sub"
	if principal, ok := claims.Child("principal"); ok {
		if _, ok := principal.Get("email"); ok {
			from, name = principal, "email"
		}
	}
	if _, ok := from.Get(name); !ok {
		return Address{}, ErrNoEmail
	}
	text, err := from.Text(name)
	if err != nil {
		return Address{}, fmt.Errorf("%w: %w", ErrEmail, err)
	}
	return parseSignedAddress(text)
}

func parseCertifiedKey(claims strictjson.Object) (*PublicKey, error) {
	obj, ok := claims.Child("public-key")
	if !ok {
		return nil, errors.New(`"public-key" is missing`)
	}
	key, err := parseKey(obj)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	return key, nil
}

// String returns the bytes that were parsed.
func (c *Certificate) String() string { return string(c.signed.raw) }

// OtherClaims returns the claims that the protocol does not know, in JSON by
// their names: those of the certificate, and those of its principal where both
// have none of the same name. It is nil when there are none.
func (c *Certificate) OtherClaims() map[string][]byte {
	principal, _ := c.signed.claims.Child("principal")
	return otherClaims(c.signed.claims, otherClaims(principal, nil))
}

// Verify checks the signature with the issuer's keys, one of which must fit,
// and that now lies in the certificate's time, give or take [Skew]. A
// certificate may be valid for at most [LongestCertificate]: [ErrLifetime].
// The other errors are [ErrNoKeys], [ErrAlgorithms], [ErrSignature],
// [ErrMalformedSignature], [ErrIssuedLater] and [ErrExpired].
//
// That the keys are the issuer's, that the issuer may speak for the address's
// domain, and whether its local part may have capitals, is for the caller to
// see to.
func (c *Certificate) Verify(keys []*PublicKey, now time.Time) error {
	if err := c.verifySignature(keys); err != nil {
		return err
	}
	if err := checkTimes(c.IssuedAt, c.Expires, now); err != nil {
		return err
	}
	issued := c.IssuedAt
	if issued.IsZero() {
		issued = now
	}
	if c.Expires.Sub(issued) > LongestCertificate+Skew {
		return ErrLifetime
	}
	return nil
}

// verifySignature tries the keys in turn and reports the last error.
func (c *Certificate) verifySignature(keys []*PublicKey) error {
	err := error(ErrNoKeys)
	for _, key := range keys {
		if err = c.signed.verify(key); err == nil {
			return nil
		}
	}
	return err
}

// checkTimes is the part that certificates and assertions have in common.
func checkTimes(issued, expires, now time.Time) error {
	switch {
	case issued.After(now.Add(Skew)):
		return ErrIssuedLater
	case now.After(expires.Add(Skew)):
		return ErrExpired
	}
	return nil
}
