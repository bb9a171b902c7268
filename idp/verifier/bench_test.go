package verifier_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"persona-sidecar/idp/verifier"
)

// BenchmarkTwoSignatures is the floor of the others: the signatures of a
// certificate and of an assertion. A verification may take 15 % more.
func BenchmarkTwoSignatures(b *testing.B) {
	n := newInternet(b)
	type signature struct {
		key               *rsa.PublicKey
		digest, signature []byte
	}
	var both []signature
	for i, part := range strings.Split(n.bundle(alice()), "~") {
		dot := strings.LastIndexByte(part, '.')
		decoded, err := base64.RawURLEncoding.DecodeString(part[dot+1:])
		if err != nil {
			b.Fatal(err)
		}
		digest := sha256.Sum256([]byte(part[:dot]))
		both = append(both, signature{[]*rsa.PublicKey{&ownKey().PublicKey, &clientKey().PublicKey}[i], digest[:], decoded})
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, s := range both {
			if err := rsa.VerifyPKCS1v15(s.key, crypto.SHA256, s.digest, s.signature); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkVerifyOwn is a verification of an address of ours.
func BenchmarkVerifyOwn(b *testing.B) {
	n := newInternet(b)
	benchmarkVerify(b, n.verifier(), n.bundle(alice()))
}

// BenchmarkVerifyDiscovered is one of an address whose domain was looked up a
// while ago.
func BenchmarkVerifyDiscovered(b *testing.B) {
	n := newInternet(b)
	n.publish("foreign.test", support(b, foreignKey()))
	benchmarkVerify(b, n.verifier(), n.bundle(bob()))
}

func benchmarkVerify(b *testing.B, v *verifier.Verifier, bundle string) {
	b.Helper()
	if _, err := v.Verify(b.Context(), bundle, site); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), bundle, site); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyParallel shows that verifications share no lock that matters:
// run it with -cpu 1,2,4.
func BenchmarkVerifyParallel(b *testing.B) {
	n := newInternet(b)
	n.publish("foreign.test", support(b, foreignKey()))
	v, bundle := n.verifier(), n.bundle(bob())
	if _, err := v.Verify(b.Context(), bundle, site); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := v.Verify(b.Context(), bundle, site); err != nil {
				b.Error(err)
			}
		}
	})
}
