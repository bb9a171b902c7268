package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/rs/zerolog"

	"persona-sidecar/cmd/internal/app"
	checkreport "persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/config"
)

// serve runs the sidecar until ctx ends.
func serve(ctx context.Context, sh shell, flags *flag.FlagSet, args []string) error {
	path := configFlag(flags)
	if err := parse(sh, flags, args); err != nil {
		return err
	}
	// From the first moment on: a reload asked for too early must not kill.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)

	c, err := load(sh, *path)
	if errors.Is(err, config.ErrNone) {
		return &failure{cause: config.ErrNone, hint: "give one by file or by environment", detail: []string{"", whatIsMissing}, code: exitUsage}
	}
	if err != nil {
		return err
	}
	log, end := newLogger(sh, c.Log)
	defer end()
	for _, warning := range c.Warnings {
		log.Warn().Msg(warning.String())
	}
	if limit := memoryLimit(os.DirFS("/")); limit > 0 && !slices.ContainsFunc(sh.environ, func(v string) bool { return len(v) > 11 && v[:11] == "GOMEMLIMIT=" }) {
		// Memory is collected more often before the kernel ends the program; the rest is for what the
		// collector does not see, and for moments in which it is late.
		limit -= limit / 10
		debug.SetMemoryLimit(limit)
		log.Info().Int64("bytes", limit).Msg("memory limit, nine tenths of the control group's")
	}
	if !slices.ContainsFunc(sh.environ, func(v string) bool { return strings.HasPrefix(v, "GOGC=") }) {
		ended := make(chan struct{})
		defer close(ended)
		keepFloor(heapFloor, ended)
	}
	a, err := app.New(app.Options{Config: c, Log: log, Version: sh.version})
	if err != nil {
		return fmt.Errorf("starting: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go reloadOnHangup(ctx, hangups, a, log, func() (*config.Config, error) { return config.Load(configPath(*path), sh.environ) })
	return a.Run(ctx)
}

// reloadOnHangup reloads the configuration at each SIGHUP, once the program is ready, until ctx ends.
func reloadOnHangup(ctx context.Context, hangups <-chan os.Signal, a *app.App, log zerolog.Logger, load func() (*config.Config, error)) {
	select {
	case <-a.Ready():
	case <-ctx.Done():
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		err := a.Reload(func() (*config.Config, error) {
			c, err := load()
			if err == nil {
				for _, warning := range c.Warnings {
					log.Warn().Msg(warning.String())
				}
			}
			return c, err
		})
		if err == nil {
			log.Info().Msg("configuration reloaded")
			continue
		}
		if faults, ok := errors.AsType[config.Faults](err); ok {
			for _, fault := range faults {
				log.Error().Msg(fault.String())
			}
			err = fmt.Errorf("the configuration has %s", checkreport.Counted(len(faults), "fault"))
		}
		line := log.Error().Err(err)
		if hinted, ok := errors.AsType[hinter](err); ok {
			line = line.Str("hint", hinted.Hint())
		}
		line.Msg("configuration not reloaded; the previous one stays in use")
	}
}
