package verifier_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/memory"
	"persona-sidecar/idp/verifier"
)

// Once is once, however many ask at the same moment.
func TestVerifyOnce(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	v := n.verifier(func(c *verifier.Config) { c.Seen = memory.New(memory.Config{Now: n.clock.Now}) })
	p := alice()
	assertion := n.assertion(p)
	var accepted atomic.Int32
	var group sync.WaitGroup
	for range 20 {
		bundle := n.certificate(p) + "~" + assertion // another spelling of nothing that matters
		group.Go(func() {
			if _, err := v.Verify(t.Context(), bundle, site); err == nil {
				accepted.Add(1)
			} else if err.Error() != "the assertion was used before" {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if accepted.Load() != 1 {
		t.Errorf("accepted %d times", accepted.Load())
	}
	renewed := p
	renewed.replace = []string{`"iss"`, `"renewed":true,"iss"`}
	if _, err := v.Verify(t.Context(), n.certificate(renewed)+"~"+assertion, site); err == nil {
		t.Error("a renewed certificate made the assertion new")
	}
	n.clock.Advance(2*time.Minute + browserid.Skew)
	if _, err := v.Verify(t.Context(), n.certificate(p)+"~"+assertion, site); err == nil || err.Error() != "the assertion was used before" {
		t.Errorf("in its last moment: %v", err)
	}
	n.clock.Advance(time.Millisecond)
	if _, err := v.Verify(t.Context(), n.certificate(p)+"~"+assertion, site); err == nil || err.Error() != "expired" {
		t.Errorf("after its last moment: %v", err)
	}
}

// A refusal uses nothing up, and neither does another website's.
func TestVerifyOnceCountsWhatWasAccepted(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	v := n.verifier(func(c *verifier.Config) { c.Seen = memory.New(memory.Config{Now: n.clock.Now}) })
	bundle := n.bundle(alice())
	if _, err := v.Verify(t.Context(), bundle, "https://other.example"); err == nil {
		t.Error("accepted for another website")
	}
	if _, err := v.Verify(t.Context(), bundle, site); err != nil {
		t.Error(err)
	}
}

type brokenSeen struct{}

func (brokenSeen) Add(context.Context, string, []byte, time.Duration) (bool, error) {
	return true, memory.ErrFull
}
