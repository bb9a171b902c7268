package browserid

import (
	"fmt"
	"math/big"
	"sync"
)

const (
	// leastExponent of a browser's key: FIPS 186-5, A.1.1, and what every browser
	// and the historic JavaScript library make.
	leastExponent = 1<<16 + 1
	// largestTried bounds the factors that are looked for.
	largestTried = 1 << 16
	// fermatSteps is how far two factors that are close to one another are looked
	// for.
	fermatSteps = 100
)

// smallPrimes is the product of the odd primes up to largestTried. It takes a
// millisecond to make, and 12 KiB.
var smallPrimes = sync.OnceValue(func() *big.Int {
	var composite [largestTried + 1]bool
	var factors []*big.Int
	for p := 3; p <= largestTried; p += 2 {
		if composite[p] {
			continue
		}
		for multiple := p * p; multiple <= largestTried; multiple += 2 * p {
			composite[multiple] = true
		}
		factors = append(factors, big.NewInt(int64(p)))
	}
	for len(factors) > 1 { // pairs: numbers of like size multiply fast
		for i := 0; i < len(factors)/2; i++ {
			last := len(factors) - 1 - i
			factors[i].Mul(factors[i], factors[last])
		}
		factors = factors[:(len(factors)+1)/2]
	}
	return factors[0]
})

// checkFactors refuses an RSA modulus that a computer factors at once (CA/Browser
// Forum, Baseline Requirements 6.1.6): one with a factor up to 2^16, a square, and
// the product of two numbers close to one another. Its holder harms only
// themselves, yet another could sign in as them wherever the certificate has
// been seen.
func checkFactors(n *big.Int) error {
	rest := new(big.Int).Rem(smallPrimes(), n)
	if rest.Sign() == 0 || rest.GCD(nil, nil, rest, n).BitLen() > 1 {
		return fmt.Errorf("%w: the modulus has a small factor", ErrWeakKey)
	}
	// Fermat: n = a²-b² = (a+b)(a-b), from the least a on.
	a := new(big.Int).Sqrt(n)
	b2 := new(big.Int).Mul(a, a)
	if b2.Cmp(n) == 0 {
		return fmt.Errorf("%w: the modulus is a square", ErrWeakKey)
	}
	one := big.NewInt(1)
	a.Add(a, one)
	b2.Mul(a, a).Sub(b2, n)
	squares := newSquares()
	for range fermatSteps {
		if squares.has(b2) {
			return fmt.Errorf("%w: the factors of the modulus are close to one another", ErrWeakKey)
		}
		b2.Add(b2, a).Add(b2, a).Add(b2, one) // (a+1)²-n
		a.Add(a, one)
	}
	return nil
}

// squares tells squares from other numbers, nearly always by their remainders.
type squares struct {
	primes    []uint64
	product   *big.Int
	remainder *big.Int
	residues  []uint64 // one bit for each square modulo the prime
}

func newSquares() *squares {
	s := &squares{primes: []uint64{3, 5, 7, 11, 13, 17, 19, 23, 29}, remainder: new(big.Int)}
	product := uint64(1)
	for _, p := range s.primes {
		product *= p
		residues := uint64(0)
		for x := range p {
			residues |= 1 << (x * x % p)
		}
		s.residues = append(s.residues, residues)
	}
	s.product = new(big.Int).SetUint64(product)
	return s
}

func (s *squares) has(n *big.Int) bool {
	if n.Bit(0) == 0 && n.TrailingZeroBits()%2 == 1 && n.Sign() > 0 {
		return false
	}
	rest := s.remainder.Rem(n, s.product).Uint64()
	for i, p := range s.primes {
		if s.residues[i]&(1<<(rest%p)) == 0 {
			return false
		}
	}
	root := new(big.Int).Sqrt(n)
	return root.Mul(root, root).Cmp(n) == 0
}
