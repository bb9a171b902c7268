package servers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// probeInterval is how often a server that failed is looked at again.
	probeInterval = 2 * time.Second
	// leastShare is what a server gets of the time at least, however many there are.
	leastShare = time.Second
)

// Set is an ordered list of servers with the same content: every address of every name is one. A server that
// fails is passed over until a probe in the background reaches it again, so no call waits for it twice. A Set is
// safe for concurrent use.
type Set struct {
	cfg             Config
	service         *service
	searches, binds *limit

	closing context.Context
	close   context.CancelFunc
	running sync.WaitGroup // look-ups, probes

	mu      sync.Mutex
	sources []*source     // what is in them, too
	looking chan struct{} // closed when the look-up has ended; nil: none runs
}

// operation is one question to one server.
type operation struct {
	purpose purpose
	// background is set for a look of our own. It keeps no connection alive that is of no other use.
	background bool
	// alone is set for an operation whose connection is used for nothing before and after.
	alone bool
	ask   func(*conn) error
}

// do runs an operation on the first server that can do it. Each server gets an equal share of the time that is left,
// so that a silent one leaves time for the next. Servers that are down are a last resort.
func (s *Set) do(ctx context.Context, op operation) error {
	end, bounded := ctx.Deadline()
	if !bounded {
		end = time.Now().Add(s.cfg.Timeout)
	}
	var (
		failed failures
		tried  []*server
		looked bool
	)
	s.refresh(false)
	for s.closing.Err() == nil {
		srv, others := s.pick(tried, false)
		if srv == nil && !looked {
			looked = true
			s.resolve(ctx)
			continue
		}
		if srv == nil {
			srv, others = s.pick(tried, true)
		}
		if srv == nil {
			break
		}
		tried = append(tried, srv)
		until := end
		if others > 0 {
			share := max(time.Until(end)/time.Duration(others+1), leastShare)
			if earlier := time.Now().Add(share); earlier.Before(end) {
				until = earlier
			}
		}
		err := srv.do(ctx, op, until, others > 0)
		if err == nil || !unavailable(err) {
			s.markUp(srv)
			return err
		}
		failed = append(failed, err)
		if ctx.Err() != nil || s.closing.Err() != nil || !time.Now().Before(end) {
			break // the caller left or the time is up: no fault of the server's
		}
		s.markDown(srv, err)
	}
	if s.closing.Err() != nil {
		failed = append(failed, errClosed)
	}
	if err := ctx.Err(); err != nil && len(failed) == 0 {
		return err
	}
	s.mu.Lock()
	for _, from := range s.sources {
		if from.err != nil {
			failed = append(failed, &ConnectError{Doing: "looking for servers", Err: from.err, hint: connectHint(from.err), elsewhere: true})
		}
	}
	s.mu.Unlock()
	if len(failed) == 1 {
		return failed[0]
	}
	return failed
}

var errClosed = errors.New("the connections have been closed")

// pick returns the first server that was not tried, of those that are up or of all, and how many it leaves. The servers
// that are down are probed, unless they are tried anyway.
func (s *Set) pick(tried []*server, all bool) (first *server, others int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	down := 0
	for _, from := range s.sources {
		for _, srv := range from.servers {
			switch {
			case slices.Contains(tried, srv):
			case srv.down && !all:
				down++
			case first == nil:
				first = srv
			default:
				others++
			}
		}
	}
	if down == 0 || first == nil {
		return first, others
	}
	for _, from := range s.sources {
		for _, srv := range from.servers {
			if srv.down {
				s.probeLocked(srv)
			}
		}
	}
	return first, others + 1
}

// probeLocked looks in the background whether a server answers again.
func (s *Set) probeLocked(srv *server) {
	if srv.probing || time.Now().Before(srv.nextProbe) || s.closing.Err() != nil {
		return
	}
	srv.probing = true
	s.running.Go(func() {
		c, err := srv.connect(s.closing, time.Now().Add(s.cfg.Timeout), searchConn)
		if err == nil {
			srv.pools[searchConn].put(c)
			s.markUp(srv)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		srv.probing = false
		srv.nextProbe = time.Now().Add(probeInterval)
	})
}

func (s *Set) markUp(srv *server) {
	s.mu.Lock()
	was := srv.down
	srv.down = false
	only := s.onlyLocked()
	s.mu.Unlock()
	if was && !only {
		s.cfg.Log.Info().Str("server", srv.name).Msg("a directory server is back")
	}
}

// markDown passes a server over. Its error is logged only where another server may hide it from the caller. A server that
// was silent on old connections may be well, so it is probed at once.
func (s *Set) markDown(srv *server, err error) {
	var silent *silentError
	s.mu.Lock()
	was := srv.down
	srv.down = true
	srv.nextProbe = time.Now().Add(probeInterval)
	only := s.onlyLocked()
	if errors.As(err, &silent) && silent.pooled && !only {
		srv.nextProbe = time.Time{}
		s.probeLocked(srv)
	}
	s.mu.Unlock()
	if !was && !only {
		s.cfg.Log.Warn().Str("server", srv.name).Err(err).Msg("a directory server does not answer: using the next one")
	}
}

func (s *Set) onlyLocked() bool {
	n := 0
	for _, from := range s.sources {
		n += len(from.servers)
	}
	return n < 2
}

// Close closes every connection and waits for what runs in the background. Calls in flight end with an error.
func (s *Set) Close() {
	s.mu.Lock() // nothing starts in the background after this
	s.close()
	var all []*server
	for _, from := range s.sources {
		all = append(all, from.servers...)
	}
	s.mu.Unlock()
	for _, srv := range all {
		srv.end()
	}
	s.running.Wait()
	for _, srv := range all {
		srv.end()
	}
}

// Closed reports whether Close was called.
func (s *Set) Closed() bool { return s.closing.Err() != nil }

// limit bounds how many operations of one kind are in flight.
type limit struct {
	slots   chan struct{}
	waiting atomic.Int32
}

func newLimit(n int) *limit { return &limit{slots: make(chan struct{}, n)} }

func (l *limit) acquire(ctx context.Context) error {
	select {
	case l.slots <- struct{}{}:
		return nil
	default:
	}
	l.waiting.Add(1)
	defer l.waiting.Add(-1)
	select {
	case l.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for one of %d connections: %w", cap(l.slots), ctx.Err())
	}
}

func (l *limit) release() { <-l.slots }
