package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"persona-sidecar/cmd/internal/check"
	"persona-sidecar/cmd/internal/check/network"
	checkreport "persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/config/strict"
	"persona-sidecar/cmd/internal/translate"
)

// checkCommand is one call of check, with its flags.
type checkCommand struct {
	shell
	config, resolve, caFile, login, passwordFile *string
	json, offline                                *bool
	stop                                         context.CancelFunc
}

// checkAll looks for what is wrong: everywhere, at some domains, or along the
// way of one person.
func checkAll(ctx context.Context, sh shell, flags *flag.FlagSet, args []string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	c := checkCommand{
		shell: sh, stop: stop, config: configFlag(flags),
		json:         jsonFlag(flags),
		offline:      flags.Bool("offline", false, "check the configuration, the files and the state directory alone, without the network"),
		resolve:      flags.String("resolve", "", "`address[:port]` at which the names that are checked are looked for, as 127.0.0.1:8443, before DNS points here"),
		caFile:       flags.String("ca-file", "", "`file` of roots to trust for HTTPS besides the system's, in PEM, for an internal authority"),
		login:        flags.String("login", "", "`name` to sign in with, if it is not the address"),
		passwordFile: flags.String("password-file", "", "`file` that holds the password to sign in with, instead of asking for it"),
	}
	groups, err := c.plan(flags, args)
	summary, err := printFindings(ctx, sh, *c.json || wantsJSON(args), groups, err)
	if err != nil {
		return err
	}
	return stepsFailed(summary)
}

// jsonFlag declares the flag -json of commands with findings.
func jsonFlag(flags *flag.FlagSet) *bool {
	return flags.Bool("json", false, "print one JSON object at the end instead of lines")
}

// wantsJSON reports whether the flag -json is given: a flag that is refused ends the reading before it is met.
func wantsJSON(args []string) bool {
	return slices.ContainsFunc(args, func(arg string) bool { return arg == "-json" || arg == "--json" })
}

// printFindings takes the steps that were planned, or prints why none could be: what reads the JSON finds the
// reason there too.
func printFindings(ctx context.Context, sh shell, asJSON bool, groups []checkreport.Group, err error) (checkreport.Summary, error) {
	if errors.Is(err, flag.ErrHelp) {
		return checkreport.Summary{}, err
	}
	reporter := checkreport.Text(sh.stdout, colourful(shell{environ: sh.environ, stderr: sh.stdout}))
	if asJSON {
		reporter = checkreport.JSON(sh.stdout)
	}
	var summary checkreport.Summary
	if err == nil {
		summary, err = checkreport.Run(ctx, groups, reporter)
		if errors.Is(err, context.Canceled) {
			err = &failure{problem: "stopped before all was checked", code: exitFailure}
		} else if err != nil {
			return summary, fmt.Errorf("checking: %w", err)
		}
	}
	if err == nil || !asJSON {
		return summary, err
	}
	f := (*failure)(nil)
	finding := checkreport.Finding{Subject: "check", Name: "run", Status: checkreport.Failed, Message: err.Error()}
	if errors.As(err, &f) {
		finding.Hint, finding.Cause = f.Hint(), strings.Join(f.Detail(), "\n")
	}
	reporter.Report(finding)
	summary.Failed++
	return summary, errors.Join(err, reporter.End(summary))
}

// stepsFailed is the error of a check that found faults.
func stepsFailed(summary checkreport.Summary) error {
	if summary.Status() != checkreport.Failed {
		return nil
	}
	return &failure{problem: checkreport.Counted(summary.Failed, "step") + " failed", hint: "fix the first one first: others may follow from it", code: exitFailure}
}

// parseMixed reads flags and other arguments, in whatever order they stand, and returns the latter.
func parseMixed(sh shell, flags *flag.FlagSet, args []string) (others []string, err error) {
	for {
		if err := parseFlags(sh, flags, args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return others, nil
		}
		others = append(others, flags.Arg(0))
		args = flags.Args()[1:]
	}
}

// plan reads flags and targets, and plans the steps.
func (c checkCommand) plan(flags *flag.FlagSet, args []string) ([]checkreport.Group, error) {
	texts, err := parseMixed(c.shell, flags, args)
	if err != nil {
		return nil, err
	}
	var targets []check.Target
	for _, text := range texts {
		found, err := check.ParseTarget(text)
		if err != nil {
			return nil, wrong(fmt.Sprintf("check: %v", err), "write a domain, as example.com, or an e-mail address")
		}
		if !slices.Contains(targets, found) {
			targets = append(targets, found)
		}
	}
	if *c.offline && len(targets) > 0 {
		return nil, wrong("check: -offline checks no domain and no address", "leave them out, or leave -offline out")
	}
	checker, err := c.checker(len(targets) == 0)
	switch {
	case err != nil:
		return nil, err
	case *c.offline:
		return checker.Offline(), nil
	case len(targets) == 0:
		return checker.Everything(), nil
	}
	var groups []checkreport.Group
	for _, t := range targets {
		if t.Domain != "" {
			groups = append(groups, checker.Domain(t.Domain)...)
			continue
		}
		who := check.SignIn{Address: t.Address, Login: *c.login}
		if checker.Config != nil { // without, no password is typed anywhere
			if who.Password, err = c.password(t.Address.String()); err != nil {
				return nil, err
			}
		}
		groups = append(groups, checker.Address(who)...)
	}
	return groups, nil
}

// checker reads the configuration. Without one only domains and addresses that
// are named can be checked, as an outsider sees them.
func (c checkCommand) checker(needed bool) (*check.Checker, error) {
	resolve, err := network.ParseResolve(*c.resolve)
	if err != nil {
		return nil, wrong(fmt.Sprintf("check: -resolve: %v", err), "persona help check")
	}
	env := check.SystemEnv(translate.Directory)
	if *c.caFile != "" {
		env.Roots, err = strict.ReadRoots(*c.caFile)
		if faults := (config.Faults{}); errors.As(err, &faults) {
			return nil, wrong("check: -ca-file: "+faults[0].Problem, faults[0].Cure)
		} else if err != nil {
			return nil, err
		}
	}
	path := configPath(*c.config)
	options := check.Options{Resolve: resolve, Source: path}
	if path == "" {
		options.Source = config.Environment
	}
	options.Config, err = load(c.shell, path)
	if err != nil && (needed || !errors.Is(err, config.ErrNone)) {
		return nil, err
	}
	return check.New(env, options), nil
}

// password returns how the password of an address is obtained: from a file, or by
// a question that cancels the run on Ctrl-C and Ctrl-D.
func (c checkCommand) password(address string) (func(context.Context) (string, error), error) {
	if *c.passwordFile != "" {
		text, err := os.ReadFile(*c.passwordFile)
		if err != nil {
			return nil, &failure{problem: "check: -password-file", cause: err, hint: "give the path of a file that holds the password", code: exitUsage}
		}
		line := strings.TrimSuffix(string(bytes.TrimSuffix(text, []byte("\n"))), "\r")
		return func(context.Context) (string, error) { return line, nil }, nil
	}
	if !c.interactive() {
		return nil, wrong("check: the password of "+address+" cannot be asked for without a terminal", "give it with -password-file; or, without a sign-in: persona directory whois "+address)
	}
	return func(ctx context.Context) (string, error) {
		password, err := c.AskHidden(ctx, "Password of "+address+": ")
		if err != nil {
			c.stop()
		}
		return password, err
	}, nil
}
