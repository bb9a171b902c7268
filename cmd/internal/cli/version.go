package cli

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version prints which build this is.
func version(_ context.Context, sh shell, flags *flag.FlagSet, args []string) error {
	if err := parse(sh, flags, args); err != nil {
		return err
	}
	fmt.Fprintf(sh.stdout, "persona %s %s %s/%s\n", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// buildVersion names this build: the version of the module, and the revision
// that it was built from where the version does not tell.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	return describe(info)
}

func describe(info *debug.BuildInfo) string {
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	text := info.Main.Version
	if text == "" {
		text = "(devel)"
	}
	if revision := settings["vcs.revision"]; len(revision) >= 12 && text == "(devel)" {
		text += " " + revision[:12]
		if settings["vcs.modified"] == "true" {
			text += "+changes"
		}
	}
	return text
}
