package check_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"persona-sidecar/cmd/internal/check"
	"persona-sidecar/cmd/internal/check/report"
)

// host is an identity host that answers as ours does, and can be made to err.
type host struct {
	*provider
	signer *rsa.PrivateKey
	claims func(map[string]any) // changes what is certified
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{provider: newProvider(t), claims: func(map[string]any) {}}
	h.signer = h.key
	h.document = strings.NewReplacer("/sign-in", "/persona/authenticate", "/provision", "/persona/provision").Replace(h.document)
	h.answers["/persona/authenticate"] = func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet:
			text(200, "text/html", `<form><input type="password" name="password"></form>`)(w, r)
		case r.FormValue("password") != "secret" || r.FormValue("username") != "alice@example.test" || r.Header.Get("Origin") != "https://example.test" || r.Header.Get("Sec-Fetch-Site") != "same-origin":
			text(403, "text/html", `<p id="error" role="alert">It&#39;s wrong.</p>`)(w, r)
		default:
			http.SetCookie(w, &http.Cookie{Name: "__Host-persona", Value: "x", Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
			http.Redirect(w, r, "/persona/", http.StatusSeeOther)
		}
	}
	h.answers["/persona/api/session"] = func(w http.ResponseWriter, r *http.Request) {
		_, err := r.Cookie("__Host-persona")
		answer, _ := json.Marshal(map[string]any{"signed_in": err == nil, "name": "Alice", "addresses": []string{"alice@example.test"}})
		text(200, "application/json", string(answer))(w, r)
	}
	h.answers["/persona/api/certificate"] = h.certify
	h.answers["/persona/logout"] = text(200, "text/html", "You are signed out")
	return h
}

func (h *host) certify(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Email     string          `json:"email"`
		PublicKey json.RawMessage `json:"public_key"`
		Duration  int64           `json:"duration"`
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(body, &request) != nil {
		http.Error(w, "no", http.StatusBadRequest)
		return
	}
	now := time.Now()
	claims := map[string]any{
		"iss": "example.test", "principal": map[string]string{"email": request.Email}, "public-key": request.PublicKey,
		"iat": now.Add(-10 * time.Second).UnixMilli(), "exp": now.Add(time.Duration(request.Duration) * time.Second).UnixMilli(),
	}
	h.claims(claims)
	answer, _ := json.Marshal(map[string]string{"certificate": sign(h.signer, claims)})
	text(200, "application/json", string(answer))(w, r)
}

