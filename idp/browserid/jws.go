package browserid

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"

	"persona-sidecar/idp/browserid/strictjson"
)

// longestBundle bounds a certificate, an assertion and the two together, in
// characters: the historic hub's bound. Typical is 1,900.
const longestBundle = 10_240

// signed is a JSON Web Signature in compact form (RFC 7515) whose parts were
// decoded and whose signature was not yet looked at.
type signed struct {
	raw       []byte
	algorithm string // from the header, foreign
	claims    strictjson.Object
	signature []byte
}

// parseSigned splits and decodes header.claims.signature, which it keeps.
func parseSigned(raw []byte) (signed, error) {
	if len(raw) > longestBundle {
		return signed{}, fmt.Errorf("signed object is longer than %d characters", longestBundle)
	}
	parts := bytes.Count(raw, []byte(".")) + 1
	if len(raw) == 0 {
		parts = 0
	}
	if parts != 3 {
		return signed{}, Reason(fmt.Sprintf("signed object must have three parts, this one has %d", parts))
	}
	head, rest, _ := bytes.Cut(raw, []byte("."))
	body, tail, _ := bytes.Cut(rest, []byte("."))
	space := make([]byte, 0, encoding().DecodedLen(len(raw))) // for all that is decoded
	header, space, err := parseSegment("header", head, space)
	if err != nil {
		return signed{}, err
	}
	algorithm, err := parseHeader(header)
	if err != nil {
		return signed{}, err
	}
	claims, space, err := parseSegment("payload", body, space)
	if err != nil {
		return signed{}, err
	}
	signature, _, err := decodeBase64(tail, space)
	if err != nil || len(signature) == 0 {
		return signed{}, ErrMalformedSignature
	}
	return signed{raw, algorithm, claims, signature}, nil
}

func parseSegment(what string, segment, space []byte) (strictjson.Object, []byte, error) {
	data, space, err := decodeBase64(segment, space)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", what, err)
	}
	obj, err := strictjson.Parse(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", what, err)
	}
	return obj, space, nil
}

// parseHeader returns the algorithm. All other members are ignored, as ever,
// but for "crit", which exists in order not to be ignored (RFC 7515 section
// 4.1.11).
func parseHeader(header strictjson.Object) (string, error) {
	if _, ok := header.Get("crit"); ok {
		return "", fmt.Errorf(`header: "crit" is %w`, ErrNotSupported)
	}
	algorithm, err := header.Text("alg")
	if err != nil {
		return "", fmt.Errorf("header: %w", err)
	}
	return algorithm, nil
}

// input is the text that the signature covers.
func (s *signed) input() []byte { return s.raw[:bytes.LastIndexByte(s.raw, '.')] }

// verify checks the signature. The algorithm is the key's, never the header's:
// the header must only agree. A signature shorter than the key's are is filled
// up with leading zeros, because the reference signer drops them now and then.
func (s *signed) verify(key *PublicKey) error {
	if key == nil {
		return ErrNoKeys
	}
	if s.algorithm != key.Algorithm() {
		return ErrAlgorithms
	}
	size := key.signatureSize()
	if len(s.signature) > size {
		return ErrMalformedSignature
	}
	signature := s.signature
	if len(signature) < size {
		signature = make([]byte, size)
		copy(signature[size-len(s.signature):], s.signature)
	}
	if key.dsa != nil {
		return key.dsa.verify(s.input(), signature)
	}
	digest := sha256.Sum256(s.input())
	if key.Size() < legacyKeySize {
		return verifyShort(&key.rsa, digest, signature)
	}
	if rsa.VerifyPKCS1v15(&key.rsa, crypto.SHA256, digest[:], signature) != nil {
		return ErrSignature
	}
	return nil
}

// verifyShort is rsa.VerifyPKCS1v15 (RFC 8017 section 8.2.2) with SHA-256 for the
// keys of 1023 bit, which crypto/rsa refuses to use. The signature is as long as
// the modulus. All that is computed with is public.
func verifyShort(key *rsa.PublicKey, digest [sha256.Size]byte, signature []byte) error {
	s := new(big.Int).SetBytes(signature)
	if s.Cmp(key.N) >= 0 {
		return ErrSignature
	}
	got := s.Exp(s, big.NewInt(int64(key.E)), key.N).FillBytes(make([]byte, key.Size()))
	// The DigestInfo of SHA-256 without its digest (RFC 8017 section 9.2, note 1).
	const digestInfo = "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"
	padding := bytes.Repeat([]byte{0xff}, key.Size()-3-len(digestInfo)-len(digest))
	want := slices.Concat([]byte{0, 1}, padding, []byte{0}, []byte(digestInfo), digest[:])
	if !bytes.Equal(got, want) {
		return ErrSignature
	}
	return nil
}

// signatureSize is how many bytes the key's signatures have.
func (k *PublicKey) signatureSize() int {
	if k.dsa != nil {
		return k.dsa.group.signatureSize()
	}
	return k.rsa.Size()
}

// sign makes the compact form of claims, which must be JSON.
func sign(signer crypto.Signer, random io.Reader, key *PublicKey, claims []byte) (string, error) {
	header := []byte(`{"alg":"` + key.Algorithm() + `"}`)
	size := encoding().EncodedLen(len(header)) + encoding().EncodedLen(len(claims)) + encoding().EncodedLen(key.rsa.Size()) + 2
	text := make([]byte, 0, size)
	text = encoding().AppendEncode(text, header)
	text = append(text, '.')
	text = encoding().AppendEncode(text, claims)
	digest := sha256.Sum256(text)
	signature, err := signer.Sign(random, digest[:], crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	if len(signature) != key.rsa.Size() {
		return "", errors.New("signing: the signer made no RSA signature")
	}
	text = append(text, '.')
	return string(encoding().AppendEncode(text, signature)), nil
}

// publicKeyOf is the key that verifies what signer signs.
func publicKeyOf(signer crypto.Signer) (*PublicKey, error) {
	if signer == nil {
		return nil, errors.New("there is no signer")
	}
	return NewPublicKey(signer.Public())
}

// otherClaims adds to the map found the members that the protocol has no name for.
func otherClaims(o strictjson.Object, found map[string][]byte) map[string][]byte {
	for _, m := range o {
		switch string(m.Name) {
		case "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "public-key", "pubkey", "principal", "email":
			continue
		}
		if found == nil {
			found = map[string][]byte{}
		}
		found[string(m.Name)] = m.Value
	}
	return found
}
