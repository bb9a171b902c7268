package browserid_test

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"persona-sidecar/idp/browserid"
)

func TestBundle(t *testing.T) {
	t.Parallel()
	text := signedCertificate(t) + "~" + signAssertion(t)
	b, err := browserid.ParseBundle(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Verify(domainKeys(t), audience, now); err != nil {
		t.Error(err)
	}
	if b.Certificate.Email.String() != email || b.Assertion.Audience != audience {
		t.Errorf("it says %s at %s", b.Certificate.Email, b.Assertion.Audience)
	}
	if b.String() != text {
		t.Error("it changed its text")
	}
}

func TestParseBundleRefuses(t *testing.T) {
	t.Parallel()
	certificate, assertion := signedCertificate(t), signAssertion(t)
	tests := []struct {
		name, in, want string
		is             error
	}{
		{"empty", "", "", browserid.ErrNoCertificates},
		{"assertion alone", assertion, "", browserid.ErrNoCertificates},
		{"certificate alone", certificate, "", browserid.ErrNoCertificates},
		{"leading tilde", "~" + assertion, "", browserid.ErrNoCertificates},
		{"tilde alone", "~", "", browserid.ErrNoCertificates},
		{"trailing tilde after a certificate", certificate + "~", "", browserid.ErrNoAssertion},
		{"trailing tilde", certificate + "~" + assertion + "~", "", browserid.ErrChained},
		{"two tildes", certificate + "~~" + assertion, "", browserid.ErrChained},
		{"chain", certificate + "~" + certificate + "~" + assertion, "", browserid.ErrChained},
		{"tildes", strings.Repeat("~", 10_000), "", browserid.ErrNoCertificates},
		{"swapped", assertion + "~" + certificate, "certificate: ", nil},
		{"certificate twice", certificate + "~" + certificate, `assertion: "aud" is missing`, nil},
		{"assertion twice", assertion + "~" + assertion, `certificate: "iss" is missing`, nil},
		{"newline behind", certificate + "~" + assertion + "\n", "malformed signature", browserid.ErrMalformedSignature},
		{"newline between", certificate + "\n~" + assertion, "malformed signature", browserid.ErrMalformedSignature},
		{"space in front", " " + certificate + "~" + assertion, "certificate: header: malformed base64url", nil},
		{"half a certificate", certificate[:700] + "~" + assertion, "three parts, this one has 2", nil},
		{"half an assertion", certificate + "~" + assertion[:30], "three parts, this one has 2", nil},
		{"huge", certificate + "~" + assertion + strings.Repeat("A", 1<<20), "longer than 10240", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := browserid.ParseBundle(test.in)
			wantError(t, err, test.want)
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("%v is not %v", err, test.is)
			}
		})
	}
}

