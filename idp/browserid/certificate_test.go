package browserid_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/browserid"
)

func TestCertificate(t *testing.T) {
	t.Parallel()
	text := signedCertificate(t)
	c, err := browserid.ParseCertificate(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Verify(domainKeys(t), now); err != nil {
		t.Error(err)
	}
	if c.Issuer != issuer || c.Email != address(t, email) || !c.PublicKey.Equal(publicKey(t, clientSigner())) {
		t.Errorf("it says %q, %q", c.Issuer, c.Email)
	}
	if want := now.Add(-10 * time.Second); !c.IssuedAt.Equal(want) {
		t.Errorf("issued at %v, want %v", c.IssuedAt, want)
	}
	if want := now.Add(time.Hour); !c.Expires.Equal(want) {
		t.Errorf("expires %v, want %v", c.Expires, want)
	}
	if c.String() != text {
		t.Error("it changed its text")
	}
}

// What old verifiers and dialogs read, byte for byte.
func TestCertificateOnTheWire(t *testing.T) {
	t.Parallel()
	parts := strings.Split(signedCertificate(t), ".")
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil || string(header) != rs256 {
		t.Errorf("header %s, %v", header, err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	if string(payload) != certificateClaims(t) {
		t.Errorf("payload %s", payload)
	}
	var anyJSON map[string]any
	if err := json.Unmarshal(payload, &anyJSON); err != nil {
		t.Error(err)
	}
	if len(parts[2]) != 342 {
		t.Errorf("signature of %d characters, want 342", len(parts[2]))
	}
}

// brokenSigner is a signer that fails or answers nonsense.
type brokenSigner struct {
	crypto.Signer
	signature []byte
	err       error
}

func (s brokenSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return s.signature, s.err
}

func TestIssuerRefuses(t *testing.T) {
	t.Parallel()
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	offline := errors.New("token is unplugged")
	tests := []struct {
		name   string
		signer crypto.Signer
		change func(*certificateRequest)
		want   string
	}{
		{"no signer", nil, nil, "no signer"},
		{"elliptic curve", curve, nil, "not supported"},
		{"domain key of 1024 bit", shortSigner(), nil, "domain key: bad key size: 1024"},
		{"signer fails", brokenSigner{domainSigner(), nil, offline}, nil, "token is unplugged"},
		{"signer makes nonsense", brokenSigner{domainSigner(), []byte{1}, nil}, nil, "no RSA signature"},
		{"no client key", domainSigner(), func(r *certificateRequest) { r.PublicKey = nil }, "client key: there is none"},
		{
			"client key of 1024 bit", domainSigner(),
			func(r *certificateRequest) { r.PublicKey = publicKey(t, shortSigner()) },
			"client key: bad key size: 1024",
		},
		{
			"our own key", domainSigner(),
			func(r *certificateRequest) { r.PublicKey = publicKey(t, domainSigner()) },
			"domain's own key",
		},
		{"no address", domainSigner(), func(r *certificateRequest) { r.Email = browserid.Address{} }, "no email"},
		{"no issuer", domainSigner(), func(r *certificateRequest) { r.Issuer = "" }, "no host name"},
		{"issuer a URL", domainSigner(), func(r *certificateRequest) { r.Issuer = "https://x" }, "not a port"},
		{"issuer in upper case", domainSigner(), func(r *certificateRequest) { r.Issuer = "ID.example" }, "lower case"},
		{"issuer with a quote", domainSigner(), func(r *certificateRequest) { r.Issuer = `x","x":"` }, "character"},
		{"no lifetime", domainSigner(), func(r *certificateRequest) { r.Lifetime = 0 }, "lifetime 0s"},
		{"negative lifetime", domainSigner(), func(r *certificateRequest) { r.Lifetime = -time.Hour }, "lifetime -1h"},
		{"59 s", domainSigner(), func(r *certificateRequest) { r.Lifetime = 59 * time.Second }, "lifetime 59s"},
		{"over a day", domainSigner(), func(r *certificateRequest) { r.Lifetime = 24*time.Hour + 1 }, "lifetime 24h"},
		{"ten years", domainSigner(), func(r *certificateRequest) { r.Lifetime = 10 * 365 * 24 * time.Hour }, "lifetime 87600h"},
		{"clock never set", domainSigner(), func(r *certificateRequest) { r.Now = time.Unix(60, 0) }, "is the clock right?"},
		{"no clock", domainSigner(), func(r *certificateRequest) { r.Now = time.Time{} }, "is the clock right?"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			req := request(t)
			if test.change != nil {
				test.change(&req)
			}
			text, err := signCertificate(test.signer, rand.Reader, req)
			wantError(t, err, test.want)
			if text != "" {
				t.Error("a certificate came with the error")
			}
		})
	}
	_, err = signCertificate(brokenSigner{domainSigner(), nil, offline}, rand.Reader, request(t))
	if !errors.Is(err, offline) {
		t.Errorf("%v hides its cause", err)
	}
}

func TestIssuerLifetimes(t *testing.T) {
	t.Parallel()
	for _, lifetime := range []time.Duration{time.Minute, 24 * time.Hour} {
		req := request(t)
		req.Lifetime = lifetime
		text, err := signCertificate(domainSigner(), rand.Reader, req)
		if err != nil {
			t.Fatal(err)
		}
		c, err := browserid.ParseCertificate(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []time.Time{now.Add(-10 * time.Second), now, now.Add(lifetime)} {
			if err := c.Verify(domainKeys(t), at); err != nil {
				t.Errorf("%v at %v: %v", lifetime, at, err)
			}
		}
	}
}

// Well-signed payloads that say what a certificate may not say.
func TestParseCertificateRefuses(t *testing.T) {
	t.Parallel()
	text, err := publicKey(t, clientSigner()).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	key, principal := string(text), `{"email":"alice@example.com"}`
	tests := []struct {
		name    string
		replace []string
		want    string
	}{
		{"no key", []string{`"public-key"`, `"pubkey"`}, `"public-key" is missing`},
		{"key in a string", []string{`"public-key":` + key, `"public-key":"x"`}, `"public-key" is missing`},
		{"DSA key", []string{key, `{"algorithm":"DS","y":"1","p":"2","q":"3","g":"4"}`}, "not supported"},
		{"weak key", []string{`"e":"65537"`, `"e":"1"`}, "smaller than 3"},
		{"private key", []string{`"e":"65537"`, `"e":"65537","d":"3"`}, "private key"},
		{"no principal", []string{`"principal"`, `"who"`}, "the principal has no email"},
		{"principal a string", []string{principal, `"alice@example.com"`}, "the principal has no email"},
		{"empty principal", []string{principal, `{}`}, "the principal has no email"},
		{"unverified email", []string{`{"email"`, `{"unverified-email"`}, "the principal has no email"},
		{"host", []string{principal, `{"host":"example.com"}`}, "the principal has no email"},
		{"email in another case", []string{`{"email"`, `{"Email"`}, "the principal has no email"},
		{"email null", []string{`"alice@example.com"`, "null"}, `"email" is not a string`},
		{"email an array", []string{`"alice@example.com"`, `["alice@example.com"]`}, `"email" is not a string`},
		{"email null beside sub", []string{principal, `{"email":null},"sub":"alice@example.com"`}, `"email" is not a string`},
		{"upper-case domain", []string{"alice@example.com", "alice@Example.com"}, "the principal's email has capital letters: in the domain"},
		{"upper-case address", []string{"alice@example.com", "ALICE@EXAMPLE.COM"}, "the principal's email has capital letters: in the domain"},
		{"Kelvin sign", []string{"alice@example.com", "\u212aate@example.com"}, "character"},
		{"newline", []string{"alice@example.com", `alice@example.com\n`}, `character "\n"`},
		{"NUL", []string{"alice@example.com", `alice\u0000@example.com`}, `character "\x00"`},
		{"two at", []string{"alice@example.com", "alice@evil.example@example.com"}, `character "@"`},
		{"quoted local part", []string{"alice@example.com", `\"alice\"@example.com`}, "character"},
		{"not ASCII", []string{"alice@example.com", "älice@example.com"}, "character"},
		{"no at", []string{"alice@example.com", "alice"}, "no @"},
		{"two emails", []string{`{"email":`, `{"email":"bob@example.com","email":`}, `"email" is there twice`},
		{"two principals", []string{`,"iat"`, `,"principal":{},"iat"`}, `"principal" is there twice`},
		{"no issuer", []string{`"iss"`, `"from"`}, `"iss" is missing`},
		{"issuer null", []string{`"id.example.com"`, "null"}, `"iss" is not a string`},
		{"issuer a URL", []string{"id.example.com", "https://id.example.com"}, "not a port"},
		{"issuer with a path", []string{"id.example.com", "id.example.com/x"}, `character "/"`},
		{"issuer in upper case", []string{"id.example.com", "ID.example.com"}, "lower case"},
		{"issuer with the usual port", []string{"id.example.com", "id.example.com:443"}, "without :443"},
		{"exp missing", []string{`"exp"`, `"until"`}, `"exp" is missing`},
		{"exp null", []string{"1795352400000", "null"}, "not an integer of milliseconds"},
		{"exp a string", []string{"1795352400000", `"1795352400000"`}, "not an integer of milliseconds"},
		{"exp in seconds", []string{"1795352400000", "1795352400"}, "looks like seconds"},
		{"exp zero", []string{"1795352400000", "0"}, "looks like seconds"},
		{"exp with exponent", []string{"1795352400000", "1.7953524e12"}, "not an integer of milliseconds"},
		{"exp with large exponent", []string{"1795352400000", "1e999999999"}, "not an integer of milliseconds"},
		{"exp a fraction", []string{"1795352400000", "1795352400000.0"}, "not an integer of milliseconds"},
		{"exp negative", []string{"1795352400000", "-1795352400000"}, "no time"},
		{"exp in the year 10000", []string{"1795352400000", "253402300800000"}, "no time"},
		{"exp larger than int64", []string{"1795352400000", "99999999999999999999"}, "not an integer of milliseconds"},
		{"exp a bool", []string{"1795352400000", "true"}, "not an integer of milliseconds"},
		{"exp twice", []string{`"exp":`, `"exp":1795352400001,"exp":`}, `"exp" is there twice`},
		{"iat null", []string{"1795348790000", "null"}, "not an integer of milliseconds"},
		{"iat a string", []string{"1795348790000", `"1795348790000"`}, "not an integer of milliseconds"},
		{"iat in seconds", []string{"1795348790000", "1795348790"}, "looks like seconds"},
		{"iat in microseconds", []string{"1795348790000", "1795348790000000"}, "no time"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			text := forge(t, domainSigner(), rs256, certificateClaims(t, test.replace...))
			_, err := browserid.ParseCertificate(text)
			wantError(t, err, "certificate: ")
			wantError(t, err, test.want)
		})
	}
}

func TestParseCertificateAllows(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		replace []string
	}{
		{"as it is", nil},
		{"unknown claims", []string{`"iss"`, `"admin":true,"EXP":1,"iss"`}},
		{"sub instead of a principal", []string{`"principal":{"email":"alice@example.com"}`, `"sub":"alice@example.com"`}},
		{"sub beside a principal without email", []string{`{"email":"alice@example.com"}`, `{"host":"x"},"sub":"alice@example.com"`}},
		{"principal before sub", []string{`"iss"`, `"sub":"bob@example.com","iss"`}},
		{"no iat", []string{`"iat"`, `"made"`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			text := forge(t, domainSigner(), rs256, certificateClaims(t, test.replace...))
			c, err := browserid.ParseCertificate(text)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Verify(domainKeys(t), now); err != nil {
				t.Error(err)
			}
			if c.Email.String() != email || c.String() != text {
				t.Errorf("it became %s for %s", c, c.Email)
			}
		})
	}
}

// The local part is kept as the issuer signed it, and is another address than the
// one in lower case; our own issuer never signs it.
func TestCertificateForCapitals(t *testing.T) {
	t.Parallel()
	for _, replace := range [][]string{
		{"alice@example.com", "Alice.O'Hara+X@example.com"},
		{`"principal":{"email":"alice@example.com"}`, `"sub":"Alice.O'Hara+X@example.com"`},
	} {
		c, err := browserid.ParseCertificate(forge(t, domainSigner(), rs256, certificateClaims(t, replace...)))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Email; got.String() != "Alice.O'Hara+X@example.com" || got.Local() != "Alice.O'Hara+X" || got.Domain() != "example.com" || !got.HasCapitals() {
			t.Errorf("it is for %q", got)
		}
		if folded := address(t, "Alice.O'Hara+X@example.com"); folded == c.Email || folded.HasCapitals() {
			t.Errorf("%q and %q are the same", folded, c.Email)
		}
		req := request(t)
		req.Email = c.Email
		if _, err := signCertificate(domainSigner(), rand.Reader, req); !errors.Is(err, browserid.ErrCapitals) {
			t.Errorf("our own issuer says %v", err)
		}
	}
}

func TestCertificateTimes(t *testing.T) {
	t.Parallel()
	hour := []string{}
	tests := []struct {
		name    string
		replace []string
		at      time.Time
		want    error
	}{
		{"when issued", hour, now.Add(-10 * time.Second), nil},
		{"clock slow within skew", hour, now.Add(-40 * time.Second), nil},
		{"clock slow beyond skew", hour, now.Add(-40*time.Second - time.Millisecond), browserid.ErrIssuedLater},
		{"at its end", hour, now.Add(time.Hour), nil},
		{"within skew of its end", hour, now.Add(time.Hour + 30*time.Second), nil},
		{"after its end", hour, now.Add(time.Hour + 30*time.Second + time.Millisecond), browserid.ErrExpired},
		{"a year later", hour, now.AddDate(1, 0, 0), browserid.ErrExpired},
		{"a year earlier", hour, now.AddDate(-1, 0, 0), browserid.ErrIssuedLater},
		{"24 h and back-dating", []string{"1795352400000", "1795435200000"}, now, nil},
		{"24 h and skew", []string{"1795352400000", "1795435220000"}, now, nil},
		{"longer", []string{"1795352400000", "1795435220001"}, now, browserid.ErrLifetime},
		{"ten years", []string{"1795352400000", "2110712400000"}, now, browserid.ErrLifetime},
		{"ten years without iat", []string{"1795352400000", "2110712400000", `"iat"`, `"made"`}, now, browserid.ErrLifetime},
		{"issued ten years ago for ten years", []string{"1795348790000", "1479816000000"}, now, browserid.ErrLifetime},
		{"ends before it begins", []string{"1795352400000", "1795300000000"}, now, browserid.ErrExpired},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, err := browserid.ParseCertificate(forge(t, domainSigner(), rs256, certificateClaims(t, test.replace...)))
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Verify(domainKeys(t), test.at); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

func TestCertificateKeys(t *testing.T) {
	t.Parallel()
	c, err := browserid.ParseCertificate(signedCertificate(t))
	if err != nil {
		t.Fatal(err)
	}
	right, wrong, short := publicKey(t, domainSigner()), publicKey(t, otherSigner()), publicKey(t, shortSigner())
	nearly, err := browserid.ParsePublicKey([]byte(classic(new(big.Int).Add(right.RSA().N, big.NewInt(2)).String(), "65537")))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		keys []*browserid.PublicKey
		want error
	}{
		{"none", nil, browserid.ErrNoKeys},
		{"a nil", []*browserid.PublicKey{nil}, browserid.ErrNoKeys},
		{"right", []*browserid.PublicKey{right}, nil},
		{"wrong", []*browserid.PublicKey{wrong}, browserid.ErrSignature},
		{"nearly", []*browserid.PublicKey{nearly}, browserid.ErrSignature},
		{"the client's", []*browserid.PublicKey{c.PublicKey}, browserid.ErrSignature},
		{"other size", []*browserid.PublicKey{short}, browserid.ErrAlgorithms},
		{"rotation, new first", []*browserid.PublicKey{wrong, right}, nil},
		{"rotation, old first", []*browserid.PublicKey{right, wrong}, nil},
		{"rotation of sizes", []*browserid.PublicKey{short, nil, right}, nil},
		{"last error", []*browserid.PublicKey{short, wrong}, browserid.ErrSignature},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if err := c.Verify(test.keys, now); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}
