package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"persona-sidecar/idp/printable"
)

// textReporter writes one line for each step, grouped by subject.
type textReporter struct {
	out     io.Writer
	live    bool
	subject string
	err     error // the first of writing
}

// Text reports for people. If live, out is a terminal, on which the current step
// is shown and then overwritten.
func Text(out io.Writer, live bool) Reporter { return &textReporter{out: out, live: live} }

const nameWidth = 22

func (r *textReporter) Begin(subject, name string) {
	if subject != r.subject {
		if r.subject != "" {
			r.print("\n")
		}
		r.print("%s\n", displayed(subject))
		r.subject = subject
	}
	if r.live && name != "" {
		r.print("  … %s", displayed(name))
	}
}

func (r *textReporter) Report(f Finding) {
	if r.live {
		r.print("\r\x1b[K")
	}
	name := displayed(f.Name)
	padding := strings.Repeat(" ", max(0, nameWidth-utf8.RuneCountInString(name)))
	r.print("  %s %s%s  %s\n", sign(f.Status), name, padding, displayed(f.String()))
	if f.Hint != "" {
		r.print("      → %s\n", displayed(f.Hint))
	}
	if f.Shown != nil {
		var shown bytes.Buffer
		if json.Indent(&shown, f.Shown, "", "  ") == nil {
			for line := range strings.Lines(shown.String()) {
				r.print("      %s\n", displayed(strings.TrimRight(line, "\n")))
			}
		}
	}
}

func (r *textReporter) End(s Summary) error {
	r.print("\n%d ✓", s.OK)
	for _, part := range []struct {
		count int
		what  string
	}{{s.Warnings, "! (worth a look)"}, {s.Failed, "✗ (to be fixed)"}, {s.Skipped, "– (skipped)"}} {
		if part.count > 0 {
			r.print("   %d %s", part.count, part.what)
		}
	}
	r.print("\n")
	return r.err
}

func (r *textReporter) print(format string, args ...any) {
	if _, err := fmt.Fprintf(r.out, format, args...); err != nil && r.err == nil {
		r.err = fmt.Errorf("writing the findings: %w", err)
	}
}

func sign(s Status) string {
	switch s {
	case OK:
		return "✓"
	case Warning:
		return "!"
	case Failed:
		return "✗"
	case Skipped:
	}
	return "–"
}

// displayed makes a text from a foreign server safe for a terminal, at its full length.
func displayed(text string) string { return printable.Text(text, len(text)) }

// jsonReporter writes one object when all is done.
type jsonReporter struct {
	out      io.Writer
	findings []Finding
}

// JSON reports for programs: one object with the members status (ok, warning or
// failed), counts and findings, after the last step.
func JSON(out io.Writer) Reporter { return &jsonReporter{out: out, findings: []Finding{}} }

func (*jsonReporter) Begin(string, string) {}

func (r *jsonReporter) Report(f Finding) { r.findings = append(r.findings, f) }

func (r *jsonReporter) End(s Summary) error {
	encoder := json.NewEncoder(r.out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(struct {
		Status   Status    `json:"status"`
		Counts   Summary   `json:"counts"`
		Findings []Finding `json:"findings"`
	}{s.Status(), s, r.findings})
	if err != nil {
		return fmt.Errorf("writing the findings: %w", err)
	}
	return nil
}
