package check

import (
	"context"
	"time"
)

const (
	// slowClock is what is still taken for the time that an answer took.
	slowClock = 5 * time.Second
	// wrongClock: a certificate is back-dated 10 s, and the historic verifiers
	// allowed no more.
	wrongClock = 10 * time.Second
)

// lookAtClock compares the clock of this machine with what others said. Of
// several, one that agrees is enough: the rest are wrong themselves.
func (e *Examiner) lookAtClock(context.Context) Finding {
	if len(e.web.dates) == 0 {
		return skipped("nobody else told the time")
	}
	best := e.web.dates[0]
	for _, d := range e.web.dates[1:] {
		if d.ahead.Abs() < best.ahead.Abs() {
			best = d
		}
	}
	const cure = "set the clock and keep it right (NTP): certificates from the future are refused, and so are those that ended"
	switch off := best.ahead.Abs(); {
	case off > wrongClock:
		return failed(cure, "%s %s", inWords(best.ahead), best.source)
	case off > slowClock:
		return warned(cure, "%s %s", inWords(best.ahead), best.source)
	}
	return passed("agrees with %s", best.source)
}

func inWords(ahead time.Duration) string {
	text := ahead.Abs().Round(time.Second).String()
	if ahead > 0 {
		return "this clock is " + text + " ahead of"
	}
	return "this clock is " + text + " behind"
}
