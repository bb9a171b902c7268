package app

import (
	"errors"
	"fmt"
	"strings"

	"persona-sidecar/cmd/internal/config"
)

// UnchangeableError is the fault of a new configuration that changes what cannot change while the
// program runs.
type UnchangeableError struct{ Keys []string }

func (e *UnchangeableError) Error() string {
	return strings.Join(e.Keys, ", ") + " cannot change while the program runs"
}

// Hint returns what the operator can do about it.
func (e *UnchangeableError) Hint() string { return "restart the program to apply them" }

// Reload reads the configuration by load and serves by it from then on. No connection is dropped:
// requests under way, event streams and websockets end as they were begun. After an error everything
// is as before, and /readyz has the cause until a reload succeeds. The program must be ready.
func (a *App) Reload(load func() (*config.Config, error)) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.background == nil {
		return errors.New("the program does not serve")
	}
	c, err := load()
	if err == nil {
		err = a.change(c)
	}
	a.health.report("configuration", err)
	return err
}

// change swaps in the generation of a configuration. The caller holds mu.
func (a *App) change(c *config.Config) error {
	old := a.current.Load()
	if keys := config.NeedRestart(old.config, c); len(keys) > 0 {
		return &UnchangeableError{Keys: keys}
	}
	next, err := newGeneration(a.process, a.certificates, c, old)
	if err != nil {
		return fmt.Errorf("applying the new configuration: %w", err)
	}
	source, err := a.certificates.prepare(a.background, next)
	if err == nil {
		err = a.certificates.use(a.background, source)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("applying the new configuration: %w", err), next.close())
	}
	a.live[next] = struct{}{}
	a.current.Store(next)
	a.limit(c)
	old.endBackground()
	a.forget(old)
	next.startBackground(a.background)
	go func() { // when the last request of the old generation is over
		<-old.drained
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.live, old)
		if err := old.close(); err != nil {
			a.log.Warn().Err(err).Msg("closing what the previous configuration had opened")
		}
		a.forget(old) // its last requests were counted
	}()
	old.release()
	return nil
}

// forget removes the series and the health of what a generation had and the current one has not. The
// caller holds mu.
func (a *App) forget(old *generation) {
	now := a.current.Load()
	parts := map[string]bool{"keys": len(now.directories) > 0}
	for name := range now.directories {
		parts["directory "+name] = true
	}
	a.health.keep("keys", parts)
	a.health.keep("directory ", parts)
	// Each name with the label under which the metrics know it.
	labels := func(g *generation) map[[2]string]bool {
		names := map[[2]string]bool{}
		for _, host := range g.hosts {
			names[[2]string{"host", host.Name}] = true
		}
		for _, site := range g.sites {
			names[[2]string{"site", site.Name}] = true
		}
		for directory := range g.directories {
			names[[2]string{"directory", directory}] = true
		}
		return names
	}
	kept := labels(now)
	for gone := range labels(old) {
		if !kept[gone] {
			a.metrics.forget(gone[0], gone[1])
		}
	}
}
