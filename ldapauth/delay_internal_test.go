package ldapauth

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

const step = 400 * time.Millisecond

// refusal is how long one takes in all that costs so much work.
func (m *minDelay) refusal(work time.Duration) time.Duration {
	started := time.Now()
	time.Sleep(work)
	m.wait(context.Background(), started)
	return time.Since(started)
}

// In the bubble of synctest time is exact, so refusals can be compared to the
// nanosecond.
func TestPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := minDelay{step: step}
		unknown, wrong := time.Millisecond, 30*time.Millisecond
		if a, b := m.refusal(unknown), m.refusal(wrong); a != maxDelay*step || b != a {
			t.Errorf("before a sign-in: unknown name %v, wrong password %v; want %v", a, b, maxDelay*step)
		}
		time.Sleep(3 * refusalMemory)
		m.learn(wrong)
		if a, b := m.refusal(unknown), m.refusal(wrong); a != step || b != step {
			t.Errorf("unknown name %v, wrong password %v; want %v", a, b, step)
		}
		slow := 900 * time.Millisecond // an expensive password hash
		if a, b, c := m.refusal(slow), m.refusal(unknown), m.refusal(slow); a != 3*step || b != a || c != a {
			t.Errorf("slower than any sign-in: %v, %v, %v; want %v", a, b, c, 3*step)
		}
		if a := m.refusal(time.Minute); a < time.Minute || a%step != 0 {
			t.Errorf("a very slow refusal took %v, no multiple of %v", a, step)
		}
		if a := m.refusal(unknown); a != maxDelay*step {
			t.Errorf("after that %v, want %v at most", a, maxDelay*step)
		}
		time.Sleep(3 * refusalMemory)
		if a := m.refusal(unknown); a != step {
			t.Errorf("the directory is fast again, and a refusal takes %v", a)
		}
		time.Sleep(3 * signInMemory)
		if a := m.refusal(unknown); a != maxDelay*step {
			t.Errorf("days after the last sign-in %v, want %v", a, maxDelay*step)
		}
	})
}

// TestPaceTellsNoNames: whatever a bind costs, refusals of known and of unknown names take the same time: the very first,
// those in a row, and those after a quiet time, with and without sign-ins between them.
func TestPaceTellsNoNames(t *testing.T) {
	t.Parallel()
	for name, bind := range map[string]time.Duration{
		"fast": 5 * time.Millisecond, "far away": 390 * time.Millisecond, "slow": 450 * time.Millisecond, "argon2": 700 * time.Millisecond,
	} {
		var of [2]sample // unknown, known
		for seed := range uint64(20) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 1))
				jitter := func(d time.Duration) time.Duration { return time.Duration(float64(d) * (0.9 + 0.4*random.Float64())) }
				search := 3 * time.Millisecond
				m := minDelay{step: step}
				last := time.Duration(0)
				for range 200 {
					switch random.IntN(12) {
					case 0:
						time.Sleep(time.Duration(random.IntN(10)) * refusalMemory)
						last = 0
					case 1:
						m.learn(jitter(search) + jitter(bind))
						last = 0
					}
					known := random.IntN(2)
					took := m.refusal(jitter(search) + time.Duration(known)*jitter(bind))
					of[known].add(took)
					if last != 0 && took != last {
						t.Fatalf("%s: a refusal (known: %d) took %v, the one before %v", name, known, took, last)
					}
					last = took
				}
			})
		}
		if score := welch(of[0], of[1]); math.Abs(score) > 3 {
			t.Errorf("%s: times tell known names from unknown ones: t is %.1f", name, score)
		}
	}
}

// sample is what a statistician needs of some times.
type sample struct{ n, sum, squares float64 }

func (s *sample) add(d time.Duration) {
	s.n, s.sum, s.squares = s.n+1, s.sum+d.Seconds(), s.squares+d.Seconds()*d.Seconds()
}

// welch is the t of Welch's test: beyond 3 the means of two samples differ.
func welch(a, b sample) float64 {
	variance := func(s sample) float64 { return (s.squares/s.n - s.sum*s.sum/s.n/s.n) / s.n }
	if variance(a)+variance(b) == 0 {
		return (a.sum/a.n - b.sum/b.n) * math.MaxFloat64
	}
	return (a.sum/a.n - b.sum/b.n) / math.Sqrt(variance(a)+variance(b))
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
