package verifier_test

import (
	"context"
	"crypto/rsa"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/verifier"

	"github.com/google/go-cmp/cmp"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	n.publish("foreign.test", support(t, foreignKey()))
	n.publish("idp.foreign.test", support(t, foreignKey()))
	n.delegate("far.test", "foreign.test")
	rotated := alice()
	rotated.signer = oldKey()
	tests := []struct {
		name string
		person
	}{
		{"own address", alice()},
		{"own address, previous key", rotated},
		{"address of the identity host itself", person{email: "a@id.example.com", issuer: "id.example.com", signer: ownKey(), key: clientKey(), header: `{"alg":"RS256"}`}},
		{"address of a domain certified for", person{email: "a@sister.example", issuer: "id.example.com", signer: ownKey(), key: clientKey(), header: `{"alg":"RS256"}`}},
		{"own domain that delegates to another host", person{email: "a@elsewhere.example", issuer: "idp.foreign.test", signer: foreignKey(), key: clientKey(), header: `{"alg":"RS256"}`}},
		{"foreign address", bob()},
		{"foreign address, delegated", person{email: "x@far.test", issuer: "foreign.test", signer: foreignKey(), key: clientKey(), header: `{"alg":"RS256"}`}},
		{"address with a tag", person{email: "alice+tag@example.com", issuer: "id.example.com", signer: ownKey(), key: clientKey(), header: `{"alg":"RS256"}`}},
	}
	v := n.verifier()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			verdict, err := v.Verify(t.Context(), n.bundle(test.person), site)
			if err != nil {
				t.Fatal(err)
			}
			if verdict.Email.String() != test.email || verdict.Issuer != test.issuer || verdict.Audience != site || !verdict.Expires.Equal(n.clock.Now().Add(2*time.Minute)) {
				t.Errorf("%+v", verdict)
			}
			if verdict.IdPClaims() != nil || verdict.UserClaims() != nil {
				t.Error("there are claims that were not made")
			}
		})
	}
}

func TestVerifyClaims(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	p := alice()
	p.replace = []string{`{"email"`, `{"id":7,"email"`, `"iss"`, `"name":"Alice","iss"`}
	p.assertion = []string{`"aud"`, `"device":"phone","aud"`}
	verdict, err := n.verifier().Verify(t.Context(), n.bundle(p), site)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][]byte{"id": []byte("7"), "name": []byte(`"Alice"`)}, verdict.IdPClaims()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string][]byte{"device": []byte(`"phone"`)}, verdict.UserClaims()); diff != "" {
		t.Error(diff)
	}
}

const (
	noEmail  = "untrusted assertion, doesn't contain an email, and issuer is untrusted "
	capitals = "the principal's email has capital letters"
)

