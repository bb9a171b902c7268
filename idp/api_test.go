package idp_test

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/idptest"

	"github.com/google/go-cmp/cmp"
)

func bigE(key *rsa.PrivateKey) *big.Int { return big.NewInt(int64(key.E)) }

func TestSession(t *testing.T) {
	t.Parallel()
	b := newWorld(t).browser()
	want := map[string]any{"signed_in": false, "directory_available": true, "addresses": []any{}}
	if diff := cmp.Diff(want, decode[map[string]any](t, b.get("/persona/api/session"))); diff != "" {
		t.Errorf("signed out (-want +got):\n%s", diff)
	}
	b.signIn("alice", password)
	want = map[string]any{
		"signed_in": true, "directory_available": true, "name": "Alice <Example>", "computer": "private",
		"addresses": []any{"alice@example.test", "a.liddell@example.test"},
	}
	if diff := cmp.Diff(want, decode[map[string]any](t, b.get("/persona/api/session"))); diff != "" {
		t.Errorf("signed in (-want +got):\n%s", diff)
	}
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	b.signIn("alice", password)
	certificate := b.certify(certificateRequest("A.Liddell@EXAMPLE.test", `"duration":3600`, `"unknown":[1]`))
	key, err := browserid.NewPublicKey(&browserKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if certificate.Issuer != host || certificate.Email.String() != "a.liddell@example.test" || !certificate.PublicKey.Equal(key) {
		t.Errorf("certificate of %s for %s", certificate.Issuer, certificate.Email)
	}
	if got := w.clock.Now().Sub(certificate.IssuedAt); got != 10*time.Second {
		t.Errorf("back-dated by %s", got)
	}
	for _, part := range []string{`"event":"certificate"`, `"person":"alice-id"`, `"address":"a.liddell@example.test"`, `"key":"` + key.Fingerprint() + `"`, `"until":"2026-05-04T11:00:00Z"`, `"client":"192.0.2.7"`, `"request_id":"request-1"`} {
		if !strings.Contains(w.logged.String(), part) {
			t.Errorf("the audit line lacks %s: %s", part, w.logged)
		}
	}
	// genKeyPair hands the key over as text.
	text := quote(classic(browserKey().N, bigE(browserKey())))
	b.certify(requestWithKey("alice@example.test", text))
}

func TestCertificateLifetime(t *testing.T) {
	t.Parallel()
	b := newWorld(t).browser()
	b.signIn("alice", password)
	for duration, want := range map[string]time.Duration{
		"": time.Hour, `"duration":0`: time.Minute, `"duration":1`: time.Minute, `"duration":60`: time.Minute, `"duration":61`: 61 * time.Second,
		`"duration":3599`: 3599 * time.Second, `"duration":3600`: time.Hour, `"duration":86400`: time.Hour,
		`"duration":9223372036854775807`: time.Hour, `"duration":18446744073709551616`: time.Hour, `"duration":` + strings.Repeat("9", 400): time.Hour,
	} {
		var more []string
		if duration != "" {
			more = []string{duration}
		}
		certificate := b.certify(certificateRequest("alice@example.test", more...))
		if got := certificate.Expires.Sub(b.clock.Now()); got != want {
			t.Errorf("%s gives %s, want %s", duration, got, want)
		}
	}
	for _, duration := range []string{"-1", "-0", "0.5", "3600.0", "1e3", "1E400", `"3600"`, "null", "true", "[]", "{}", `""`} {
		response := b.postJSON("/persona/api/certificate", certificateRequest("alice@example.test", `"duration":`+duration))
		wantError(t, response, http.StatusBadRequest, "bad_duration")
	}
}

func TestCertificateBadRequests(t *testing.T) {
	t.Parallel()
	b := newWorld(t).browser()
	b.signIn("alice", password)
	n, e := browserKey().N, bigE(browserKey())
	good := certificateRequest("alice@example.test")
	withKey := func(key string) string { return requestWithKey("alice@example.test", key) }
	domainKey, err := b.published(otherHost)[0].MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	own, other := b.published(host)[0].RSA(), b.published(otherHost)[0].RSA()
	half := browserKey().Primes[0]
	bits := func(count uint) *big.Int { // an odd number of so many bits
		return new(big.Int).SetBit(new(big.Int).Lsh(big.NewInt(1), count-1), 0, 1)
	}
	for name, test := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"foreign address":   {certificateRequest("bob@example.test"), 403, "not_your_address"},
		"foreign domain":    {certificateRequest("alice@elsewhere.test"), 403, "not_your_address"},
		"sub-domain":        {certificateRequest("alice@sub.example.test"), 403, "not_your_address"},
		"no address":        {certificateRequest("alice"), 403, "not_your_address"},
		"line break":        {certificateRequest("alice@example.test\n"), 403, "not_your_address"},
		"NUL":               {certificateRequest("alice@example.test\x00"), 403, "not_your_address"},
		"two addresses":     {certificateRequest("bob@example.test,alice@example.test"), 403, "not_your_address"},
		"dotless i":         {certificateRequest("al\u0131ce@example.test"), 403, "not_your_address"},
		"Kelvin sign":       {certificateRequest("alice@example.te\u212a"), 403, "not_your_address"},
		"email no string":   {`{"email":["alice@example.test"],"public_key":` + classic(n, e) + `}`, 400, "bad_request"},
		"no email":          {`{"public_key":` + classic(n, e) + `}`, 400, "bad_request"},
		"no key":            {`{"email":"alice@example.test"}`, 400, "bad_request"},
		"email twice":       {`{"email":"bob@example.test",` + good[1:], 400, "bad_request"},
		"key twice":         {good[:len(good)-1] + `,"public_key":"x"}`, 400, "bad_request"},
		"n twice":           {withKey(`{"algorithm":"RS","n":"3","n":"` + n.String() + `","e":"65537"}`), 400, "bad_request"},
		"other case":        {good[:len(good)-1] + `,"Email":"bob@example.test"}`, 400, "bad_request"},
		"trailing data":     {good + "{}", 400, "bad_request"},
		"array":             {"[" + good + "]", 400, "bad_request"},
		"empty":             {"", 400, "bad_request"},
		"not UTF-8":         {strings.Replace(good, "alice", "al\xff", 1), 400, "bad_request"},
		"deep":              {good[:len(good)-1] + `,"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + "}", 400, "bad_request"},
		"huge":              {good[:len(good)-1] + `,"x":"` + strings.Repeat("a", 1<<20) + `"}`, 413, "too_large"},
		"key null":          {withKey("null"), 400, "bad_key"},
		"key number":        {withKey("7"), 400, "bad_key"},
		"key no key":        {withKey("{}"), 400, "bad_key"},
		"key text no key":   {withKey(`"hello"`), 400, "bad_key"},
		"e is 1":            {withKey(classic(n, big.NewInt(1))), 400, "bad_key"},
		"e is even":         {withKey(classic(n, big.NewInt(65536))), 400, "bad_key"},
		"e is huge":         {withKey(classic(n, bits(2048))), 400, "bad_key"},
		"e is negative":     {withKey(classic(n, big.NewInt(-3))), 400, "bad_key"},
		"n is even":         {withKey(classic(new(big.Int).Sub(n, big.NewInt(1)), e)), 400, "bad_key"},
		"512 bit":           {withKey(classic(bits(512), e)), 400, "bad_key"},
		"1023 bit":          {withKey(classic(bits(1023), e)), 400, "bad_key"},
		"1024 bit":          {withKey(classic(bits(1024), e)), 400, "bad_key"},
		"2046 bit":          {withKey(classic(bits(2046), e)), 400, "bad_key"},
		"2049 bit":          {withKey(classic(bits(2049), e)), 400, "bad_key"},
		"4096 bit":          {withKey(classic(bits(4096), e)), 400, "bad_key"},
		"many digits":       {withKey(`{"algorithm":"RS","n":"` + strings.Repeat("9", 15000) + `","e":"65537"}`), 400, "bad_key"},
		"DSA":               {withKey(`{"algorithm":"DS","y":"2","p":"3","q":"5","g":"7"}`), 400, "bad_key"},
		"EC":                {withKey(`{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}`), 400, "bad_key"},
		"private key":       {withKey(`{"algorithm":"RS","n":"` + n.String() + `","e":"65537","d":"3"}`), 400, "bad_key"},
		"another's, e odd":  {withKey(classic(other.N, big.NewInt(65539))), 400, "bad_key"},
		"own, e odd":        {withKey(classic(own.N, big.NewInt(65539))), 400, "bad_key"},
		"e is 3":            {withKey(classic(n, big.NewInt(3))), 400, "bad_key"},
		"square":            {withKey(classic(new(big.Int).Mul(half, half), e)), 400, "bad_key"},
		"small factor":      {withKey(classic(bits(2048), e)), 400, "bad_key"},
		"another host's":    {withKey(string(domainKey)), 400, "bad_key"},
		"duration misspelt": {certificateRequest("alice@example.test", `"Duration":1`), 400, "bad_request"},
	} {
		t.Run(name, func(t *testing.T) {
			response := b.postJSON("/persona/api/certificate", test.body)
			wantError(t, response, test.status, test.code)
		})
	}
	for name, test := range map[string]struct {
		headers []header
		status  int
	}{
		"form":            {[]header{with("Content-Type", "application/x-www-form-urlencoded")}, 415},
		"text":            {[]header{with("Content-Type", "text/plain")}, 415},
		"charset":         {[]header{with("Content-Type", "application/json; charset=utf-8")}, 415},
		"upper case":      {[]header{with("Content-Type", "Application/JSON")}, 415},
		"no type":         {[]header{without("Content-Type")}, 415},
		"cross-site":      {[]header{with("Sec-Fetch-Site", "cross-site")}, 403},
		"same-site":       {[]header{with("Sec-Fetch-Site", "same-site")}, 403},
		"unknown site":    {[]header{with("Sec-Fetch-Site", "x")}, 403},
		"foreign origin":  {[]header{without("Sec-Fetch-Site"), with("Origin", "https://evil.test")}, 403},
		"origin, no CORS": {[]header{with("Origin", "https://hub.example.test"), with("Sec-Fetch-Site", "same-site")}, 403},
	} {
		response := b.postJSON("/persona/api/certificate", good, test.headers...)
		if response.StatusCode != test.status || response.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: status %d, want %d", name, response.StatusCode, test.status)
		}
	}
	b.certify(good)
}

func TestCertificateNeedsASession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	b.signIn("alice", password)
	cookie := b.cookies[host]
	request := certificateRequest("alice@example.test")
	refused := func(name string, b *browser) {
		t.Helper()
		response := b.postJSON("/persona/api/certificate", request)
		if response.StatusCode != http.StatusForbidden || !strings.Contains(text(t, response), "not_signed_in") {
			t.Errorf("%s: status %d", name, response.StatusCode)
		}
	}
	use := func(cookies string) *browser {
		other := w.browser()
		other.cookies[host] = cookies
		return other
	}
	refused("no cookie", use(""))
	refused("two cookies", use(cookie+"; "+cookie))
	refused("a second, empty one", use(cookie+"; __Host-persona="))
	refused("changed cookie", use(cookie[:len(cookie)-2]+"AA"))
	refused("cut cookie", use(cookie[:len(cookie)-8]))
	refused("nonsense", use("__Host-persona=x"))
	elsewhere := w.browser()
	elsewhere.host, elsewhere.cookies = otherHost, map[string]string{otherHost: cookie}
	refused("session of another host", elsewhere)
	use(cookie).certify(request)

	other := newWorld(t, provider(func(i *identity.Host) {
		i.Directory, i.DirectoryName = idptest.NewDirectory("guests", alice()), "guests"
	})).browser()
	other.cookies[host] = cookie
	refused("session of another directory", other)

	w.clock.Advance(8 * time.Hour)
	refused("expired session", use(cookie))
}

// What ends a session is noticed at the next certificate at once, and at any
// other use after five minutes.
func TestSessionEndsWithTheAccount(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*world){
		"removed": func(w *world) { w.directory.Remove("alice-id") },
		"password changed": func(w *world) {
			w.directory.Change("alice-id", func(a *idptest.Account) { a.PasswordChanged = w.clock.Now() })
		},
		"not allowed": status(identity.NotAllowed), "not in group": status(identity.NotInGroup), "expired": status(identity.Expired), "locked": status(identity.Locked), "must change": status(identity.MustChange),
		"disabled": status(identity.Deactivated),
		"password expired": func(w *world) {
			w.directory.Change("alice-id", func(a *idptest.Account) { a.PasswordExpired = true })
		},
	} {
		for _, byCertificate := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, certificate %t", name, byCertificate), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				b := w.browser()
				b.signIn("alice", password)
				old := b.cookies[host]
				w.clock.Advance(time.Minute)
				edit(w)
				if byCertificate {
					wantError(t, b.postJSON("/persona/api/certificate", certificateRequest("alice@example.test")), http.StatusForbidden, "not_signed_in")
				} else {
					if !b.signedIn() {
						t.Error("asked the directory within five minutes")
					}
					w.clock.Advance(4 * time.Minute)
				}
				if b.signedIn() || b.cookies[host] != "" {
					t.Error("the session has not ended")
				}
				// It stays ended, whatever becomes of the account.
				w.directory.Put(alice())
				b.cookies[host] = old
				if b.signedIn() {
					t.Error("the session has come back")
				}
				b.signIn("alice", password)
			})
		}
	}
}

func status(s identity.Status) func(*world) {
	return func(w *world) { w.directory.Change("alice-id", func(a *idptest.Account) { a.Status = s }) }
}

func TestAddressTakenAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	b.signIn("alice", password)
	w.directory.Change("alice-id", func(a *idptest.Account) { a.Addresses = idptest.Addresses("new@sister.test") })
	wantError(t, b.postJSON("/persona/api/certificate", certificateRequest("alice@example.test")), http.StatusForbidden, "not_your_address")
	if got := b.certify(certificateRequest("new@sister.test")); got.Issuer != host {
		t.Errorf("issuer %s", got.Issuer)
	}
}

func TestCertificateWhileTheDirectoryIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	b.signIn("alice", password)
	w.directory.Fail(errors.New("no route to 10.1.2.3"))
	response := b.postJSON("/persona/api/certificate", certificateRequest("alice@example.test"))
	if response.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	wantError(t, response, http.StatusServiceUnavailable, "directory_unavailable")
	w.directory.Fail(nil)
	b.certify(certificateRequest("alice@example.test"))
}

// A directory that answers about another person signs no one in.
func TestDirectoryAnswersAboutAnotherPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t, provider(func(i *identity.Host) { i.DirectoryName = "guests" }))
	b := w.browser()
	wantStatus(t, b.postForm("/persona/authenticate", signInForm("alice", password)), http.StatusServiceUnavailable)
	if b.signedIn() {
		t.Error("a person of another directory is signed in")
	}
}
