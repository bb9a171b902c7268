package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"persona-sidecar/cmd/demo/internal/world"
)

const usage = `demo shows persona on one machine: a directory with sample people, a website with the sidecar in front,
and a shop on another site that people sign in to.

usage: go run ./cmd/demo [-https ADDRESS] [-http ADDRESS] [-shop ADDRESS]
       go run ./cmd/demo -check

  -check          make the whole trip by itself, tell each step, and exit: 0 when all passed, 1 otherwise
  -https ADDRESS  listen here for HTTPS (default 127.0.0.1:8443; with -check any free port)
  -http ADDRESS   listen here for HTTP, which redirects (default 127.0.0.1:8080; with -check any free port)
  -shop ADDRESS   the shop listens here for HTTPS (default 127.0.0.1:8444; with -check any free port)
`

// writeScreen tells where to look, whom to sign in as, and what lies where.
func writeScreen(out io.Writer, w *world.World) error {
	var screen strings.Builder
	screen.WriteString("\npersona demo\n\n")
	for _, notice := range w.Notices() {
		fmt.Fprintf(&screen, "  Note: %s.\n", notice)
	}
	home := w.Origin(world.Host)
	fmt.Fprintf(&screen, "  Website   %s/\n  Sign-in   %s/persona/\n  Shop      %s/   another site, which people sign in to\n\n",
		home, home, w.ShopOrigin())
	fmt.Fprintf(&screen, "  Your browser will warn: the certificates come from a CA that was made for this run. Go on past\n"+
		"  the warning, at the website before the shop, which loads a script from there; or let the browser\n"+
		"  trust the CA; it can vouch for localhost alone:\n    %s\n\n", w.CAFile())
	if err := writePeople(&screen); err != nil {
		return err
	}
	ip, port := w.Address()
	fmt.Fprintf(&screen, "\n  The support document, from another terminal:\n    curl --cacert %s --resolve %s:%s:%s %s/.well-known/browserid\n\n",
		w.CAFile(), world.Host, port, ip, home)
	fmt.Fprintf(&screen, "  Configuration  %s\n  Log            %s\n  Health         %s/readyz\n\n", w.ConfigFile(), w.LogFile(), w.AdminURL())
	fmt.Fprintf(&screen, "Ctrl-C stops everything and removes %s.\n", w.Folder())
	_, err := io.WriteString(out, screen.String())
	return err
}

func writePeople(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "  NAME\tPASSWORD\tADDRESSES")
	for _, p := range world.People() {
		told := strings.Join(p.Addresses, ", ")
		switch {
		case p.Refused:
			told = "(cannot sign in: " + p.Note + ")"
		case p.Note != "":
			told = "(" + p.Note + ")"
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\n", p.Login, p.Password, told)
	}
	return table.Flush()
}
