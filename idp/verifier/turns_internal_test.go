package verifier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// begun is a look-up of a caller that waits or runs.
type begun struct {
	caller string
	done   chan func() // once it runs
	failed chan error
	leave  context.CancelFunc
}

// begin lets callers ask, one after the other.
func begin(t *testing.T, turns *turns, callers ...string) []*begun {
	t.Helper()
	var all []*begun
	for _, caller := range callers {
		ctx, leave := context.WithCancel(t.Context())
		b := &begun{caller: caller, done: make(chan func(), 1), failed: make(chan error, 1), leave: leave}
		go func() {
			if done, err := turns.take(ctx, caller); err != nil {
				b.failed <- err
			} else {
				b.done <- done
			}
		}()
		synctest.Wait()
		all = append(all, b)
	}
	return all
}

// state counts what each caller has under way, waiting and refused.
func state(all []*begun) string {
	running, waiting, busy := map[string]int{}, map[string]int{}, map[string]int{}
	var callers []string
	for _, b := range all {
		if !slices.Contains(callers, b.caller) {
			callers = append(callers, b.caller)
		}
		switch {
		case len(b.done) > 0:
			running[b.caller]++
		case len(b.failed) > 0:
			busy[b.caller]++
		default:
			waiting[b.caller]++
		}
	}
	var said []string
	for _, caller := range callers {
		said = append(said, fmt.Sprintf("%s %d %d %d", caller, running[caller], waiting[caller], busy[caller]))
	}
	return strings.Join(said, ", ")
}

func TestTurns(t *testing.T) {
	t.Parallel()
	many := func(caller string, n int) []string { return slices.Repeat([]string{caller}, n) }
	synctest.Test(t, func(t *testing.T) {
		turns := &turns{free: mostLookups, callers: map[string]*line{}}
		want := func(all []*begun, want string) {
			t.Helper()
			synctest.Wait()
			if got := state(all); got != want {
				t.Errorf("running, waiting, busy: %s; want %s", got, want)
			}
		}
		// One caller has its share, and another's first is not behind it.
		all := begin(t, turns, append(many("a", 80), many("b", 2)...)...)
		want(all, "a 4 8 68, b 2 0 0")

		// Who leaves makes room, running or waiting.
		all[4].leave()
		synctest.Wait()
		if err := <-all[4].failed; !errors.Is(err, context.Canceled) {
			t.Errorf("who left got %v", err)
		}
		(<-all[0].done)()
		want(all[5:12], "a 1 6 0")
		more := begin(t, turns, many("a", 3)...)
		want(more, "a 0 2 1")

		// Fifteen others take all slots. Those that wait get them in rotation.
		var others []string
		for i := range 14 {
			others = append(others, many(fmt.Sprint("c", i), 4)...)
		}
		rest := begin(t, turns, others...)
		last := begin(t, turns, "b", "b", "d", "d", "e", "b")
		want(last, "b 2 1 0, d 0 2 0, e 0 1 0")
		for _, next := range []string{"b 2 1 0, d 1 1 0, e 0 1 0", "b 2 1 0, d 1 1 0, e 1 0 0", "b 2 1 0, d 2 0 0, e 1 0 0"} {
			(<-rest[0].done)()
			rest = rest[1:]
			want(last, next)
		}

		// Where all places are taken, the longest line gives one up.
		var crowd []string
		for i := range 6 {
			crowd = append(crowd, many(fmt.Sprint("f", i), 8)...)
		}
		lines := begin(t, turns, append(crowd, many("g", 7)...)...)
		want(lines, "f0 0 8 0, f1 0 8 0, f2 0 8 0, f3 0 8 0, f4 0 8 0, f5 0 8 0, g 0 7 0")
		late := begin(t, turns, "h")
		want(late, "h 0 1 0")
		want(more[:2], "a 0 1 1")

		// When all have left nothing is remembered.
		for _, b := range slices.Concat(all, more, rest, last, lines, late) {
			b.leave()
		}
		synctest.Wait()
		for _, b := range slices.Concat(all, more, rest, last, lines, late) {
			if len(b.done) > 0 {
				(<-b.done)()
			}
		}
		if turns.free != mostLookups || turns.waiting != 0 || len(turns.callers)+len(turns.order) > 0 {
			t.Errorf("left over: %d free, %d waiting, %v, %v", turns.free, turns.waiting, turns.callers, turns.order)
		}
	})
}
