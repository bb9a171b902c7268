// Command demo shows the whole of persona on one machine with nothing but Go: an embedded directory with sample people, a
// sample website, TLS from a throw-away CA, and the sidecar in front. With -check it makes the whole trip by itself.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
