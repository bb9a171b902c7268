package keys

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"

	"persona-sidecar/idp/browserid"
)

const (
	kidLen  = 16 // hexadecimal digits
	rsaBits = 2048

	pemRSA    = "PRIVATE KEY"    // PKCS #8, RFC 5958
	pemSecret = "PERSONA SECRET" // the 32 bytes of an AES-256 key
)

// newKey makes a key for alg and its PEM file. The random source is used for
// secrets; the RSA keys of Go's standard library come from the system's own.
func newKey(random io.Reader, alg string) (*key, []byte, error) {
	if alg == algA256GCM {
		raw := make([]byte, secretLen)
		if _, err := io.ReadFull(random, raw); err != nil {
			return nil, nil, fmt.Errorf("making a secret: %w", err)
		}
		k, err := secretKey(raw)
		return k, pem.EncodeToMemory(&pem.Block{Type: pemSecret, Bytes: raw}), err
	}
	private, err := rsa.GenerateKey(random, rsaBits)
	if err != nil {
		return nil, nil, fmt.Errorf("making an RSA key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, fmt.Errorf("writing an RSA key: %w", err)
	}
	k, err := rsaKey(private)
	return k, pem.EncodeToMemory(&pem.Block{Type: pemRSA, Bytes: der}), err
}

// parseKey reads the PEM file of a key for alg. Its id is in the entry; the rest of
// the entry is empty.
func parseKey(alg string, data []byte) (*key, error) {
	block, rest := pem.Decode(data)
	want := map[string]string{algRS256: pemRSA, algA256GCM: pemSecret}[alg]
	switch {
	case block == nil:
		return nil, errors.New("it is not a whole PEM file")
	case len(rest) > 0:
		return nil, errors.New("something follows the PEM block")
	case block.Type != want:
		return nil, fmt.Errorf("it is a PEM file of type %.40q, not %q", block.Type, want)
	case alg == algA256GCM:
		return secretKey(block.Bytes)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("it does not hold a valid private key in PKCS #8 form")
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("its key is not an RSA key")
	}
	return rsaKey(private)
}

func rsaKey(private *rsa.PrivateKey) (*key, error) {
	public, err := browserid.NewPublicKey(&private.PublicKey)
	if err != nil {
		return nil, err
	}
	if err := public.CheckDomainKey(); err != nil {
		return nil, err
	}
	s := &signer{key: private}
	if err := s.prove(rand.Reader); err != nil {
		return nil, err
	}
	fingerprint := public.Fingerprint()
	return &key{entry: Entry{KID: fingerprint[:kidLen], Fingerprint: fingerprint}, signer: s, public: public}, nil
}

func secretKey(raw []byte) (*key, error) {
	s, err := newSecret(raw)
	if err != nil {
		return nil, err
	}
	return &key{entry: Entry{KID: hex.EncodeToString(s.kid[:])}, secret: s}, nil
}

// secretKID derives the id of a secret from the secret, so that a damaged file is
// found out. The secret has 256 random bits: its hash tells nothing about it.
func secretKID(raw []byte) (kid [kidLen / 2]byte) {
	sum := sha256.Sum256(append([]byte("persona key id\x00"), raw...))
	copy(kid[:], sum[:])
	return kid
}