// Everything that a hostile bundle, certificate or assertion may be, with the
// reason that a website is told. An exact reason ends in a bar.
func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	n.publish("foreign.test", support(t, foreignKey()))
	n.publish("evil.test", support(t, strayKey()))
	n.delegate("far.test", "middle.test")
	n.delegate("middle.test", "foreign.test")
	now := n.clock.Now().UnixMilli()
	ms := func(offset time.Duration) string { return strconv.FormatInt(now+offset.Milliseconds(), 10) }
	iat, exp := ms(-10*time.Second), ms(time.Hour)
	aexp := ms(2 * time.Minute)
	claims := func(replace ...string) func(*person) { return func(p *person) { p.replace = replace } }
	assertion := func(replace ...string) func(*person) { return func(p *person) { p.assertion = replace } }
	certificate, asserted := n.certificate(alice()), n.assertion(alice())
	good := certificate + "~" + asserted
	with := func(change func(*person)) string {
		p := alice()
		change(&p)
		return n.bundle(p)
	}
	tampered := func(i int, replacement string) string {
		parts := strings.Split(good, ".") // header payload signature~header payload signature
		parts[i] = replacement
		return strings.Join(parts, ".")
	}
	tests := []struct{ name, bundle, want string }{
		{"nothing", "", "no certificates provided|"},
		{"assertion alone", asserted, "no certificates provided|"},
		{"certificate alone", certificate, "no certificates provided|"},
		{"trailing tilde", certificate + "~", "no assertion provided|"},
		{"trailing tilde behind all", good + "~", "certificate chaining is not yet allowed|"},
		{"chain", certificate + "~" + good, "certificate chaining is not yet allowed|"},
		{"swapped", asserted + "~" + certificate, "certificate: "},
		{"noise", strings.Repeat("\x00\xff~.", 200), ""},
		{"huge", strings.Repeat("a", 1<<20), "longer than 10240"},
		{"two parts", "a.b~c.d.e", "signed object must have three parts, this one has 2|"},
		{"newline behind", good + "\n", "malformed signature|"},
		{"padding", strings.Replace(good, "~", "=~", 1), "malformed signature|"},

		{"payload replaced", tampered(1, encode([]byte(`{"iss":"id.example.com","exp":`+exp+`,"principal":{"email":"boss@example.com"},"public-key":`+keyJSON(t, clientKey())+`}`))), "invalid signature|"},
		{"signature replaced", tampered(2, encode(make([]byte, 256))+"~"+encode([]byte(`{"alg":"RS256"}`))), "invalid signature|"},
		{"signature too long", tampered(2, encode(make([]byte, 257))+"~"+encode([]byte(`{"alg":"RS256"}`))), "malformed signature|"},
		{"alg none", with(func(p *person) { p.header = `{"alg":"none"}` }), "algorithms do not match|"},
		{"alg HS256", with(func(p *person) { p.header = `{"alg":"HS256"}` }), "algorithms do not match|"},
		{"alg DS128", with(func(p *person) { p.header = `{"alg":"DS128"}` }), "algorithms do not match|"},
		{"critical extension", with(func(p *person) { p.header = `{"alg":"RS256","crit":["x"]}` }), `"crit" is not supported`},
		{"certificate of another's key", with(func(p *person) { p.signer = strayKey() }), "invalid signature|"},
		{"certificate signed by its own key", with(func(p *person) { p.signer = clientKey() }), "invalid signature|"},
		{"assertion of another key", certificate + "~" + n.assertion(person{key: strayKey()}), "invalid signature|"},

		{"certificate without exp", with(claims(`"exp":`+exp+`,`, "")), `certificate: "exp" is missing`},
		{"certificate in seconds", with(claims(exp, exp[:10])), "looks like seconds, milliseconds are expected"},
		{"certificate with exp as text", with(claims(exp, `"`+exp+`"`)), "not an integer of milliseconds"},
		{"certificate expired", with(claims(exp, ms(-31*time.Second), iat, ms(-time.Hour))), "expired|"},
		{"certificate of the future", with(claims(iat, ms(31*time.Second))), "issued later than verification date|"},
		{"certificate for ten years", with(claims(exp, ms(87600*time.Hour))), "valid for too long|"},
		{"certificate for ten years from then", with(claims(exp, ms(87600*time.Hour), `"iat":`+iat+`,`, "")), "valid for too long|"},
		{"assertion without exp", with(assertion(`"exp":`+aexp+`,`, "")), `assertion: "exp" is missing`},
		{"assertion in seconds", with(assertion(aexp, aexp[:10])), "looks like seconds"},
		{"assertion expired", with(assertion(aexp, ms(-31*time.Second))), "expired|"},
		{"assertion of the future", with(assertion(`"aud"`, `"iat":`+ms(31*time.Second)+`,"aud"`)), "issued later than verification date|"},
		{"assertion for a year", with(assertion(aexp, ms(8760*time.Hour))), "valid for too long|"},

		{"no email", with(claims(`{"email":`, `{"host":`)), noEmail + "|"},
		{"unverified email", with(claims(`{"email":`, `{"unverified-email":`)), noEmail + "|"},
		{"domain in upper case", with(claims("alice@example.com", "alice@Example.com")), capitals + "|"},
		{"local part in upper case", with(claims("alice@example.com", "Alice@example.com")), capitals + "|"},
		{"local part in upper case, foreign", n.bundle(person{email: "Bob@foreign.test", issuer: "foreign.test", signer: foreignKey(), key: clientKey(), header: `{"alg":"RS256"}`}), capitals + "|"},
		{"newline", with(claims("alice@example.com", `alice@example.com\nboss@example.com`)), noEmail + "|"},
		{"newline in front", with(claims("alice@example.com", `boss\nalice@example.com`)), noEmail + "|"},
		{"NUL", with(claims("alice@example.com", `alice@example.com\u0000.evil.test`)), noEmail + "|"},
		{"two @", with(claims("alice@example.com", "alice@evil.test@example.com")), noEmail + "|"},
		{"no @", with(claims("alice@example.com", "alice")), noEmail + "|"},
		{"not ASCII", with(claims("alice@example.com", "alic\u00e9@example.com")), noEmail + "|"},
		{"quoted", with(claims("alice@example.com", `\"alice\"@example.com`)), noEmail + "|"},
		{"address literal", with(claims("alice@example.com", "alice@[127.0.0.1]")), noEmail + "|"},
		{"port in the domain", with(claims("alice@example.com", "alice@example.com:443")), noEmail + "|"},
		{"email is a list", with(claims(`"alice@example.com"`, `["alice@example.com"]`)), noEmail + "|"},
		{"two emails", with(claims(`{"email"`, `{"email":"boss@example.com","email"`)), `"email" is there twice`},

		{"own issuer, foreign address", with(func(p *person) { p.email = "bob@foreign.test" }), "untrusted issuer, expected 'foreign.test', got 'id.example.com'|"},
		{"foreign issuer, own address", with(func(p *person) { p.issuer, p.signer = "foreign.test", foreignKey() }), "untrusted issuer, expected 'id.example.com', got 'foreign.test'|"},
		{"mail domain as issuer although it delegates", with(func(p *person) { p.issuer = "example.com" }), "untrusted issuer, expected 'id.example.com', got 'example.com'|"},
		{"delegated: mail domain as issuer", with(func(p *person) { p.email, p.issuer, p.signer = "x@far.test", "far.test", foreignKey() }), "untrusted issuer, expected 'foreign.test', got 'far.test'|"},
		{"delegated: intermediate issuer", with(func(p *person) { p.email, p.issuer, p.signer = "x@far.test", "middle.test", foreignKey() }), "untrusted issuer, expected 'foreign.test', got 'middle.test'|"},
		{"issuer with the port written", with(func(p *person) { p.issuer = "id.example.com:443" }), "must be written without :443"},
		{"issuer in upper case", with(func(p *person) { p.issuer = "ID.example.com" }), "not in lower case"},
		{"issuer an URL", with(func(p *person) { p.issuer = "https://id.example.com" }), "authority"},
		{"issuer an address", with(func(p *person) { p.issuer = "127.0.0.1" }), "an IP address is not a host name"},
		{"stranger's domain", with(func(p *person) { p.email, p.issuer, p.signer = "me@evil.test", "evil.test", strayKey() }), "this verifier accepts no emails from 'evil.test'|"},
		{"below one of ours", with(func(p *person) { p.email = "me@sub.example.com" }), "this verifier accepts no emails from 'sub.example.com'|"},
		{"disabled domain", with(func(p *person) { p.email, p.issuer = "a@old.example", "old.example" }), "old.example is not a browserid primary - it is disabled|"},

		{"RSA of 1024 bit", with(func(p *person) { p.key = shortKey() }), "client key: bad key size: 1024"},
		{"DSA", with(claims(keyJSON(t, clientKey()), mockmyid)), "client key: a DSA key is not supported"},
		{"RSA of 4096 bit", with(claims(`"n":"`, `"n":"1`+strings.Repeat("0", 610))), "bad key size"},
		{"no key", with(claims(`"public-key"`, `"pubkey"`)), `"public-key" is missing`},

		{"other website", with(assertion("rp.example", "other.example")), "audience mismatch: domain mismatch|"},
		{"other scheme", with(assertion("https://", "http://")), "audience mismatch: scheme mismatch|"},
		{"other port", with(assertion("rp.example", "rp.example:8443")), "audience mismatch: port mismatch|"},
		{"no audience", with(assertion(`"aud"`, `"for"`)), `assertion: "aud" is missing`},
		{"audience with a path", with(assertion("rp.example", "rp.example/")), "has non-empty path"},
		{"audience a list", with(assertion(`"`+site+`"`, `["`+site+`"]`)), `"aud" is not a string`},
	}
	v := n.verifier()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			verdict, err := v.Verify(t.Context(), test.bundle, site)
			var refused *verifier.Refusal
			if verdict != nil || !errors.As(err, &refused) {
				t.Fatalf("%+v, %v", verdict, err)
			}
			want, exact := strings.CutSuffix(test.want, "|")
			if exact && refused.Reason != want || !strings.Contains(refused.Reason, want) {
				t.Errorf("%q, want %q", refused.Reason, test.want)
			}
			if strings.ContainsAny(refused.Reason, "\n\x00") {
				t.Errorf("%q has control characters", refused.Reason)
			}
		})
	}
	if _, err := v.Verify(t.Context(), good, site); err != nil {
		t.Errorf("what all these are made of is good: %v", err)
	}
	for _, request := range n.requests() {
		if strings.HasPrefix(request, "evil.test") {
			t.Error("a domain that is not accepted was asked")
		}
	}
}

