package verifier

import (
	"context"
	"sync"
	"time"
)

// flights joins those who ask the same at one time.
type flights struct {
	limit time.Duration // of one
	mu    sync.Mutex
	under map[string]*flight // under way, by what is asked
}

type flight struct {
	ended  chan struct{}
	answer Lookup // once it has ended
	asking int    // how many wait
	stop   context.CancelFunc
}

// join returns what do returns, or an answer of err when ctx ends before. Those
// who ask the same meanwhile wait for one call of do, whose context, a child of
// parent, ends when the last of them has left.
func (f *flights) join(ctx, parent context.Context, key string, do func(context.Context) Lookup) (answer Lookup, err error) {
	f.mu.Lock()
	joined := f.under[key]
	if joined == nil {
		parent, stop := context.WithTimeout(parent, f.limit)
		joined = &flight{ended: make(chan struct{}), stop: stop}
		f.under[key] = joined
		go func() {
			joined.answer = do(parent)
			stop()
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.under[key] == joined { // the next who asks begins anew
				delete(f.under, key)
			}
			close(joined.ended)
		}()
	}
	joined.asking++
	f.mu.Unlock()
	select {
	case <-joined.ended:
		return joined.answer, nil
	case <-ctx.Done():
	}
	f.mu.Lock()
	joined.asking--
	left := joined.asking == 0
	if left && f.under[key] == joined {
		delete(f.under, key)
	}
	f.mu.Unlock()
	if left {
		joined.stop()
	}
	return Lookup{}, ctx.Err()
}
