package report_test

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

	"persona-sidecar/cmd/internal/check/report"
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
func found(name string, f report.Finding) report.Step {
	return report.Step{Name: name, Run: func(context.Context) report.Finding { return f }}
}

func samples() []report.Group {
	return []report.Group{
		{Subject: "example.com", Steps: []report.Step{
			found("DNS", report.Finding{Status: report.OK, Message: "192.0.2.1"}),
			found("certificate", report.Finding{Status: report.Failed, Message: "expired on 2026-11-01T00:00:00Z", Hint: "renew it"}),
			found("support document", report.Finding{Status: report.Skipped, Message: "no outsider comes that far"}),
		}},
		{Subject: "website http://cms:8080", Steps: []report.Step{
			found("popups", report.Finding{Status: report.Warning, Message: "a header with \x1b[31m<b> & a\nline", Hint: "send none"}),
			found("certificate of a person", report.Finding{Status: report.OK, Message: "for alice@example.com", Shown: json.RawMessage(`{"header":{"alg":"RS256"},"payload":{"iss":"example.com","x":"\u202e"}}`)}),
		}},
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	summary, err := report.Run(t.Context(), samples(), report.Text(&out, false))
	if err != nil {
		t.Fatal(err)
	}
	if want := (report.Summary{OK: 2, Warnings: 1, Failed: 1, Skipped: 1}); summary != want || summary.Status() != report.Failed {
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
	if _, err := report.Run(t.Context(), samples()[:1], report.Text(&out, true)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "  … DNS\r\x1b[K  ✓ DNS ") {
		t.Errorf("the step under way is not shown and overwritten: %q", out.String())
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if _, err := report.Run(t.Context(), samples(), report.JSON(&out)); err != nil {
		t.Fatal(err)
	}
	golden(t, "json.golden", out.String())
	out.Reset()
	if _, err := report.Run(t.Context(), nil, report.JSON(&out)); err != nil || !strings.Contains(out.String(), `"findings": []`) {
		t.Errorf("got %s, %v", out.String(), err)
	}
}

// broken is an output that takes nothing.
type broken struct{}

var errBroken = errors.New("broken pipe")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestBrokenOutput(t *testing.T) {
	t.Parallel()
	for _, reporter := range []report.Reporter{report.Text(broken{}, false), report.JSON(broken{})} {
		if _, err := report.Run(t.Context(), samples(), reporter); !errors.Is(err, errBroken) {
			t.Errorf("got %v", err)
		}
	}
}

func TestStatusOfAll(t *testing.T) {
	t.Parallel()
	for want, summary := range map[report.Status]report.Summary{
		report.OK:      {OK: 1, Skipped: 1},
		report.Warning: {OK: 1, Warnings: 1},
		report.Failed:  {Warnings: 1, Failed: 1},
	} {
		if got := summary.Status(); got != want {
			t.Errorf("%+v: got %s, want %s", summary, got, want)
		}
	}
}

// collected keeps the findings.
type collected struct{ findings []report.Finding }

func (*collected) Begin(string, string)      {}
func (c *collected) Report(f report.Finding) { c.findings = append(c.findings, f) }
func (*collected) End(report.Summary) error  { return nil }

// TestStopped: a run that is stopped reports no wrong findings.
func TestStopped(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var c collected
	_, err := report.Run(ctx, []report.Group{{Subject: "x", Steps: []report.Step{
		found("one", report.Finding{Status: report.OK}),
		{Name: "two", Run: func(context.Context) report.Finding { cancel(); return report.Finding{Status: report.Failed} }},
		{Name: "three", Run: func(context.Context) report.Finding { t.Error("taken"); return report.Finding{} }},
	}}}, &c)
	if !errors.Is(err, context.Canceled) || len(c.findings) != 1 {
		t.Errorf("got %v, %+v", err, c.findings)
	}
}

// TestTimeOfSteps: a step has an end, unless it waits for a person.
func TestTimeOfSteps(t *testing.T) {
	t.Parallel()
	bounded := func(want bool) func(ctx context.Context) report.Finding {
		return func(ctx context.Context) report.Finding {
			if _, got := ctx.Deadline(); got != want {
				t.Errorf("bounded: %t, want %t", got, want)
			}
			return report.Finding{Status: report.OK}
		}
	}
	if _, err := report.Run(t.Context(), []report.Group{{Subject: "x", Steps: []report.Step{
		{Name: "one", Run: bounded(true)}, {Name: "two", Run: bounded(false), Interactive: true},
	}}}, &collected{}); err != nil {
		t.Fatal(err)
	}
}
