// Package cli is the command line of persona: its commands and their flags, usage
// texts, errors with hints, exit codes. It reads the configuration and runs what
// package app builds from it.
package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/term"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/setup"
)

// Exit codes, which systemd and container engines look at.
const (
	exitSuccess = 0
	exitFailure = 1 // at run time; a restart may help
	exitUsage   = 2 // wrong usage or configuration; a restart does not help
)

// shell is where a command is called from.
type shell struct {
	environ        []string
	stdin          io.Reader
	stdout, stderr io.Writer
	// isTerminal reports whether a person can be asked at stdin; readHidden reads
	// a line that is not shown while it is typed.
	isTerminal func(stdin io.Reader) bool
	readHidden func(ctx context.Context, stdin io.Reader) (string, error)
	root       bool // runs as root
	random     io.Reader
	version    string
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
		{"apps list", "", "list the apps that are configured", appsList},
		{"apps show", "ID", "show what to paste into an app", appsShow},
		{"apps add", "PRESET URL", "make a secret and the lines of the configuration for an app", appsAdd},
		{"keys list", "", "show the keys, without their secrets", keysList},
		{"keys rotate", "", "replace the keys of a domain", nil},
		{"directory check", "[NAME]...", "look for what is wrong with the directories", directoryCheck},
		{"directory whois", "LOGIN|ADDRESS", "show what a directory says of a person, and whether they could sign in", directoryWhois},
		{"healthcheck", "", "ask a running sidecar whether it is alive", healthcheck},
		{"version", "", "print the version", version},
	}
}

// Program is what the operating system and the linker give to the program.
type Program struct {
	Args           []string // without the program's name
	Environ        []string // as from os.Environ
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Rand is the source of randomness; nil is crypto/rand.
	Rand io.Reader
	// Version and Revision name a build whose source was not in a repository;
	// "" where the build information has them.
	Version, Revision string
}

// Main runs the command that the arguments call for, and returns the exit code.
// It returns when the command is done or, for one that serves, when ctx ends.
func Main(ctx context.Context, p Program) int {
	sh := shell{
		environ: p.Environ, stdin: p.Stdin, stdout: p.Stdout, stderr: p.Stderr,
		isTerminal: func(in io.Reader) bool {
			file, ok := in.(*os.File)
			return ok && term.IsTerminal(int(file.Fd()))
		},
		readHidden: readHidden, root: os.Geteuid() == 0, random: p.Rand, version: p.Version,
	}
	if sh.random == nil {
		sh.random = rand.Reader
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		sh.version = describe(info, p.Version, p.Revision)
	}
	return run(ctx, sh, p.Args)
}

// run is Main for any shell. It prints an error as "persona: what (hint: what to
// do)", and below it its details, such as the faults of a configuration, one a
// line. An error that is not known to be a mistake of the caller is a failure at
// run time.
func run(ctx context.Context, sh shell, args []string) int {
	err := dispatch(ctx, sh, args)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return exitSuccess
	}
	fmt.Fprintf(sh.stderr, "persona: %v", err)
	if hinted, ok := errors.AsType[hinter](err); ok && hinted.Hint() != "" {
		fmt.Fprintf(sh.stderr, " (hint: %s)", hinted.Hint())
	}
	fmt.Fprintln(sh.stderr)
	if detailed, ok := errors.AsType[detailer](err); ok {
		for _, line := range detailed.Detail() {
			fmt.Fprintln(sh.stderr, line)
		}
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return f.code
	}
	if _, ok := errors.AsType[*setup.Refusal](err); ok {
		return exitUsage
	}
	return exitFailure
}

func dispatch(ctx context.Context, sh shell, args []string) error {
	if len(args) == 0 {
		fmt.Fprint(sh.stderr, usage())
		return wrong("no command is given", `"persona serve" runs the sidecar`)
	}
	asked := false
	switch args[0] {
	case "help", "-h", "-help", "--help":
		asked, args = true, args[1:]
		if len(args) == 0 {
			_, err := fmt.Fprint(sh.stdout, usage())
			return err
		}
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
	if asked { // the flags are declared where they are used: ask the command itself
		rest = []string{"-help"}
	}
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors are reported once, by run
	flags.Usage = func() {
		line := strings.TrimSpace(fmt.Sprintf("Usage: persona %s [flags] %s", c.name, c.arguments))
		fmt.Fprintf(flags.Output(), "%s\n\n%s.\n\n", line, strings.ToUpper(c.summary[:1])+c.summary[1:])
		flags.PrintDefaults()
	}
	return c.run(ctx, sh, flags, rest)
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

// version prints which build this is.
func version(_ context.Context, sh shell, flags *flag.FlagSet, args []string) error {
	if err := parse(sh, flags, args); err != nil {
		return err
	}
	_, err := fmt.Fprintf(sh.stdout, "persona %s %s %s/%s\n", sh.version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// describe names a build by what was stamped on it, or else by the version of the
// module, with the revision where the version does not tell.
func describe(info *debug.BuildInfo, version, revision string) string {
	modified := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && revision == "":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = "+changes"
		}
	}
	if version == "" {
		version = cmp.Or(info.Main.Version, "(devel)")
		if version != "(devel)" { // it tells the revision
			return version
		}
	}
	if len(revision) < 12 {
		return version
	}
	return version + " " + revision[:12] + modified
}
