package idp_test

import (
	"crypto/rand"
	"encoding/json"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/idptest"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/verifier"

	"github.com/google/go-cmp/cmp"
)

const relyingParty = "https://rp.example"

// verifying gives a world the verifier that the program has.
func verifying(t *testing.T, changes ...change) *world {
	t.Helper()
	var w *world
	discovery := verifier.NewDiscovery(verifier.DiscoveryConfig{
		Own: func(domain string) (browserid.Document, bool, error) { return w.documents.Document(domain) },
	})
	t.Cleanup(discovery.Close)
	w = newWorld(t, append(changes, func(c *settings) {
		v := verifier.New(verifier.Config{
			Discovery: discovery, Domains: []string{"example.test", "sister.test"}, LegacyClientKeys: c.LegacyClientKeys, Now: c.Now,
		})
		c.Verifier = verifier.NewAPI(verifier.APIConfig{Verifier: v, Rate: 3, ClientAddr: c.ClientAddr, Now: c.Now, Log: c.Log})
	})...)
	return w
}

// bundle is what a dialog on alice's machine makes.
func (b *browser) bundle() string {
	b.t.Helper()
	b.signIn("alice", password)
	certificate := b.certify(certificateRequest("alice@example.test"))
	assertion, err := browserid.SignAssertion(browserKey(), rand.Reader, relyingParty, b.clock.Now().Add(2*time.Minute))
	if err != nil {
		b.t.Fatal(err)
	}
	return certificate.String() + "~" + assertion
}