// mockmyid is the DSA key of the archived test identity provider.
const mockmyid = `{"algorithm":"DS","y":"738ec929b559b604a232a9b55a5295afc368063bb9c20fac4e53a74970a4db7956d48e4c7ed523405f629b4cc83062f13029c4d615bbacb8b97f5e56f0c7ac9bc1d4e23809889fa061425c984061fca1826040c399715ce7ed385c4dd0d402256912451e03452d3c961614eb458f188e3e8d2782916c43dbe2e571251ce38262","p":"ff600483db6abfc5b45eab78594b3533d550d9f1bf2a992a7a8daa6dc34f8045ad4e6e0c429d334eeeaaefd7e23d4810be00e4cc1492cba325ba81ff2d5a5b305a8d17eb3bf4a06a349d392e00d329744a5179380344e82a18c47933438f891e22aeef812d69c8f75e326cb70ea000c3f776dfdbd604638c2ef717fc26d02e17","q":"e21e04f911d1ed7991008ecaab3bf775984309c3","g":"c52a4a0ff3b7e61fdf1867ce84138369a6154f4afa92966e3c827e25cfa6cf508b90e5de419e1337e07a2e9e2a3cd5dea704d175f8ebf6af397d69e110b96afb17c7a03259329e4829b0d03bbc7896b15b4ade53e130858cc34d96269aa89041f409136c7242a38895c9d5bccad4f389af1d7a4bd1398bd072dffa896233397a"}`

