package report

import (
	"context"
	"time"
)

// longestStep bounds one step: a host that does not answer must not hold up the
// rest.
const longestStep = 30 * time.Second

// Step checks one thing.
type Step struct {
	Name string
	// Run checks it. The Finding's Subject and Name are filled in by [Run].
	Run func(context.Context) Finding
	// Interactive steps wait for a person and have no time limit.
	Interactive bool
}

// Group is the steps about one subject, in order: later steps may use what
// earlier ones found.
type Group struct {
	Subject string
	Steps   []Step
}

// Reporter prints findings as they come.
type Reporter interface {
	// Begin is called before a step; name is "" for an interactive one, whose
	// prompt must be alone on the line.
	Begin(subject, name string)
	// Report is called with the step's finding.
	Report(Finding)
	// End is called after the last step.
	End(Summary) error
}

// Summary counts findings.
type Summary struct {
	OK       int `json:"ok"`
	Warnings int `json:"warning"`
	Failed   int `json:"failed"`
	Skipped  int `json:"skipped"`
}

// Status is the worst status, where what was skipped counts as good.
func (s Summary) Status() Status {
	switch {
	case s.Failed > 0:
		return Failed
	case s.Warnings > 0:
		return Warning
	}
	return OK
}

func (s *Summary) count(status Status) {
	switch status {
	case OK:
		s.OK++
	case Warning:
		s.Warnings++
	case Failed:
		s.Failed++
	case Skipped:
		s.Skipped++
	}
}

// Run runs all steps in order. The error is that of ctx, when it ended before the
// last step, or that of the reporter.
func Run(ctx context.Context, groups []Group, to Reporter) (Summary, error) {
	var summary Summary
	for _, group := range groups {
		for _, step := range group.Steps {
			limited, cancel := ctx, context.CancelFunc(func() {})
			if step.Interactive {
				to.Begin(group.Subject, "")
			} else {
				to.Begin(group.Subject, step.Name)
				limited, cancel = context.WithTimeout(ctx, longestStep)
			}
			finding := step.Run(limited)
			cancel()
			if err := ctx.Err(); err != nil {
				return summary, err
			}
			finding.Subject, finding.Name = group.Subject, step.Name
			summary.count(finding.Status)
			to.Report(finding)
		}
	}
	return summary, to.End(summary)
}
