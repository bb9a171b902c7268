package browserid_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/idptest"
)

// What is refused before anything is said about certificate or assertion.
func TestParseRefusesMalformed(t *testing.T) {
	t.Parallel()
	good := signAssertion(t)
	parts := strings.Split(good, ".")
	head, body, tail := parts[0], parts[1], parts[2]
	notText := encode([]byte("{\"exp\":\"\xff\"}"))
	tests := []struct{ name, in, want string }{
		{"empty", "", "three parts, this one has 0"},
		{"one part", head, "three parts, this one has 1"},
		{"two parts", head + "." + body, "three parts, this one has 2"},
		{"four parts", good + ".x", "three parts, this one has 4"},
		{"encrypted (five parts)", good + ".x.y", "three parts, this one has 5"},
		{"dots", "..", "header: malformed JSON"},
		{"no header", "." + body + "." + tail, "header: malformed JSON"},
		{"no payload", head + ".." + tail, "payload: malformed JSON"},
		{"no signature", head + "." + body + ".", "malformed signature"},
		{"swapped header and payload", body + "." + head + "." + tail, `"alg" is missing`},
		{"swapped payload and signature", head + "." + tail + "." + body, "payload"},
		{"padded header", head + "=." + body + "." + tail, "header: base64url with padding"},
		{"padded payload", head + "." + body + "==." + tail, "payload: base64url with padding"},
		{"padded signature", good + "==", "malformed signature"},
		{"newline at the end", good + "\n", "malformed signature"},
		{"newline in the header", head[:4] + "\n" + head[4:] + "." + body + "." + tail, "header: base64url with a line break"},
		{"newline in the payload", head + "." + body[:4] + "\r\n" + body[4:] + "." + tail, "payload: base64url with a line break"},
		{"newline in the signature", head + "." + body + "." + tail[:4] + "\n" + tail[4:], "malformed signature"},
		{"space", head + ". " + body + "." + tail, "payload: malformed base64url"},
		{"plain base64", head + "." + body + "." + "+/" + tail[2:], "malformed signature"},
		{"stray bits in the signature", head + "." + body + "." + tail[:len(tail)-1] + "_", "malformed signature"},
		{"stray bits in the header", strings.TrimSuffix(encode([]byte(`{"alg":"RS256" }`)), "Q") + "R." + body + "." + tail, "header: malformed base64url"},
		{"header is a string", encode([]byte(`"RS256"`)) + "." + body + "." + tail, "header: JSON is not an object"},
		{"header repeats alg", encode([]byte(`{"alg":"none","alg":"RS256"}`)) + "." + body + "." + tail, `header: member "alg" is there twice`},
		{"header without alg", encode([]byte(`{}`)) + "." + body + "." + tail, `header: "alg" is missing`},
		{"header with Alg", encode([]byte(`{"Alg":"RS256"}`)) + "." + body + "." + tail, `header: "alg" is missing`},
		{"alg a list", encode([]byte(`{"alg":["RS256"]}`)) + "." + body + "." + tail, `header: "alg" is not a string`},
		{"critical extension", encode([]byte(`{"alg":"RS256","crit":["b64"],"b64":false}`)) + "." + body + "." + tail, `"crit" is not supported`},
		{"payload is an array", head + "." + encode([]byte(`[]`)) + "." + tail, "payload: JSON is not an object"},
		{"payload and more", head + "." + encode([]byte(`{"exp":1}{}`)) + "." + tail, "payload: malformed JSON"},
		{"payload is not UTF-8", head + "." + notText + "." + tail, "payload: JSON is not UTF-8"},
		{"huge", strings.Repeat("a", 1<<20), "longer than 10240"},
		{"many dots", strings.Repeat(".", 10_000), "three parts, this one has 10001"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := browserid.ParseAssertion(test.in)
			wantError(t, err, test.want)
			_, err = browserid.ParseCertificate(test.in)
			wantError(t, err, test.want)
		})
	}
}

