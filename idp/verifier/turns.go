package verifier

import (
	"context"
	"net/netip"
	"slices"
	"sync"
)

const (
	// mostLookups bounds the requests to other servers at one time, and how many
	// more wait for their turn.
	mostLookups = 64
	// mostOfCaller and mostWaiting are the share of one caller in both.
	mostOfCaller = 4
	mostWaiting  = 8
)

type callerKey struct{}

// WithCaller returns a context whose look-ups count for a caller, the network of a
// client (see route.ClientNetwork). One caller has four look-ups under way at
// most, and eight that wait; what it asks beyond is [ErrBusy]. Look-ups of
// contexts without a caller have the common bounds alone.
func WithCaller(ctx context.Context, caller netip.Prefix) context.Context {
	return context.WithValue(ctx, callerKey{}, caller.String())
}

// turns shares the slots of look-ups among callers: those that wait get them in
// rotation, one a caller, however many each asks for.
type turns struct {
	mu      sync.Mutex
	free    int
	waiting int
	callers map[string]*line // those that have a look-up under way or waiting
	order   []*line          // those that wait, the next one first
}

// line is what one caller has under way and waiting.
type line struct {
	caller  string
	running int
	waiting []chan error // told nil when it may begin, else why it may not
}

// take waits for a slot, which is given back with done. The error is [ErrBusy] at
// once when too many wait already, or the context's.
func (t *turns) take(ctx context.Context, caller string) (done func(), err error) {
	turn, from, err := t.enter(caller)
	if err != nil {
		return nil, err
	}
	select {
	case err = <-turn:
	case <-ctx.Done():
		err = ctx.Err()
		t.mu.Lock()
		defer t.mu.Unlock()
		if !t.withdraw(from, turn) && <-turn == nil {
			t.finish(from) // it was granted just now
		}
		t.forget(from)
	}
	if err != nil {
		return nil, err
	}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.finish(from)
		t.forget(from)
	}, nil
}

// enter puts a look-up into its caller's line. Where all places are taken, the
// last of the longest line goes, unless the caller's own is as long.
func (t *turns) enter(caller string) (chan error, *line, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	from := t.callers[caller]
	if from == nil {
		from = &line{caller: caller}
		t.callers[caller] = from
	}
	turn := make(chan error, 1)
	from.waiting = append(from.waiting, turn)
	if len(from.waiting) == 1 {
		t.order = append(t.order, from)
	}
	t.waiting++
	t.grant()
	longest := from
	if t.waiting > mostLookups {
		longest = slices.MaxFunc(t.order, func(a, b *line) int { return len(a.waiting) - len(b.waiting) })
		if len(longest.waiting) == len(from.waiting) {
			longest = from
		}
	}
	if t.waiting > mostLookups || caller != "" && len(from.waiting) > mostWaiting {
		last := longest.waiting[len(longest.waiting)-1]
		t.withdraw(longest, last)
		t.forget(longest)
		if last == turn {
			return nil, nil, ErrBusy
		}
		last <- ErrBusy
	}
	return turn, from, nil
}

// grant gives free slots to those that wait.
func (t *turns) grant() {
	for t.free > 0 {
		i := slices.IndexFunc(t.order, func(l *line) bool { return l.caller == "" || l.running < mostOfCaller })
		if i < 0 {
			return
		}
		next := t.order[i]
		turn := next.waiting[0]
		t.withdraw(next, turn)
		if j := slices.Index(t.order, next); j >= 0 { // it waits for more: behind all others
			t.order = append(slices.Delete(t.order, j, j+1), next)
		}
		next.running++
		t.free--
		turn <- nil
	}
}

// withdraw takes a look-up out of its line, and reports whether it was there.
func (t *turns) withdraw(from *line, turn chan error) bool {
	i := slices.Index(from.waiting, turn)
	if i < 0 {
		return false
	}
	from.waiting = slices.Delete(from.waiting, i, i+1)
	t.waiting--
	if len(from.waiting) == 0 {
		t.order = slices.DeleteFunc(t.order, func(l *line) bool { return l == from })
	}
	return true
}

// finish gives a slot back.
func (t *turns) finish(from *line) {
	from.running--
	t.free++
	t.grant()
}

// forget drops the line of a caller that asks for nothing.
func (t *turns) forget(l *line) {
	if l.running == 0 && len(l.waiting) == 0 {
		delete(t.callers, l.caller)
	}
}
