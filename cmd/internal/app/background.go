package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/keys"
)

const (
	directoryPollEvery   = 30 * time.Second
	directoryPollTimeout = 5 * time.Second
	keysRetryFirst       = time.Second
	keysRetryMost        = time.Minute
	sweepEvery           = 10 * time.Minute
)

// startBackground starts what goes on beside requests: making keys that are missing, watching the
// directories, sweeping outlived revocations. All of it ends with ctx.
func (a *App) startBackground(ctx context.Context) *sync.WaitGroup {
	work := new(sync.WaitGroup)
	work.Go(func() { a.makeKeys(ctx) })
	for _, name := range sortedNames(a.directories) {
		work.Go(func() { a.watchDirectory(ctx, name) })
	}
	work.Go(func() { a.sweepSessions(ctx) })
	return work
}

// makeKeys makes the keys that the store lacks, again and again until it succeeds. It is no part
// of the start because another process may be making them, and because a disk may be full; until it
// is done the identity paths answer 503 and the website is served.
func (a *App) makeKeys(ctx context.Context) {
	want := []keys.Want{{Use: keys.UseSession}}
	for _, host := range a.Config.Hosts() {
		if host.Role == config.RoleIdentity {
			want = append(want, keys.Want{Host: host.Name, Use: keys.UseCertificates})
		}
	}
	if len(want) == 1 {
		return // nobody signs in here
	}
	for pause := keysRetryFirst; ; pause = min(2*pause, keysRetryMost) {
		err := a.ring.Ensure(ctx, want...)
		if ctx.Err() != nil {
			return
		}
		if a.health.report("keys", err) && err != nil {
			hint := "check that state_dir is writable and has room"
			if hinted, ok := errors.AsType[interface {
				error
				Hint() string
			}](err); ok {
				hint = hinted.Hint()
			}
			a.Log.Error().Err(err).Str("hint", hint+"; until the keys are created no one can sign in").Msg("creating keys")
		}
		if err == nil || !wait(ctx, pause) {
			return
		}
	}
}

// watchDirectory keeps the state of a directory in the health, and logs when it changes.
func (a *App) watchDirectory(ctx context.Context, name string) {
	for {
		err := a.pingDirectory(ctx, name)
		if ctx.Err() != nil {
			return
		}
		if a.health.report("directory "+name, err) {
			if err != nil {
				a.Log.Warn().Err(err).Str("directory", name).Str("hint", identity.Hint(err)).
					Msg("directory unavailable")
			} else {
				a.Log.Info().Str("directory", name).Msg("directory answers")
			}
		}
		if !wait(ctx, directoryPollEvery) {
			return
		}
	}
}

func (a *App) pingDirectory(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, directoryPollTimeout)
	defer cancel()
	return a.directories[name].Ping(ctx)
}

func (a *App) sweepSessions(ctx context.Context) {
	for wait(ctx, sweepEvery) {
		if err := a.sessions.Sweep(ctx); err != nil && !errors.Is(err, context.Canceled) {
			a.Log.Warn().Err(fmt.Errorf("sweeping revocations: %w", err)).Msg("old revocations stay in the store")
		}
	}
}

// wait passes the time d and says whether ctx still goes on then.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
