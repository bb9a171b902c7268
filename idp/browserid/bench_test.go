package browserid_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"persona-sidecar/idp/browserid"
)

// BenchmarkRSASign2048 is the floor of BenchmarkIssuerSign: one signature.
func BenchmarkRSASign2048(b *testing.B) {
	signer, digest := domainSigner(), sha256.Sum256([]byte(email))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rsa.SignPKCS1v15(rand.Reader, signer, crypto.SHA256, digest[:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIssuerSign(b *testing.B) {
	signer, req := domainSigner(), request(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := signCertificate(signer, rand.Reader, req); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIssuerSignWithoutRSA is what a certificate costs beside its
// signature. Unlike the difference of the two above it can be read on a busy
// machine; it must stay under a fifth of the floor. Most of it is looking for
// the factors of the browser's key.
func BenchmarkIssuerSignWithoutRSA(b *testing.B) {
	signer, req := brokenSigner{domainSigner(), make([]byte, 256), nil}, request(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := signCertificate(signer, rand.Reader, req); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRSAVerify2048Twice is the floor of BenchmarkBundleVerify: the
// signatures of a certificate and of an assertion.
func BenchmarkRSAVerify2048Twice(b *testing.B) {
	type signature struct {
		key       *rsa.PublicKey
		digest    [32]byte
		signature []byte
	}
	parts := func(text string, key *rsa.PublicKey) signature {
		dot := strings.LastIndexByte(text, '.')
		decoded, err := base64.RawURLEncoding.DecodeString(text[dot+1:])
		if err != nil {
			b.Fatal(err)
		}
		return signature{key, sha256.Sum256([]byte(text[:dot])), decoded}
	}
	both := []signature{
		parts(signedCertificate(b), &domainSigner().PublicKey),
		parts(signAssertion(b), &clientSigner().PublicKey),
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, s := range both {
			if err := rsa.VerifyPKCS1v15(s.key, crypto.SHA256, s.digest[:], s.signature); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkBundleVerify is what a verifier does with one request: parse and verify.
func BenchmarkBundleVerify(b *testing.B) {
	text, keys := signedCertificate(b)+"~"+signAssertion(b), domainKeys(b)
	b.ReportAllocs()
	for b.Loop() {
		bundle, err := browserid.ParseBundle(text)
		if err != nil {
			b.Fatal(err)
		}
		if err := bundle.Verify(keys, audience, now); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseBundle(b *testing.B) {
	text := signedCertificate(b) + "~" + signAssertion(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := browserid.ParseBundle(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParsePublicKey(b *testing.B) {
	text := []byte(keyJSON(b, publicKey(b, clientSigner())))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := browserid.ParsePublicKey(text); err != nil {
			b.Fatal(err)
		}
	}
}
