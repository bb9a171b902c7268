package browserid_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/browserid"
)

func TestLegacyBundle(t *testing.T) {
	t.Parallel()
	for _, g := range groups(t) {
		t.Run(g.algorithm, func(t *testing.T) {
			t.Parallel()
			private := g.key(t)
			req := request(t)
			req.PublicKey, req.LegacyClientKeys = parseKey(t, g.json(private.Y.Text(16))), true
			certificate, err := signCertificate(domainSigner(), rand.Reader, req)
			if err != nil {
				t.Fatal(err)
			}
			b, err := browserid.ParseBundle(certificate + "~" + g.sign(t, private, assertionClaims(t)))
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Verify(domainKeys(t), audience, now); err != nil {
				t.Error(err)
			}
			if !b.Certificate.PublicKey.Equal(req.PublicKey) {
				t.Error("another key was certified")
			}
		})
	}
}

// Forgeries that the reference verifier accepted, and other edges of r and s.
func TestDSASignaturesRefused(t *testing.T) {
	t.Parallel()
	for _, g := range groups(t) {
		private := g.key(t)
		key := parseKey(t, g.json(private.Y.Text(16)))
		good := g.sign(t, private, assertionClaims(t))
		input, tail := good[:strings.LastIndexByte(good, '.')], good[strings.LastIndexByte(good, '.')+1:]
		right, err := base64.RawURLEncoding.DecodeString(tail)
		if err != nil {
			t.Fatal(err)
		}
		half := g.signature / 2
		r, s := new(big.Int).SetBytes(right[:half]), new(big.Int).SetBytes(right[half:])
		q, zero, one := g.established.Q, new(big.Int), big.NewInt(1)
		flipped := bytes.Clone(right)
		flipped[half] ^= 1
		tests := []struct {
			name      string
			signature []byte
			want      error
		}{
			{"as signed", right, nil},
			{"r=1 s=q", g.join(one, q), browserid.ErrSignature},
			{"r=q s=1", g.join(q, one), browserid.ErrSignature},
			{"r=q s=q", g.join(q, q), browserid.ErrSignature},
			{"r=0 s=1", g.join(zero, one), browserid.ErrSignature},
			{"r=1 s=0", g.join(one, zero), browserid.ErrSignature},
			{"r=0 s=0", g.join(zero, zero), browserid.ErrSignature},
			{"r=1 s=1", g.join(one, one), browserid.ErrSignature},
			{"s negated", g.join(r, new(big.Int).Sub(q, s)), browserid.ErrSignature},
			{"r and s swapped", g.join(s, r), browserid.ErrSignature},
			{"all ones", bytes.Repeat([]byte{0xff}, g.signature), browserid.ErrSignature},
			{"one bit flipped", flipped, browserid.ErrSignature},
			{"s alone", right[half:], browserid.ErrSignature},
			{"one byte", []byte{1}, browserid.ErrSignature},
			{"one byte more", append([]byte{0}, right...), browserid.ErrMalformedSignature},
			{"in DER", append([]byte{0x30, byte(g.signature + 4), 2, byte(half)}, right...), browserid.ErrMalformedSignature},
		}
		for _, test := range tests {
			t.Run(g.algorithm+" "+test.name, func(t *testing.T) {
				t.Parallel()
				a, err := browserid.ParseAssertion(input + "." + encode(test.signature))
				if err != nil {
					t.Fatal(err)
				}
				if err := a.Verify(key, now); !errors.Is(err, test.want) {
					t.Errorf("%v, want %v", err, test.want)
				}
			})
		}
	}
}

// A key outside the group of order q verifies forged signatures: Go's
// crypto/dsa accepts r=s=1 for y=1, which does not even parse, and so on.
func TestDSAKeyOutsideItsGroupVerifiesNothing(t *testing.T) {
	t.Parallel()
	g := groups(t)[0]
	private := g.key(t)
	twisted := new(big.Int).Mul(private.Y, new(big.Int).Sub(g.established.P, big.NewInt(1))) // -y: twice the order
	key := parseKey(t, g.json(twisted.Mod(twisted, g.established.P).Text(16)))
	for range 8 { // without the check of the order half of them would verify
		a, err := browserid.ParseAssertion(g.sign(t, private, assertionClaims(t)))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Verify(key, now); !errors.Is(err, browserid.ErrSignature) {
			t.Fatalf("%v, want %v", err, browserid.ErrSignature)
		}
	}
}

