package app

import (
	"errors"
	"fmt"
	"maps"
	"slices"
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
// is as before, and /readyz tells the cause until a reload succeeds. The program must be ready.
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
	next, err := newGeneration(a.process, a.certificates, c)
	if err != nil {
		return fmt.Errorf("applying the new configuration: %w", err)
	}
	source, err := a.certificates.prepare(a.background, next)
	if err != nil {
		return errors.Join(fmt.Errorf("applying the new configuration: %w", err), next.close())
	}
	a.live[next] = struct{}{}
	a.current.Store(next)
	a.certificates.use(source)
	old.endBackground()
	a.forget(old)
	next.startBackground(a.background)
	a.retire(old)
	return nil
}

// retire lets a generation go, and closes it when its last request is over. The caller holds mu.
func (a *App) retire(old *generation) {
	go func() {
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
	gone := func(before, after []string, forget func(string)) {
		kept := map[string]bool{}
		for _, name := range after {
			kept[name] = true
		}
		for _, name := range before {
			if !kept[name] {
				forget(name)
			}
		}
	}
	gone(old.names(), now.names(), a.metrics.forgetHost)
	gone(old.siteNames(), now.siteNames(), a.metrics.forgetSite)
	gone(slices.Collect(maps.Keys(old.directories)), slices.Collect(maps.Keys(now.directories)), a.metrics.forgetDirectory)
}
