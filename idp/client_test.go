package idp_test

import (
	"bytes"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"persona-sidecar/idp/browserid"
)

// browser keeps cookies by host, as far as these tests need it.
type browser struct {
	*world
	host    string
	cookies map[string]string // by host: the Cookie header
}

func (w *world) browser() *browser {
	return &browser{world: w, host: host, cookies: map[string]string{}}
}

// header changes a request before it is sent.
type header func(http.Header)

func with(name, value string) header { return func(h http.Header) { h.Set(name, value) } }
func without(name string) header     { return func(h http.Header) { h.Del(name) } }

func (b *browser) send(method, target, contentType, body string, headers ...header) *http.Response {
	b.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = b.host
	if method == http.MethodPost {
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Origin", "https://"+b.host)
	}
	if cookie := b.cookies[b.host]; cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	for _, change := range headers {
		change(r.Header)
	}
	if !b.server.Match(r) {
		b.t.Fatalf("%s %s is not matched", method, target)
	}
	recorder := httptest.NewRecorder()
	b.server.ServeHTTP(recorder, r)
	response := recorder.Result()
	for _, cookie := range response.Cookies() {
		if cookie.MaxAge < 0 {
			delete(b.cookies, b.host)
			continue
		}
		b.cookies[b.host] = cookie.Name + "=" + cookie.Value
	}
	return response
}

func (b *browser) get(target string, headers ...header) *http.Response {
	b.t.Helper()
	return b.send(http.MethodGet, target, "", "", headers...)
}

func (b *browser) postForm(target string, form url.Values, headers ...header) *http.Response {
	b.t.Helper()
	return b.send(http.MethodPost, target, "application/x-www-form-urlencoded", form.Encode(), headers...)
}

func (b *browser) postJSON(target, body string, headers ...header) *http.Response {
	b.t.Helper()
	return b.send(http.MethodPost, target, "application/json", body, headers...)
}

func signInForm(login, password string) url.Values {
	return url.Values{"username": {login}, "password": {password}, "computer": {"private"}}
}

// signIn signs a person in and expects success.
func (b *browser) signIn(login, password string) {
	b.t.Helper()
	response := b.postForm("/persona/authenticate", signInForm(login, password))
	wantStatus(b.t, response, http.StatusSeeOther)
}

// signedIn asks the API.
func (b *browser) signedIn() bool {
	b.t.Helper()
	response := b.get("/persona/api/session")
	wantStatus(b.t, response, http.StatusOK)
	return decode[map[string]any](b.t, response)["signed_in"].(bool)
}

func certificateRequest(email string, more ...string) string {
	key := &browserKey().PublicKey
	return requestWithKey(email, classic(key.N, big.NewInt(int64(key.E))), more...)
}

func requestWithKey(email, key string, more ...string) string {
	members := append([]string{`"email":` + quote(email), `"public_key":` + key}, more...)
	return "{" + strings.Join(members, ",") + "}"
}

func classic(n, e *big.Int) string {
	return `{"algorithm":"RS","n":"` + n.String() + `","e":"` + e.String() + `"}`
}

func quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(quoted)
}

// certify asks for a certificate and expects one.
func (b *browser) certify(request string) *browserid.Certificate {
	b.t.Helper()
	response := b.postJSON("/persona/api/certificate", request)
	wantStatus(b.t, response, http.StatusOK)
	certificate, err := browserid.ParseCertificate(decode[map[string]string](b.t, response)["certificate"])
	if err != nil {
		b.t.Fatal(err)
	}
	if err := certificate.Verify(b.published(b.host), b.clock.Now()); err != nil {
		b.t.Fatal(err)
	}
	return certificate
}

func wantStatus(t testing.TB, response *http.Response, status int) {
	t.Helper()
	if response.StatusCode != status {
		t.Fatalf("status %d, want %d; body:\n%s", response.StatusCode, status, text(t, response))
	}
}

// wantError expects an error of the API.
func wantError(t testing.TB, response *http.Response, status int, code string) {
	t.Helper()
	wantStatus(t, response, status)
	if got := response.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("the error has the type %q", got)
	}
	answer := decode[map[string]string](t, response)
	if answer["error"] != code || answer["message"] == "" || len(answer) != 2 {
		t.Errorf("the error is %v, want the code %s", answer, code)
	}
}

// wantPage expects a page that holds all the words.
func wantPage(t testing.TB, response *http.Response, status int, words ...string) string {
	t.Helper()
	wantStatus(t, response, status)
	body := text(t, response)
	for _, word := range words {
		if !strings.Contains(body, word) {
			t.Errorf("the page lacks %q:\n%s", word, body)
		}
	}
	return body
}

// text reads a body, which stays readable.
func text(t testing.TB, response *http.Response) string {
	t.Helper()
	var body bytes.Buffer
	if _, err := body.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	response.Body = http.NoBody
	return body.String()
}

func decode[T any](t testing.TB, response *http.Response) (value T) {
	t.Helper()
	body := text(t, response)
	if err := json.Unmarshal([]byte(body), &value); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return value
}
