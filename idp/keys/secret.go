package keys

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
)

const (
	secretLen = 32

	// A sealed text is: one byte of version, the id of the key, the nonce (12), the
	// encrypted text, the tag (16).
	sealVersion = 1
	headerLen   = 1 + kidLen/2
)

// secret seals with AES-256-GCM. The nonces are random and made inside: nobody can
// give one twice.
type secret struct {
	kid  [kidLen / 2]byte
	aead cipher.AEAD
}

func newSecret(raw []byte) (*secret, error) {
	if len(raw) != secretLen {
		return nil, fmt.Errorf("it holds %d bytes, not %d", len(raw), secretLen)
	}
	if bytes.Count(raw, []byte{0}) == secretLen {
		return nil, errors.New("it holds nothing but zeros")
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &secret{kid: secretKID(raw), aead: aead}, nil
}

func (s *secret) seal(plaintext, associated []byte) []byte {
	sealed := make([]byte, headerLen, headerLen+len(plaintext)+s.aead.Overhead())
	sealed[0] = sealVersion
	copy(sealed[1:], s.kid[:])
	return s.aead.Seal(sealed, nil, plaintext, bound(sealed, associated))
}

// made tells whether sealed names this secret. Only open tells whether it is true.
func (s *secret) made(sealed []byte) bool {
	return len(sealed) >= headerLen+s.aead.Overhead() && sealed[0] == sealVersion &&
		bytes.Equal(sealed[1:headerLen], s.kid[:])
}

func (s *secret) open(sealed, associated []byte) ([]byte, error) {
	plaintext, err := s.aead.Open(nil, nil, sealed[headerLen:], bound(sealed[:headerLen], associated))
	if err != nil {
		return nil, ErrForged
	}
	return plaintext, nil
}

// bound is what is authenticated beside the text: the header, of a fixed length,
// and what the caller adds.
func bound(header, associated []byte) []byte {
	return append(append(make([]byte, 0, headerLen+len(associated)), header...), associated...)
}
