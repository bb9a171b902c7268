package browserid

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strconv"
)

// PublicKey is a key that verifies certificates (a domain's) or assertions (a
// browser's). It never changes, and what exists is well-formed: RSA with an odd
// modulus of a historic size (1023 to 1025, or 2047 to 2049 bit) and an odd
// exponent from 3 to 2^31-1, or DSA in one of the two groups of the protocol.
// Only historic browsers have DSA keys; a domain never has one.
type PublicKey struct {
	rsa     rsa.PublicKey
	modulus string  // decimal, no leading zero
	dsa     *dsaKey // nil for RSA
}

// keySize is the size in bits that domain keys must have, and client keys but
// for one bit: the historic verifiers take no longer ones. The historic
// JavaScript library multiplies two primes of half the size, so that four in ten
// of its keys are one bit short.
const keySize = 2048

// legacyKeySize is the other size that historic browsers made, with the same
// bit to spare.
const legacyKeySize = 1024

// NewPublicKey checks key, which must be an *rsa.PublicKey (else the error is
// [ErrNotSupported]), and copies it. A size that no verifier of the protocol
// takes is [ErrKeySize].
func NewPublicKey(public crypto.PublicKey) (*PublicKey, error) {
	key, ok := public.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a key of type %T is %w", public, ErrNotSupported)
	}
	if key == nil || key.N == nil {
		return nil, errors.New("there is no RSA key")
	}
	n := new(big.Int).Set(key.N)
	if err := checkRSA(n, int64(key.E)); err != nil {
		return nil, err
	}
	return &PublicKey{rsa: rsa.PublicKey{N: n, E: key.E}, modulus: n.String()}, nil
}

func checkRSA(n *big.Int, e int64) error {
	switch bits := n.BitLen(); {
	case n.Sign() <= 0:
		return errors.New("RSA modulus is not positive")
	case algorithmOf(bits) == "":
		return fmt.Errorf("%w: %d", ErrKeySize, bits)
	case n.Bit(0) == 0:
		return errors.New("RSA modulus is even")
	case e < 3:
		return errors.New("RSA exponent is smaller than 3")
	case e > 1<<31-1:
		return errors.New("RSA exponent is larger than 2147483647")
	case e%2 == 0:
		return errors.New("RSA exponent is even")
	}
	return nil
}

// algorithmOf names the algorithm of an RSA key by its size; "" is none. The
// protocol allows a bit more and a bit less than 1024 and 2048.
func algorithmOf(bits int) string {
	switch bits {
	case 1023, 1024, 1025:
		return "RS128"
	case 2047, 2048, 2049:
		return "RS256"
	}
	return ""
}

// Algorithm is the name that the header of all the key's signatures bears:
// RS256 for RSA of 2048 bit, RS128 for 1024 bit, DS256 and DS128 for DSA of
// these sizes. All hash with SHA-256, but DS128 with SHA-1.
func (k *PublicKey) Algorithm() string {
	if k.dsa != nil {
		return k.dsa.group.algorithm
	}
	return algorithmOf(k.rsa.N.BitLen())
}

// Size is the length of the modulus in bits.
func (k *PublicKey) Size() int {
	if k.dsa != nil {
		return k.dsa.group.p.BitLen()
	}
	return k.rsa.N.BitLen()
}

// RSA returns a copy for crypto/rsa, nil for a DSA key.
func (k *PublicKey) RSA() *rsa.PublicKey {
	if k.dsa != nil {
		return nil
	}
	return &rsa.PublicKey{N: new(big.Int).Set(k.rsa.N), E: k.rsa.E}
}

// Legacy reports whether the key is of a kind that browsers of 2012 made and that
// is too weak for today: DSA, or RSA of about 1024 bit.
func (k *PublicKey) Legacy() bool { return k.Algorithm() != "RS256" }

// Equal reports whether both are the same number, however they were written.
func (k *PublicKey) Equal(other *PublicKey) bool {
	switch {
	case k == nil || other == nil:
		return k == other
	case k.dsa != nil || other.dsa != nil:
		return k.dsa != nil && other.dsa != nil && k.dsa.group == other.dsa.group && k.dsa.y.Cmp(other.dsa.y) == 0
	}
	return k.rsa.Equal(&other.rsa)
}

