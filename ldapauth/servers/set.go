package servers

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// probeInterval is how often a server that failed is looked at again.
const probeInterval = 2 * time.Second

// Set is an ordered list of servers with the same content. A server that
// fails is passed over until a probe in the background reaches it again, so
// no call waits for it twice. It is safe for concurrent use.
type Set struct {
	log     zerolog.Logger
	list    []*server
	timeout time.Duration // bounds a probe

	searches, binds limit

	closing context.Context
	close   context.CancelFunc
	probes  sync.WaitGroup

	mu    sync.Mutex
	state []serverState // by index in list
}

type serverState struct {
	down      bool
	probing   bool
	nextProbe time.Time
}

// do runs an operation on the first server that can do it. Each server gets an
// equal share of the time that is left, so that a silent one leaves time for
// the next.
func (s *Set) do(ctx context.Context, p purpose, op func(*conn) error) error {
	var failed failures
	order := s.order()
	for i, index := range order {
		attempt, cancel := shareOf(ctx, len(order)-i)
		err := s.list[index].do(attempt, p, op)
		cancel()
		if err == nil || !unavailable(err) {
			s.markUp(index)
			return err
		}
		failed = append(failed, err)
		if ctx.Err() != nil {
			break // the caller left or the time is up: no fault of the server's
		}
		s.markDown(index, err)
	}
	if len(failed) == 1 {
		return failed[0]
	}
	return failed
}

func shareOf(ctx context.Context, parts int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || parts == 1 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/time.Duration(parts))
}

// order returns the servers that are up as configured, then the others as a
// last resort, and has the others probed.
func (s *Set) order() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var up, down []int
	for i := range s.state {
		if !s.state[i].down {
			up = append(up, i)
			continue
		}
		down = append(down, i)
	}
	if len(up) > 0 { // else they are all tried anyway
		for _, i := range down {
			s.probeLocked(i)
		}
	}
	return append(up, down...)
}

// probeLocked looks in the background whether a server answers again.
func (s *Set) probeLocked(index int) {
	state := &s.state[index]
	if state.probing || time.Now().Before(state.nextProbe) || s.closing.Err() != nil {
		return
	}
	state.probing = true
	s.probes.Go(func() {
		ctx, cancel := context.WithTimeout(s.closing, s.timeout)
		defer cancel()
		c, err := s.list[index].connect(ctx, searchConn)
		if err == nil {
			s.list[index].pools[searchConn].put(c)
			s.markUp(index)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.state[index].probing = false
		s.state[index].nextProbe = time.Now().Add(probeInterval)
	})
}

func (s *Set) markUp(index int) {
	s.mu.Lock()
	was := s.state[index].down
	s.state[index].down = false
	s.mu.Unlock()
	if was && len(s.list) > 1 {
		s.log.Info().Str("server", s.list[index].url).Msg("a directory server is back")
	}
}

// markDown passes a server over. Its error is logged only where another server
// may hide it from the caller.
func (s *Set) markDown(index int, err error) {
	s.mu.Lock()
	was := s.state[index].down
	s.state[index].down = true
	s.state[index].nextProbe = time.Now().Add(probeInterval)
	s.mu.Unlock()
	if !was && len(s.list) > 1 {
		s.log.Warn().Str("server", s.list[index].url).Err(err).Msg("a directory server does not answer: using the next one")
	}
}

// Close closes every connection and waits for the probes. Calls in flight end with an error.
func (s *Set) Close() {
	s.mu.Lock() // no probe starts after this
	s.close()
	s.mu.Unlock()
	s.probes.Wait()
	for _, srv := range s.list {
		srv.close()
	}
}

// limit bounds how many operations of one kind are in flight.
type limit chan struct{}

func (l limit) acquire(ctx context.Context) error {
	select {
	case l <- struct{}{}:
		return nil
	default:
	}
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for one of %d connections: %w", cap(l), ctx.Err())
	}
}

func (l limit) release() { <-l }
