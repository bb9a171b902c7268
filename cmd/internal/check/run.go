package check

import (
	"context"
	"time"
)

// longestStep bounds one step: a host that does not answer must not hold up the
// rest.
const longestStep = 30 * time.Second

// Step is one thing to look at.
type Step struct {
	Name string
	// Look looks. The Finding's Subject and Name are filled in by [Run].
	Look func(context.Context) Finding
	// Waits says that it waits for a person, who may take their time.
	Waits bool
}

// Group is the steps about one subject, in their order: later steps may lean on
// what earlier ones saw.
type Group struct {
	Subject string
	Steps   []Step
}

// Reporter tells somebody what is found, while it is found.
type Reporter interface {
	// Begin says which step is taken now; name is "" for one that asks a person
	// something, who must not see anything else on the line.
	Begin(subject, name string)
	// Report says what it found.
	Report(Finding)
	// End says that all steps were taken.
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

// Run takes all steps in their order. The error is that of ctx, when it ended
// before they were all taken, or that of the reporter.
func Run(ctx context.Context, groups []Group, to Reporter) (Summary, error) {
	var summary Summary
	for _, group := range groups {
		for _, step := range group.Steps {
			if step.Waits {
				to.Begin(group.Subject, "")
			} else {
				to.Begin(group.Subject, step.Name)
			}
			finding := take(ctx, step)
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

func take(ctx context.Context, step Step) Finding {
	if step.Waits {
		return step.Look(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, longestStep)
	defer cancel()
	return step.Look(ctx)
}