// MarshalJSON writes the form that every verifier reads:
// {"algorithm":"RS","n":decimal,"e":decimal}, or for DSA
// {"algorithm":"DS","y":hex,"p":hex,"q":hex,"g":hex}.
func (k *PublicKey) MarshalJSON() ([]byte, error) {
	return k.appendJSON(nil), nil
}

func (k *PublicKey) appendJSON(b []byte) []byte {
	if k.dsa != nil {
		return k.dsa.appendJSON(b)
	}
	b = append(b, `{"algorithm":"RS","n":"`...)
	b = append(b, k.modulus...)
	b = append(b, `","e":"`...)
	b = strconv.AppendInt(b, int64(k.rsa.E), 10)
	return append(b, `"}`...)
}

// UnmarshalJSON is [ParsePublicKey].
func (k *PublicKey) UnmarshalJSON(data []byte) error {
	parsed, err := ParsePublicKey(bytes.Clone(data))
	if err != nil {
		return err
	}
	*k = *parsed
	return nil
}

// Fingerprint is the SHA-256 of the key's JSON in hexadecimal, 64 characters,
// for people and logs to tell keys apart.
func (k *PublicKey) Fingerprint() string {
	sum := sha256.Sum256(k.appendJSON(nil))
	return hex.EncodeToString(sum[:])
}

// SameModulus reports whether both are RSA keys with one modulus: who holds the
// private key of one has that of the other, whatever the exponents.
func (k *PublicKey) SameModulus(other *PublicKey) bool {
	return k != nil && other != nil && k.dsa == nil && other.dsa == nil && k.rsa.N.Cmp(other.rsa.N) == 0
}

// CheckClientKey checks that a browser's key may be certified and its assertions
// accepted: RSA of 2048 bit, or 2047, and an exponent of at least 65537. Otherwise
// the error is an [ErrKeySize], [ErrWeakKey], or [ErrNotSupported] for a DSA key.
// [Issuer.Sign] also looks for factors.
func (k *PublicKey) CheckClientKey() error {
	if err := k.checkSize("client key", keySize-1); err != nil {
		return err
	}
	return k.checkExponent()
}

func (k *PublicKey) checkExponent() error {
	if k.rsa.E < leastExponent {
		return fmt.Errorf("client key: %w: RSA exponent %d is smaller than %d", ErrWeakKey, k.rsa.E, leastExponent)
	}
	return nil
}

// CheckLegacyClientKey is CheckClientKey for those who want to serve historic
// browsers, too: it also lets pass RSA of 1024 bit, or 1023, and a DSA key whose
// number is of the order that its group demands.
func (k *PublicKey) CheckLegacyClientKey() error {
	switch {
	case k != nil && k.dsa != nil:
		if err := k.dsa.checkOrder(); err != nil {
			return fmt.Errorf("client key: %w", err)
		}
		return nil
	case k != nil && (k.Size() == legacyKeySize || k.Size() == legacyKeySize-1):
		return k.checkExponent()
	}
	return k.CheckClientKey()
}

// CheckDomainKey checks that a key may sign certificates: RSA of exactly 2048
// bit, the only kind that all verifiers take. Otherwise the error is an
// [ErrKeySize], or [ErrNotSupported] for a DSA key.
func (k *PublicKey) CheckDomainKey() error { return k.checkSize("domain key", keySize) }

// checkSize checks that an RSA key has at least the bits of shortest and at most
// those of keySize.
func (k *PublicKey) checkSize(what string, shortest int) error {
	switch {
	case k == nil:
		return fmt.Errorf("%s: there is none", what)
	case k.dsa != nil:
		return fmt.Errorf("%s: a DSA key is %w", what, ErrNotSupported)
	case k.Size() < shortest || k.Size() > keySize:
		return fmt.Errorf("%s: %w: %d, must be RSA of %d bit", what, ErrKeySize, k.Size(), keySize)
	}
	return nil
}
