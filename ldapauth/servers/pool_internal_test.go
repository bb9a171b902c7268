package servers

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestIdleConnectionsEnd: connections that lie unused are closed without anyone who asks for one.
func TestIdleConnectionsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := &server{open: make(map[*conn]bool)}
		add := func() *conn {
			raw, other := net.Pipe()
			t.Cleanup(func() { other.Close() })
			c := &conn{server: srv, raw: raw, used: time.Now()}
			srv.open[c] = true
			srv.pools[searchConn].put(c)
			return c
		}
		add()
		time.Sleep(maxIdleTime / 2)
		add()
		for _, want := range []struct {
			after time.Duration
			idle  int
		}{{maxIdleTime/2 - 1, 2}, {2, 1}, {maxIdleTime / 2, 0}} {
			time.Sleep(want.after)
			synctest.Wait()
			srv.mu.Lock()
			open := len(srv.open)
			srv.mu.Unlock()
			if n := srv.pools[searchConn].len(); n != want.idle || open != want.idle {
				t.Errorf("%d idle, %d open; want %d", n, open, want.idle)
			}
		}
	})
}

// TestPatience: a directory whose binds take long, as with an expensive hash, is not taken for silent.
func TestPatience(t *testing.T) {
	t.Parallel()
	srv := &server{}
	answer := func(took time.Duration, err error) {
		srv.figures.begin(bindConn)
		srv.figures.end(bindConn, took, err)
	}
	for _, c := range []struct {
		took time.Duration
		err  error
		want time.Duration
	}{
		{0, nil, leastPatience}, {time.Minute, &silentError{}, leastPatience}, {1500 * time.Millisecond, nil, 6 * time.Second}, {1500 * time.Millisecond, nil, 6 * time.Second},
	} {
		answer(c.took, c.err)
		if got := srv.patience(bindConn); got != c.want {
			t.Errorf("after %v, %v: %v, want %v", c.took, c.err, got, c.want)
		}
	}
	for range 100 {
		answer(time.Millisecond, nil)
	}
	if got := srv.patience(bindConn); got != leastPatience {
		t.Errorf("after quick answers: %v", got)
	}
	if got := srv.patience(searchConn); got != leastPatience {
		t.Errorf("of searches: %v", got)
	}
}
