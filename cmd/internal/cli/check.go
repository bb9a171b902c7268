package cli

import (
	"bytes"
	"context"
	"crypto/x509"
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
)

// checkFlags are what check is told.
type checkFlags struct {
	config, resolve, caFile, login, passwordFile *string
	json                                         *bool
}

func declareCheck(flags *flag.FlagSet) checkFlags {
	return checkFlags{
		config:       configFlag(flags),
		json:         flags.Bool("json", false, "print one JSON object at the end instead of lines"),
		resolve:      flags.String("resolve", "", "`address[:port]` at which the names that are checked are looked for, as 127.0.0.1:8443, before DNS points here"),
		caFile:       flags.String("ca-file", "", "`file` of roots to trust for HTTPS besides the system's, in PEM, for an internal authority"),
		login:        flags.String("login", "", "`name` to sign in with, where it is not the address"),
		passwordFile: flags.String("password-file", "", "`file` that holds the password to sign in with, instead of asking for it"),
	}
}

// checkAll looks for what is wrong: everywhere, at some domains, or along the
// way of one person.
func checkAll(ctx context.Context, sh shell, flags *flag.FlagSet, args []string) error {
	given := declareCheck(flags)
	targets, err := parseTargets(sh, flags, args)
	if err != nil {
		return err
	}
	checker, err := given.checker(sh, targets)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	groups, err := given.plan(shellAsking{sh, stop}, checker, targets)
	if err != nil {
		return err
	}
	reporter := checkreport.Text(sh.stdout, colourful(shell{environ: sh.environ, stderr: sh.stdout}))
	if *given.json {
		reporter = checkreport.JSON(sh.stdout)
	}
	summary, err := checkreport.Run(ctx, groups, reporter)
	switch {
	case errors.Is(err, context.Canceled):
		return &failure{problem: "stopped before all was checked", code: exitFailure}
	case err != nil:
		return fmt.Errorf("checking: %w", err)
	case summary.Status() == checkreport.Failed:
		return &failure{problem: counted(summary.Failed, "step") + " failed", hint: "mend the first one first: others may follow from it", code: exitFailure}
	}
	return nil
}

// parseTargets reads flags and targets, in whatever order they stand.
func parseTargets(sh shell, flags *flag.FlagSet, args []string) ([]check.Target, error) {
	var targets []check.Target
	for {
		if err := parseFlags(sh, flags, args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return targets, nil
		}
		found, err := check.ParseTarget(flags.Arg(0))
		if err != nil {
			return nil, wrong(fmt.Sprintf("check: %v", err), "write a domain, as example.com, or an e-mail address")
		}
		if !slices.Contains(targets, found) {
			targets = append(targets, found)
		}
		args = flags.Args()[1:]
	}
}

// checker reads the configuration, which only those can do without who look at
// somebody else's domain.
func (f checkFlags) checker(sh shell, targets []check.Target) (*check.Checker, error) {
	resolve, err := network.ParseResolve(*f.resolve)
	if err != nil {
		return nil, wrong(fmt.Sprintf("check: -resolve: %v", err), "persona help check")
	}
	world := check.SystemEnv()
	if world.Roots, err = moreRoots(*f.caFile); err != nil {
		return nil, err
	}
	options := check.Options{Resolve: resolve, Source: source(*f.config)}
	options.Config, err = load(sh, *f.config)
	onlyDomains := len(targets) > 0 && !slices.ContainsFunc(targets, func(t check.Target) bool { return t.Domain == "" })
	if errors.Is(err, config.ErrNone) && onlyDomains {
		return check.New(world, options), nil
	}
	if err != nil {
		return nil, err
	}
	return check.New(world, options), nil
}

// source names where the configuration is read from.
func source(path string) string {
	if path != "" {
		return path
	}
	if _, err := os.Stat(config.DefaultPath); err == nil {
		return config.DefaultPath
	}
	return config.Environment
}

// moreRoots returns the system's roots and those of a file; nil, which is the
// system's, without a file.
func moreRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	roots, err := config.ReadRoots(file)
	if faults := (config.Faults{}); errors.As(err, &faults) {
		return nil, wrong("check: -ca-file: "+faults[0].Problem, faults[0].Cure)
	}
	return roots, err
}

// shellAsking is a shell at which whoever refuses to answer ends the run.
type shellAsking struct {
	shell
	stop context.CancelFunc
}

func (f checkFlags) plan(sh shellAsking, checker *check.Checker, targets []check.Target) ([]checkreport.Group, error) {
	if len(targets) == 0 {
		return checker.Everything(), nil
	}
	var groups []checkreport.Group
	for _, t := range targets {
		if t.Domain != "" {
			groups = append(groups, checker.Domain(t.Domain)...)
			continue
		}
		password, err := f.password(sh, t.Address.String())
		if err != nil {
			return nil, err
		}
		groups = append(groups, checker.Address(check.SignIn{Address: t.Address, Login: *f.login, Password: password})...)
	}
	return groups, nil
}

// password returns how the password of an address is learned.
func (f checkFlags) password(sh shellAsking, address string) (func(context.Context) (string, error), error) {
	if *f.passwordFile != "" {
		text, err := os.ReadFile(*f.passwordFile)
		if err != nil {
			return nil, &failure{problem: "check: -password-file", cause: err, hint: "give the path of a file that holds the password", code: exitUsage}
		}
		line := strings.TrimSuffix(string(bytes.TrimSuffix(text, []byte("\n"))), "\r")
		return func(context.Context) (string, error) { return line, nil }, nil
	}
	if !sh.interactive() {
		return nil, wrong("check: nobody can be asked for the password of "+address, "give it with -password-file")
	}
	return func(ctx context.Context) (string, error) {
		password, err := sh.AskHidden(ctx, "Password of "+address+": ")
		if err != nil {
			sh.stop() // the person has had enough, by Ctrl-C or Ctrl-D
		}
		return password, err
	}, nil
}
