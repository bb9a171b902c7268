package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/cmd/internal/app"
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
	log := newLogger(sh, c.Log)
	for _, warning := range c.Warnings {
		log.Warn().Msg(warning.String())
	}
	stop := make(chan struct{})
	defer close(stop)
	go logHangups(hangups, stop, log)

	a, err := app.New(app.Options{Config: c, Log: log, Version: sh.version})
	if err != nil {
		return fmt.Errorf("starting: %w", err)
	}
	return a.Run(ctx)
}

// logHangups says of each SIGHUP that it changes nothing.
func logHangups(hangups <-chan os.Signal, stop <-chan struct{}, log zerolog.Logger) {
	for {
		select {
		case <-hangups:
			log.Warn().Msg("SIGHUP: reading the configuration again is not available yet; restart to do so")
		case <-stop:
			return
		}
	}
}

// newLogger returns the program's logger, which writes to standard error.
func newLogger(sh shell, c config.Log) zerolog.Logger {
	level, err := zerolog.ParseLevel(c.Level)
	if err != nil { // config knows better
		level = zerolog.InfoLevel
	}
	var out io.Writer = sh.stderr
	if c.Format == config.FormatConsole {
		out = zerolog.ConsoleWriter{Out: sh.stderr, TimeFormat: time.DateTime + " -07:00", NoColor: !colourful(sh)}
	}
	return zerolog.New(out).Level(level).With().Timestamp().Logger()
}

// colourful reports whether standard error is a terminal whose user did not refuse
// colours.
func colourful(sh shell) bool {
	file, ok := sh.stderr.(*os.File)
	if !ok || slices.ContainsFunc(sh.environ, func(v string) bool { return len(v) > 9 && v[:9] == "NO_COLOR=" }) {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