// The algorithm is the key's. What the header says can only be wrong.
func TestAlgorithmConfusion(t *testing.T) {
	t.Parallel()
	headers := []string{
		`{"alg":"none"}`, `{"alg":"None"}`, `{"alg":""}`, `{"alg":"HS256"}`, `{"alg":"rs256"}`, `{"alg":"RS256 "}`,
		`{"alg":"RS512"}`, `{"alg":"PS256"}`, `{"alg":"ES256"}`, `{"alg":"DS128"}`, `{"alg":"DS256"}`, `{"alg":"DS160"}`,
		`{"alg":"RS128"}`, `{"alg":"RS64"}`,
	}
	for _, header := range headers {
		t.Run(header, func(t *testing.T) {
			t.Parallel()
			a, err := browserid.ParseAssertion(forge(t, clientSigner(), header, assertionClaims(t)))
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Verify(publicKey(t, clientSigner()), now); !errors.Is(err, browserid.ErrAlgorithms) {
				t.Errorf("%v, want %v", err, browserid.ErrAlgorithms)
			}
		})
	}
}

func TestOtherHeaderMembersAreIgnored(t *testing.T) {
	t.Parallel()
	header := `{"typ":"JWT","kid":"x","jwk":{"kty":"oct"},"alg":"RS256"}`
	a, err := browserid.ParseAssertion(forge(t, clientSigner(), header, assertionClaims(t)))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Verify(publicKey(t, clientSigner()), now); err != nil {
		t.Error(err)
	}
}

// The public key taken for the secret of an HMAC: the classic of its kind.
func TestHMACWithThePublicKey(t *testing.T) {
	t.Parallel()
	key := publicKey(t, clientSigner())
	secret, err := key.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for header, want := range map[string]error{`{"alg":"HS256"}`: browserid.ErrAlgorithms, rs256: browserid.ErrSignature} {
		input := encode([]byte(header)) + "." + encode([]byte(assertionClaims(t)))
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(input))
		a, err := browserid.ParseAssertion(input + "." + encode(mac.Sum(nil)))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Verify(key, now); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", header, err, want)
		}
	}
}

// rawSignature is number^d mod n: RSA without any padding.
func rawSignature(signer *rsa.PrivateKey, number []byte) []byte {
	m := new(big.Int).SetBytes(number)
	return m.Exp(m, signer.D, signer.N).FillBytes(make([]byte, signer.Size()))
}

