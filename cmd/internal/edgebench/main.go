package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "edgebench:", err)
		os.Exit(1)
	}
}

// run measures, or is one of the servers that the measurement starts.
func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "origin":
			return serveOrigin(ctx)
		case "reverseproxy":
			return serveReverseProxy(ctx, args[1:])
		}
	}
	flags := flag.NewFlagSet("edgebench", flag.ContinueOnError)
	persona := flags.String("persona", "bin/persona", "the `binary` to measure")
	rounds := flags.Int("rounds", 3, "alternating rounds; the median counts")
	length := flags.Duration("time", 2*time.Second, "length of one sample")
	only := flags.String("rows", "", "comma-separated `names` of rows, instead of all")
	idle := flags.Int("idle", 5000, "idle connections whose memory is measured; 0: none")
	if err := flags.Parse(args); err != nil {
		return err
	}
	w, err := newWorld(ctx, *persona)
	if err != nil {
		return err
	}
	defer w.close()
	if *idle > 0 { // first: no program gives back all that a load has made it take
		if err := w.measureIdle(ctx, os.Stdout, *idle); err != nil {
			return err
		}
	}
	samples, err := w.measure(ctx, selected(*only), *rounds, *length)
	if err != nil {
		return err
	}
	printRatios(os.Stdout, w.contenders, samples)
	return nil
}

// serveOrigin is the website behind all contenders.
func serveOrigin(ctx context.Context) error { return serve(ctx, nil, origin()) }

func serveReverseProxy(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return errors.New("usage: edgebench reverseproxy ADDRESS CERTIFICATES WEBSITE")
	}
	handler, err := reverseProxy(args[2])
	if err != nil {
		return err
	}
	return serve(ctx, &listenOn{address: args[0], pem: args[1]}, handler)
}