func TestBundleVerifyRefuses(t *testing.T) {
	t.Parallel()
	stolen, err := browserid.SignAssertion(otherSigner(), rand.Reader, audience, now.Add(2*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	own := forge(t, clientSigner(), rs256, certificateClaims(t, "alice@", "boss@"))
	expired := forge(t, domainSigner(), rs256, certificateClaims(t, "1795348790000", "1795300000000", "1795352400000", "1795340000000"))
	certificate, assertion := signedCertificate(t), signAssertion(t)
	tests := []struct {
		name, certificate, assertion string
		at                           time.Time
		want                         error
	}{
		{"assertion of another key", certificate, stolen, now, browserid.ErrSignature},
		{"certificate signed by its own key", own, assertion, now, browserid.ErrSignature},
		{"expired certificate, live assertion", expired, assertion, now, browserid.ErrExpired},
		{"live certificate, expired assertion", certificate, assertion, now.Add(5 * time.Minute), browserid.ErrExpired},
		{"both right", certificate, assertion, now, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b, err := browserid.ParseBundle(test.certificate + "~" + test.assertion)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Verify(domainKeys(t), audience, test.at); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

func TestBundleAudience(t *testing.T) {
	t.Parallel()
	const malformed = browserid.Reason("")
	tests := []struct {
		name, expected, asserted string
		want                     error
	}{
		{"same", "https://rp.example", "https://rp.example", nil},
		{"default port written by the site", "https://rp.example:443", "https://rp.example", nil},
		{"default port written in the assertion", "https://rp.example", "https://rp.example:443", nil},
		{"upper case", "https://RP.example", "https://rp.EXAMPLE", nil},
		{"scheme", "http://rp.example", "https://rp.example", browserid.ErrAudienceScheme},
		{"scheme, same port", "http://rp.example:443", "https://rp.example", browserid.ErrAudienceScheme},
		{"port", "https://rp.example:8443", "https://rp.example", browserid.ErrAudiencePort},
		{"domain", "https://rp.example", "https://evil.example", browserid.ErrAudienceDomain},
		{"www", "https://rp.example", "https://www.rp.example", browserid.ErrAudienceDomain},
		{"parent domain", "https://rp.example", "https://example", browserid.ErrAudienceDomain},
		{"suffix", "https://rp.example", "https://rp.example.evil.example", browserid.ErrAudienceDomain},
		{"site gives a bare host", "rp.example", "https://rp.example", malformed},
		{"site gives a path", "https://rp.example/", "https://rp.example", malformed},
		{"site gives nothing", "", "https://rp.example", malformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			assertion := forge(t, clientSigner(), rs256, assertionClaims(t, "https://rp.example", test.asserted))
			b, err := browserid.ParseBundle(signedCertificate(t) + "~" + assertion)
			if err != nil {
				t.Fatal(err)
			}
			err = b.Verify(domainKeys(t), test.expected, now)
			if errors.Is(test.want, malformed) {
				wantError(t, err, "audience mismatch: ")
				wantError(t, err, "write the whole origin")
			} else if !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

// Relying parties match on these words.
func TestReasonsAreTheHistoricWords(t *testing.T) {
	t.Parallel()
	tests := []struct {
		reason error
		want   string
	}{
		{browserid.ErrExpired, "expired"},
		{browserid.ErrIssuedLater, "issued later than verification date"},
		{browserid.ErrAlgorithms, "algorithms do not match"},
		{browserid.ErrSignature, "invalid signature"},
		{browserid.ErrMalformedSignature, "malformed signature"},
		{browserid.ErrNoCertificates, "no certificates provided"},
		{browserid.ErrChained, "certificate chaining is not yet allowed"},
		{browserid.ErrAudienceScheme, "audience mismatch: scheme mismatch"},
		{browserid.ErrAudiencePort, "audience mismatch: port mismatch"},
		{browserid.ErrAudienceDomain, "audience mismatch: domain mismatch"},
	}
	for _, test := range tests {
		if test.reason.Error() != test.want {
			t.Errorf("%q, want %q", test.reason, test.want)
		}
	}
}

// A historic browser's key of 1024 bit is not certified by us any more, but a
// certificate of another authority for one is accepted.
func TestBundleWithShortClientKey(t *testing.T) {
	t.Parallel()
	long, err := publicKey(t, clientSigner()).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	short, err := publicKey(t, shortSigner()).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	certificate := forge(t, domainSigner(), rs256, certificateClaims(t, string(long), string(short)))
	assertion, err := browserid.SignAssertion(shortSigner(), rand.Reader, audience, now.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	b, err := browserid.ParseBundle(certificate + "~" + assertion)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Verify(domainKeys(t), audience, now); err != nil {
		t.Error(err)
	}
}

// A memory against replay goes by the key and what it signed.
func TestBundleUse(t *testing.T) {
	t.Parallel()
	parse := func(text string) *browserid.Bundle {
		t.Helper()
		b, err := browserid.ParseBundle(text)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	certificate, assertion := signedCertificate(t), signAssertion(t)
	use := parse(certificate + "~" + assertion).Use()
	if use != parse(certificate+"~"+assertion).Use() {
		t.Error("it is not stable")
	}
	renewed := forge(t, domainSigner(), rs256, certificateClaims(t, "1795352400000", "1795352400001"))
	if use != parse(renewed+"~"+assertion).Use() {
		t.Error("it depends on the certificate")
	}
	spelled := assertion[:strings.LastIndexByte(assertion, '.')+1] + encode([]byte("another signature"))
	if use != parse(certificate+"~"+spelled).Use() {
		t.Error("it depends on the signature")
	}
	if use == parse(certificate+"~"+forge(t, clientSigner(), rs256, assertionClaims(t, "1795348920000", "1795348920001"))).Use() {
		t.Error("it does not depend on the assertion")
	}
	long, short := keyJSON(t, publicKey(t, clientSigner())), keyJSON(t, publicKey(t, otherSigner()))
	other := forge(t, domainSigner(), rs256, certificateClaims(t, long, short))
	if use == parse(other+"~"+assertion).Use() {
		t.Error("it does not depend on the key")
	}
}

func TestOtherClaims(t *testing.T) {
	t.Parallel()
	c, err := browserid.ParseCertificate(forge(t, domainSigner(), rs256, certificateClaims(t,
		`"iss"`, `"name":"Alice","groups":["a","b"],"nbf":1,"iss"`, `{"email"`, `{"name":"not she","id":7,"email"`)))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{"name": []byte(`"Alice"`), "groups": []byte(`["a","b"]`), "id": []byte("7")}
	if diff := cmp.Diff(want, c.OtherClaims()); diff != "" {
		t.Error(diff)
	}
	a, err := browserid.ParseAssertion(forge(t, clientSigner(), rs256, assertionClaims(t, `{`, `{"device":{"x":1},`)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][]byte{"device": []byte(`{"x":1}`)}, a.OtherClaims()); diff != "" {
		t.Error(diff)
	}
	plain, err := browserid.ParseBundle(signedCertificate(t) + "~" + signAssertion(t))
	if err != nil {
		t.Fatal(err)
	}
	if plain.Certificate.OtherClaims() != nil || plain.Assertion.OtherClaims() != nil {
		t.Error("there are others where there are none")
	}
}
