package idp_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/hub"

	"github.com/google/go-cmp/cmp"
)

func TestAddressInfo(t *testing.T) {
	t.Parallel()
	b := newWorld(t, asHub).browser()
	own := hub.AddressInfo{
		Type: "primary", Issuer: "example.test", State: "unknown", NormalizedEmail: "ann+x@example.test",
		Authentication: "https://example.test/persona/authenticate", Provisioning: "https://example.test/persona/provision",
	}
	sister := own
	sister.NormalizedEmail = "ann@sister.test"
	tests := []struct {
		query string
		want  hub.AddressInfo
	}{
		{"email=Ann%2Bx@Example.test", own},
		{"email=Ann%2Bx@Example.test&issuer=default", own},
		{"email=ann@sister.test", sister},
		{"email=ann@company.test", hub.AddressInfo{
			Type: "primary", Issuer: "idp.company.test", State: "unknown", NormalizedEmail: "ann@company.test",
			Authentication: "https://idp.company.test/sign-in", Provisioning: "https://idp.company.test/provision",
		}},
		{"email=ann@disabled.test", hub.AddressInfo{
			Type: "secondary", Disabled: true, State: "unknown", NormalizedEmail: "ann@disabled.test",
			Reason: "disabled.test publishes that it has no identity provider",
		}},
		{"email=ann@nowhere.test", hub.AddressInfo{
			Type: "secondary", State: "unknown", NormalizedEmail: "ann@nowhere.test",
			Reason: "nowhere.test is not a browserid primary - non-200 response code to /.well-known/browserid",
		}},
	}
	for _, test := range tests {
		response := b.get("/persona/wsapi/address_info?" + test.query)
		wantStatus(t, response, http.StatusOK)
		if diff := cmp.Diff(test.want, decode[hub.AddressInfo](t, response)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.query, diff)
		}
	}
	for query, reason := range map[string]string{
		"":                                  "missing required argument: email",
		"email=":                            "missing required argument: email",
		"email=a@b.test&email=a@c.test":     "parameter given twice: email",
		"email=a@b.test&x=1":                "extra parameter: x",
		"email=a@b.test&issuer=evil.test":   "no issuer can be forced here",
		"email=a%00@b.test":                 "invalid email",
		"email=a@b.test%0a":                 "invalid email",
		"email=a@b@c.test":                  "invalid email",
		"email=a@127.0.0.1":                 "invalid email",
		"email=" + strings.Repeat("a", 300): "invalid email",
		"email=%zz":                         "the query cannot be read",
		"email=a@b.test;x=1":                "the query cannot be read",
	} {
		response := b.get("/persona/wsapi/address_info?" + query)
		wantStatus(t, response, http.StatusBadRequest)
		got := decode[map[string]any](t, response)
		if got["success"] != false || got["reason"] != reason {
			t.Errorf("%s: %v, want %s", query, got, reason)
		}
	}
}

// Strangers choose where a look-up goes, so that each may cause a few only.
func TestAddressInfoIsLimited(t *testing.T) {
	t.Parallel()
	b := newWorld(t, asHub).browser()
	for range 30 {
		wantStatus(t, b.get("/persona/wsapi/address_info?email=a@company.test"), http.StatusOK)
	}
	response := b.get("/persona/wsapi/address_info?email=a@company.test")
	if response.Header.Get("Retry-After") == "" {
		t.Error("there is no Retry-After")
	}
	wantError(t, response, http.StatusTooManyRequests, "too_many_lookups")
	wantStatus(t, b.get("/persona/wsapi/address_info?email=a@example.test"), http.StatusOK)
	b.clock.Advance(time.Minute)
	wantStatus(t, b.get("/persona/wsapi/address_info?email=a@company.test"), http.StatusOK)
}

// Where too many look-ups are under way, the dialog is asked to try again.
func TestAddressInfoWhileBusy(t *testing.T) {
	t.Parallel()
	response := newWorld(t, asHub).browser().get("/persona/wsapi/address_info?email=a@busy.test")
	if got := response.Header.Get("Retry-After"); got != "5" {
		t.Errorf("Retry-After is %q", got)
	}
	wantError(t, response, http.StatusServiceUnavailable, "too_busy")
}