// The website says what it is as an origin; a final slash and a missing https are
// passed over, as the programs of the time sent them. It gets back what it sent.
func TestVerifyAudience(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	v, bundle := n.verifier(), n.bundle(alice())
	for audience, want := range map[string]string{
		site:                       "",
		"https://rp.example:443":   "",
		"HTTPS://RP.example":       "",
		"http://rp.example":        "audience mismatch: scheme mismatch",
		"https://rp.example:444":   "audience mismatch: port mismatch",
		"https://www.rp.example":   "audience mismatch: domain mismatch",
		"https://rp.example/":      "",
		"https://RP.example:443/":  "",
		"rp.example":               "",
		"rp.example/":              "",
		"RP.example:443":           "",
		"http://rp.example/":       "audience mismatch: scheme mismatch",
		"rp.example:80":            "audience mismatch: port mismatch",
		"www.rp.example":           "audience mismatch: domain mismatch",
		"http:rp.example":          "not a port",
		"https:/rp.example":        "has non-empty path",
		"//rp.example":             "has non-empty path",
		"https://rp.example//":     "has non-empty path",
		"https://rp.example/blog":  "has non-empty path",
		"https://rp.example/blog/": "has non-empty path",
		"rp.example/blog/":         "has non-empty path",
		"rp.example?x":             "write the whole origin",
		"u@rp.example":             "write the whole origin",
		"://rp.example":            "neither http nor https",
		"app://rp.example":         "neither http nor https",
		"/":                        "write the whole origin",
		"https:///":                "write the whole origin",
		"":                         "write the whole origin",
		"https://":                 "write the whole origin",
		"https://u@rp.example":     "write the whole origin",
		"https://rp.example\n":     "write the whole origin",
	} {
		verdict, err := v.Verify(t.Context(), bundle, audience)
		switch {
		case want == "" && (err != nil || verdict.Audience != audience):
			t.Errorf("%q: %+v, %v", audience, verdict, err)
		case want != "" && (err == nil || !strings.HasPrefix(err.Error(), "audience mismatch: ") || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: %v, want %s", audience, err, want)
		}
	}
}

// A domain that is broken signs no one in, and the website is told why.
func TestVerifyLookupFails(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	n.publish("foreign.test", "<html>", "Content-Type", "text/html")
	_, err := n.verifier().Verify(t.Context(), n.bundle(bob()), site)
	var refused *verifier.Refusal
	if !errors.As(err, &refused) || refused.Reason != `foreign.test is not a browserid primary - non "application/json" response to /.well-known/browserid` {
		t.Errorf("%v", err)
	}
}

// Opened, the verifier accepts any domain, for the addresses of that domain alone.
func TestVerifyOpen(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	n.publish("evil.test", support(t, strayKey()))
	v := n.verifier(func(c *verifier.Config) { c.Domains = []string{verifier.AllDomains} })
	p := person{email: "me@evil.test", issuer: "evil.test", signer: strayKey(), key: clientKey(), header: `{"alg":"RS256"}`}
	if _, err := v.Verify(t.Context(), n.bundle(p), site); err != nil {
		t.Error(err)
	}
	p.email = "alice@example.com"
	if _, err := v.Verify(t.Context(), n.bundle(p), site); err == nil || err.Error() != "untrusted issuer, expected 'id.example.com', got 'evil.test'" {
		t.Errorf("%v", err)
	}
}

// Old identity providers certified addresses as they were typed: the open verifier
// accepts them as they were signed, but from our own issuer.
func TestVerifyCapitals(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	n.publish("foreign.test", support(t, foreignKey()))
	n.publish("idp.foreign.test", support(t, foreignKey()))
	n.publish("evil.test", support(t, strayKey()))
	n.delegate("far.test", "foreign.test")
	v := n.verifier(func(c *verifier.Config) { c.Domains = []string{verifier.AllDomains} })
	by := func(email, issuer string, key *rsa.PrivateKey) person {
		return person{email: email, issuer: issuer, signer: key, key: clientKey(), header: `{"alg":"RS256"}`}
	}
	tests := []struct {
		name string
		person
		want string
	}{
		{"foreign", by("JOE@foreign.test", "foreign.test", foreignKey()), ""},
		{"foreign, one capital", by("Joe.Doe+X@foreign.test", "foreign.test", foreignKey()), ""},
		{"foreign, delegated", by("JOE@far.test", "foreign.test", foreignKey()), ""},
		{"our domain, which delegates to a foreign issuer", by("JOE@elsewhere.example", "idp.foreign.test", foreignKey()), ""},
		{"not the authority", by("JOE@foreign.test", "evil.test", strayKey()), "untrusted issuer, expected 'foreign.test', got 'evil.test'"},
		{"another's signature", by("JOE@foreign.test", "foreign.test", strayKey()), "invalid signature"},
		{"capitals in the domain", by("joe@FOREIGN.test", "foreign.test", foreignKey()), capitals},
		{"our own", by("Alice@example.com", "id.example.com", ownKey()), capitals},
		{"our own host", by("Alice@id.example.com", "id.example.com", ownKey()), capitals},
		{"not ASCII", by("\u212aate@foreign.test", "foreign.test", foreignKey()), noEmail},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, answer := ask(t, n.api(func(c *verifier.APIConfig) { c.Verifier = v }), "v2", jsonType, jsonOf(t, n.bundle(test.person), site))
			switch {
			case test.want == "" && (answer["status"] != "okay" || answer["email"] != test.email):
				t.Errorf("%v", answer)
			case test.want != "" && (answer["status"] != "failure" || answer["reason"] != test.want):
				t.Errorf("%v, want %s", answer, test.want)
			}
		})
	}
}

