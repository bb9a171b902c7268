package ldapauth_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"persona-sidecar/ldapauth"
	"persona-sidecar/ldapauth/ldaptest"
)

// observed are the questions that were told, in their order.
type observed struct {
	mu   sync.Mutex
	told []string
}

func (o *observed) observe(op ldapauth.Operation, outcome ldapauth.Outcome, took time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := string(op) + " " + string(outcome)
	if took <= 0 {
		text += " in no time"
	}
	o.told = append(o.told, text)
}

// take returns what was told since the last call.
func (o *observed) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	told := o.told
	o.told = nil
	return told
}

// TestObserve: each question to the directory is told, how it ended and how long it
// took.
func TestObserve(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	seen := &observed{}
	cfg := config(s)
	cfg.Observe = seen.observe
	d := open(t, cfg)
	wantTold := func(what string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, seen.take()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}

	id := signIn(t, d, "alice", ldaptest.Password).Person.ID
	wantTold("a sign-in", "search ok", "bind ok", "search ok") // the entry, the password, the entry again with all owners of its addresses
	signIn(t, d, "alice", "wrong")
	wantTold("a wrong password", "search ok", "bind refused")
	signIn(t, d, "stranger", "wrong")
	wantTold("an unknown name", "search ok")
	signIn(t, d, "", "")
	wantTold("nothing to ask")
	if err := d.Ping(context.Background()); err != nil {
		t.Fatal(err)
	}
	wantTold("a ping", "ping ok")

	s.Stop()
	if _, err := d.Authenticate(context.Background(), "alice", ldaptest.Password, nil); err == nil {
		t.Error("a dead directory answers")
	}
	wantTold("a sign-in at a dead directory", "search unavailable")
	if _, err := d.Lookup(context.Background(), id); err == nil {
		t.Error("a dead directory answers")
	}
	wantTold("a look-up at a dead directory", "search unavailable")
	if err := d.Ping(context.Background()); err == nil {
		t.Error("a dead directory answers")
	}
	wantTold("a ping of a dead directory", "ping unavailable")
}
