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
