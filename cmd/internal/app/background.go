package app

import (
	"context"
	"maps"
	"slices"
	"time"

	"persona-sidecar/idp/identity"
)

const (
	directoryPollEvery   = 30 * time.Second
	directoryPollTimeout = 5 * time.Second
	keysRetryFirst       = time.Second
	keysRetryMost        = time.Minute
	sweepEvery           = 10 * time.Minute
)

// startBackground starts what a generation does beside requests: it makes keys that are missing and
// watches the directories, until endBackground.
func (g *generation) startBackground(ctx context.Context) {
	ctx, g.stopWork = context.WithCancel(ctx)
	g.work.Go(func() { g.makeKeys(ctx) })
	for _, name := range slices.Sorted(maps.Keys(g.directories)) {
		g.work.Go(func() { g.watchDirectory(ctx, name) })
	}
}

// watchDirectory keeps the state of a directory in the health, and logs when it changes.
func (g *generation) watchDirectory(ctx context.Context, name string) {
	tick := time.NewTicker(directoryPollEvery)
	defer tick.Stop()
	for {
		ping, cancel := context.WithTimeout(ctx, directoryPollTimeout)
		err := g.directories[name].Ping(ping)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if g.health.report("directory "+name, err) {
			if err != nil {
				g.log.Warn().Err(err).Str("directory", name).Str("hint", identity.Hint(err)).Msg("directory unavailable")
			} else {
				g.log.Info().Str("directory", name).Msg("directory answers")
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sweepStore writes the sign-outs that the store refused before, and deletes what has expired, until
// ctx ends.
func (a *App) sweepStore(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := a.signOuts.Retry(ctx); err != nil && ctx.Err() == nil {
			a.log.Warn().Err(err).Str("hint", identity.Hint(err)).Msg("sign-outs are not in the store yet; they count until a restart")
		}
		if err := a.store.Sweep(ctx); err != nil && ctx.Err() == nil {
			a.log.Warn().Err(err).Str("hint", identity.Hint(err)).Msg("expired values stay in the store")
		}
	}
}

// claimState takes a lock in the state directory, which release gives back, and warns if another process
// has it: keys, certificates and sign-outs are shared then, what is counted in memory is not.
func (a *App) claimState(ctx context.Context) (release func()) {
	const lock = "persona/process"
	free, err := a.store.TryLock(ctx, lock)
	switch {
	case err != nil: // no room or no right to write: what needs either reports it
		return func() {}
	case !free:
		a.log.Warn().Str("state_dir", a.store.Path).
			Str("hint", "each process counts failed sign-ins and used assertions for itself; run one, or give each a state_dir of its own").
			Msg("another process uses this state directory")
		return func() {}
	}
	return func() {
		if err := a.store.Unlock(ctx, lock); err != nil {
			a.log.Warn().Err(err).Msg("releasing the state directory")
		}
	}
}
