package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"persona-sidecar/cmd/demo/internal/trip"
	"persona-sidecar/cmd/demo/internal/world"
)

// The exit codes, as the program itself has them.
const (
	exitFine  = 0
	exitWorld = 1 // something is wrong with the world
	exitUsage = 2
)

const (
	defaultHTTPS = "127.0.0.1:8443"
	defaultHTTP  = "127.0.0.1:8080"
	defaultShop  = "127.0.0.1:8444"
	anyPort      = "127.0.0.1:0"
)

// logLines is how much of the log follows a step that failed.
const logLines = 12

// options are what the command line says.
type options struct {
	check  bool
	listen world.Listen
}

// run is the whole command; it ends when ctx does, or with -check when the trip is over.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	o, err := parse(args, errOut)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitFine
	case err != nil:
		return exitUsage
	}
	demo := show
	if o.check {
		demo = check
	}
	if err := demo(ctx, o.listen, out); err != nil {
		if !errors.Is(err, errTripFailed) { // which has told everything
			fmt.Fprintf(errOut, "demo: %v\n", err)
		}
		return exitWorld
	}
	return exitFine
}

func parse(args []string, errOut io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.Usage = func() { fmt.Fprint(errOut, usage) }
	flags.BoolVar(&o.check, "check", false, "")
	flags.StringVar(&o.listen.HTTPS, "https", "", "")
	flags.StringVar(&o.listen.HTTP, "http", "", "")
	flags.StringVar(&o.listen.Shop, "shop", "", "")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		err := fmt.Errorf("unknown argument %q", flags.Arg(0))
		fmt.Fprintf(errOut, "demo: %v (hint: run it with -h)\n", err)
		return options{}, err
	}
	// The demo has well-known ports, so that its addresses can be written down; the check takes any that are free.
	usual := world.Listen{HTTPS: defaultHTTPS, HTTP: defaultHTTP, Shop: defaultShop}
	if o.check {
		usual = world.Listen{HTTPS: anyPort, HTTP: anyPort, Shop: anyPort}
	}
	o.listen = world.Listen{
		HTTPS: cmp.Or(o.listen.HTTPS, usual.HTTPS),
		HTTP:  cmp.Or(o.listen.HTTP, usual.HTTP),
		Shop:  cmp.Or(o.listen.Shop, usual.Shop),
	}
	return o, nil
}

// show runs the world until ctx ends.
func show(ctx context.Context, listen world.Listen, out io.Writer) (err error) {
	w, err := world.Start(ctx, listen)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if err := writeScreen(out, w); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		fmt.Fprintln(out, "\nStopping.")
		return nil
	case err := <-w.Ended():
		return fmt.Errorf("the sidecar ended: %w", err)
	}
}

var errTripFailed = errors.New("not all steps passed")

// check runs the world for one trip.
func check(ctx context.Context, listen world.Listen, out io.Writer) (err error) {
	began := time.Now()
	w, err := world.Start(ctx, listen)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	fmt.Fprintf(out, "✓ %-30s directory, website, sidecar and shop in %s\n", "world up", time.Since(began).Round(time.Millisecond))
	people := world.People()
	steps := trip.New(trip.Target{
		Host: world.Host, Origin: w.Origin(world.Host), PlainOrigin: w.PlainOrigin(world.Host),
		DelegateOrigin: w.Origin(world.Delegate), ShopOrigin: w.ShopOrigin(), Client: w.Client(),
		Login: people[0].Login, Password: people[0].Password, Addresses: people[0].Addresses,
		Foreign: people[1].Addresses[0], Now: time.Now, Rand: rand.Reader,
	}).Steps()
	if !trip.Run(ctx, out, steps) {
		writeLog(out, w)
		return errTripFailed
	}
	fmt.Fprintf(out, "All %d steps passed in %s.\n", len(steps), time.Since(began).Round(time.Millisecond))
	return nil
}

// writeLog shows what the sidecar logged last; the file goes with the world.
func writeLog(out io.Writer, w *world.World) {
	lines, err := w.LogTail(logLines)
	if err != nil {
		fmt.Fprintf(out, "  the log cannot be shown: %v\n", err)
		return
	}
	fmt.Fprintln(out, "  the sidecar's log ends with:")
	for _, line := range lines {
		fmt.Fprintf(out, "    %s\n", line)
	}
}
