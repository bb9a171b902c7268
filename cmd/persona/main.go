// Command persona stands before a website and makes its domain the authority
// over its own e-mail addresses. Run it without arguments for its commands.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"persona-sidecar/cmd/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(cli.Main(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}
