package trip_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"persona-sidecar/cmd/demo/internal/trip"
	"persona-sidecar/cmd/demo/internal/world"
)

// tamper stands between the trip and the sidecar and spoils the answers to one kind of request.
type tamper struct {
	inner  http.RoundTripper
	method string
	path   string
	spoil  func(*http.Response)
}

// forgetful answers a sign-out as the sidecar does and never passes it on: the browser forgets its cookie, and the
// session goes on.
type forgetful struct{ inner http.RoundTripper }

func (f forgetful) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Path != "/persona/logout" {
		return f.inner.RoundTrip(request)
	}
	return &http.Response{
		StatusCode: http.StatusOK, Request: request, Body: http.NoBody,
		Header: http.Header{"Set-Cookie": {"__Host-persona=; Path=/; Max-Age=0; Secure; HttpOnly"}},
	}, nil
}

func (t tamper) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.inner.RoundTrip(request)
	if err == nil && request.Method == t.method && request.URL.Path == t.path {
		t.spoil(response)
	}
	return response, err
}

func status(code int) func(*http.Response) {
	return func(r *http.Response) { r.StatusCode = code }
}

// insteadOf changes one status and leaves all others.
func insteadOf(wanted, given int) func(*http.Response) {
	return func(r *http.Response) {
		if r.StatusCode == wanted {
			r.StatusCode = given
		}
	}
}

func header(name, value string) func(*http.Response) {
	return func(r *http.Response) { r.Header.Set(name, value) }
}

func replaced(from, to string) func(*http.Response) {
	return func(r *http.Response) {
		body, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		r.Body = io.NopCloser(bytes.NewReader(bytes.ReplaceAll(body, []byte(from), []byte(to))))
		if err != nil {
			r.StatusCode = http.StatusTeapot
		}
	}
}

func newTrip(t *testing.T, w *world.World, client *http.Client) *trip.Trip {
	t.Helper()
	people := world.People()
	return trip.New(trip.Target{
		Host: world.Host, Origin: w.Origin(world.Host), PlainOrigin: w.PlainOrigin(world.Host),
		DelegateOrigin: w.Origin(world.Delegate), ShopOrigin: w.ShopOrigin(), Client: client,
		Login: people[0].Login, Password: people[0].Password, Addresses: people[0].Addresses,
		Foreign: people[1].Addresses[0], Now: time.Now, Rand: rand.Reader,
	})
}

// run takes the steps and returns the name of the one that failed, "" for none. The step called skip is left out.
func run(t *testing.T, made *trip.Trip, skip string) (failed, out string) {
	t.Helper()
	var text strings.Builder
	var steps []trip.Step
	for _, step := range made.Steps() {
		if step.Name != skip {
			steps = append(steps, step)
		}
	}
	passed := trip.Run(t.Context(), &text, steps)
	for line := range strings.Lines(text.String()) {
		if rest, found := strings.CutPrefix(line, "✗ "); found {
			failed = strings.TrimSpace(rest[:30])
		}
	}
	if passed != (failed == "") {
		t.Errorf("passed is %v, and the lines say\n%s", passed, text.String())
	}
	return failed, text.String()
}