func TestVerifyNothingAccepted(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	v := n.verifier(func(c *verifier.Config) { c.Domains = nil })
	if _, err := v.Verify(t.Context(), n.bundle(alice()), site); err == nil {
		t.Error("an address was accepted")
	}
}

// What cannot be decided is no refusal, and no assertion is accepted.
func TestVerifyCannotSay(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	notReady := errors.New("keys not ready")
	tests := map[string]struct {
		change func(*verifier.Config)
		want   error
	}{
		"memory full": {func(c *verifier.Config) { c.Seen = brokenSeen{} }, verifier.ErrBusy},
		"keys not ready": {func(c *verifier.Config) {
			c.Discovery = n.discovery(func(c *verifier.DiscoveryConfig) {
				c.Own = func(string) (browserid.Document, bool, error) { return nil, true, notReady }
			})
		}, notReady},
	}
	for name, test := range tests {
		verdict, err := n.verifier(test.change).Verify(t.Context(), n.bundle(alice()), site)
		var refused *verifier.Refusal
		if verdict != nil || !errors.Is(err, test.want) || errors.As(err, &refused) {
			t.Errorf("%s: %+v, %v", name, verdict, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.verifier().Verify(ctx, n.bundle(bob()), site); !errors.Is(err, context.Canceled) {
		t.Errorf("who has left got %v", err)
	}
}