// A relying party's server has no cookie, no Origin, and no Sec-Fetch-Site; a
// page elsewhere may post here, too, for what it is worth.
func TestVerify(t *testing.T) {
	t.Parallel()
	w := verifying(t)
	bundle := w.browser().bundle()
	server := w.browser()
	body, err := json.Marshal(map[string]string{"assertion": bundle, "audience": relyingParty})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"status": "okay", "email": "alice@example.test", "audience": relyingParty, "issuer": host,
		"expires": float64(w.clock.Now().Add(2 * time.Minute).UnixMilli()),
	}
	crossSite := []header{with("Sec-Fetch-Site", "cross-site"), with("Origin", "https://evil.example")}
	none := []header{without("Sec-Fetch-Site"), without("Origin")}
	for name, response := range map[string]*http.Response{
		"form":              server.postForm("/persona/verify", url.Values{"assertion": {bundle}, "audience": {relyingParty}}, none...),
		"second version":    server.postJSON("/persona/v2", string(body), none...),
		"from another site": server.postJSON("/persona/v2", string(body), crossSite...),
	} {
		wantStatus(t, response, http.StatusOK)
		got := map[string]string{}
		for _, header := range []string{"Cache-Control", "X-Content-Type-Options", "X-Frame-Options", "Content-Security-Policy", "Content-Type", "Set-Cookie", "Access-Control-Allow-Origin", "Strict-Transport-Security"} {
			got[header] = response.Header.Get(header)
		}
		headers := map[string]string{
			"Cache-Control":           "private, no-cache, no-store, must-revalidate, max-age=0",
			"X-Content-Type-Options":  "nosniff",
			"X-Frame-Options":         "DENY",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
			"Content-Type":            "application/json",
			"Set-Cookie":              "", "Access-Control-Allow-Origin": "", "Strict-Transport-Security": "",
		}
		if diff := cmp.Diff(headers, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if diff := cmp.Diff(want, decode[map[string]any](t, response)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	busy := server.postJSON("/persona/v2", string(body))
	wantStatus(t, busy, http.StatusServiceUnavailable)
	if answer := decode[map[string]string](t, busy); answer["reason"] != "too busy" || busy.Header.Get("Retry-After") == "" {
		t.Errorf("%v, Retry-After %q", answer, busy.Header.Get("Retry-After"))
	}
}

func TestVerifyRoutes(t *testing.T) {
	t.Parallel()
	w := verifying(t)
	b := w.browser()
	for _, path := range []string{"/persona/verify", "/persona/v2"} {
		response := b.get(path)
		wantStatus(t, response, http.StatusMethodNotAllowed)
		if got := response.Header.Get("Allow"); got != "POST" {
			t.Errorf("%s: Allow: %s", path, got)
		}
		if answer := decode[map[string]string](t, response); answer["status"] != "failure" || answer["reason"] == "" {
			t.Errorf("%s: %v", path, answer)
		}
		if got := response.Header.Get("X-Frame-Options"); got != "DENY" {
			t.Errorf("%s: X-Frame-Options %q", path, got)
		}
	}
	for _, path := range []string{"/persona/verify/", "/persona//verify", "/persona/%76erify", "/persona/V2"} {
		wantStatus(t, b.postJSON(path, "{}"), http.StatusNotFound)
	}
	b.host = "delegating.test"
	wantStatus(t, b.postJSON("/persona/verify", "{}"), http.StatusNotFound)
	off := newWorld(t).browser()
	wantStatus(t, off.postJSON("/persona/verify", "{}"), http.StatusNotFound)
}

// Without the keys nothing is said about our own people, and that is not a refusal.
func TestVerifyBeforeTheKeysAreReady(t *testing.T) {
	t.Parallel()
	bundle := verifying(t).browser().bundle()
	w := verifying(t, func(c *settings) {
		c.Keys = keys.New(keys.Config{Store: ringStore(), Now: c.Now, Rand: rand.Reader, Log: c.Log}) // not loaded
	})
	response := w.browser().postForm("/persona/verify", url.Values{"assertion": {bundle}, "audience": {relyingParty}})
	wantStatus(t, response, http.StatusServiceUnavailable)
	if answer := decode[map[string]string](t, response); answer["status"] != "failure" || answer["reason"] != "service unavailable" {
		t.Errorf("%v", answer)
	}
}

func TestDocumentOfOurOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for domain, want := range map[string]browserid.Document{
		"sister.test":     browserid.Delegation{Authority: host},
		"delegating.test": browserid.Delegation{Authority: host},
		"disabled.test":   browserid.Disabled{},
		"stranger.test":   nil,
		"EXAMPLE.test":    nil,
		host + ":443":     nil,
	} {
		doc, ok, err := w.documents.Document(domain)
		if err != nil || ok != (want != nil) {
			t.Errorf("%s: %v, %v", domain, ok, err)
		}
		if diff := cmp.Diff(want, doc); diff != "" {
			t.Errorf("%s: %s", domain, diff)
		}
	}
	doc, ok, err := w.documents.Document(host)
	support, isSupport := doc.(browserid.Support)
	if !ok || err != nil || !isSupport || support.PublicKey == nil || support.Authentication != "/persona/authenticate" {
		t.Errorf("%+v, %v, %v", doc, ok, err)
	}
}

// The keys of historic browsers are certified where the configuration asks for
// it, and refused elsewhere.
func TestLegacyClientKeys(t *testing.T) {
	t.Parallel()
	rsaKey := func(bits uint) string { // an odd modulus of so many bits
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return classic(n.SetBit(n, 0, 1), big.NewInt(65537))
	}
	requests := map[string]string{
		"RSA 1023": classic(idptest.NewRSAKey(1023).N, big.NewInt(65537)),
		"RSA 1024": classic(idptest.NewRSAKey(1024).N, big.NewInt(65537)),
		"DSA":      `{"algorithm":"DS","y":"738ec929b559b604a232a9b55a5295afc368063bb9c20fac4e53a74970a4db7956d48e4c7ed523405f629b4cc83062f13029c4d615bbacb8b97f5e56f0c7ac9bc1d4e23809889fa061425c984061fca1826040c399715ce7ed385c4dd0d402256912451e03452d3c961614eb458f188e3e8d2782916c43dbe2e571251ce38262","p":"ff600483db6abfc5b45eab78594b3533d550d9f1bf2a992a7a8daa6dc34f8045ad4e6e0c429d334eeeaaefd7e23d4810be00e4cc1492cba325ba81ff2d5a5b305a8d17eb3bf4a06a349d392e00d329744a5179380344e82a18c47933438f891e22aeef812d69c8f75e326cb70ea000c3f776dfdbd604638c2ef717fc26d02e17","q":"e21e04f911d1ed7991008ecaab3bf775984309c3","g":"c52a4a0ff3b7e61fdf1867ce84138369a6154f4afa92966e3c827e25cfa6cf508b90e5de419e1337e07a2e9e2a3cd5dea704d175f8ebf6af397d69e110b96afb17c7a03259329e4829b0d03bbc7896b15b4ade53e130858cc34d96269aa89041f409136c7242a38895c9d5bccad4f389af1d7a4bd1398bd072dffa896233397a"}`,
	}
	strict := newWorld(t).browser()
	strict.signIn("alice", password)
	legacy := newWorld(t, func(c *settings) { c.LegacyClientKeys = true }).browser()
	legacy.signIn("alice", password)
	for name, key := range requests {
		request := requestWithKey("alice@example.test", key)
		wantError(t, strict.postJSON("/persona/api/certificate", request), http.StatusBadRequest, "bad_key")
		certificate := legacy.certify(request)
		if !certificate.PublicKey.Legacy() {
			t.Errorf("%s: another key was certified", name)
		}
	}
	outside := strings.Replace(requests["DSA"], `"y":"738e`, `"y":"738f`, 1)
	for _, key := range []string{outside, rsaKey(1022), rsaKey(1025), rsaKey(2046), rsaKey(2049)} {
		wantError(t, legacy.postJSON("/persona/api/certificate", requestWithKey("alice@example.test", key)), http.StatusBadRequest, "bad_key")
	}
}

// Four in ten keys that the historic JavaScript library makes are one bit short:
// they are certified, and what they sign is verified.
func TestClientKeysOneBitShort(t *testing.T) {
	t.Parallel()
	for bits, legacy := range map[int]bool{2047: false, 1023: true} {
		key := idptest.NewRSAKey(bits)
		w := verifying(t, func(c *settings) { c.LegacyClientKeys = legacy })
		b := w.browser()
		b.signIn("alice", password)
		certificate := b.certify(requestWithKey("alice@example.test", classic(key.N, big.NewInt(int64(key.E)))))
		assertion, err := browserid.SignAssertion(key, rand.Reader, relyingParty, w.clock.Now().Add(2*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		response := w.browser().postForm("/persona/verify", url.Values{"assertion": {certificate.String() + "~" + assertion}, "audience": {relyingParty}})
		wantStatus(t, response, http.StatusOK)
		if answer := decode[map[string]any](t, response); answer["status"] != "okay" || answer["email"] != "alice@example.test" {
			t.Errorf("%d bit: %v", bits, answer)
		}
	}
}

// Programs made for the first verifiers send the audience in other forms than an
// origin, and compare the answer with what they sent.
func TestVerifyAudienceAsSent(t *testing.T) {
	t.Parallel()
	w := verifying(t)
	bundle := w.browser().bundle()
	for audience, reason := range map[string]string{
		relyingParty + "/":      "",
		"rp.example":            "",
		"http://rp.example/":    "audience mismatch: scheme mismatch",
		relyingParty + "/blog/": "has non-empty path",
	} {
		w.clock.Advance(time.Second) // three requests are answered in one
		response := w.browser().postForm("/persona/verify", url.Values{"assertion": {bundle}, "audience": {audience}})
		wantStatus(t, response, http.StatusOK)
		answer := decode[map[string]any](t, response)
		switch said, _ := answer["reason"].(string); {
		case reason == "" && (answer["status"] != "okay" || answer["audience"] != audience):
			t.Errorf("%s: %v", audience, answer)
		case reason != "" && (answer["status"] != "failure" || !strings.Contains(said, reason)):
			t.Errorf("%s: %v, want %s", audience, answer, reason)
		}
	}
}
