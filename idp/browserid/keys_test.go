package browserid_test

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/browserid/strictjson"
)

// number is an odd number of that many bits. It need not be a product of two
// primes: only the owner of a key could tell.
func number(bits int) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return n.Add(n, big.NewInt(12345))
}

func classic(n, e string) string {
	return `{"algorithm":"RS","n":"` + n + `","e":"` + e + `"}`
}

func jwk(n, e []byte) string {
	return `{"kty":"RSA","n":"` + encode(n) + `","e":"` + encode(e) + `"}`
}

func TestKeyRoundTrip(t *testing.T) {
	t.Parallel()
	key := publicKey(t, clientSigner())
	text, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	if want := classic(clientSigner().N.String(), "65537"); string(text) != want {
		t.Errorf("the key became %s, want %s", text, want)
	}
	parsed, err := browserid.ParsePublicKey(text)
	if err != nil {
		t.Fatal(err)
	}
	if !parsed.Equal(key) || parsed.Fingerprint() != key.Fingerprint() {
		t.Error("the key that was parsed is another")
	}
	if !parsed.RSA().Equal(&clientSigner().PublicKey) {
		t.Error("crypto/rsa gets another key")
	}
	if len(key.Fingerprint()) != 64 {
		t.Errorf("fingerprint %s", key.Fingerprint())
	}
	if other := publicKey(t, otherSigner()); other.Equal(key) || other.Fingerprint() == key.Fingerprint() {
		t.Error("two keys are equal")
	}
	var none *browserid.PublicKey
	if none.Equal(key) || key.Equal(none) || !none.Equal(nil) {
		t.Error("no key is equal to no key only")
	}
}

func TestKeyCannotBeChanged(t *testing.T) {
	t.Parallel()
	n := number(2048)
	key, err := browserid.NewPublicKey(&rsa.PublicKey{N: n, E: 3})
	if err != nil {
		t.Fatal(err)
	}
	before := key.Fingerprint()
	n.SetInt64(1)
	key.RSA().N.SetInt64(1)
	if key.Size() != 2048 || key.Fingerprint() != before {
		t.Error("the key changed with a number outside")
	}
}

