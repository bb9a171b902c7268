package verifier_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"persona-sidecar/idp/verifier"
)

// FuzzVerify looks for a panic, and for a bundle that is accepted and was not
// signed.
func FuzzVerify(f *testing.F) {
	n := newInternet(f)
	genuine := n.bundle(alice())
	f.Add(genuine, site)
	f.Add(genuine+"~", site)
	f.Add("~"+genuine, "rp.example")
	f.Add(genuine, "RP.example:443/")
	f.Add(genuine, "rp.example/x/")
	f.Add(n.bundle(bob()), site)
	f.Add(strings.Replace(genuine, ".", "~", 1), "https://[::1]:443")
	v := n.verifier(func(c *verifier.Config) { c.LegacyClientKeys = true })
	f.Fuzz(func(t *testing.T, bundle, audience string) {
		verdict, err := v.Verify(t.Context(), bundle, audience)
		var refused *verifier.Refusal
		switch {
		case err == nil && (verdict.Audience != audience || !strings.Contains(strings.ToLower(audience), "rp.example")):
			t.Errorf("%q was taken for %s, and is answered with %q", audience, site, verdict.Audience)
		case err == nil && (verdict.Email.String() != "alice@example.com" || !sameSigned(bundle, genuine)):
			t.Errorf("a forgery was accepted: %q for %q", bundle, audience)
		case err != nil && (!errors.As(err, &refused) || refused.Reason == ""):
			t.Errorf("no refusal: %v", err)
		}
	})
}

// sameSigned compares what was signed: a signature may be spelled without its
// leading zeros.
func sameSigned(a, b string) bool {
	signed := func(s string) (all string) {
		for part := range strings.SplitSeq(s, "~") {
			all += part[:max(strings.LastIndexByte(part, '.'), 0)] + "~"
		}
		return all
	}
	return signed(a) == signed(b)
}

// FuzzAPI looks for a request that is answered with neither verdict nor refusal.
func FuzzAPI(f *testing.F) {
	n := newInternet(f)
	api := n.api(func(c *verifier.APIConfig) { c.Rate = 1 << 30 })
	f.Add(true, form, formOf("a.b.c~d.e.f", site))
	f.Add(false, jsonType, jsonOf(f, n.bundle(alice()), site))
	f.Add(false, jsonType, `{"assertion":"x","audience":"y","trustedIssuers":[]}`)
	f.Add(true, "application/json;charset=utf-8", `{"assertion":null}`)
	f.Fuzz(func(t *testing.T, first bool, contentType, body string) {
		version := "v2"
		if first {
			version = "verify"
		}
		r := httptest.NewRequest(http.MethodPost, "/persona/"+version, strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		switch response := serve(api, version, r); response.StatusCode {
		case 200, 400, 413, 415:
		default:
			t.Errorf("status %d", response.StatusCode)
		}
	})
}
