package browserid_test

//lint:file-ignore SA1019 the keys of historic browsers are DSA keys

import (
	"bytes"
	"crypto/dsa"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/browserid"
)

// testdata reads an archived key or bundle: public test vectors of Mozilla's
// browserid-local-verify, made by browsers in 2013.
func testdata(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

func parseKey(t testing.TB, text string) *browserid.PublicKey {
	t.Helper()
	key, err := browserid.ParsePublicKey([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// group is one of the groups of the protocol, as a key of it writes it.
type group struct {
	algorithm   string
	hash        func([]byte) []byte
	p, q, g, y  string // of some key, in hexadecimal
	signature   int    // bytes
	established dsa.Parameters
}

func groups(t testing.TB) []group {
	t.Helper()
	sum1 := func(data []byte) []byte { sum := sha1.Sum(data); return sum[:] }
	sum256 := func(data []byte) []byte { sum := sha256.Sum256(data); return sum[:] }
	all := []group{
		{algorithm: "DS128", hash: sum1, signature: 40},
		{algorithm: "DS256", hash: sum256, signature: 64},
	}
	for i, name := range []string{"mockmyid.com.key", "ds256.key"} {
		var key map[string]string
		if err := json.Unmarshal([]byte(testdata(t, name)), &key); err != nil {
			t.Fatal(err)
		}
		g := &all[i]
		g.p, g.q, g.g, g.y = key["p"], key["q"], key["g"], key["y"]
		g.established = dsa.Parameters{P: hexNumber(t, g.p), Q: hexNumber(t, g.q), G: hexNumber(t, g.g)}
	}
	return all
}

func hexNumber(t testing.TB, text string) *big.Int {
	t.Helper()
	n, ok := new(big.Int).SetString(text, 16)
	if !ok {
		t.Fatalf("%q is no number", text)
	}
	return n
}

// key makes a key of the group.
func (g group) key(t testing.TB) *dsa.PrivateKey {
	t.Helper()
	key := &dsa.PrivateKey{PublicKey: dsa.PublicKey{Parameters: g.established}}
	if err := dsa.GenerateKey(key, rand.Reader); err != nil {
		t.Fatal(err)
	}
	return key
}

func (g group) json(y string) string {
	return `{"algorithm":"DS","y":"` + y + `","p":"` + g.p + `","q":"` + g.q + `","g":"` + g.g + `"}`
}

// sign is what a historic browser did.
func (g group) sign(t testing.TB, key *dsa.PrivateKey, payload string) string {
	t.Helper()
	input := encode([]byte(`{"alg":"`+g.algorithm+`"}`)) + "." + encode([]byte(payload))
	r, s, err := dsa.Sign(rand.Reader, key, g.hash([]byte(input)))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + encode(g.join(r, s))
}

func (g group) join(r, s *big.Int) []byte {
	signature := make([]byte, g.signature)
	r.FillBytes(signature[:g.signature/2])
	s.FillBytes(signature[g.signature/2:])
	return signature
}

// The numbers are those of the FIPS 186-3 vectors; here is shown that they are
// what they have to be.
func TestDSAGroups(t *testing.T) {
	t.Parallel()
	for _, g := range groups(t) {
		t.Run(g.algorithm, func(t *testing.T) {
			t.Parallel()
			p, q, generator := g.established.P, g.established.Q, g.established.G
			if !p.ProbablyPrime(20) || !q.ProbablyPrime(20) {
				t.Error("p or q is not prime")
			}
			one := big.NewInt(1)
			if new(big.Int).Mod(new(big.Int).Sub(p, one), q).Sign() != 0 {
				t.Error("q does not divide p-1")
			}
			if generator.Cmp(one) <= 0 || new(big.Int).Exp(generator, q, p).Cmp(one) != 0 {
				t.Error("g does not generate the group of order q")
			}
			key := parseKey(t, g.json(g.y))
			if key.Algorithm() != g.algorithm || key.Size() != p.BitLen() || q.BitLen() != g.signature*4 {
				t.Errorf("%s of %d and %d bit", key.Algorithm(), key.Size(), q.BitLen())
			}
		})
	}
}

func TestDSAKeyForms(t *testing.T) {
	t.Parallel()
	for _, g := range groups(t) {
		t.Run(g.algorithm, func(t *testing.T) {
			t.Parallel()
			b64 := func(hex string) string { return encode(hexNumber(t, hex).Bytes()) }
			classic := g.json(g.y)
			wrapped, err := json.Marshal(classic)
			if err != nil {
				t.Fatal(err)
			}
			forms := map[string]string{
				"classic":             classic,
				"string":              string(wrapped),
				"long name":           strings.Replace(classic, `"DS"`, `"DSA"`, 1),
				"numbers upper case":  `{"algorithm":"DS","y":"` + strings.ToUpper(g.y) + `","p":"` + strings.ToUpper(g.p) + `","q":"` + strings.ToUpper(g.q) + `","g":"` + strings.ToUpper(g.g) + `"}`,
				"with leading zeros":  g.json("00" + g.y),
				"members of versions": strings.Replace(classic, "{", `{"version":"x",`, 1),
				"JWK":                 `{"kty":"DSA","p":"` + b64(g.p) + `","q":"` + b64(g.q) + `","g":"` + b64(g.g) + `","y":"` + b64(g.y) + `"}`,
			}
			want := parseKey(t, classic)
			for name, form := range forms {
				key := parseKey(t, form)
				if !key.Equal(want) || key.Fingerprint() != want.Fingerprint() {
					t.Errorf("%s became another key", name)
				}
				text, err := json.Marshal(key)
				if err != nil || string(text) != classic {
					t.Errorf("%s is written %s, %v", name, text, err)
				}
			}
			if want.RSA() != nil || !want.Legacy() || want.Equal(publicKey(t, clientSigner())) || publicKey(t, clientSigner()).Equal(want) {
				t.Error("it passes for an RSA key")
			}
		})
	}
}

func TestDSAKeyRefused(t *testing.T) {
	t.Parallel()
	all := groups(t)
	small, large := all[0], all[1]
	minusOne := new(big.Int).Sub(small.established.P, big.NewInt(1)).Text(16)
	tests := []struct{ name, in, want string }{
		{"y zero", small.json("0"), "out of range"},
		{"y one", small.json("1"), "out of range"},
		{"y is p-1, of order two", small.json(minusOne), "out of range"},
		{"y is p", small.json(small.p), "out of range"},
		{"y larger than p", small.json("f" + small.p), "out of range"},
		{"y negative", small.json("-" + small.y), "not a hexadecimal number"},
		{"y with a prefix", small.json("0x" + small.y), "not a hexadecimal number"},
		{"y empty", small.json(""), "not a hexadecimal number"},
		{"y with a line break", small.json(small.y + `\n`), "not a hexadecimal number"},
		{"y of 9,000 digits", small.json(strings.Repeat("f", 9_000)), "too long"},
		{"y missing", strings.Replace(small.json(small.y), `"y"`, `"z"`, 1), `"y" is missing`},
		{"y twice", strings.Replace(small.json(small.y), `"p"`, `"y":"2","p"`, 1), "there twice"},
		{"g is one", strings.Replace(small.json(small.y), small.g, "1", 1), "outside the two groups"},
		{"g of another generator", strings.Replace(small.json(small.y), small.g, small.y, 1), "outside the two groups"},
		{"p and q of different groups", strings.Replace(small.json(small.y), small.q, large.q, 1), "outside the two groups"},
		{"private", strings.Replace(small.json(small.y), `"y"`, `"x":"5","y"`, 1), "private key"},
		{"hexadecimal as JWK", strings.Replace(small.json(small.y), `"algorithm":"DS"`, `"kty":"DSA"`, 1), "outside the two groups"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			key, err := browserid.ParsePublicKey([]byte(test.in))
			wantError(t, err, test.want)
			if key != nil {
				t.Error("a key came with the error")
			}
		})
	}
}

// What may be certified for whom.
func TestClientKeyChecks(t *testing.T) {
	t.Parallel()
	all := groups(t)
	// 2 is in range and not in the group of order q.
	outside := parseKey(t, all[0].json("2"))
	tests := []struct {
		name           string
		key            *browserid.PublicKey
		strict, legacy string
	}{
		{"RSA 2048", publicKey(t, clientSigner()), "", ""},
		{"RSA 1024", publicKey(t, shortSigner()), "bad key size: 1024", ""},
		{"RSA 1025", parseKey(t, classic(number(1025).String(), "3")), "bad key size: 1025", "bad key size: 1025"},
		{"RSA 2047", parseKey(t, classic(number(2047).String(), "3")), "bad key size: 2047", "bad key size: 2047"},
		{"DS128", parseKey(t, all[0].json(all[0].y)), "a DSA key is not supported", ""},
		{"DS256", parseKey(t, all[1].json(all[1].y)), "a DSA key is not supported", ""},
		{"DSA outside its group", outside, "a DSA key is not supported", "not in its group"},
		{"none", nil, "there is none", "there is none"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, check := range []struct {
				err  error
				want string
			}{{test.key.CheckClientKey(), test.strict}, {test.key.CheckDomainKey(), test.strict}, {test.key.CheckLegacyClientKey(), test.legacy}} {
				if check.want == "" && check.err != nil {
					t.Error(check.err)
				} else if check.want != "" {
					wantError(t, check.err, check.want)
				}
			}
			req := request(t)
			req.PublicKey = test.key
			_, err := browserid.SignCertificate(domainSigner(), rand.Reader, req)
			if (err == nil) != (test.strict == "") {
				t.Errorf("certified without the option: %v", err)
			}
			req.LegacyClientKeys = true
			_, err = browserid.SignCertificate(domainSigner(), rand.Reader, req)
			if (err == nil) != (test.legacy == "") {
				t.Errorf("certified with the option: %v", err)
			}
		})
	}
}

func TestLegacyBundle(t *testing.T) {
	t.Parallel()
	for _, g := range groups(t) {
		t.Run(g.algorithm, func(t *testing.T) {
			t.Parallel()
			private := g.key(t)
			req := request(t)
			req.PublicKey, req.LegacyClientKeys = parseKey(t, g.json(private.Y.Text(16))), true
			certificate, err := browserid.SignCertificate(domainSigner(), rand.Reader, req)
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

// Forgeries that the reference verifier believed, and other edges of r and s.
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

// A key outside the group of order q verifies what nobody signed: Go's
// crypto/dsa believes r=s=1 of y=1, which does not even parse, and so on.
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