// Signatures that a careless verifier took (the reference verifier ignored the
// padding) and such that are simply wrong.
func TestSignaturesRefused(t *testing.T) {
	t.Parallel()
	good := signAssertion(t)
	input := good[:strings.LastIndexByte(good, '.')]
	digest := sha256.Sum256([]byte(input))
	digestInfo := append([]byte("\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"), digest[:]...)
	padded := append(append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, 256-3-len(digestInfo))...), 0)
	padded = append(padded, digestInfo...)
	garbage := append([]byte{0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0}, digestInfo...)
	garbage = append(garbage, make([]byte, 256-len(garbage))...)
	right := rawSignature(clientSigner(), padded)

	a, err := browserid.ParseAssertion(input + "." + encode(right))
	if err != nil {
		t.Fatal(err)
	}
	key := publicKey(t, clientSigner())
	if err := a.Verify(key, now); err != nil {
		t.Fatalf("the right padding, so the rest of this test shows something: %v", err)
	}
	flipped := bytes.Clone(right)
	flipped[100] ^= 1
	tests := []struct {
		name      string
		signature []byte
		want      error
	}{
		{"unpadded digest info", rawSignature(clientSigner(), digestInfo), browserid.ErrSignature},
		{"bare digest", rawSignature(clientSigner(), digest[:]), browserid.ErrSignature},
		{"short padding, garbage behind", rawSignature(clientSigner(), garbage), browserid.ErrSignature},
		{"one bit flipped", flipped, browserid.ErrSignature},
		{"of another key", rawSignature(otherSigner(), padded), browserid.ErrSignature},
		{"the padded digest itself", padded, browserid.ErrSignature},
		{"zero", []byte{0}, browserid.ErrSignature},
		{"one", []byte{1}, browserid.ErrSignature},
		{"zeros", make([]byte, 256), browserid.ErrSignature},
		{"the modulus", clientSigner().N.Bytes(), browserid.ErrSignature},
		{"all ones", bytes.Repeat([]byte{0xff}, 256), browserid.ErrSignature},
		{"last byte cut off", right[:255], browserid.ErrSignature},
		{"zero in front", append([]byte{0}, right...), browserid.ErrMalformedSignature},
		{"zero behind", append(bytes.Clone(right), 0), browserid.ErrMalformedSignature},
		{"two of them", append(bytes.Clone(right), right...), browserid.ErrMalformedSignature},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
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

// The reference signer drops leading zero bytes of a signature now and then.
func TestShortSignature(t *testing.T) {
	t.Parallel()
	key := publicKey(t, shortSigner())
	for i := range 10_000 {
		claims := assertionClaims(t, `{"exp"`, fmt.Sprintf(`{"try":%d,"exp"`, i))
		text := forge(t, shortSigner(), `{"alg":"RS128"}`, claims)
		dot := strings.LastIndexByte(text, '.')
		signature, err := base64.RawURLEncoding.DecodeString(text[dot+1:])
		if err != nil {
			t.Fatal(err)
		}
		if signature[0] != 0 {
			continue
		}
		short := text[:dot+1] + encode(bytes.TrimLeft(signature, "\x00"))
		a, err := browserid.ParseAssertion(short)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Verify(key, now); err != nil {
			t.Errorf("without its zeros: %v", err)
		}
		if a.String() != short {
			t.Error("it changed its text")
		}
		return
	}
	t.Fatal("no signature begins with a zero")
}

// A key of 1023 bit, which crypto/rsa does not use, is verified as strictly.
func TestSignaturesOfShortKey(t *testing.T) {
	t.Parallel()
	signer := idptest.NewRSAKey(1023)
	input := encode([]byte(`{"alg":"RS128"}`)) + "." + encode([]byte(assertionClaims(t)))
	digest := sha256.Sum256([]byte(input))
	digestInfo := append([]byte("\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"), digest[:]...)
	padded := slices.Concat([]byte{0, 1}, bytes.Repeat([]byte{0xff}, 128-3-len(digestInfo)), []byte{0}, digestInfo)
	garbage := slices.Concat([]byte{0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0}, digestInfo)
	garbage = append(garbage, make([]byte, 128-len(garbage))...)
	encryption := bytes.Clone(padded)
	encryption[1] = 2
	otherHash := bytes.Clone(padded)
	otherHash[128-len(digest)-5] ^= 2 // the last byte of the hash's name
	right := rawSignature(signer.PrivateKey, padded)
	flipped := bytes.Clone(right)
	flipped[100] ^= 1
	larger := new(big.Int).Add(new(big.Int).SetBytes(right), signer.N)
	for name, test := range map[string]struct {
		signature []byte
		want      error
	}{
		"right":                    {right, nil},
		"without its zeros":        {bytes.TrimLeft(right, "\x00"), nil},
		"plus the modulus":         {larger.FillBytes(make([]byte, 128)), browserid.ErrSignature},
		"unpadded digest info":     {rawSignature(signer.PrivateKey, digestInfo), browserid.ErrSignature},
		"bare digest":              {rawSignature(signer.PrivateKey, digest[:]), browserid.ErrSignature},
		"short padding and more":   {rawSignature(signer.PrivateKey, garbage), browserid.ErrSignature},
		"padded as for encryption": {rawSignature(signer.PrivateKey, encryption), browserid.ErrSignature},
		"of another hash":          {rawSignature(signer.PrivateKey, otherHash), browserid.ErrSignature},
		"one bit flipped":          {flipped, browserid.ErrSignature},
		"of another key":           {rawSignature(idptest.NewRSAKey(1023).PrivateKey, padded), browserid.ErrSignature},
		"the padded digest itself": {padded, browserid.ErrSignature},
		"zeros":                    {make([]byte, 128), browserid.ErrSignature},
		"one":                      {[]byte{1}, browserid.ErrSignature},
		"the modulus":              {signer.N.Bytes(), browserid.ErrSignature},
		"all ones":                 {bytes.Repeat([]byte{0xff}, 128), browserid.ErrSignature},
		"zero in front":            {append([]byte{0}, right...), browserid.ErrMalformedSignature},
	} {
		a, err := browserid.ParseAssertion(input + "." + encode(test.signature))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Verify(publicKey(t, signer), now); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

func TestTamperedPayload(t *testing.T) {
	t.Parallel()
	parts := strings.Split(signAssertion(t), ".")
	changed := encode([]byte(assertionClaims(t, "rp.example", "evil.example")))
	a, err := browserid.ParseAssertion(parts[0] + "." + changed + "." + parts[2])
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Verify(publicKey(t, clientSigner()), now); !errors.Is(err, browserid.ErrSignature) {
		t.Errorf("%v, want %v", err, browserid.ErrSignature)
	}
}
