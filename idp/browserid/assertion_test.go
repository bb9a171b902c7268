package browserid_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/browserid"
)

func TestAssertion(t *testing.T) {
	t.Parallel()
	text := signAssertion(t)
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1])
	if err != nil || string(payload) != assertionClaims(t) {
		t.Errorf("payload %s, %v", payload, err)
	}
	a, err := browserid.ParseAssertion(text)
	if err != nil {
		t.Fatal(err)
	}
	if a.Audience != audience || !a.Expires.Equal(now.Add(2*time.Minute)) || !a.IssuedAt.IsZero() {
		t.Errorf("it says %s, %v, %v", a.Audience, a.Expires, a.IssuedAt)
	}
	if err := a.Verify(publicKey(t, clientSigner()), now); err != nil {
		t.Error(err)
	}
	if err := a.Verify(publicKey(t, domainSigner()), now); !errors.Is(err, browserid.ErrSignature) {
		t.Errorf("with another key: %v", err)
	}
	if err := a.Verify(nil, now); !errors.Is(err, browserid.ErrNoKeys) {
		t.Errorf("without a key: %v", err)
	}
	if a.String() != text {
		t.Error("it changed its text")
	}
}

func TestSignAssertionRefuses(t *testing.T) {
	t.Parallel()
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name     string
		signer   crypto.Signer
		audience string
		expires  time.Time
		want     string
	}{
		{"no signer", nil, audience, now, "no signer"},
		{"elliptic curve", curve, audience, now, "not supported"},
		{"no audience", clientSigner(), "", now, "scheme is missing"},
		{"audience with a path", clientSigner(), audience + "/x", now, "non-empty path"},
		{"audience with a quote", clientSigner(), `https://x","exp":1,"y":"`, now, "character"},
		{"no time", clientSigner(), audience, time.Time{}, "out of range"},
		{"far future", clientSigner(), audience, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), "out of range"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			text, err := browserid.SignAssertion(test.signer, rand.Reader, test.audience, test.expires)
			wantError(t, err, test.want)
			if text != "" {
				t.Error("an assertion came with the error")
			}
		})
	}
}

// Well-signed payloads that say what an assertion may not say.
func TestParseAssertionRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		replace []string
		want    string
	}{
		{"no audience", []string{`"aud"`, `"for"`}, `"aud" is missing`},
		{"audience null", []string{`"https://rp.example"`, "null"}, `"aud" is not a string`},
		{"list of audiences", []string{`"https://rp.example"`, `["https://rp.example"]`}, `"aud" is not a string`},
		{"audience empty", []string{`"https://rp.example"`, `""`}, "scheme is missing"},
		{"bare host", []string{"https://rp.example", "rp.example"}, "scheme is missing"},
		{"path", []string{"https://rp.example", "https://rp.example/login"}, "has non-empty path"},
		{"slash", []string{"https://rp.example", "https://rp.example/"}, "has non-empty path"},
		{"query", []string{"https://rp.example", "https://rp.example?x"}, `character "?"`},
		{"user", []string{"https://rp.example", "https://rp.example@evil.example"}, `character "@"`},
		{"audience twice", []string{`"aud"`, `"aud":"https://evil.example","aud"`}, `"aud" is there twice`},
		{"no exp", []string{`"exp"`, `"until"`}, `"exp" is missing`},
		{"exp a string", []string{"1795348920000", `"1795348920000"`}, "not an integer of milliseconds"},
		{"exp a float", []string{"1795348920000", "1.79534892e12"}, "not an integer of milliseconds"},
		{"exp in seconds", []string{"1795348920000", "1795348920"}, "looks like seconds"},
		{"iat a string", []string{`"aud"`, `"iat":"1795348800000","aud"`}, "not an integer of milliseconds"},
		{"iat in seconds", []string{`"aud"`, `"iat":1795348800,"aud"`}, "looks like seconds"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := browserid.ParseAssertion(forge(t, clientSigner(), rs256, assertionClaims(t, test.replace...)))
			wantError(t, err, "assertion: ")
			wantError(t, err, test.want)
		})
	}
}

func TestAssertionTimes(t *testing.T) {
	t.Parallel()
	issued := []string{`"aud"`, `"iat":1795348800000,"aud"`}
	tests := []struct {
		name    string
		replace []string
		at      time.Time
		want    error
	}{
		{"at once", nil, now, nil},
		{"at its end", nil, now.Add(2 * time.Minute), nil},
		{"within skew of its end", nil, now.Add(2*time.Minute + 30*time.Second), nil},
		{"after its end", nil, now.Add(2*time.Minute + 30*time.Second + time.Millisecond), browserid.ErrExpired},
		{"10 minutes ahead and skew", nil, now.Add(-8*time.Minute - 30*time.Second), nil},
		{"further ahead", nil, now.Add(-8*time.Minute - 30*time.Second - time.Millisecond), browserid.ErrLifetime},
		{"valid for a year", []string{"1795348920000", "1826884920000"}, now, browserid.ErrLifetime},
		{"issued at", issued, now, nil},
		{"issued at within skew", issued, now.Add(-30 * time.Second), nil},
		{"issued in the future", issued, now.Add(-30*time.Second - time.Millisecond), browserid.ErrIssuedLater},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a, err := browserid.ParseAssertion(forge(t, clientSigner(), rs256, assertionClaims(t, test.replace...)))
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Verify(publicKey(t, clientSigner()), test.at); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}
