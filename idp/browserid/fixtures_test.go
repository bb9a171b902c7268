package browserid_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"persona-sidecar/idp/browserid"
)

// now is the time of all tests.
var now = time.Date(2026, time.November, 22, 12, 0, 0, 0, time.UTC)

const (
	issuer   = "id.example.com"
	audience = "https://rp.example"
	email    = "alice@example.com"
)

// The keys of the tests, made once: making them is slow.
var (
	domainSigner = sync.OnceValue(func() *rsa.PrivateKey { return makeKey(2048) })
	clientSigner = sync.OnceValue(func() *rsa.PrivateKey { return makeKey(2048) })
	otherSigner  = sync.OnceValue(func() *rsa.PrivateKey { return makeKey(2048) })
	shortSigner  = sync.OnceValue(func() *rsa.PrivateKey { return makeKey(1024) })
)

func makeKey(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

func publicKey(t testing.TB, signer crypto.Signer) *browserid.PublicKey {
	t.Helper()
	key, err := browserid.NewPublicKey(signer.Public().(*rsa.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func address(t testing.TB, s string) browserid.Address {
	t.Helper()
	a, err := browserid.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// certificateRequest is what a certificate shall say.
type certificateRequest struct {
	Issuer           string
	Email            browserid.Address
	PublicKey        *browserid.PublicKey
	Now              time.Time
	Lifetime         time.Duration
	LegacyClientKeys bool
}

// signCertificate makes an issuer and one certificate.
func signCertificate(signer crypto.Signer, random io.Reader, r certificateRequest) (string, error) {
	issuer, err := browserid.NewIssuer(r.Issuer, signer, random, r.LegacyClientKeys)
	if err != nil {
		return "", err
	}
	return issuer.Sign(r.Email, r.PublicKey, r.Now, r.Lifetime)
}

func request(t testing.TB) certificateRequest {
	t.Helper()
	return certificateRequest{
		Issuer:    issuer,
		Email:     address(t, email),
		PublicKey: publicKey(t, clientSigner()),
		Now:       now,
		Lifetime:  time.Hour,
	}
}

func signedCertificate(t testing.TB) string {
	t.Helper()
	text, err := signCertificate(domainSigner(), rand.Reader, request(t))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func signAssertion(t testing.TB) string {
	t.Helper()
	text, err := browserid.SignAssertion(clientSigner(), rand.Reader, audience, now.Add(2*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func domainKeys(t testing.TB) []*browserid.PublicKey {
	t.Helper()
	return []*browserid.PublicKey{publicKey(t, domainSigner())}
}

// encode is base64url as the protocol writes it.
func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// forge signs any header and payload: what a hostile holder of a key can make.
func forge(t testing.TB, signer crypto.Signer, header, payload string) string {
	t.Helper()
	input := encode([]byte(header)) + "." + encode([]byte(payload))
	digest := sha256.Sum256([]byte(input))
	signature, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + encode(signature)
}

const rs256 = `{"alg":"RS256"}`

// certificateClaims is a good payload with some text replaced: old, new, ...
func certificateClaims(t testing.TB, replace ...string) string {
	t.Helper()
	key, err := publicKey(t, clientSigner()).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	good := `{"public-key":` + string(key) + `,"principal":{"email":"alice@example.com"},` +
		`"iat":1795348790000,"exp":1795352400000,"iss":"id.example.com"}`
	return replaced(t, good, replace...)
}

// assertionClaims is a good payload with some text replaced: old, new, ...
func assertionClaims(t testing.TB, replace ...string) string {
	t.Helper()
	return replaced(t, `{"exp":1795348920000,"aud":"https://rp.example"}`, replace...)
}

func replaced(t testing.TB, good string, replace ...string) string {
	t.Helper()
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(good, replace[i]) {
			t.Fatalf("nothing to replace: %s is not in %s", replace[i], good)
		}
	}
	return strings.NewReplacer(replace...).Replace(good)
}

// wantError fails unless err says want.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", want)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("error %q, want one with %q", err, want)
	}
}
