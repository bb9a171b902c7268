package cli

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"

	"persona-sidecar/cmd/internal/check"
	checkreport "persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/translate"
)

// directoryCheck looks for what is wrong with directories: those named, or all.
func directoryCheck(ctx context.Context, sh shell, flags *flag.FlagSet, args []string) error {
	path, asJSON := configFlag(flags), jsonFlag(flags)
	plan := func() ([]checkreport.Group, error) {
		names, err := parseMixed(sh, flags, args)
		if err != nil {
			return nil, err
		}
		c, err := loadDirectories(sh, *path, names...)
		if err != nil {
			return nil, err
		}
		return newChecker(c, *path).Directories(names...), nil
	}
	groups, err := plan()
	summary, err := printFindings(ctx, sh, *asJSON || wantsJSON(args), groups, err)
	if err != nil {
		return err
	}
	return stepsFailed(summary)
}

// directoryWhois shows what a directory says of a person, and whether they could sign in.
func directoryWhois(ctx context.Context, sh shell, flags *flag.FlagSet, args []string) error {
	path, asJSON := configFlag(flags), jsonFlag(flags)
	directory := flags.String("directory", "", "`name` of the directory, where the configuration has several")
	plan := func() ([]checkreport.Group, error) {
		names, err := parseMixed(sh, flags, args)
		if err != nil {
			return nil, err
		}
		if len(names) != 1 {
			return nil, wrong("directory whois: one name is looked for at a time", "persona directory whois LOGIN")
		}
		login := names[0]
		var wanted []string
		if *directory != "" {
			wanted = []string{*directory}
		}
		c, err := loadDirectories(sh, *path, wanted...)
		if err != nil {
			return nil, err
		}
		checker := newChecker(c, *path)
		if len(wanted) == 0 {
			wanted = checker.DirectoriesOf(login)
		}
		if len(wanted) != 1 {
			return nil, wrong("directory whois: the configuration has several directories", "name one with -directory: "+strings.Join(wanted, ", "))
		}
		return checker.WhoIs(ctx, wanted[0], login), nil
	}
	groups, err := plan()
	summary, err := printFindings(ctx, sh, *asJSON || wantsJSON(args), groups, err)
	if err != nil {
		return err
	}
	if summary.Status() == checkreport.Failed {
		return &failure{problem: "this person could not sign in", hint: "fix what is marked above", code: exitFailure}
	}
	return nil
}

// loadDirectories reads a configuration that has the directories of these names, or one at least.
func loadDirectories(sh shell, path string, names ...string) (*config.Config, error) {
	c, err := load(sh, path)
	if err != nil {
		return nil, err
	}
	if len(c.Directories) == 0 {
		return nil, wrong("the configuration has no directory", "run it where the identity host is configured")
	}
	for _, name := range names {
		if _, there := c.Directories[name]; !there {
			return nil, wrong(fmt.Sprintf("there is no directory %q in the configuration", name), "there is "+strings.Join(slices.Sorted(maps.Keys(c.Directories)), ", "))
		}
	}
	return c, nil
}

// newChecker returns a checker of this machine for a configuration.
func newChecker(c *config.Config, path string) *check.Checker {
	options := check.Options{Config: c, Source: configPath(path)}
	if options.Source == "" {
		options.Source = config.Environment
	}
	return check.New(check.SystemEnv(translate.Directory), options)
}