// sign makes a JWS of whatever claims.
func sign(key *rsa.PrivateKey, claims map[string]any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		return err.Error()
	}
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		return err.Error()
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// TestPerson makes an identity host err in each way, and the step that checks it
// has to notice.
func TestPerson(t *testing.T) {
	t.Parallel()
	other := newKey(t)
	claim := func(name string, value any) func(*host) {
		return func(h *host) { h.claims = func(c map[string]any) { c[name] = value } }
	}
	at := func(name string, d time.Duration) func(*host) {
		return func(h *host) {
			h.claims = func(c map[string]any) { c[name] = time.Now().Add(d).UnixMilli() }
		}
	}
	cookie := func(line string) func(*host) {
		return func(h *host) {
			h.with("/persona/authenticate", func(header http.Header) {
				if header.Get("Set-Cookie") != "" {
					header.Del("Set-Cookie")
					header.Set("Set-Cookie", line)
				}
			})
		}
	}
	for name, test := range map[string]struct {
		change func(*host)
		wants  []want
	}{
		"right":                {func(*host) {}, []want{{"assertion", report.OK, "alice@example.test is proven", ""}, {"sign-out", report.OK, "", ""}}},
		"no form":              {func(h *host) { h.answers["/persona/authenticate"] = text(200, "text/html", "hello") }, []want{{"sign-in page", report.Failed, "no sign-in form", "another program"}, {"password", report.Skipped, "", ""}}},
		"page in trouble":      {func(h *host) { h.answers["/persona/authenticate"] = text(503, "text/html", "not ready") }, []want{{"sign-in page", report.Failed, "answers 503: not ready", "log"}}},
		"wrong password":       {func(h *host) { h.with("/persona/authenticate", func(http.Header) {}); refuse(h) }, []want{{"sign-in", report.Failed, "403: It's wrong.", "-login"}, {"certificate", report.Skipped, "", ""}}},
		"no cookie":            {func(h *host) { h.with("/persona/authenticate", func(header http.Header) { header.Del("Set-Cookie") }) }, []want{{"sign-in", report.Failed, "no session cookie came", "take cookies away"}, {"addresses", report.Skipped, "", ""}}},
		"cookie of the domain": {cookie("__Host-persona=x; Domain=example.test; Path=/; HttpOnly; SameSite=None"), []want{{"session cookie", report.Failed, "it is not Secure; it is not SameSite=Lax; it goes to all hosts below example.test", ""}}},
		"cookie for scripts":   {cookie("__Host-persona=x; Path=/; Secure; SameSite=Lax"), []want{{"session cookie", report.Failed, "it is not HttpOnly", ""}}},
		"session lost": {func(h *host) {
			h.answers["/persona/api/session"] = text(200, "application/json", `{"signed_in":false}`)
		}, []want{{"addresses", report.Failed, "not known any more", "cache"}}},
		"session in trouble": {func(h *host) { h.answers["/persona/api/session"] = text(500, "text/html", "oops") }, []want{{"addresses", report.Failed, "answers 500: oops", "log"}}},
		"not among the addresses": {func(h *host) {
			h.answers["/persona/api/session"] = text(200, "application/json", `{"signed_in":true,"name":"Alice","addresses":["a@example.test"]}`)
		}, []want{{"addresses", report.Failed, "alice@example.test is not among the addresses of Alice: a@example.test", "address_attributes"}}},
		"refused": {func(h *host) {
			h.answers["/persona/api/certificate"] = text(403, "application/json", `{"error":"not_your_address","message":"Not yours."}`)
		}, []want{{"certificate", report.Failed, "403 not_your_address: Not yours.", "log"}, {"verification", report.Skipped, "", ""}, {"assertion", report.Skipped, "", ""}, {"sign-out", report.OK, "", ""}}},
		"no certificate": {func(h *host) {
			h.answers["/persona/api/certificate"] = text(200, "application/json", `{"certificate":"abc"}`)
		}, []want{{"certificate", report.Failed, "", "another program"}}},
		"another key signs": {func(h *host) { h.signer = other }, []want{{"verification", report.Failed, "invalid signature", "persona check example.test"}, {"assertion", report.Failed, "invalid signature", "certificate"}}},
		"another issuer":    {claim("iss", "example.test:8443"), []want{{"verification", report.Failed, "example.test:8443 issued it, and outsiders expect example.test", "listen.public_https"}}},
		"another address":   {claim("principal", map[string]string{"email": "bob@example.test"}), []want{{"verification", report.Failed, "it is for bob@example.test", "report"}}},
		"another's key":     {claim("public-key", map[string]string{"algorithm": "RS", "n": other.N.String(), "e": "65537"}), []want{{"verification", report.Failed, "certifies another key", "report"}, {"assertion", report.Failed, "invalid signature", ""}}},
		"expired":           {at("exp", -time.Hour), []want{{"verification", report.Failed, "expired", "clocks"}}},
		"from the future":   {at("iat", 20*time.Second), []want{{"verification", report.Warning, "in the future", "no skew"}}},
		"far future":        {at("iat", time.Hour), []want{{"verification", report.Failed, "issued later", "clocks"}}},
		"seconds":           {claim("exp", time.Now().Add(time.Hour).Unix()), []want{{"certificate", report.Failed, "seconds", ""}}},
		"no time of issue":  {func(h *host) { h.claims = func(c map[string]any) { delete(c, "iat") } }, []want{{"verification", report.Warning, "does not say when", "report"}}},
		"too long":          {at("exp", 5*time.Hour), []want{{"verification", report.Warning, "10m0s were asked for", "report"}}},
		"no sign-out":       {func(h *host) { h.answers["/persona/logout"] = text(500, "text/html", "oops") }, []want{{"sign-out", report.Failed, "500: oops", "ends by itself"}}},
		"no document":       {func(h *host) { delete(h.answers, "/.well-known/browserid") }, []want{{"authority", report.Failed, "example.test: 404", "persona check example.test"}, {"sign-in page", report.Skipped, "", ""}}},
		"disabled":          {func(h *host) { h.document = `{"disabled":true}` }, []want{{"authority", report.Failed, "no identity provider", "remove disabled"}}},
		"led elsewhere":     {func(h *host) { h.document = `{"authority":"evil.test"}` }, []want{{"authority", report.Failed, "example.test → evil.test, and the configuration says that example.test signs", `{"authority":"example.test"}`}, {"password", report.Skipped, "", ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := newInternet(t)
			h := newHost(t)
			test.change(h)
			world.serve("example.test", h)
			world.serve("evil.test", newHost(t))
			found := look(t, world.checker(load(t, folder(t), identityYAML)).Address(check.SignIn{
				Address:  target(t, "alice@example.test").Address,
				Password: func(context.Context) (string, error) { return "secret", nil },
			}))
			for _, w := range test.wants {
				found.expect(t, w)
			}
		})
	}
}

// refuse makes every sign-in a wrong one.
func refuse(h *host) {
	answer := h.answers["/persona/authenticate"]
	h.answers["/persona/authenticate"] = func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Origin")
		answer(w, r)
	}
}

