package idptest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"math/big"
	"slices"
)

// RSAKey signs with an RSA key of any size, as the JavaScript library of historic
// browsers did. crypto/rsa makes no key whose modulus is a bit short, and signs
// with none below 1024 bit. It is for tests alone: its arithmetic takes as long
// as the key says.
type RSAKey struct{ *rsa.PrivateKey }

// NewRSAKey makes a key whose modulus has exactly so many bits.
func NewRSAKey(bits int) RSAKey {
	one, e := big.NewInt(1), big.NewInt(65537)
	for {
		// The two upper bits of each prime are set, so that the product has all bits.
		p, q := prime((bits+1)/2), prime(bits/2)
		order := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		d := new(big.Int).ModInverse(e, order)
		if p.Cmp(q) == 0 || d == nil {
			continue
		}
		public := rsa.PublicKey{N: new(big.Int).Mul(p, q), E: int(e.Int64())}
		return RSAKey{&rsa.PrivateKey{PublicKey: public, D: d, Primes: []*big.Int{p, q}}}
	}
}

func prime(bits int) *big.Int {
	p, err := rand.Prime(rand.Reader, bits)
	if err != nil {
		panic(err) // the system has no random numbers
	}
	return p
}

// Sign signs a SHA-256 by PKCS #1 v1.5 (RFC 8017 section 8.2.1).
func (k RSAKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != crypto.SHA256 {
		return nil, errors.New("only SHA-256 is signed")
	}
	info := []byte("010\r\x06\t`\x86H\x01e\x03\x04\x02\x01\x05\x00\x04 ")
	padding := slices.Repeat([]byte{0xff}, k.Size()-3-len(info)-len(digest))
	block := slices.Concat([]byte{0, 1}, padding, []byte{0}, info, digest)
	s := new(big.Int).SetBytes(block)
	return s.Exp(s, k.D, k.N).FillBytes(make([]byte, k.Size())), nil
}
