package verifier_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/memory"
	"persona-sidecar/idp/verifier"
)

func TestDiscoverCache(t *testing.T) {
	t.Parallel()
	good := support(t, foreignKey())
	tests := []struct {
		name      string
		headers   []string
		kept, not time.Duration // still from memory, asked again
	}{
		{"max-age", []string{"Cache-Control", "public, max-age=600"}, 599 * time.Second, 600 * time.Second},
		{"upper case", []string{"Cache-Control", "Public,MAX-AGE=600"}, 599 * time.Second, 600 * time.Second},
		{"Age", []string{"Cache-Control", "max-age=600", "Age", "500"}, 99 * time.Second, 100 * time.Second},
		{"nothing said", nil, 299 * time.Second, 300 * time.Second},
		{"ten years", []string{"Cache-Control", "max-age=315360000"}, 6*time.Hour - time.Second, 6 * time.Hour},
		{"beyond numbers", []string{"Cache-Control", "max-age=99999999999999999999"}, 6*time.Hour - time.Second, 6 * time.Hour},
		{"max-age=0", []string{"Cache-Control", "public, max-age=0"}, -1, 0},
		{"no-store", []string{"Cache-Control", "no-store, max-age=600"}, -1, 0},
		{"no-cache", []string{"Cache-Control", "max-age=600,no-cache"}, -1, 0},
		{"nonsense", []string{"Cache-Control", "max-age=-5"}, -1, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := newInternet(t)
			n.publish("foreign.test", good, test.headers...)
			d := n.discovery()
			ask := func(want int) {
				t.Helper()
				if _, err := d.Discover(t.Context(), "foreign.test"); err != nil {
					t.Fatal(err)
				}
				if got := len(n.requests()); got != want {
					t.Errorf("%d requests, want %d", got, want)
				}
			}
			ask(1)
			if test.kept >= 0 {
				n.clock.Advance(test.kept)
				ask(1)
				n.clock.Advance(test.not - test.kept)
			}
			ask(2)
		})
	}
}

func TestDiscoverKeepsFailuresForAShortTime(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	d := n.discovery()
	for range 3 {
		if _, err := d.Discover(t.Context(), "foreign.test"); err == nil {
			t.Fatal("there is nothing")
		}
	}
	if got := len(n.requests()); got != 1 {
		t.Errorf("%d requests for one failure", got)
	}
	n.publish("foreign.test", support(t, foreignKey()))
	n.clock.Advance(30 * time.Second)
	if _, err := d.Discover(t.Context(), "foreign.test"); err != nil {
		t.Errorf("it was repaired half a minute ago: %v", err)
	}
}

// Two hundred who ask at once cost the domain one request.
func TestDiscoverOneFlight(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	release, arrived := make(chan struct{}), make(chan struct{}, 1)
	var requests atomic.Int32
	n.handle("foreign.test", func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		select {
		case arrived <- struct{}{}:
		default:
		}
		<-release
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, support(t, foreignKey()))
	})
	d := n.discovery()
	var group sync.WaitGroup
	for range 200 {
		group.Go(func() {
			if _, err := d.Discover(t.Context(), "foreign.test"); err != nil {
				t.Error(err)
			}
		})
	}
	<-arrived
	close(release)
	group.Wait()
	if got := requests.Load(); got != 1 {
		t.Errorf("%d requests", got)
	}
}

// Two discoveries with one cache are two processes: what one has looked up the
// other knows, failures included.
func TestDiscoveriesShareACache(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	n.publish("foreign.test", support(t, foreignKey()))
	n.publish("far.test", `{"authority":"foreign.test"}`)
	n.publish("off.test", `{"disabled":true}`)
	n.publish("malformed.test", `{"authority":3}`)
	cache := memory.New(memory.Config{Now: n.clock.Now})
	shared := func(c *verifier.DiscoveryConfig) { c.Cache = cache }
	first, second := n.discovery(shared), n.discovery(shared)
	for _, domain := range []string{"foreign.test", "far.test", "off.test", "malformed.test", "nothing.test"} {
		want, wantErr := first.Discover(t.Context(), domain)
		asked := len(n.requests())
		got, gotErr := second.Discover(t.Context(), domain)
		if more := len(n.requests()) - asked; more != 0 {
			t.Errorf("%s: the second one asks %d times", domain, more)
		}
		if diff := cmp.Diff(want, got, cmp.Comparer((*browserid.PublicKey).Equal)); diff != "" {
			t.Errorf("%s (-first +second):\n%s", domain, diff)
		}
		if diff := cmp.Diff(parts(wantErr), parts(gotErr)); diff != "" {
			t.Errorf("%s (-first +second):\n%s", domain, diff)
		}
	}
}

// parts are what callers read of a failed look-up.
func parts(err error) []string {
	failed, ok := errors.AsType[*verifier.LookupError](err)
	if !ok {
		return []string{fmt.Sprint(err)}
	}
	all := []string{fmt.Sprint(failed.Kind), failed.Domain, failed.Error(), fmt.Sprint(failed.Unwrap())}
	if hinted, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok {
		all = append(all, hinted.Hint())
	}
	return all
}

// A cache that cannot answer, or holds what another program wrote, only costs
// requests.
func TestDiscoverWithoutCache(t *testing.T) {
	t.Parallel()
	for name, cache := range map[string]verifier.Cache{
		"down": brokenCache{}, "empty": constantCache(""), "garbage": constantCache("x"), "no document": constantCache("d{"),
		"no failure": constantCache("e"), "another's failure": constantCache("e[]"),
	} {
		n := newInternet(t)
		n.publish("foreign.test", support(t, foreignKey()))
		d := n.discovery(func(c *verifier.DiscoveryConfig) { c.Cache = cache })
		for range 2 {
			if _, err := d.Discover(t.Context(), "foreign.test"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if got := len(n.requests()); got != 2 {
			t.Errorf("%s: %d requests", name, got)
		}
	}
}

type brokenCache struct{}

func (brokenCache) Get(context.Context, string) ([]byte, error) { return nil, io.ErrUnexpectedEOF }

func (brokenCache) Set(context.Context, string, []byte, time.Duration) error {
	return io.ErrUnexpectedEOF
}

type constantCache string

func (c constantCache) Get(context.Context, string) ([]byte, error) { return []byte(c), nil }

func (constantCache) Set(context.Context, string, []byte, time.Duration) error { return nil }
