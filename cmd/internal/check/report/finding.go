// Package report runs the steps of a check and prints what they find, for people
// or as JSON.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Status is how a step ended.
type Status string

// The statuses, from good to bad.
const (
	OK      Status = "ok"
	Skipped Status = "skipped" // an earlier step that it needs failed, or it does not apply
	Warning Status = "warning" // allowed, but probably a mistake or unwise
	Failed  Status = "failed"
)

// Finding is the result of one step.
type Finding struct {
	Subject string `json:"subject"` // what was checked, such as a host name
	Name    string `json:"name"`    // of the step
	Status  Status `json:"status"`
	Message string `json:"message"`
	Cause   string `json:"cause,omitempty"` // the error behind it, where there is one
	Hint    string `json:"hint,omitempty"`  // what to do about it
	// Shown is a JSON value for the reader, such as a decoded certificate.
	Shown json.RawMessage `json:"shown,omitempty"`
}

// String is the message with its cause.
func (f Finding) String() string {
	if f.Cause == "" {
		return f.Message
	}
	return f.Message + ": " + f.Cause
}

// Pass is a finding without fault.
func Pass(format string, args ...any) Finding {
	return Finding{Status: OK, Message: fmt.Sprintf(format, args...)}
}

// Skip is the finding of a step that was not run, with the reason.
func Skip(format string, args ...any) Finding {
	return Finding{Status: Skipped, Message: fmt.Sprintf(format, args...)}
}

// Warn is a warning with its hint.
func Warn(hint, format string, args ...any) Finding {
	return Finding{Status: Warning, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// Fail is a failure with its hint.
func Fail(hint, format string, args ...any) Finding {
	return Finding{Status: Failed, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// hinted is an error that knows what to do about it.
type hinted interface {
	error
	Hint() string
}

// Error is the failure of doing something ("": the error says what). The error's
// own hint is preferred to the one given.
func Error(doing string, err error, hint string) Finding {
	var known hinted
	if errors.As(err, &known) && known.Hint() != "" {
		hint = known.Hint()
	}
	if doing == "" {
		return Finding{Status: Failed, Message: err.Error(), Hint: hint}
	}
	return Finding{Status: Failed, Message: doing, Cause: err.Error(), Hint: hint}
}

// Faults gathers what is wrong with one thing, when that may be several things.
type Faults struct {
	status   Status
	messages []string
	hints    []string
}

func (f *Faults) add(status Status, hint, format string, args ...any) {
	if f.status != Failed {
		f.status = status
	}
	f.messages = append(f.messages, fmt.Sprintf(format, args...))
	if hint != "" && !slices.Contains(f.hints, hint) { // one may be for several
		f.hints = append(f.hints, hint)
	}
}

// Fail adds a failure.
func (f *Faults) Fail(hint, format string, args ...any) { f.add(Failed, hint, format, args...) }

// Warn adds a warning.
func (f *Faults) Warn(hint, format string, args ...any) { f.add(Warning, hint, format, args...) }

// None reports whether there are no faults so far.
func (f *Faults) None() bool { return len(f.messages) == 0 }

// Finding returns the faults as one finding, or success with the message given.
func (f *Faults) Finding(format string, args ...any) Finding {
	if len(f.messages) == 0 {
		return Pass(format, args...)
	}
	return Finding{Status: f.status, Message: strings.Join(f.messages, "; "), Hint: strings.Join(f.hints, "; ")}
}

// Counted returns "1 step" or "3 steps".
func Counted(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "y") && !strings.HasSuffix(what, "ey"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(what, "y"))
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// InDays returns a time as "31 days", and one of less than two as hours and minutes.
func InDays(d time.Duration) string {
	if d < 48*time.Hour {
		return d.Round(time.Minute).String()
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
