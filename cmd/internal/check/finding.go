package check

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Status is what a step found.
type Status string

// The statuses, from good to bad.
const (
	OK      Status = "ok"
	Skipped Status = "skipped" // something that it leans on is wrong, or it does not apply
	Warning Status = "warning" // allowed, and probably not meant or not wise
	Failed  Status = "failed"
)

// Finding is what one step saw.
type Finding struct {
	Subject string `json:"subject"` // what was looked at, such as a host name
	Name    string `json:"name"`    // of the step
	Status  Status `json:"status"`
	Seen    string `json:"seen"`
	Cure    string `json:"cure,omitempty"` // what to do about it
	// Shown is a JSON value to look at, such as a decoded certificate.
	Shown json.RawMessage `json:"shown,omitempty"`
}

func passed(format string, args ...any) Finding {
	return Finding{Status: OK, Seen: fmt.Sprintf(format, args...)}
}

func skipped(format string, args ...any) Finding {
	return Finding{Status: Skipped, Seen: fmt.Sprintf(format, args...)}
}

func warned(cure, format string, args ...any) Finding {
	return Finding{Status: Warning, Seen: fmt.Sprintf(format, args...), Cure: cure}
}

func failed(cure, format string, args ...any) Finding {
	return Finding{Status: Failed, Seen: fmt.Sprintf(format, args...), Cure: cure}
}

// faults gathers what is wrong with one thing, when that may be several things.
type faults struct {
	status Status
	seen   []string
	cures  []string
}

func (f *faults) add(status Status, cure, format string, args ...any) {
	if f.status != Failed {
		f.status = status
	}
	f.seen = append(f.seen, fmt.Sprintf(format, args...))
	if cure != "" {
		f.cures = append(f.cures, cure)
	}
}

func (f *faults) fail(cure, format string, args ...any) { f.add(Failed, cure, format, args...) }
func (f *faults) warn(cure, format string, args ...any) { f.add(Warning, cure, format, args...) }

// finding returns the faults as one finding, or the good news.
func (f *faults) finding(format string, args ...any) Finding {
	if len(f.seen) == 0 {
		return passed(format, args...)
	}
	return Finding{Status: f.status, Seen: strings.Join(f.seen, "; "), Cure: strings.Join(f.cures, "; ")}
}

// failure makes a finding of an error that carries its own hint.
func failure(err error, cure string) Finding {
	seen, hint := cutHint(err.Error())
	if hint != "" {
		cure = hint
	}
	return Finding{Status: Failed, Seen: seen, Cure: cure}
}

// cutHint parts "what (hint: what to do)".
func cutHint(text string) (seen, hint string) {
	const mark = " (hint: "
	at := strings.LastIndex(text, mark)
	if at < 0 || !strings.HasSuffix(text, ")") {
		return text, ""
	}
	return text[:at], strings.TrimSuffix(text[at+len(mark):], ")")
}