// The reference signer drops leading zero digits of r.
func TestShortDSASignature(t *testing.T) {
	t.Parallel()
	g := groups(t)[0]
	private := g.key(t)
	key := parseKey(t, g.json(private.Y.Text(16)))
	for i := range 10_000 {
		text := g.sign(t, private, assertionClaims(t, `{"exp"`, fmt.Sprintf(`{"try":%d,"exp"`, i)))
		dot := strings.LastIndexByte(text, '.')
		signature, err := base64.RawURLEncoding.DecodeString(text[dot+1:])
		if err != nil {
			t.Fatal(err)
		}
		if signature[0] != 0 {
			continue
		}
		a, err := browserid.ParseAssertion(text[:dot+1] + encode(bytes.TrimLeft(signature, "\x00")))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Verify(key, now); err != nil {
			t.Errorf("without its zeros: %v", err)
		}
		return
	}
	t.Fatal("no signature begins with a zero")
}

func TestDSAAlgorithmConfusion(t *testing.T) {
	t.Parallel()
	all := groups(t)
	for _, g := range all {
		private := g.key(t)
		key := parseKey(t, g.json(private.Y.Text(16)))
		for _, algorithm := range []string{"none", "DS160", "RS256", "RS128", "HS256", "DS128", "DS256", "ds128"} {
			if algorithm == g.algorithm {
				continue
			}
			other := g
			other.algorithm = algorithm
			a, err := browserid.ParseAssertion(other.sign(t, private, assertionClaims(t)))
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Verify(key, now); !errors.Is(err, browserid.ErrAlgorithms) {
				t.Errorf("%s with a key of %s: %v", algorithm, g.algorithm, err)
			}
		}
	}
}

// A domain's key is never DSA, in what is read and in what is written.
func TestNoDSADomainKey(t *testing.T) {
	t.Parallel()
	g := groups(t)[0]
	key, rsaKey := g.json(g.y), classic(number(2048).String(), "65537")
	for _, member := range []string{
		`"public-key":` + key,
		`"public-key":` + rsaKey + `,"keys":[` + key + `]`,
		`"keys":[` + key + `]`,
	} {
		_, err := browserid.ParseDocument([]byte(support(member)))
		wantError(t, err, "a DSA key is not supported for a domain")
	}
	doc := browserid.Support{PublicKey: parseKey(t, key), Authentication: "/a", Provisioning: "/p"}
	_, err := browserid.MarshalDocument(doc)
	wantError(t, err, "a DSA key is not supported for a domain")
}

// Real bundles of 2013, made by browsers and identity providers of that time.
func TestArchivedBundles(t *testing.T) {
	t.Parallel()
	tests := []struct{ issuer, email string }{
		{"mockmyid.com", "lloyd@mockmyid.com"},
		{"login.mozilla.org", "lloyd@mozilla.com"},
	}
	for _, test := range tests {
		t.Run(test.issuer, func(t *testing.T) {
			t.Parallel()
			b, err := browserid.ParseBundle(testdata(t, test.issuer+".bundle"))
			if err != nil {
				t.Fatal(err)
			}
			if b.Certificate.Issuer != test.issuer || b.Certificate.Email.String() != test.email || b.Assertion.Audience != "http://123done.org" {
				t.Errorf("it says %s by %s at %s", b.Certificate.Email, b.Certificate.Issuer, b.Assertion.Audience)
			}
			keys := []*browserid.PublicKey{parseKey(t, testdata(t, test.issuer+".key"))}
			ends, begins := b.Assertion.Expires, b.Certificate.IssuedAt
			const site = "http://123done.org"
			verdicts := []struct {
				at       time.Time
				audience string
				want     error
			}{
				{ends.Add(-time.Minute), site, nil},
				{ends, site, nil},
				{ends.Add(browserid.Skew + time.Millisecond), site, browserid.ErrExpired},
				{begins.Add(-browserid.Skew - time.Millisecond), site, browserid.ErrIssuedLater},
				{ends, "https://123done.org", browserid.ErrAudienceScheme},
				{ends, "http://123done.com", browserid.ErrAudienceDomain},
			}
			for _, verdict := range verdicts {
				if err := b.Verify(keys, verdict.audience, verdict.at); !errors.Is(err, verdict.want) {
					t.Errorf("at %s for %s: %v, want %v", verdict.at, verdict.audience, err, verdict.want)
				}
			}
			if err := b.Verify(slices.Concat(domainKeys(t), keys), site, ends); err != nil {
				t.Errorf("with the key in second place: %v", err)
			}
		})
	}
}

func BenchmarkDSAVerify(b *testing.B) {
	for _, g := range groups(b) {
		private := g.key(b)
		key := parseKey(b, g.json(private.Y.Text(16)))
		text := g.sign(b, private, assertionClaims(b))
		b.Run(g.algorithm, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				a, err := browserid.ParseAssertion(text)
				if err != nil {
					b.Fatal(err)
				}
				if err := a.Verify(key, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
