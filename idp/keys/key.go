package keys

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
)

const (
	rsaBits   = 2048
	secretLen = 32 // bytes
)

// key is one key in memory: signer for RS256, secret for A256GCM.
type key struct {
	entry  Entry
	signer *signer
	secret *secret
}

// newRecord generates a key for alg. Use and Created are left to the caller.
func newRecord(random io.Reader, alg string) (record, error) {
	rec := record{Alg: alg}
	if alg == algA256GCM {
		rec.Secret = make([]byte, secretLen)
		if _, err := io.ReadFull(random, rec.Secret); err != nil {
			return record{}, fmt.Errorf("generating a secret: %w", err)
		}
	} else {
		private, err := rsa.GenerateKey(random, rsaBits)
		if err != nil {
			return record{}, fmt.Errorf("generating an RSA key: %w", err)
		}
		if rec.PKCS8, err = x509.MarshalPKCS8PrivateKey(private); err != nil {
			return record{}, fmt.Errorf("encoding an RSA key: %w", err)
		}
	}
	k, err := rec.key()
	if err != nil {
		return record{}, err
	}
	rec.KID = k.entry.KID
	return rec, nil
}

// key decodes the key of a record; of its entry only KID and Key are set.
func (rec record) key() (*key, error) {
	if rec.Alg == algA256GCM {
		s, err := newSecret(rec.Secret)
		if err != nil {
			return nil, err
		}
		return &key{entry: Entry{Public: Public{KID: hex.EncodeToString(s.kid[:])}}, secret: s}, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(rec.PKCS8)
	if err != nil {
		return nil, errors.New("it does not hold a valid private key in PKCS #8 form")
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("it is not an RSA key")
	}
	if bits := private.N.BitLen(); bits != rsaBits {
		return nil, fmt.Errorf("it has %d bits, not %d", bits, rsaBits)
	}
	spki, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("encoding the public key: %w", err)
	}
	sum := sha256.Sum256(spki)
	public := Public{KID: hex.EncodeToString(sum[:kidLen/2]), Key: &private.PublicKey}
	return &key{entry: Entry{Public: public}, signer: &signer{key: private}}, nil
}

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

const (
	// A sealed text is: one byte of version, the id of the key, the nonce (12), the
	// encrypted text, the tag (16).
	sealVersion = 1
	headerLen   = 1 + kidLen/2
)

// secret seals with AES-256-GCM. The nonces are random and generated inside, so
// that no caller can use one twice.
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
	// The id is derived from the secret, so that damage is detected. The secret has
	// 256 random bits: its hash reveals nothing about it.
	sum := sha256.Sum256(append([]byte("persona key id\x00"), raw...))
	return &secret{kid: [kidLen / 2]byte(sum[:]), aead: aead}, nil
}

func (s *secret) seal(plaintext, associated []byte) []byte {
	sealed := make([]byte, headerLen, headerLen+len(plaintext)+s.aead.Overhead())
	sealed[0] = sealVersion
	copy(sealed[1:], s.kid[:])
	return s.aead.Seal(sealed, nil, plaintext, aad(sealed, associated))
}

// sealedBy reports whether sealed names this secret. Only open authenticates it.
func (s *secret) sealedBy(sealed []byte) bool {
	return len(sealed) >= headerLen+s.aead.Overhead() && sealed[0] == sealVersion &&
		bytes.Equal(sealed[1:headerLen], s.kid[:])
}

func (s *secret) open(sealed, associated []byte) ([]byte, error) {
	plaintext, err := s.aead.Open(nil, nil, sealed[headerLen:], aad(sealed[:headerLen], associated))
	if err != nil {
		return nil, ErrForged
	}
	return plaintext, nil
}

// aad is what is authenticated beside the text: the header, of a fixed length,
// and what the caller adds.
func aad(header, associated []byte) []byte { return slices.Concat(header, associated) }