// What the ways of writing one key have in common is the key.
func TestParsePublicKeyForms(t *testing.T) {
	t.Parallel()
	want := publicKey(t, clientSigner())
	n, b64 := clientSigner().N.String(), encode(clientSigner().N.Bytes())
	wrapped, err := json.Marshal(classic(n, "65537"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, in string }{
		{"classic", classic(n, "65537")},
		{"long name", `{"algorithm":"RSA","n":"` + n + `","e":"65537"}`},
		{"other order", `{"e":"65537","n":"` + n + `","algorithm":"RS"}`},
		{"spaces", " {\n \"algorithm\" : \"RS\",\t\"n\":\"" + n + "\", \"e\":\"65537\" } "},
		{"escapes", `{"algorith\u006d":"\u0052S","n":"` + n + `","e":"6553\u0037"}`},
		{"unknown members", `{"version":"x","algorithm":"RS","n":"` + n + `","e":"65537","y":{"z":[]}}`},
		{"string of genKeyPair", string(wrapped)},
		{"WebCrypto exportKey jwk", `{"alg":"RS256","e":"AQAB","ext":true,"key_ops":["verify"],"kty":"RSA","n":"` + b64 + `"}`},
		{"JWK with kid and use", `{"kty":"RSA","n":"` + b64 + `","e":"AQAB","kid":"2026-11","use":"sig"}`},
		{"both kinds of name", `{"algorithm":"RS","kty":"RSA","n":"` + b64 + `","e":"AQAB"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			key, err := browserid.ParsePublicKey([]byte(test.in))
			if err != nil {
				t.Fatal(err)
			}
			if !key.Equal(want) || key.Fingerprint() != want.Fingerprint() {
				t.Error("it became another key")
			}
			if err := key.CheckClientKey(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestKeySizes(t *testing.T) {
	t.Parallel()
	const refused = ""
	tests := []struct {
		bits      int
		algorithm string
		domain    bool // may be a domain's key
		client    bool // may be a browser's
		legacy    bool // may be a historic browser's
	}{
		{512, refused, false, false, false},
		{768, refused, false, false, false},
		{1022, refused, false, false, false},
		{1023, "RS128", false, false, true},
		{1024, "RS128", false, false, true},
		{1025, "RS128", false, false, false},
		{1026, refused, false, false, false},
		{2046, refused, false, false, false},
		{2047, "RS256", false, true, true},
		{2048, "RS256", true, true, true},
		{2049, "RS256", false, false, false},
		{2050, refused, false, false, false},
		{3072, refused, false, false, false},
		{4096, refused, false, false, false},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.bits), func(t *testing.T) {
			t.Parallel()
			n := number(test.bits)
			texts := []string{classic(n.String(), "65537"), jwk(n.Bytes(), []byte{1, 0, 1})}
			for _, text := range texts {
				key, err := browserid.ParsePublicKey([]byte(text))
				if test.algorithm == refused {
					wantError(t, err, fmt.Sprintf("bad key size: %d", test.bits))
					if !errors.Is(err, browserid.ErrKeySize) {
						t.Errorf("%v is no ErrKeySize", err)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if key.Algorithm() != test.algorithm || key.Size() != test.bits {
					t.Errorf("%s, %d bit", key.Algorithm(), key.Size())
				}
				for _, check := range []struct {
					what string
					err  error
					want bool
				}{
					{"domain key", key.CheckDomainKey(), test.domain},
					{"client key", key.CheckClientKey(), test.client},
					{"legacy client key", key.CheckLegacyClientKey(), test.legacy},
				} {
					if (check.err == nil) != check.want || check.err != nil && !errors.Is(check.err, browserid.ErrKeySize) {
						t.Errorf("%s: %v", check.what, check.err)
					}
				}
			}
		})
	}
}

func TestParsePublicKeyRefuses(t *testing.T) {
	t.Parallel()
	n := number(2048).String()
	even := new(big.Int).Add(number(2048), big.NewInt(1)).String()
	bytes := number(2048).Bytes()
	tests := []struct{ name, in, want string }{
		{"nothing", "", "malformed JSON"},
		{"not JSON", "MIIBIjANBgkq", "malformed JSON"},
		{"number", "5", "not an object"},
		{"array", "[]", "not an object"},
		{"null", "null", "not an object"},
		{"empty object", "{}", `"algorithm" is missing`},
		{"empty string", `""`, "malformed JSON"},
		{"string in a string", `"\"{}\""`, "not an object"},
		{"more after a string", `"{}","n":"1"`, "malformed JSON"},
		{"repeated in a string", `"{\"n\":\"1\",\"n\":\"2\"}"`, `"n" is there twice`},
		{"more after the object", classic(n, "3") + "x", "malformed JSON"},
		{"repeated member", `{"algorithm":"RS","n":"` + n + `","n":"` + n + `","e":"3"}`, `"n" is there twice`},
		{"other case", `{"Algorithm":"RS","n":"` + n + `","e":"3"}`, `"algorithm" is missing`},
		{"huge", classic(strings.Repeat("1", 20_000), "3"), "longer than 10240"},
		{"n of 9,000 digits", classic(strings.Repeat("1", 9_000), "3"), "too long"},
		{"e of 9,000 digits", classic(n, strings.Repeat("1", 9_000)), "too long"},
		{"n of 9,000 characters", `{"kty":"RSA","e":"AQAB","n":"` + strings.Repeat("A", 9_000) + `"}`, "too long"},
		{"no n", `{"algorithm":"RS","e":"3"}`, `"n" is missing`},
		{"no e", `{"algorithm":"RS","n":"` + n + `"}`, `"e" is missing`},
		{"n a number", `{"algorithm":"RS","n":` + n + `,"e":"3"}`, `"n" is not a string`},
		{"n null", `{"algorithm":"RS","n":null,"e":"3"}`, `"n" is not a string`},
		{"n empty", classic("", "3"), "not a decimal number"},
		{"n hexadecimal", classic("0x"+n, "3"), "not a decimal number"},
		{"n negative", classic("-"+n, "3"), "not a decimal number"},
		{"n with a plus", classic("+"+n, "3"), "not a decimal number"},
		{"n with a space", classic(n+" ", "3"), "not a decimal number"},
		{"n with underscores", classic(n[:3]+"_"+n[3:], "3"), "not a decimal number"},
		{"n with leading zeros", classic("00"+n, "3"), "leading zeros"},
		{"n with foreign digits", classic("\u0661"+n, "3"), "not a decimal number"},
		{"n even", classic(even, "3"), "modulus is even"},
		{"n zero", classic("0", "3"), "leading zeros"},
		{"n one", classic("1", "3"), "bad key size: 1"},
		{"e zero", classic(n, "0"), "leading zeros"},
		{"e one", classic(n, "1"), "smaller than 3"},
		{"e two", classic(n, "2"), "smaller than 3"},
		{"e even", classic(n, "65536"), "exponent is even"},
		{"e negative", classic(n, "-3"), "not a decimal number"},
		{"e with leading zeros", classic(n, "065537"), "leading zeros"},
		{"e just too large", classic(n, "2147483649"), "larger than 2147483647"},
		{"e larger than int64", classic(n, "18446744073709551619"), "larger than 2147483647"},
		{"e as large as n", classic(n, n), "larger than 2147483647"},
		{"e a fraction", classic(n, "3.0"), "not a decimal number"},
		{"JWK n with a leading zero", jwk(append([]byte{0}, bytes...), []byte{3}), "leading zeros"},
		{"JWK e with a leading zero", jwk(bytes, []byte{0, 3}), "leading zeros"},
		{"JWK e one", jwk(bytes, []byte{1}), "smaller than 3"},
		{"JWK e empty", jwk(bytes, nil), `"e" is empty`},
		{"JWK e large", jwk(bytes, []byte{1, 0, 0, 0, 0, 0, 0, 0, 1}), "larger than 2147483647"},
		{"JWK padded", `{"kty":"RSA","e":"Aw==","n":"` + encode(bytes) + `"}`, "padding"},
		{"JWK with stray bits", `{"kty":"RSA","e":"Ax","n":"` + encode(bytes) + `"}`, "malformed base64url"},
		{"JWK in decimal", `{"kty":"RSA","e":"65537","n":"` + n + `"}`, "malformed base64url"},
		{"JWK with a line break", `{"kty":"RSA","e":"AQ\nAB","n":"` + encode(bytes) + `"}`, "line break"},
		{"JWK in plain base64", `{"kty":"RSA","e":"AQAB","n":"` + base64.RawStdEncoding.EncodeToString([]byte{0xfb, 0xff}) + `"}`, "malformed base64url"},
		{"DSA of another group", `{"algorithm":"DS","y":"1","p":"2","q":"3","g":"4"}`, "outside the two groups of the protocol is not supported"},
		{"DSA of another group as JWK", `{"kty":"DSA","y":"AQ","p":"AQ","q":"AQ","g":"AQ"}`, "outside the two groups of the protocol is not supported"},
		{"elliptic curve", `{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"}`, `kind "EC" is not supported`},
		{"symmetric", `{"kty":"oct","k":"AQ"}`, `kind "oct" is not supported`},
		{"unknown algorithm", `{"algorithm":"RS256","n":"` + n + `","e":"3"}`, `kind "RS256" is not supported`},
		{"algorithm in lower case", `{"algorithm":"rs","n":"` + n + `","e":"3"}`, `kind "rs" is not supported`},
		{"private key", `{"algorithm":"RS","n":"` + n + `","e":"3","d":"5"}`, "private key"},
		{"private JWK", `{"kty":"RSA","n":"` + encode(bytes) + `","e":"Aw","d":"BQ"}`, "private key"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			key, err := browserid.ParsePublicKey([]byte(test.in))
			wantError(t, err, test.want)
			if key != nil {
				t.Error("a key came with the error")
			}
			if strings.Contains(test.want, "not supported") && !errors.Is(err, browserid.ErrNotSupported) {
				t.Errorf("%v is no ErrNotSupported", err)
			}
		})
	}
}

func TestNewPublicKeyRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		key  *rsa.PublicKey
		want string
	}{
		{"none", nil, "no RSA key"},
		{"no modulus", &rsa.PublicKey{E: 3}, "no RSA key"},
		{"negative modulus", &rsa.PublicKey{N: new(big.Int).Neg(number(2048)), E: 3}, "not positive"},
		{"zero", &rsa.PublicKey{N: new(big.Int), E: 3}, "not positive"},
		{"negative exponent", &rsa.PublicKey{N: number(2048), E: -3}, "smaller than 3"},
		{"4096 bit", &rsa.PublicKey{N: number(4096), E: 3}, "bad key size: 4096"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := browserid.NewPublicKey(test.key)
			wantError(t, err, test.want)
		})
	}
	var none *browserid.PublicKey
	wantError(t, none.CheckClientKey(), "client key: there is none")
	wantError(t, none.CheckDomainKey(), "domain key: there is none")
}

func TestKeyInsideOtherJSON(t *testing.T) {
	t.Parallel()
	type body struct {
		Key *browserid.PublicKey `json:"public_key"`
	}
	want := body{publicKey(t, clientSigner())}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got body
	if err := strictjson.Decode(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	wantError(t, strictjson.Decode([]byte(`{"public_key":{"algorithm":"RS","n":"5","e":"3"}}`), &got), "bad key size")
}
