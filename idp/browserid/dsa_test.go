package browserid_test

import (
	"crypto/dsa" //nolint:staticcheck // the keys of historic browsers are DSA keys
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/json"
	"math/big"
	"os"
	"strings"
	"testing"

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
		name                   string
		key                    *browserid.PublicKey
		domain, strict, legacy string
	}{
		{"RSA 2048", publicKey(t, clientSigner()), "", "", ""},
		{"RSA 1023", parseKey(t, classic(strong(1023).String(), "65537")), "bad key size: 1023", "bad key size: 1023", ""},
		{"RSA 1024", publicKey(t, shortSigner()), "bad key size: 1024", "bad key size: 1024", ""},
		{"RSA 1025", parseKey(t, classic(number(1025).String(), "3")), "bad key size: 1025", "bad key size: 1025", "bad key size: 1025"},
		{"RSA 2047", parseKey(t, classic(strong(2047).String(), "65537")), "bad key size: 2047", "", ""},
		{"RSA 2049", parseKey(t, classic(number(2049).String(), "3")), "bad key size: 2049", "bad key size: 2049", "bad key size: 2049"},
		{"DS128", parseKey(t, all[0].json(all[0].y)), "a DSA key is not supported", "a DSA key is not supported", ""},
		{"DS256", parseKey(t, all[1].json(all[1].y)), "a DSA key is not supported", "a DSA key is not supported", ""},
		{"DSA outside its group", outside, "a DSA key is not supported", "a DSA key is not supported", "not in its group"},
		{"none", nil, "there is none", "there is none", "there is none"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, check := range []struct {
				err  error
				want string
			}{{test.key.CheckClientKey(), test.strict}, {test.key.CheckDomainKey(), test.domain}, {test.key.CheckLegacyClientKey(), test.legacy}} {
				if check.want == "" && check.err != nil {
					t.Error(check.err)
				} else if check.want != "" {
					wantError(t, check.err, check.want)
				}
			}
			req := request(t)
			req.PublicKey = test.key
			_, err := signCertificate(domainSigner(), rand.Reader, req)
			if (err == nil) != (test.strict == "") {
				t.Errorf("certified without the option: %v", err)
			}
			req.LegacyClientKeys = true
			_, err = signCertificate(domainSigner(), rand.Reader, req)
			if (err == nil) != (test.legacy == "") {
				t.Errorf("certified with the option: %v", err)
			}
		})
	}
}
