package check_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"persona-sidecar/cmd/internal/check"
)

var update = flag.Bool("update", false, "write the golden files of testdata anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// found is a step that finds what it is given.
func found(name string, f check.Finding) check.Step {
	return check.Step{Name: name, Run: func(context.Context) check.Finding { return f }}
}

func samples() []check.Group {
	return []check.Group{
		{Subject: "example.com", Steps: []check.Step{
			found("DNS", check.Finding{Status: check.OK, Message: "192.0.2.1"}),
			found("certificate", check.Finding{Status: check.Failed, Message: "expired on 2026-11-01T00:00:00Z", Hint: "renew it"}),
			found("support document", check.Finding{Status: check.Skipped, Message: "no outsider comes that far"}),
		}},
		{Subject: "website http://cms:8080", Steps: []check.Step{
			found("popups", check.Finding{Status: check.Warning, Message: "a header with \x1b[31m<b> & a\nline", Hint: "send none"}),
			found("certificate of a person", check.Finding{Status: check.OK, Message: "for alice@example.com", Shown: json.RawMessage(`{"header":{"alg":"RS256"},"payload":{"iss":"example.com","x":"\u202e"}}`)}),
		}},
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	summary, err := check.Run(t.Context(), samples(), check.Text(&out, false))
	if err != nil {
		t.Fatal(err)
	}
	if want := (check.Summary{OK: 2, Warnings: 1, Failed: 1, Skipped: 1}); summary != want || summary.Status() != check.Failed {
		t.Errorf("got %+v, want %+v", summary, want)
	}
	golden(t, "text.golden", out.String())
	if strings.Contains(out.String(), "\x1b") {
		t.Error("a server's text reaches the terminal as it came")
	}
}

func TestLiveText(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if _, err := check.Run(t.Context(), samples()[:1], check.Text(&out, true)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "  … DNS\r\x1b[K  ✓ DNS ") {
		t.Errorf("the step under way is not shown and overwritten: %q", out.String())
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if _, err := check.Run(t.Context(), samples(), check.JSON(&out)); err != nil {
		t.Fatal(err)
	}
	golden(t, "json.golden", out.String())
	out.Reset()
	if _, err := check.Run(t.Context(), nil, check.JSON(&out)); err != nil || !strings.Contains(out.String(), `"findings": []`) {
		t.Errorf("got %s, %v", out.String(), err)
	}
}

// broken is an output that takes nothing.
type broken struct{}

var errBroken = errors.New("broken pipe")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestBrokenOutput(t *testing.T) {
	t.Parallel()
	for _, reporter := range []check.Reporter{check.Text(broken{}, false), check.JSON(broken{})} {
		if _, err := check.Run(t.Context(), samples(), reporter); !errors.Is(err, errBroken) {
			t.Errorf("got %v", err)
		}
	}
}

func TestStatusOfAll(t *testing.T) {
	t.Parallel()
	for want, summary := range map[check.Status]check.Summary{
		check.OK:      {OK: 1, Skipped: 1},
		check.Warning: {OK: 1, Warnings: 1},
		check.Failed:  {Warnings: 1, Failed: 1},
	} {
		if got := summary.Status(); got != want {
			t.Errorf("%+v: got %s, want %s", summary, got, want)
		}
	}
}

// TestStopped: somebody who stops the run gets no wrong findings.
func TestStopped(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var c collected
	_, err := check.Run(ctx, []check.Group{{Subject: "x", Steps: []check.Step{
		found("one", check.Finding{Status: check.OK}),
		{Name: "two", Run: func(context.Context) check.Finding { cancel(); return check.Finding{Status: check.Failed} }},
		{Name: "three", Run: func(context.Context) check.Finding { t.Error("taken"); return check.Finding{} }},
	}}}, &c)
	if !errors.Is(err, context.Canceled) || len(c.findings) != 1 {
		t.Errorf("got %v, %+v", err, c.findings)
	}
}

// TestTimeOfSteps: a step has an end, unless it waits for a person.
func TestTimeOfSteps(t *testing.T) {
	t.Parallel()
	bounded := func(want bool) func(ctx context.Context) check.Finding {
		return func(ctx context.Context) check.Finding {
			if _, got := ctx.Deadline(); got != want {
				t.Errorf("bounded: %t, want %t", got, want)
			}
			return check.Finding{Status: check.OK}
		}
	}
	if _, err := check.Run(t.Context(), []check.Group{{Subject: "x", Steps: []check.Step{
		{Name: "one", Run: bounded(true)}, {Name: "two", Run: bounded(false), Interactive: true},
	}}}, &collected{}); err != nil {
		t.Fatal(err)
	}
}

func TestParseTarget(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"example.com": "example.com", "EXAMPLE.com.": "example.com", "münchen.example": "xn--mnchen-3ya.example",
		"example.com:443": "example.com", "example.com:8443": "example.com:8443", "localhost": "localhost",
		"Alice@Example.com": "alice@example.com",
	} {
		got, err := check.ParseTarget(text)
		if err != nil || got.Domain+got.Address.String() != want {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "https://example.com", "example.com/", "a b", "alice@", "@example.com", "a@b@c", "192.0.2.1", "example.com:x", "-a.example", "a..b"} {
		if got, err := check.ParseTarget(text); err == nil {
			t.Errorf("%q: got %+v", text, got)
		}
	}
}

func TestParseResolve(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "192.0.2.1", "192.0.2.1:8443", "::1", "[::1]", "[::1]:8443", "persona", "persona:8443"} {
		if _, err := check.ParseResolve(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"http://a", "a:b", "a:0", "a:65536", ":443", "a b", "a:1:2", "a@b"} {
		if _, err := check.ParseResolve(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// TestResolve: our names are looked for where -resolve says, and nobody else's.
func TestResolve(t *testing.T) {
	t.Parallel()
	world := newInternet(t)
	server := newServer(t, newProvider(t))
	server.TLS = world.authority.TLS(t, "example.org")
	server.StartTLS()
	var err error
	if world.resolve, err = check.ParseResolve(server.Listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	seen := look(t, world.checker(nil).Domain("example.org")) // DNS knows no such name
	seen.expect(t, want{"DNS", check.Skipped, "as -resolve says", ""})
	seen.expect(t, want{"support document", check.OK, "200", ""})
	seen.nothingElse(t)

	world.place("id.example.org")
	p := &provider{answers: newProvider(t).answers}
	p.answers["/.well-known/browserid"] = published(`{"authority":"id.example.org"}`)
	server.Config.Handler = p
	seen = look(t, world.checker(nil).Domain("example.org"))
	seen.expect(t, want{"authority", check.Failed, "example.org → id.example.org: the connection is refused", ""})
}

// TestResolvePlain: with a port, plain HTTP is looked for at listen.http.
func TestResolvePlain(t *testing.T) {
	t.Parallel()
	world := newInternet(t)
	secure, plain := newServer(t, newProvider(t)), newServer(t, newProvider(t))
	secure.TLS = world.authority.TLS(t, "example.test")
	secure.StartTLS()
	plain.Start()
	var err error
	if world.resolve, err = check.ParseResolve(secure.Listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	yaml := replaced(identityYAML, "127.0.0.1:80", plain.Listener.Addr().String())
	look(t, world.checker(load(t, folder(t), yaml)).Domain("example.test")).
		expect(t, want{"plain HTTP", check.Warning, "404", "redirect to https"})
	yaml = replaced(identityYAML, "127.0.0.1:80", "127.0.0.1:0")
	look(t, world.checker(load(t, folder(t), yaml)).Domain("example.test")).
		expect(t, want{"plain HTTP", check.Skipped, "the port of HTTPS alone", ""})
}
