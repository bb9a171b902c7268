package signin

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"persona-sidecar/idp/idptest"
	"persona-sidecar/idp/memory"

	"github.com/rs/zerolog"
)

// newAccountGate returns a function that counts a sign-in to an account of a
// directory, each in an attempt of its own.
func newAccountGate(t *testing.T, counters Counters) func(directory, id string) bool {
	throttle := NewThrottle(ThrottleConfig{Failures: 4, Window: 10 * time.Minute, Log: zerolog.Nop(), Accounts: counters, Counters: counters})
	return func(directory, id string) bool {
		a := attempt{throttle: throttle}
		return a.account(t.Context(), directory, id)
	}
}

func TestThrottleByAccount(t *testing.T) {
	t.Parallel()
	clock := idptest.NewClock(time.Now())
	admit := newAccountGate(t, memory.New(memory.Config{Now: clock.Now}))
	for i := range 4 {
		if !admit("corp", "x") {
			t.Fatalf("attempt %d is refused", i)
		}
		clock.Advance(time.Minute)
	}
	if admit("corp", "x") {
		t.Error("the fifth attempt is admitted")
	}
	for _, other := range [][2]string{{"corp", "y"}, {"guests", "x"}, {"cor", "px"}} {
		if !admit(other[0], other[1]) {
			t.Errorf("%v is refused", other)
		}
	}
	// The window slides: with each minute that one leaves it, one may enter.
	clock.Advance(6 * time.Minute)
	if !admit("corp", "x") || admit("corp", "x") {
		t.Error("not exactly one attempt is admitted when the first has left the window")
	}
}

func TestThrottleCountsBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	admit := newAccountGate(t, memory.New(memory.Config{Now: time.Now}))
	var admitted atomic.Int32
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if admit("corp", "x") {
				admitted.Add(1)
			}
		})
	}
	all.Wait()
	if admitted.Load() != 4 {
		t.Errorf("%d parallel attempts are admitted", admitted.Load())
	}
}

// failingCounters cannot answer.
type failingCounters struct{ Counters }

func (failingCounters) Count(context.Context, string, int, time.Duration) (time.Duration, error) {
	return 0, errors.New("no answer from 10.1.2.3")
}

func TestAccountIsRefusedWithoutCounters(t *testing.T) {
	t.Parallel()
	admit := newAccountGate(t, failingCounters{})
	if admit("corp", "x") {
		t.Error("an attempt is admitted")
	}
}
