package servers

import (
	"context"
	"time"
)

// Look opens a connection for searches to the server of the nth source.
func Look(ctx context.Context, s *Set, n int) error {
	s.resolve(ctx)
	s.mu.Lock()
	srv := s.sources[n].servers[0]
	s.mu.Unlock()
	c, err := srv.connect(ctx, time.Now().Add(s.cfg.Timeout), searchConn)
	if err == nil {
		c.close()
	}
	return err
}
