package assertion_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/gate/assertion"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/idptest"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/session"
)

const (
	host     = "id.example.com"
	audience = "https://example.com"
)

// ringStore holds the keys of two identity hosts, made once for all tests.
var ringStore = sync.OnceValue(func() *idptest.Store {
	store := idptest.NewStore(time.Now)
	ring := keys.New(keys.Config{Store: store, Now: time.Now, Rand: rand.Reader, Log: zerolog.Nop()})
	err := ring.Ensure(context.Background(),
		keys.Want{Host: host, Use: keys.UseAssertions}, keys.Want{Host: host, Use: keys.UseCertificates},
		keys.Want{Host: "other.test", Use: keys.UseAssertions})
	if err != nil {
		panic(err)
	}
	return store
})

// world is an issuer with what it stands on.
type world struct {
	t      testing.TB
	clock  *idptest.Clock
	ring   *keys.Ring
	issuer *assertion.Issuer
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldAt(t, time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC))
}

func newWorldAt(t testing.TB, now time.Time) *world {
	t.Helper()
	w := &world{t: t, clock: idptest.NewClock(now)}
	w.ring = keys.New(keys.Config{Store: ringStore(), Now: w.clock.Now, Rand: rand.Reader, Log: zerolog.Nop()})
	if err := w.ring.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.issuer = assertion.New(assertion.Config{Keys: w.ring, Now: w.clock.Now})
	return w
}

func identityHost(name string) *identity.Host {
	return &identity.Host{Name: name, Origin: "https://" + name, Role: identity.Provider, DirectoryName: "corp"}
}

// anna is signed in, since a minute before the clock begins.
func anna() *session.Subject {
	return &session.Subject{
		ID: strings.Repeat("5e", 16), AuthTime: time.Date(2026, 11, 20, 11, 59, 0, 500, time.UTC),
		Person: identity.Person{
			Directory: "corp", ID: "7f1c", Login: "anna", Name: "Änne \"A\" <Müller>",
			Addresses: idptest.Addresses("anna@example.test", "a.mueller@example.test"), Groups: []string{"Entwickler, süd", "staff"},
		},
	}
}

func (w *world) sign(s *session.Subject) string {
	w.t.Helper()
	token, _, err := w.issuer.Assertion(identityHost(host), audience, s)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// jwks returns what a host publishes.
func (w *world) jwks(host string) *httptest.ResponseRecorder {
	w.t.Helper()
	routes := w.issuer.Routes(identityHost(host))
	if len(routes) != 1 || routes[0].Path != "/persona/assertion/jwks.json" {
		w.t.Fatalf("the routes are %v", routes)
	}
	recorder := httptest.NewRecorder()
	if err := routes[0].Methods[http.MethodGet](recorder, httptest.NewRequest(http.MethodGet, routes[0].Path, nil)); err != nil {
		w.t.Fatal(err)
	}
	return recorder
}

// verify does what docs/identity-headers.md asks of a website.
func (w *world) verify(token string) (claims map[string]any, err error) {
	w.t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(w.jwks(host).Body.Bytes(), &set); err != nil {
		w.t.Fatal(err)
	}
	if _, err := signedIn(token, set, w.clock.Now()); err != nil {
		return nil, err
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		return nil, err
	}
	return claims, json.Unmarshal(payload, &claims)
}

func TestClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.sign(anna())
	got, err := w.verify(token)
	if err != nil {
		t.Fatal(err)
	}
	sid, _ := got["sid"].(string)
	delete(got, "sid")
	now := float64(w.clock.Now().Unix())
	want := map[string]any{
		"iss": "https://id.example.com", "aud": "https://example.com", "sub": "corp:7f1c",
		"preferred_username": "anna", "email": "anna@example.test", "name": "Änne \"A\" <Müller>",
		"groups": []any{"Entwickler, süd", "staff"}, "auth_time": now - 60, "iat": now - 10, "exp": now + 110,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if len(sid) != 22 || strings.Contains(sid, "5e5e") {
		t.Errorf("the sid is %q", sid)
	}
	other := anna()
	other.ID = strings.Repeat("e5", 16)
	if again, err := w.verify(w.sign(other)); err != nil || again["sid"] == sid {
		t.Errorf("another session has the sid %v, %v", again["sid"], err)
	}
	w.clock.Advance(30 * time.Second)
	if again, err := w.verify(w.sign(anna())); err != nil || again["sid"] != sid {
		t.Errorf("the session has another sid later: %v, %v", again["sid"], err)
	}
}

// TestSparePerson: what the directory does not know is absent, and groups are a list.
func TestSparePerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got, err := w.verify(w.sign(&session.Subject{ID: "00", AuthTime: w.clock.Now(), Person: identity.Person{Directory: "corp", ID: "x"}}))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"email", "name", "preferred_username", "groups_omitted"} {
		if value, found := got[name]; found {
			t.Errorf("%s is %v", name, value)
		}
	}
	if diff := cmp.Diff([]any{}, got["groups"]); diff != "" {
		t.Error(diff)
	}
}

