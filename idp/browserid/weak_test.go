package browserid_test

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"testing"

	"persona-sidecar/idp/browserid"
)

// prime1024 is a prime of 1024 bit whose two highest bits are set, as those of a key are.
var prime1024 = sync.OnceValue(func() *big.Int {
	p, err := rand.Prime(rand.Reader, 1024)
	if err != nil {
		panic(err)
	}
	return p
})

// primeFrom is the first prime from a number on.
func primeFrom(n *big.Int) *big.Int {
	p := new(big.Int).SetBit(n, 0, 1)
	for !p.ProbablyPrime(0) {
		p.Add(p, big.NewInt(2))
	}
	return p
}

// apart is a prime whose product with prime1024 takes so many steps of Fermat's method.
func apart(steps int64) *big.Int {
	p := prime1024()
	n := new(big.Int).Mul(p, p)
	distance := new(big.Int).Sqrt(new(big.Int).Mul(big.NewInt(8*steps), n.Sqrt(n)))
	return primeFrom(distance.Add(distance, p))
}

func product(factors ...*big.Int) *big.Int {
	n := big.NewInt(1)
	for _, f := range factors {
		n.Mul(n, f)
	}
	return n
}

// strong is a modulus of an odd number of bits, as the historic JavaScript library makes them.
func strong(bits uint) *big.Int {
	seven := big.NewInt(7)
	return product(primeFrom(new(big.Int).Lsh(seven, bits/2-2)), primeFrom(new(big.Int).Lsh(seven, bits/2-3)))
}

// multiple is an odd number of so many bits, which small divides.
func multiple(small int64, bits uint) *big.Int {
	factor := big.NewInt(small)
	rest := new(big.Int).Lsh(big.NewInt(3), bits-2)
	return product(factor, rest.Div(rest, factor).SetBit(rest, 0, 1))
}

func TestIssuerRefusesWeakKeys(t *testing.T) {
	t.Parallel()
	ones := new(big.Int).Lsh(big.NewInt(1), 2048)
	ones.Sub(ones, big.NewInt(1))
	p := prime1024()
	tests := []struct {
		name string
		n    *big.Int
		e    int
		want string // "" is none
	}{
		{"two primes", product(p, primeFrom(new(big.Int).Lsh(big.NewInt(7), 1021))), 65537, ""},
		{"a larger exponent", clientSigner().N, 1<<31 - 1, ""},
		{"exponent 3", clientSigner().N, 3, "RSA exponent 3 is smaller than 65537"},
		{"exponent below", clientSigner().N, 65535, "RSA exponent 65535 is smaller than 65537"},
		{"our modulus", domainSigner().N, 65537, "domain's own key"},
		{"our modulus, other exponent", domainSigner().N, 1<<31 - 1, "domain's own key"},
		{"all bits set", ones, 65537, "a small factor"},
		{"factor 3", multiple(3, 2048), 65537, "a small factor"},
		{"factor 65521", multiple(65521, 2048), 65537, "a small factor"},
		{"square of a small factor", multiple(65521*65521, 2048), 65537, "a small factor"},
		{"factor 65537", product(big.NewInt(65537), p, primeFrom(new(big.Int).Lsh(big.NewInt(5), 1005))), 65537, ""}, // above what is tried
		{"square", product(p, p), 65537, "a square"},
		{"neighbours", product(p, primeFrom(new(big.Int).Add(p, big.NewInt(2)))), 65537, "close to one another"},
		{"close", product(p, apart(95)), 65537, "close to one another"},
		{"not as close", product(p, apart(105)), 65537, ""}, // above what is tried
		{"2047 bit", strong(2047), 65537, ""},
		{"1024 bit", shortSigner().N, 65537, ""},
		{"1024 bit with a small factor", multiple(7, 1024), 65537, "a small factor"},
		{"1024 bit, exponent 17", shortSigner().N, 17, "RSA exponent 17 is smaller than 65537"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			key, err := browserid.ParsePublicKey([]byte(classic(test.n.String(), fmt.Sprint(test.e))))
			if err != nil {
				t.Fatal(err)
			}
			r := request(t)
			r.PublicKey, r.LegacyClientKeys = key, true
			_, err = signCertificate(domainSigner(), rand.Reader, r)
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, test.want)
			if weak := !strings.Contains(test.want, "own key"); errors.Is(err, browserid.ErrWeakKey) != weak {
				t.Errorf("%v: weak is not %t", err, weak)
			}
		})
	}
}

// FuzzWeakModulus: a number with a small factor is refused, whatever the rest of it is, and so is one with two factors
// close to one another.
func FuzzWeakModulus(f *testing.F) {
	f.Add("00", uint16(1), uint64(2))
	f.Add(hex.EncodeToString([]byte("persona")), uint16(0x7fff), uint64(1<<40))
	f.Fuzz(func(t *testing.T, seed string, small uint16, distance uint64) {
		random := mathrand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%-32.32s", seed))))
		bytes := make([]byte, 128)
		_, _ = random.Read(bytes)
		p := new(big.Int).SetBytes(bytes)
		p.SetBit(p, 1023, 1).SetBit(p, 1022, 1).SetBit(p, 0, 1)
		near := new(big.Int).Add(p, new(big.Int).SetUint64(distance&^1))
		factor := big.NewInt(int64(small)&^1 | 3)
		rest := new(big.Int).Lsh(p, 1024)
		rest.Div(rest, factor).SetBit(rest, 0, 1)
		for _, n := range []*big.Int{product(p, near), product(factor, rest)} {
			key, err := browserid.ParsePublicKey([]byte(classic(n.String(), "65537")))
			if err != nil {
				continue // one bit more or less
			}
			r := request(t)
			r.PublicKey = key
			if _, err := signCertificate(domainSigner(), rand.Reader, r); !errors.Is(err, browserid.ErrWeakKey) && !errors.Is(err, browserid.ErrKeySize) {
				t.Errorf("%x: %v", n, err)
			}
		}
	})
}
