package ldapauth

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// In the bubble of synctest time is exact, so refusals can be compared to the
// nanosecond.
func TestPace(t *testing.T) {
	t.Parallel()
	const step = 400 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		m := minDelay{step: step}
		refusal := func(work time.Duration) time.Duration {
			started := time.Now()
			time.Sleep(work)
			m.wait(context.Background(), started)
			return time.Since(started)
		}
		unknown, wrong := time.Millisecond, 30*time.Millisecond
		if a, b := refusal(unknown), refusal(wrong); a != step || b != step {
			t.Errorf("unknown name %v, wrong password %v; want %v", a, b, step)
		}
		slow := 900 * time.Millisecond // an expensive password hash
		if a, b, c := refusal(slow), refusal(unknown), refusal(slow); a != 3*step || b != a || c != a {
			t.Errorf("slow directory: %v, %v, %v; want %v", a, b, c, 3*step)
		}
		if a := refusal(time.Minute); a < time.Minute || a%step != 0 {
			t.Errorf("a very slow refusal took %v, no multiple of %v", a, step)
		}
		if a := refusal(unknown); a != maxDelay*step {
			t.Errorf("after that %v, want %v at most", a, maxDelay*step)
		}
		time.Sleep(3 * delayMemory)
		if a := refusal(unknown); a != step {
			t.Errorf("the directory is fast again, and a refusal takes %v", a)
		}
	})
}

func TestPaceEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		m := minDelay{step: time.Hour}
		started := time.Now()
		m.wait(ctx, started)
		if took := time.Since(started); took != time.Second {
			t.Errorf("waited %v", took)
		}
	})
}
