package verifier_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/verifier"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

const (
	form     = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

func (n *internet) api(change ...func(*verifier.APIConfig)) *verifier.API {
	config := verifier.APIConfig{Verifier: n.verifier(), Now: n.clock.Now}
	for _, c := range change {
		c(&config)
	}
	return verifier.NewAPI(config)
}

// ask sends a request to both versions' path, v1 or v2.
func ask(t testing.TB, api *verifier.API, version, contentType, body string) (status int, answer map[string]any) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/persona/"+version, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	response := serve(api, version, r)
	if got := response.Header.Get("Content-Type"); got != jsonType {
		t.Errorf("Content-Type %q", got)
	}
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return response.StatusCode, answer
}

func serve(api *verifier.API, version string, r *http.Request) *http.Response {
	recorder := httptest.NewRecorder()
	if version == "v2" {
		api.ServeV2(recorder, r)
	} else {
		api.ServeV1(recorder, r)
	}
	return recorder.Result()
}

func formOf(assertion, audience string) string {
	return url.Values{"assertion": {assertion}, "audience": {audience}}.Encode()
}

func jsonOf(t testing.TB, assertion, audience string) string {
	t.Helper()
	text, err := json.Marshal(map[string]string{"assertion": assertion, "audience": audience})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAPIAnswers(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	api, bundle := n.api(), n.bundle(alice())
	okay := map[string]any{
		"status": "okay", "email": "alice@example.com", "audience": "https://RP.example:443", "issuer": "id.example.com",
		"expires": float64(n.clock.Now().Add(2 * time.Minute).UnixMilli()),
	}
	const as = "https://RP.example:443" // is echoed as the website wrote it
	tests := []struct{ name, version, contentType, body string }{
		{"form", "verify", form, formOf(bundle, as)},
		{"form with a charset", "verify", form + "; charset=UTF-8", formOf(bundle, as)},
		{"form, header in upper case", "verify", strings.ToUpper(form), formOf(bundle, as)},
		{"form with more", "verify", form, formOf(bundle, as) + "&experimental_forceIssuer=evil.test&x=1"},
		{"JSON", "verify", jsonType, jsonOf(t, bundle, as)},
		{"second version", "v2", jsonType, jsonOf(t, bundle, as)},
		{"second version with a charset", "v2", jsonType + "; charset=utf-8", jsonOf(t, bundle, as)},
		{"second version with issuers", "v2", jsonType, strings.Replace(jsonOf(t, bundle, as), "{", `{"trustedIssuers":["evil.test"],"x":{},`, 1)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			status, answer := ask(t, api, test.version, test.contentType, test.body)
			if status != http.StatusOK {
				t.Errorf("status %d", status)
			}
			if diff := cmp.Diff(okay, answer); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAPIClaims(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	p := alice()
	p.replace, p.assertion = []string{`"iss"`, `"name":"Al <ice>","iss"`}, []string{`"aud"`, `"device":[1],"aud"`}
	_, answer := ask(t, n.api(), "v2", jsonType, jsonOf(t, n.bundle(p), site))
	if diff := cmp.Diff(map[string]any{"name": "Al <ice>"}, answer["idpClaims"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]any{"device": []any{1.0}}, answer["userClaims"]); diff != "" {
		t.Error(diff)
	}
}

// A refusal is a verdict: 200. No further issuer is ever trusted.
func TestAPIRefuses(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	api := n.api()
	forged := alice()
	forged.issuer, forged.signer = "evil.test", strayKey()
	bundle := n.bundle(forged)
	want := map[string]any{"status": "failure", "reason": "untrusted issuer, expected 'id.example.com', got 'evil.test'"}
	for name, body := range map[string][3]string{
		"form":   {"verify", form, formOf(bundle, site) + "&experimental_forceIssuer=evil.test&experimental_allowUnverified=true"},
		"JSON":   {"verify", jsonType, strings.Replace(jsonOf(t, bundle, site), "{", `{"experimental_forceIssuer":"evil.test",`, 1)},
		"second": {"v2", jsonType, strings.Replace(jsonOf(t, bundle, site), "{", `{"trustedIssuers":["evil.test"],`, 1)},
	} {
		status, answer := ask(t, api, body[0], body[1], body[2])
		if status != http.StatusOK {
			t.Errorf("%s: status %d", name, status)
		}
		if diff := cmp.Diff(want, answer); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestAPIBadRequests(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	api, bundle := n.api(), n.bundle(alice())
	good := jsonOf(t, bundle, site)
	const expectedForm, expectedJSON = " (expected application/x-www-form-urlencoded or application/json)", " (expected application/json)"
	tests := []struct {
		name, version, contentType, body string
		status                           int
		reason                           string
	}{
		{"no assertion", "verify", form, "audience=https%3A%2F%2Frp.example", 400, "missing assertion parameter"},
		{"no audience", "verify", form, "assertion=x", 400, "missing audience parameter"},
		{"nothing", "verify", form, "", 400, "missing assertion parameter"},
		{"no assertion in JSON", "v2", jsonType, `{"audience":"https://rp.example"}`, 400, "missing assertion parameter"},
		{"no audience in JSON", "v2", jsonType, `{"assertion":"x"}`, 400, "missing audience parameter"},
		{"empty object", "v2", jsonType, `{}`, 400, "missing assertion parameter"},
		{"assertion twice", "verify", form, "assertion=x&assertion=y&audience=z", 400, "assertion parameter is there twice"},
		{"audience twice", "verify", form, "assertion=x&audience=y&audience=z", 400, "audience parameter is there twice"},
		{"semicolon", "verify", form, "assertion=x;audience=y", 400, "the form is malformed"},
		{"bad escape", "verify", form, "assertion=%zz&audience=y", 400, "the form is malformed"},
		{"empty JSON", "v2", jsonType, "", 400, "not the JSON object that is expected"},
		{"not JSON", "v2", jsonType, "assertion=x", 400, "not the JSON object that is expected"},
		{"array", "v2", jsonType, "[]", 400, "not the JSON object that is expected"},
		{"audience twice in JSON", "v2", jsonType, strings.Replace(good, "{", `{"audience":"https://evil.example",`, 1), 400, `"audience" is there twice`},
		{"audience in another case", "v2", jsonType, strings.Replace(good, "{", `{"Audience":"https://evil.example",`, 1), 400, `must be spelled "audience"`},
		{"assertion a number", "v2", jsonType, `{"assertion":5,"audience":"x"}`, 400, "is a JSON number"},
		{"audience an array", "v2", jsonType, `{"assertion":"x","audience":["x"]}`, 400, "is a JSON array"},
		{"more behind", "v2", jsonType, good + "{}", 400, "not the JSON object that is expected"},
		{"issuers a string", "v2", jsonType, strings.Replace(good, "{", `{"trustedIssuers":"x",`, 1), 400, "trusted issuers must be an array"},
		{"issuers null", "v2", jsonType, strings.Replace(good, "{", `{"trustedIssuers":null,`, 1), 400, "trusted issuers must be an array"},
		{"issuers numbers", "v2", jsonType, strings.Replace(good, "{", `{"trustedIssuers":["x",5],`, 1), 400, "trusted issuers must be an array of strings"},
		{"no type", "verify", "", good, 415, "Unsupported Content-Type: none" + expectedForm},
		{"text", "verify", "text/plain", good, 415, "Unsupported Content-Type: text/plain" + expectedForm},
		{"multipart", "verify", "multipart/form-data; boundary=x", good, 415, "Unsupported Content-Type: multipart/form-data; boundary=x" + expectedForm},
		{"form to the second version", "v2", form, formOf(bundle, site), 415, "Unsupported Content-Type: application/x-www-form-urlencoded" + expectedJSON},
		{"no type to the second version", "v2", "", good, 415, "Unsupported Content-Type: none" + expectedJSON},
		{"malformed type", "v2", "application/json; charset", good, 415, "Unsupported Content-Type: "},
		{"long form", "verify", form, "assertion=" + strings.Repeat("x", 20_000), 413, "longer than 16384 bytes"},
		{"long JSON", "v2", jsonType, `{"assertion":"` + strings.Repeat("x", 1<<20), 413, "longer than 16384 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			status, answer := ask(t, api, test.version, test.contentType, test.body)
			reason, _ := answer["reason"].(string)
			if status != test.status || answer["status"] != "failure" || !strings.Contains(reason, test.reason) || len(answer) != 2 {
				t.Errorf("%d %v, want %d %s", status, answer, test.status, test.reason)
			}
		})
	}
}

// The query of the address is written into logs; what stands there is not read.
func TestAPIDoesNotReadTheQuery(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	r := httptest.NewRequest(http.MethodPost, "/persona/verify?"+formOf(n.bundle(alice()), site), nil)
	r.Header.Set("Content-Type", form)
	if response := serve(n.api(), "verify", r); response.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d", response.StatusCode)
	}
	r = httptest.NewRequest(http.MethodPost, "/persona/verify?audience=https%3A%2F%2Fevil.example", strings.NewReader(formOf(n.bundle(alice()), site)))
	r.Header.Set("Content-Type", form)
	body, err := io.ReadAll(serve(n.api(), "verify", r).Body)
	if err != nil || !strings.Contains(string(body), `"okay"`) {
		t.Errorf("%s, %v", body, err)
	}
}

// Each caller has a limit of its own, and gets it back in time.
func TestAPILimit(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	client := netip.MustParseAddr("192.0.2.1")
	api := n.api(func(c *verifier.APIConfig) {
		c.Rate = 5
		c.ClientAddr = func(*http.Request) netip.Addr { return client }
	})
	status := func() int {
		code, _ := ask(t, api, "v2", jsonType, "{}")
		return code
	}
	for i := range 5 {
		if got := status(); got != http.StatusBadRequest {
			t.Fatalf("request %d: %d", i, got)
		}
	}
	code, answer := ask(t, api, "verify", form, "")
	if code != http.StatusServiceUnavailable || answer["reason"] != "too busy" {
		t.Errorf("%d %v", code, answer)
	}
	client = netip.MustParseAddr("192.0.2.2")
	if got := status(); got != http.StatusBadRequest {
		t.Errorf("another caller: %d", got)
	}
	for i := range 20_000 { // more callers than are remembered
		client = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		status()
	}
	client = netip.MustParseAddr("2001:db8::1")
	for range 5 {
		status()
	}
	client = netip.MustParseAddr("2001:db8::ffff:1")
	if got := status(); got != http.StatusServiceUnavailable {
		t.Errorf("the same machine by another address: %d", got)
	}
	n.clock.Advance(time.Second)
	if got := status(); got != http.StatusBadRequest {
		t.Errorf("a second later: %d", got)
	}
}

func TestAPITellsWhenToComeBack(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	api := n.api(func(c *verifier.APIConfig) {
		c.Verifier = n.verifier(func(c *verifier.Config) { c.Seen = brokenSeen{} })
	})
	r := httptest.NewRequest(http.MethodPost, "/persona/v2", strings.NewReader(jsonOf(t, n.bundle(alice()), site)))
	r.Header.Set("Content-Type", jsonType)
	response := serve(api, "v2", r)
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") != "1" {
		t.Errorf("%d, Retry-After %q", response.StatusCode, response.Header.Get("Retry-After"))
	}
}

// The operator is told the cause, the website is not; no assertion is logged.
func TestAPILog(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	var log strings.Builder
	api := n.api(func(c *verifier.APIConfig) {
		c.Log = zerolog.New(&log)
		c.Verifier = n.verifier(func(c *verifier.Config) {
			c.Discovery = n.discovery(func(c *verifier.DiscoveryConfig) { c.AllowPrivate = nil })
		})
	})
	bundle := n.bundle(bob())
	_, answer := ask(t, api, "v2", jsonType, jsonOf(t, bundle, site))
	if answer["reason"] != "foreign.test is not a browserid primary - cannot be reached" {
		t.Errorf("%v", answer)
	}
	if !strings.Contains(log.String(), "127.0.0.1 is not a public address") || !strings.Contains(log.String(), `"hint":"name it in lookups.allow_private`) {
		t.Errorf("the log lacks the cause: %s", log.String())
	}
	ask(t, api, "v2", jsonType, jsonOf(t, n.bundle(alice()), site))
	if !strings.Contains(log.String(), `"email":"alice@example.com"`) {
		t.Errorf("the log lacks what was verified: %s", log.String())
	}
	if strings.Contains(log.String(), bundle[:40]) || strings.Contains(log.String(), strconv.Itoa(n.port)+"\n") {
		t.Errorf("the log shows an assertion: %s", log.String())
	}
}

type brokenCounters struct{}

func (brokenCounters) Count(context.Context, string, int, time.Duration) (time.Duration, error) {
	return 0, io.ErrUnexpectedEOF
}

func TestAPIWithoutCounters(t *testing.T) {
	t.Parallel()
	api := newInternet(t).api(func(c *verifier.APIConfig) { c.Counters = brokenCounters{} })
	if code, answer := ask(t, api, "v2", jsonType, "{}"); code != http.StatusServiceUnavailable || answer["reason"] != "service unavailable" {
		t.Errorf("%d %v", code, answer)
	}
}
