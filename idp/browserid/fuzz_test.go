package browserid_test

import (
	"bytes"
	"strings"
	"testing"

	"persona-sidecar/idp/browserid"
)

func FuzzParsePublicKey(f *testing.F) {
	n, b64 := number(2048).String(), encode(number(2048).Bytes())
	f.Add([]byte(classic(n, "65537")))
	f.Add([]byte(classic(number(1024).String(), "3")))
	f.Add([]byte(classic(number(1023).String(), "3")))
	f.Add([]byte(classic("00"+n, "-1")))
	f.Add([]byte(`{"alg":"RS256","e":"AQAB","ext":true,"key_ops":["verify"],"kty":"RSA","n":"` + b64 + `"}`))
	f.Add([]byte(`"{\"algorithm\":\"RS\",\"n\":\"` + n + `\",\"e\":\"3\"}"`))
	f.Add([]byte(`{"algorithm":"DS","y":"1","p":"2","q":"3","g":"4"}`))
	f.Add([]byte(testdata(f, "mockmyid.com.key")))
	f.Add([]byte(testdata(f, "ds256.key")))
	f.Add([]byte(`{"kty":"EC","n":{"n":[{}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := browserid.ParsePublicKey(data)
		if err != nil {
			return
		}
		text, err := key.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := browserid.ParsePublicKey(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if !again.Equal(key) || again.Fingerprint() != key.Fingerprint() {
			t.Errorf("%s became another key", text)
		}
		if key.CheckDomainKey() == nil && key.CheckClientKey() != nil && key.RSA().E >= 65537 || key.CheckClientKey() == nil && key.CheckLegacyClientKey() != nil {
			t.Errorf("the wider check is the stricter one: %s", text)
		}
		if key.RSA() == nil {
			if key.Algorithm() != "DS128" && key.Algorithm() != "DS256" {
				t.Errorf("neither RSA nor DSA: %s", text)
			}
			return
		}
		if e := key.RSA().E; key.Algorithm() == "" || e < 3 || e%2 == 0 || key.RSA().N.Bit(0) == 0 {
			t.Errorf("a weak key was read: %s", text)
		}
	})
}

// addTexts adds s, and s spoiled in the usual ways.
func addTexts(f *testing.F, s string) {
	f.Add(s)
	f.Add(s + "=")
	f.Add(s + "~")
	f.Add(s + "\n")
	f.Add(strings.ToUpper(s))
	f.Add(s[:len(s)/2])
	f.Add(strings.Replace(s, ".", "..", 1))
}

func FuzzParseCertificate(f *testing.F) {
	addTexts(f, signedCertificate(f))
	f.Add(forge(f, domainSigner(), `{"alg":"none"}`, certificateClaims(f)))
	f.Add(forge(f, domainSigner(), rs256, certificateClaims(f, "alice", `al\u0000ice`)))
	f.Add(forge(f, domainSigner(), rs256, certificateClaims(f, "alice@", "ALICE@")))
	f.Fuzz(func(t *testing.T, s string) {
		c, err := browserid.ParseCertificate(s)
		if err != nil {
			return
		}
		if c.String() != s {
			t.Error("it changed its text")
		}
		a, err := browserid.ParseAddress(c.Email.String())
		if err != nil || a.Domain() != c.Email.Domain() || !strings.EqualFold(a.Local(), c.Email.Local()) || (a == c.Email) == c.Email.HasCapitals() {
			t.Errorf("address %q is malformed: %v", c.Email, err)
		}
		if c.Expires.IsZero() || c.PublicKey == nil || c.Issuer == "" {
			t.Errorf("incomplete: %+v", c)
		}
	})
}

func FuzzParseAssertion(f *testing.F) {
	addTexts(f, signAssertion(f))
	f.Add(forge(f, clientSigner(), rs256, assertionClaims(f, "1795348920000", "1e12")))
	f.Add(forge(f, clientSigner(), rs256, assertionClaims(f, "rp.example", "[::1]:80")))
	f.Fuzz(func(t *testing.T, s string) {
		a, err := browserid.ParseAssertion(s)
		if err != nil {
			return
		}
		if a.String() != s {
			t.Error("it changed its text")
		}
		if again, err := browserid.ParseAudience(a.Audience); err != nil || again != a.Audience {
			t.Errorf("audience %q is not in normal form: %v", a.Audience, err)
		}
	})
}

func FuzzParseBundle(f *testing.F) {
	certificate, assertion := signedCertificate(f), signAssertion(f)
	genuine := certificate + "~" + assertion
	addTexts(f, genuine)
	f.Add(assertion + "~" + certificate)
	f.Add(testdata(f, "mockmyid.com.bundle"))
	f.Add(certificate + "~" + genuine)
	f.Add("~" + assertion)
	keys := domainKeys(f)
	f.Fuzz(func(t *testing.T, s string) {
		b, err := browserid.ParseBundle(s)
		if err != nil {
			return
		}
		if b.String() != s {
			t.Error("it changed its text")
		}
		if err := b.Verify(keys, audience, now); err == nil && !signedLike(b, genuine) {
			t.Errorf("a forgery was accepted: %s", s)
		}
	})
}

// signedLike reports whether what was signed is that of genuine; a signature may
// have been spelled without leading zeros.
func signedLike(b *browserid.Bundle, genuine string) bool {
	certificate, assertion, _ := strings.Cut(genuine, "~")
	signed := func(s string) string { return s[:strings.LastIndexByte(s, '.')] }
	return signed(b.Certificate.String()) == signed(certificate) && signed(b.Assertion.String()) == signed(assertion)
}

func FuzzParseDocument(f *testing.F) {
	key := classic(number(2048).String(), "65537")
	f.Add([]byte(support(`"public-key":` + key)))
	f.Add([]byte(support(`"keys":[` + key + `,{"use":"enc"}],"public-key":` + key)))
	f.Add([]byte(`{"authority":"id.example.com:8443"}`))
	f.Add([]byte(`{"disabled":true,"authority":"x"}`))
	f.Add([]byte(`{"disabled":false,"x":[[{"y":1}]]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := browserid.ParseDocument(data)
		if err != nil {
			return
		}
		text, err := browserid.MarshalDocument(doc)
		if err != nil {
			t.Fatalf("read but not written: %v", err)
		}
		again, err := browserid.ParseDocument(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		text2, err := browserid.MarshalDocument(again)
		if err != nil || !bytes.Equal(text, text2) {
			t.Errorf("%s became %s, %v", text, text2, err)
		}
	})
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{email, "Alice@EXAMPLE.com", "a@b@c", "a@b\n", "\"a\"@b", "\u212a@example.com", "a@xn--x.example", "@", "a@1.2.3.4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := browserid.ParseAddress(s)
		if err != nil {
			return
		}
		if again, err := browserid.ParseAddress(a.String()); err != nil || again != a {
			t.Errorf("%q is not stable: %v", a, err)
		}
		if a.Local()+"@"+a.Domain() != a.String() || len(a.String()) != len(s) || !strings.EqualFold(a.String(), s) {
			t.Errorf("%q became %q", s, a)
		}
		if strings.ContainsFunc(a.String(), func(r rune) bool { return r <= ' ' || r >= 0x7f || 'A' <= r && r <= 'Z' }) {
			t.Errorf("%q has characters that it may not have", a)
		}
	})
}

func FuzzParseAudience(f *testing.F) {
	for _, s := range []string{audience, "HTTP://[2001:DB8::1]:80", "https://a_b:443", "https://x/", "https://u@x", "http://[fe80::1%25x]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		origin, err := browserid.ParseAudience(s)
		if err != nil {
			return
		}
		if again, err := browserid.ParseAudience(origin); err != nil || again != origin {
			t.Errorf("%q is not stable: %q, %v", origin, again, err)
		}
		if _, host, _ := strings.Cut(origin, "://"); host == "" || strings.ContainsAny(host, "\"\\/@?#% \n") {
			t.Errorf("%q has characters that it may not have", origin)
		}
	})
}