// TestManyGroups: an assertion stays below what servers take for one field.
func TestManyGroups(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"group %d", "Entwickler süd-%d", "\"<%d>\"", strings.Repeat("x", 300) + "%d"} {
		for _, count := range []int{0, 20, 100, 400, 5000} {
			subject := anna()
			subject.Person.Groups = nil
			for i := range count {
				subject.Person.Groups = append(subject.Person.Groups, fmt.Sprintf(name, i))
			}
			token, told, err := w.issuer.Assertion(identityHost(host), audience, subject)
			if err != nil || len(token) > 8000 {
				t.Errorf("%d groups like %s: %d bytes, %v", count, name, len(token), err)
			}
			got, err := w.verify(token)
			if err != nil {
				t.Fatal(err)
			}
			groups, _ := got["groups"].([]any)
			omitted, _ := got["groups_omitted"].(float64)
			if int(omitted) != told || len(groups)+told != count || len(groups) > 0 && groups[0] != subject.Person.Groups[0] {
				t.Errorf("%d groups like %s: %d are there, %v left out", count, name, len(groups), omitted)
			}
			if omitted > 0 && len(token) < 7<<10 {
				t.Errorf("%d groups like %s: %v left out, and only %d bytes", count, name, omitted, len(token))
			}
		}
	}
}

func TestLifetime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.sign(anna())
	w.clock.Advance(60*time.Second + 50*time.Second)
	if _, err := w.verify(token); err != nil {
		t.Errorf("after 110 seconds: %v", err)
	}
	w.clock.Advance(time.Second)
	if _, err := w.verify(token); !errors.Is(err, jwt.ErrExpired) {
		t.Errorf("after 111 seconds: %v", err)
	}
	w.clock.Advance(-121 * time.Second)
	if _, err := w.verify(token); err != nil {
		t.Errorf("a clock that is 10 seconds behind: %v", err)
	}
}

// TestKeysAreApart: the key of one use verifies nothing of the other.
func TestKeysAreApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	certificates, err := w.ring.Published(host, keys.UseCertificates)
	if err != nil {
		t.Fatal(err)
	}
	assertions, err := w.ring.Published(host, keys.UseAssertions)
	if err != nil || len(assertions) != 1 || len(certificates) != 1 || assertions[0].KID == certificates[0].KID {
		t.Fatalf("the keys are %v, %v, %v", assertions, certificates, err)
	}
	parsed, err := jwt.ParseSigned(w.sign(anna()), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	if err := parsed.Claims(certificates[0].Key, &jwt.Claims{}); err == nil {
		t.Error("the domain key verifies an assertion")
	}
	certificate, err := browserid.ParseCertificate(w.certificate())
	if err != nil {
		t.Fatal(err)
	}
	for use, published := range map[keys.Use][]keys.Public{keys.UseCertificates: certificates, keys.UseAssertions: assertions} {
		public, err := browserid.NewPublicKey(published[0].Key)
		if err != nil {
			t.Fatal(err)
		}
		if err := certificate.Verify([]*browserid.PublicKey{public}, w.clock.Now()); (err == nil) != (use == keys.UseCertificates) {
			t.Errorf("the key of %s and a certificate: %v", use, err)
		}
	}
	if _, err := browserid.ParseCertificate(w.sign(anna())); err == nil {
		t.Error("an assertion passes for a certificate")
	}
}

func TestPublishedKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	answer := w.jwks(host)
	var set map[string][]map[string]string
	if err := json.Unmarshal(answer.Body.Bytes(), &set); err != nil {
		t.Fatal(err)
	}
	published := set["keys"]
	if len(set) != 1 || len(published) != 1 || answer.Header().Get("Content-Type") != "application/json" || answer.Header().Get("ETag") == "" {
		t.Fatalf("got %v, %s", answer.Header(), answer.Body)
	}
	for name, value := range published[0] {
		switch name {
		case "kty", "use", "alg", "e":
			if want := map[string]string{"kty": "RSA", "use": "sig", "alg": "RS256", "e": "AQAB"}[name]; value != want {
				t.Errorf("%s is %s", name, value)
			}
		case "kid", "n":
		default:
			t.Errorf("%s is published", name)
		}
	}
	w.issuer.Keys = keys.New(keys.Config{Store: idptest.NewStore(time.Now), Now: w.clock.Now, Rand: rand.Reader, Log: zerolog.Nop()})
	route := w.issuer.Routes(identityHost(host))[0]
	if err := route.Methods[http.MethodGet](httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, route.Path, nil)); !errors.Is(err, keys.ErrNotReady) || route.Keyless {
		t.Errorf("without keys: %v", err)
	}
	if token, _, err := w.issuer.Assertion(identityHost(host), audience, anna()); !errors.Is(err, keys.ErrNotReady) || token != "" {
		t.Errorf("signed without keys: %q, %v", token, err)
	}
}

// TestSecondImplementation lets OpenSSL check the signature.
func TestSecondImplementation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("openssl is not installed")
	}
	token := w.sign(anna())
	cut := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[cut+1:])
	if err != nil {
		t.Fatal(err)
	}
	_, signer, err := w.ring.Signer(host, keys.UseAssertions)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{
		"key.pem": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}), "signature": signature, "text": []byte(token[:cut]),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.CommandContext(t.Context(), "openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "text")
	command.Dir = dir
	if out, err := command.CombinedOutput(); err != nil || !strings.Contains(string(out), "Verified OK") {
		t.Errorf("%v: %s", err, out)
	}
}

func BenchmarkSign(b *testing.B) {
	w := newWorld(b)
	subject := anna()
	for b.Loop() {
		w.sign(subject)
	}
}
