package verifier_test

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
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
