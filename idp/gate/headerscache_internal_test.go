package gate

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"persona-sidecar/idp/identity"
)

// TestMadeOnce: requests of a session share fields for a minute, while nothing changes.
func TestMadeOnce(t *testing.T) {
	t.Parallel()
	w := newTelling(t)
	where, other := site(), site()
	var requests sync.WaitGroup
	var arrived atomic.Int32
	w.begun = func() { // the others have time to begin, too, if they do not wait
		for range 1000 {
			runtime.Gosched()
		}
		for arrived.Load() < 50 {
			runtime.Gosched()
		}
	}
	for range 50 {
		requests.Go(func() {
			arrived.Add(1)
			w.fields(where, anna())
		})
	}
	requests.Wait()
	w.begun = nil
	signs := func(want int32, when string) {
		t.Helper()
		if got := w.signs.Swap(0); got != want {
			t.Errorf("%s: %d signatures, want %d", when, got, want)
		}
	}
	signs(1, "50 requests at once")
	first := w.fields(where, anna())
	w.clock.Advance(59 * time.Second)
	if diff := cmp.Diff(first, w.fields(where, anna())); diff != "" {
		t.Error(diff)
	}
	signs(0, "59 seconds later")
	w.clock.Advance(time.Second)
	if again := w.fields(where, anna()); again[5] == first[5] {
		t.Error("a minute later it is the same assertion")
	}
	signs(1, "a minute later")
	w.fields(other, anna())
	signs(1, "another website")
	s := anna()
	s.ID = strings.Repeat("e5", 16)
	w.fields(where, s)
	signs(1, "another session")
	s.AuthTime = s.AuthTime.Add(time.Minute)
	w.fields(where, s)
	signs(1, "another time of sign-in")
	for name, change := range map[string]func(*identity.Person){
		"groups": func(p *identity.Person) { p.Groups = []string{"staff"} }, "name": func(p *identity.Person) { p.Name = "Anna" },
		"login": func(p *identity.Person) { p.Login = "anna2" }, "address": func(p *identity.Person) { p.Addresses = p.Addresses[1:] },
		"id": func(p *identity.Person) { p.ID = "7f1d" }, "directory": func(p *identity.Person) { p.Directory = "other" },
	} {
		if cmp.Equal(w.fields(where, anna(change)), w.fields(where, anna())) {
			t.Errorf("another %s gives the same fields", name)
		}
		signs(2, "another "+name)
	}
	w.clock.Advance(-time.Second)
	w.fields(where, anna())
	signs(1, "a clock that was set back")
}

// TestWithoutKey: an assertion that cannot be signed is absent, and tried again.
// TestMadeFieldsAreBounded: sessions without end do not fill the memory.
func TestMadeFieldsAreBounded(t *testing.T) {
	t.Parallel()
	w := newTelling(t)
	w.made.limit = 100 << 10
	where := site(func(h *Headers) { h.Assertion = "" })
	for i := range 10_000 {
		s := anna()
		s.ID = fmt.Sprint(i)
		w.fields(where, s)
	}
	if n := len(w.made.young) + len(w.made.old); n > 400 || n < 100 {
		t.Errorf("%d are kept", n)
	}
	for i := range 1000 {
		s := anna(func(p *identity.Person) { p.Name = strings.Repeat("x", 1000) })
		s.ID = fmt.Sprint(i)
		w.fields(where, s)
	}
	if n := len(w.made.young) + len(w.made.old); n > 150 {
		t.Errorf("%d of 1.5 KiB are kept", n)
	}
	w.clock.Advance(time.Minute)
	w.fields(where, anna())
	w.clock.Advance(time.Minute)
	w.fields(where, anna())
	if n := len(w.made.young) + len(w.made.old); n != 2 {
		t.Errorf("%d are kept after two minutes", n)
	}
}
