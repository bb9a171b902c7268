package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"persona-sidecar/cmd/internal/config"
)

// Exit codes, which systemd and container engines look at.
const (
	exitSuccess = 0
	exitFailure = 1 // at run time; a restart may help
	exitUsage   = 2 // wrong usage or configuration; a restart does not help
)

// shell is where a command was called from.
type shell struct {
	environ        []string
	stdin          io.Reader
	stdout, stderr io.Writer
	// isTerminal reports whether a person can be asked at stdin; readHidden reads
	// a line that is not shown while it is typed.
	isTerminal func(stdin io.Reader) bool
	readHidden func(ctx context.Context, stdin io.Reader) (string, error)
	root       bool // runs as root
}

// command is one command of the program.
type command struct {
	name      string // words separated by a blank
	arguments string // as in a usage line, without the flags
	summary   string
	// run does it. flags are the command's own, not parsed yet. It is nil for a
	// command of a later release, which is refused as such and not in the usage
	// text.
	run func(ctx context.Context, sh shell, flags *flag.FlagSet, args []string) error
}

// commands are all that there are, in the order of the usage text.
func commands() []command {
	return []command{
		{"serve", "", "run the sidecar", serve},
		{"setup", "", "write a configuration", writeSetup},
		{"check", "[DOMAIN|ADDRESS]...", "look for what is wrong, from outside too", checkAll},
		{"keys list", "", "show the keys, without their secrets", keysList},
		{"keys rotate", "", "replace the keys of a domain", nil},
		{"directory check", "", "look for what is wrong with a directory", nil},
		{"directory whois", "LOGIN", "show what a directory says of a person", nil},
		{"healthcheck", "", "ask a running sidecar whether it lives", healthcheck},
		{"version", "", "print the version", version},
	}
}

// Main runs the command that args (without the program's name) call for, and
// returns the exit code. environ is as from os.Environ. It returns when the
// command is done or, for one that serves, when ctx ends.
func Main(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return run(ctx, shell{
		environ: environ, stdin: stdin, stdout: stdout, stderr: stderr,
		isTerminal: isTerminal, readHidden: readHidden, root: os.Geteuid() == 0,
	}, args)
}

// run is Main for any shell.
func run(ctx context.Context, sh shell, args []string) int {
	err := dispatch(ctx, sh, args)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return exitSuccess
	}
	report(sh.stderr, err)
	return exitCode(err)
}

func dispatch(ctx context.Context, sh shell, args []string) error {
	if len(args) == 0 {
		fmt.Fprint(sh.stderr, usage())
		return wrong("no command is given", `"persona serve" runs the sidecar`)
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		return help(sh, args[1:])
	case "-version", "--version":
		args[0] = "version"
	}
	c, rest, err := find(args)
	if err != nil {
		return err
	}
	if c.run == nil {
		return wrong(fmt.Sprintf("the command %q is not available yet", c.name), "persona help")
	}
	return c.run(ctx, sh, newFlags(c), rest)
}

// find returns the command that args begin with, and what follows it.
func find(args []string) (command, []string, error) {
	for _, c := range commands() {
		words := strings.Fields(c.name)
		if len(args) >= len(words) && strings.Join(args[:len(words)], " ") == c.name {
			return c, args[len(words):], nil
		}
	}
	var family []string
	for _, c := range commands() {
		if strings.HasPrefix(c.name, args[0]+" ") && c.run != nil {
			family = append(family, "persona "+c.name)
		}
	}
	if len(family) > 0 {
		return command{}, nil, wrong(fmt.Sprintf("%q needs another word", args[0]), strings.Join(family, ", "))
	}
	return command{}, nil, wrong(fmt.Sprintf("there is no command %q", args[0]), "persona help")
}

func usage() string {
	var b strings.Builder
	b.WriteString("persona is a reverse proxy and BrowserID identity provider for your domain.\n\nUsage: persona COMMAND [flags]\n\n")
	for _, c := range commands() {
		if c.run != nil {
			fmt.Fprintf(&b, "  %-16s %s\n", c.name, c.summary)
		}
	}
	b.WriteString("  help COMMAND     show the flags of a command\n\nExit codes: 0 success, 1 runtime failure, 2 usage or configuration error.\n")
	return b.String()
}

// help prints the usage of a command, or of the program.
func help(sh shell, args []string) error {
	if len(args) == 0 {
		fmt.Fprint(sh.stdout, usage())
		return nil
	}
	c, _, err := find(args)
	if err != nil {
		return err
	}
	if c.run == nil {
		return wrong(fmt.Sprintf("the command %q is not available yet", c.name), "persona help")
	}
	// The flags are declared where they are used: ask the command itself.
	return c.run(context.Background(), sh, newFlags(c), []string{"-help"})
}

// newFlags returns an empty set of flags whose usage text is that of a command.
func newFlags(c command) *flag.FlagSet {
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors are reported once, by Main
	flags.Usage = func() {
		line := strings.TrimSpace(fmt.Sprintf("Usage: persona %s [flags] %s", c.name, c.arguments))
		fmt.Fprintf(flags.Output(), "%s\n\n%s.\n\n", line, strings.ToUpper(c.summary[:1])+c.summary[1:])
		flags.PrintDefaults()
	}
	return flags
}

// parse parses the flags of a command that takes no other arguments. It returns
// flag.ErrHelp after printing the usage text that was asked for.
func parse(sh shell, flags *flag.FlagSet, args []string) error {
	if err := parseFlags(sh, flags, args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return wrong(fmt.Sprintf("%s: %q is not a flag", flags.Name(), flags.Arg(0)), "persona help "+flags.Name())
	}
	return nil
}

// parseFlags is parse for a command that takes other arguments too: it reads
// flags up to the first of them.
func parseFlags(sh shell, flags *flag.FlagSet, args []string) error {
	usage := flags.Usage
	flags.Usage = func() {}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(sh.stdout)
		usage()
		return err
	case err != nil:
		return wrong(fmt.Sprintf("%s: %v", flags.Name(), err), "persona help "+flags.Name())
	}
	return nil
}

// configFlag declares the flag -config.
func configFlag(flags *flag.FlagSet) *string {
	return flags.String("config", "", "`file` to read; by default "+config.DefaultPath+" if it exists, else the environment")
}
