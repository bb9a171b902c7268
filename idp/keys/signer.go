package keys

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
)

// signer signs as RS256 says (RFC 7518, section 3.3) and does nothing else with its
// key: it cannot be turned back into an *rsa.PrivateKey, and it does not decrypt.
type signer struct{ key *rsa.PrivateKey }

// Public returns the *rsa.PublicKey.
func (s *signer) Public() crypto.PublicKey { return &s.key.PublicKey }

// Sign signs a SHA-256 digest with RSASSA-PKCS1-v1_5.
func (s *signer) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, pss := opts.(*rsa.PSSOptions); pss || opts == nil || opts.HashFunc() != crypto.SHA256 {
		return nil, errors.New("signing: this key signs RS256 only")
	}
	return s.key.Sign(random, digest, opts)
}

// Format keeps the key out of everything that is printed.
func (s *signer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[hidden]") }

// prove makes sure that what the key signs verifies.
func (s *signer) prove(random io.Reader) error {
	digest := sha256.Sum256([]byte("persona"))
	signature, err := s.Sign(random, digest[:], crypto.SHA256)
	if err != nil {
		return fmt.Errorf("it does not sign: %w", err)
	}
	if err := rsa.VerifyPKCS1v15(&s.key.PublicKey, crypto.SHA256, digest[:], signature); err != nil {
		return errors.New("what it signs does not verify")
	}
	return nil
}