func TestSessionContext(t *testing.T) {
	t.Parallel()
	b := newWorld(t, asHub).browser()
	read := func() map[string]any {
		t.Helper()
		response := b.get("/persona/wsapi/session_context")
		wantStatus(t, response, http.StatusOK)
		got := decode[map[string]any](t, response)
		if seed, ok := got["random_seed"].(string); !ok || len(seed) != 44 {
			t.Errorf("the seed is %v", got["random_seed"])
		}
		delete(got, "random_seed")
		return got
	}
	want := map[string]any{
		"csrf_token": "", "server_time": float64(b.clock.Now().UnixMilli()), "authenticated": false, "auth_level": nil,
		"has_password": false, "domain_key_creation_time": 0.0, "data_sample_rate": 0.0, "cookies": false,
	}
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	b.signIn("alice", password)
	want["authenticated"], want["auth_level"], want["cookies"] = true, "assertion", true
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantStatus(t, b.get("/persona/wsapi/session_context?x=1"), http.StatusBadRequest)
}

func TestRelyingParty(t *testing.T) {
	t.Parallel()
	b := newWorld(t, asHub).browser()
	for origin, want := range map[string]bool{
		"https://example.test": true, "https://app.example.test": true, farSite: true,
		evilSite: false, "http://example.test": false, "null": false,
	} {
		response := b.get("/persona/wsapi/relying_party?origin=" + origin)
		wantStatus(t, response, http.StatusOK)
		if got := decode[map[string]bool](t, response); got["allowed"] != want {
			t.Errorf("%s: %v", origin, got)
		}
	}
	wantStatus(t, b.get("/persona/wsapi/relying_party"), http.StatusBadRequest)
}

func TestHubHeaders(t *testing.T) {
	t.Parallel()
	b := newWorld(t, asHub).browser()
	const everywhere = "default-src 'none'; script-src https://example.test/persona/static/; "
	for path, want := range map[string]struct{ csp, referrer, cache, resource string }{
		"/persona/sign_in":              {"frame-src https://example.test/persona/provision; frame-ancestors 'none'", "strict-origin-when-cross-origin", "no-store", "same-origin"},
		"/persona/sign_in?AUTH_RETURN":  {"img-src https://example.test/persona/static/ https: data:;", "strict-origin-when-cross-origin", "no-store", "same-origin"},
		"/persona/communication_iframe": {"frame-ancestors https://example.test https://rp.other.test https://*.example.test", "same-origin", "no-store", "cross-origin"},
	} {
		response := b.get(path)
		wantStatus(t, response, http.StatusOK)
		csp := response.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, everywhere) || !strings.Contains(csp, want.csp) || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: %s", path, csp)
		}
		got := []string{response.Header.Get("Referrer-Policy"), response.Header.Get("Cache-Control"), response.Header.Get("Cross-Origin-Resource-Policy"), response.Header.Get("Cross-Origin-Opener-Policy")}
		if diff := cmp.Diff([]string{want.referrer, want.cache, want.resource, ""}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	response := b.get("/persona/include.js")
	wantStatus(t, response, http.StatusOK)
	body := text(t, response)
	if len(body) >= 12<<10 || !strings.Contains(body, `JSON.parse("[\"https://example.test/persona\"]")`) {
		t.Errorf("include.js has %d bytes", len(body))
	}
	if got := response.Header.Get("Cross-Origin-Resource-Policy"); got != "cross-origin" {
		t.Errorf("include.js is %s", got)
	}
	wantStatus(t, b.get("/persona/include.js", with("Service-Worker", "script")), http.StatusForbidden)
}

// Sister hosts that name a hub are served by its dialog.
func TestHubServesSisters(t *testing.T) {
	t.Parallel()
	b := newWorld(t, asHub, func(c *settings) {
		c.Hosts[1].Hubs = []string{ownHub}
	}).browser()
	response := b.get("/persona/sign_in")
	if csp := response.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-src https://example.test/persona/provision https://second.test/persona/provision;") {
		t.Error(csp)
	}
	wantPage(t, response, http.StatusOK, `data-issuer="example.test" data-origin="https://example.test"`, `data-issuer="second.test" data-origin="https://second.test"`)
	b.host = otherHost
	if body := text(t, b.get("/persona/sign_in")); strings.Contains(body, "https://example.test") {
		t.Error("it is served the other way round, too")
	}
}

func TestWithoutHub(t *testing.T) {
	t.Parallel()
	b := newWorld(t).browser()
	for _, path := range []string{"/persona/include.js", "/persona/sign_in", "/persona/communication_iframe", "/persona/wsapi/address_info?email=a@example.test"} {
		wantStatus(t, b.get(path), http.StatusNotFound)
	}
	var answer map[string]string
	if err := json.Unmarshal([]byte(text(t, b.get("/persona/wsapi/x"))), &answer); err != nil || answer["error"] != "not_found" {
		t.Errorf("%v, %v", answer, err)
	}
}
