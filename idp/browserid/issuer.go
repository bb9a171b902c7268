package browserid

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// Issuer signs the identity certificates of one authority with one key. It is
// safe for concurrent use if its signer and random source are.
type Issuer struct {
	authority string
	signer    crypto.Signer
	random    io.Reader
	key       *PublicKey // of the signer
	legacy    bool
}

// NewIssuer makes the Issuer of an authority, see [ParseAuthority]. The signer
// must hold an RSA key of 2048 bit; random is handed to it. With
// legacyClientKeys it certifies the keys of historic browsers, too: those that
// pass [PublicKey.CheckLegacyClientKey].
func NewIssuer(authority string, signer crypto.Signer, random io.Reader, legacyClientKeys bool) (*Issuer, error) {
	key, err := publicKeyOf(signer)
	if err == nil {
		err = key.CheckDomainKey()
	}
	if err == nil {
		_, err = ParseAuthority(authority)
	}
	if err != nil {
		return nil, fmt.Errorf("making an issuer of certificates: %w", err)
	}
	return &Issuer{authority, signer, random, key, legacyClientKeys}, nil
}

// CheckClientKey reports why the issuer does not certify a browser's key: its size,
// its exponent, or that it is the issuer's own. Sign, which takes longer, also
// refuses an RSA key whose factors are easily found.
func (i *Issuer) CheckClientKey(key *PublicKey) error {
	check := (*PublicKey).CheckClientKey
	if i.legacy {
		check = (*PublicKey).CheckLegacyClientKey
	}
	if err := check(key); err != nil {
		return err
	}
	if key.SameModulus(i.key) {
		return errors.New("client key: this is the domain's own key")
	}
	return nil
}

// Sign makes the certificate that key belongs to the holder of email. It is
// issued [BackDated] before now and expires a lifetime after. Refused are: a
// lifetime under one minute or over 24 hours, no address or one with capitals,
// the keys that [Issuer.CheckClientKey] refuses, and as [ErrWeakKey] an RSA key
// with a factor up to 2^16, or with two factors that are close or the same.
func (i *Issuer) Sign(email Address, key *PublicKey, now time.Time, lifetime time.Duration) (string, error) {
	claims, err := i.claims(email, key, now, lifetime)
	if err != nil {
		return "", fmt.Errorf("signing a certificate: %w", err)
	}
	text, err := sign(i.signer, i.random, i.key, claims)
	if err != nil {
		return "", fmt.Errorf("signing a certificate: %w", err)
	}
	return text, nil
}

// claims writes the payload in the order of the reference code. Nothing in it
// needs escaping: issuer and address are of alphabets without quotes.
func (i *Issuer) claims(email Address, key *PublicKey, now time.Time, lifetime time.Duration) ([]byte, error) {
	if err := i.CheckClientKey(key); err != nil {
		return nil, err
	}
	if rsaKey := key.RSA(); rsaKey != nil {
		if err := checkFactors(rsaKey.N); err != nil {
			return nil, fmt.Errorf("client key: %w", err)
		}
	}
	if email == (Address{}) {
		return nil, ErrNoEmail
	}
	if email.HasCapitals() {
		return nil, ErrCapitals
	}
	if lifetime < ShortestCertificate || lifetime > LongestCertificate {
		return nil, fmt.Errorf("lifetime %v is not between %v and %v", lifetime, ShortestCertificate, LongestCertificate)
	}
	issued, err := millis(now.Add(-BackDated))
	if err != nil {
		return nil, err
	}
	expires, err := millis(now.Add(lifetime))
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, 1024)
	b = append(b, `{"public-key":`...)
	b = key.appendJSON(b)
	b = append(b, `,"principal":{"email":"`...)
	b = append(b, email.String()...)
	b = append(b, `"},"iat":`...)
	b = strconv.AppendInt(b, issued, 10)
	b = append(b, `,"exp":`...)
	b = strconv.AppendInt(b, expires, 10)
	b = append(b, `,"iss":"`...)
	b = append(b, i.authority...)
	return append(b, `"}`...), nil
}
