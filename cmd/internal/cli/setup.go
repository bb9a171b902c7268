package cli

import (
	"context"
	"flag"

	"persona-sidecar/cmd/internal/setup"
)

// writeSetup writes a configuration. At a terminal it asks what the flags leave
// open.
func writeSetup(ctx context.Context, sh shell, flags *flag.FlagSet, args []string) error {
	s := setup.New(flags)
	if err := parse(sh, flags, args); err != nil {
		return err
	}
	env := setup.Env{Screen: sh.stderr, Out: sh.stdout, Root: sh.root}
	if sh.interactive() {
		env.Terminal = sh
	}
	return s.Run(ctx, flags, env)
}