// TestEachStepCanFail: a check that cannot fail proves nothing. Each case spoils one answer of the real sidecar, and the
// step that looks at it has to notice.
func TestEachStepCanFail(t *testing.T) {
	w, err := world.Start(t.Context(), world.Listen{HTTPS: "127.0.0.1:0", HTTP: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	if failed, out := run(t, newTrip(t, w, w.Client()), ""); failed != "" {
		t.Fatalf("nothing was spoiled, and yet:\n%s", out)
	}
	t.Run("old cookie refused", func(t *testing.T) {
		client := w.Client()
		client.Transport = forgetful{client.Transport}
		if failed, out := run(t, newTrip(t, w, client), "wrong password refused"); failed != "old cookie refused" {
			t.Errorf("%q failed:\n%s", failed, out)
		}
	})
	for _, test := range []struct {
		step, method, path string
		spoil              func(*http.Response)
	}{
		{"website through the proxy", "GET", "/", status(502)},
		{"website through the proxy", "GET", "/", replaced("Example Clockworks", "Parked")},
		{"request passed on unchanged", "GET", "/request.json", replaced("b=%zz", "b=")},
		{"request passed on unchanged", "GET", "/request.json", replaced(`"127.0.0.1"`, `"192.0.2.66, 127.0.0.1"`)},
		{"request passed on unchanged", "GET", "/request.json", replaced(`"https"`, `"http"`)},
		{"stream not held back", "GET", "/clock/beats", replacedByNothing},
		{"plain HTTP redirects", "GET", "/people", status(200)},
		{"plain HTTP redirects", "GET", "/people", header("Location", "https://elsewhere.example/")},
		{"support document", "GET", "/.well-known/browserid", header("Content-Type", "text/html")},
		{"support document", "GET", "/.well-known/browserid", replaced(`"public-key"`, `"disabled":true,"x"`)},
		{"delegation document", "GET", "/.well-known/browserid", replaced(`"authority":"example.localhost"`, `"authority":"mallory.example"`)},
		{"not signed in yet", "GET", "/persona/api/session", replaced(`"signed_in":false`, `"signed_in":true`)},
		{"sign-in page", "GET", "/persona/authenticate", header("Content-Security-Policy", "default-src *")},
		{"sign-in page", "GET", "/persona/authenticate", replaced(`id="password"`, "")},
		{"wrong password refused", "POST", "/persona/authenticate", status(303)},
		{"sign-in", "POST", "/persona/authenticate", weakened},
		{"session", "GET", "/persona/api/session", replaced("sales@", "boss@")},
		{"own page", "GET", "/persona/", replaced("sales@", "boss@")},
		{"cookie kept from the website", "GET", "/request.json", replaced(`"sidecar_cookie": false`, `"sidecar_cookie": true`)},
		{"certificate requested", "POST", "/persona/api/certificate", replaced(".", "..")},
		{"certificate verified", "POST", "/persona/api/certificate", resigned},
		{"foreign address refused", "POST", "/persona/api/certificate", allowed},
		{"include.js for websites", "GET", "/persona/include.js", header("Cross-Origin-Resource-Policy", "same-origin")},
		{"include.js for websites", "GET", "/persona/include.js", replacedByNothing},
		{"shop's page", "GET", "/", replaced("/persona/include.js", "/include.js")},
		{"shop's page", "GET", "/", replaced(`name="csrf"`, "")},
		{"sign-in at the shop", "POST", "/sign-in", insteadOf(303, 403)},
		{"sign-in at the shop", "GET", "/", replaced(`id="email"`, "")},
		{"stolen assertion refused", "POST", "/sign-in", insteadOf(403, 303)},
		{"forged form refused", "POST", "/sign-out", insteadOf(403, 303)},
		{"sign-out at the shop", "POST", "/sign-out", insteadOf(303, 500)},
		{"sign-out", "POST", "/persona/logout", status(500)},
	} {
		t.Run(test.step, func(t *testing.T) {
			client := w.Client()
			client.Transport = tamper{client.Transport, test.method, test.path, test.spoil}
			// Too many wrong passwords in a row would lock the account out of all later cases.
			skip := "wrong password refused"
			if test.step == skip {
				skip = ""
			}
			if failed, out := run(t, newTrip(t, w, client), skip); failed != test.step {
				t.Errorf("%q failed:\n%s", failed, out)
			}
		})
	}
}

func replacedByNothing(r *http.Response) {
	_ = r.Body.Close()
	r.Body = http.NoBody
}

func weakened(r *http.Response) {
	for i, cookie := range r.Header["Set-Cookie"] {
		r.Header["Set-Cookie"][i] = strings.Replace(cookie, "HttpOnly", "Max-Age=99", 1)
	}
}

// resigned changes the last characters of the signature.
func resigned(r *http.Response) {
	body, _ := io.ReadAll(r.Body)
	_ = r.Body.Close()
	end := bytes.LastIndexByte(body, '"')
	for i := end - 12; i < end-4; i++ {
		body[i] = 'A'
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
}

// allowed lets what was refused look granted.
func allowed(r *http.Response) {
	if r.StatusCode == http.StatusForbidden {
		r.StatusCode = http.StatusOK
	}
}

func TestRunStopsAtTheFirstFailure(t *testing.T) {
	t.Parallel()
	tried := 0
	steps := []trip.Step{
		{Name: "one", Do: func(context.Context) (string, error) { tried++; return "seen", nil }},
		{Name: "two", Hint: "look there", Do: func(context.Context) (string, error) { tried++; return "", errors.New("cause") }},
		{Name: "three", Do: func(context.Context) (string, error) { tried++; return "", nil }},
	}
	var out strings.Builder
	if trip.Run(t.Context(), &out, steps) || tried != 2 {
		t.Errorf("passed, or tried %d steps", tried)
	}
	for _, wanted := range []string{"✓ one", "seen", "✗ two", "cause", "look there", "not tried after this: 1 step"} {
		if !strings.Contains(out.String(), wanted) {
			t.Errorf("no %q in\n%s", wanted, out.String())
		}
	}
}

func TestRunInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	steps := []trip.Step{
		{Name: "one", Do: func(context.Context) (string, error) { cancel(); return "seen", nil }},
		{Name: "two", Do: func(context.Context) (string, error) { t.Error("tried"); return "", nil }},
	}
	var out strings.Builder
	if trip.Run(ctx, &out, steps) || !strings.Contains(out.String(), "interrupted at: one") {
		t.Error(out.String())
	}
}
