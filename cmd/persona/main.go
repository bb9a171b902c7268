// Command persona is a reverse proxy and BrowserID identity provider for your
// domain. Run it without arguments for its commands.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"persona-sidecar/cmd/internal/cli"
)

// version and revision are set by the linker for builds without a repository:
// go build -ldflags "-X main.version=v1.2.3 -X main.revision=$(git rev-parse HEAD)".
var version, revision string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(cli.Main(ctx, cli.Program{
		Args: os.Args[1:], Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Version: version, Revision: revision,
	}))
}