func target(t *testing.T, text string) check.Target {
	t.Helper()
	target, err := check.ParseTarget(text)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// TestPasswordPromptUnavailable: when no password can be asked for, the hint says
// how to give one.
func TestPasswordPromptUnavailable(t *testing.T) {
	t.Parallel()
	world := newInternet(t)
	world.serve("example.test", newHost(t))
	look(t, world.checker(load(t, folder(t), identityYAML)).Address(check.SignIn{
		Address:  target(t, "alice@example.test").Address,
		Password: func(context.Context) (string, error) { return "", errors.New("the input ended") },
	})).expect(t, want{"password", report.Failed, "the input ended", "-password-file"})
}

// TestAddressWithoutConfiguration: the domain of the address is checked, and no
// password is asked for.
func TestAddressWithoutConfiguration(t *testing.T) {
	t.Parallel()
	world := newInternet(t)
	world.serve("example.org", newProvider(t))
	found := look(t, world.checker(nil).Address(check.SignIn{Address: target(t, "alice@example.org").Address}))
	found.expect(t, want{"authority", report.OK, "example.org is its own authority", ""})
	found.expect(t, want{"provisioning page", report.OK, "https://example.org/provision", ""})
	found.nothingElse(t)
}

// TestForeignPerson: no password goes to a host that is not ours, and the answer
// says who it would be.
func TestForeignPerson(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		document string
		want     want
	}{
		"another provider": {"", want{"authority", report.Failed, "foreign.test signs for the addresses of foreign.test, and that is not an identity host", "types no password anywhere but"}},
		"delegates here":   {`{"authority":"example.test"}`, want{"authority", report.Failed, "foreign.test delegates to example.test, whose configuration does not sign for it", "certifies of example.test"}},
		"no provider":      {`{"disabled":true}`, want{"authority", report.Failed, "no identity provider: its document says", "contact the operator"}},
		"in circles":       {`{"authority":"foreign.test"}`, want{"authority", report.Failed, "in circles", "document of its own"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := newInternet(t)
			world.serve("example.test", newHost(t))
			p := newProvider(t)
			if test.document != "" {
				p.document = test.document
			}
			world.serve("foreign.test", p)
			found := look(t, world.checker(load(t, folder(t), identityYAML)).Address(check.SignIn{
				Address: target(t, "a@foreign.test").Address,
				Password: func(context.Context) (string, error) {
					t.Error("a password is asked for")
					return "secret", nil
				},
			}))
			found.expect(t, test.want)
		})
	}
}
