package app

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"persona-sidecar/cmd/internal/store"
	"persona-sidecar/idp/identity"
	"persona-sidecar/proxy/certs"
)

const (
	directoryPollEvery   = 30 * time.Second
	directoryPollTimeout = 5 * time.Second
	keysRetryFirst       = time.Second
	keysRetryMost        = time.Minute
	sweepEvery           = 10 * time.Minute
	claimEvery           = 5 * time.Second
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

// claimState tells when another process serves from the same state directory. It waits for no lock, so
// that it may be a part of the start.
func (a *App) claimState(ctx context.Context) error {
	err := a.store.Claim(ctx)
	if errors.Is(err, store.ErrShared) && a.health.report("state_dir", err) {
		a.log.Warn().Err(err).Str("hint", identity.Hint(err)).Msg("state_dir is shared")
	}
	return err // another one, as on a full disk, is reported by what writes
}

// keepClaim tries again where claimState failed with err, tells when the other process has ended, and
// gives the claim back when ctx ends. It is not of a generation: a reload keeps the claim.
func (a *App) keepClaim(ctx context.Context, err error) {
	tick := time.NewTicker(claimEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			if err == nil {
				continue
			}
			before := err
			if err = a.claimState(ctx); err == nil && errors.Is(before, store.ErrShared) {
				a.health.report("state_dir", nil)
				a.log.Info().Msg("state_dir is not shared any more")
			}
		}
	}
	if err := a.store.Release(context.WithoutCancel(ctx)); err != nil {
		a.log.Warn().Err(err).Msg("giving back state_dir")
	}
}

// keepTickets keeps the keys of TLS session tickets until ctx ends. Where the store fails, handshakes
// go on with those that it had.
func (a *App) keepTickets(ctx context.Context) {
	tick := time.NewTicker(certs.TicketRefresh)
	defer tick.Stop()
	for {
		if err := a.tickets.Refresh(ctx); err != nil && ctx.Err() == nil {
			a.log.Warn().Err(err).Str("hint", identity.Hint(err)).Msg("TLS sessions do not resume after a restart or at other processes")
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
