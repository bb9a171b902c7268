package check

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"persona-sidecar/cmd/internal/check/report"
)

// configurationSteps check the configuration, which has no faults when it could
// be loaded.
func (c *Checker) configurationSteps() []report.Step {
	steps := []report.Step{{Name: "read", Run: func(context.Context) report.Finding {
		return report.Pass("%s: %s, %s", c.Source, counted(len(c.Config.Domains), "domain"), counted(len(c.Config.Directories), "directory"))
	}}}
	for _, warning := range c.Config.Warnings {
		steps = append(steps, report.Step{Name: "warning", Run: func(context.Context) report.Finding {
			hint := warning.Cure
			warning.Cure = "" // it is printed as the hint
			return report.Warn(hint, "%s", warning)
		}})
	}
	steps = append(steps, report.Step{Name: "secrets", Run: c.checkSecrets})
	if c.publicPort() != 443 {
		steps = append(steps, report.Step{Name: "public port", Run: func(context.Context) report.Finding {
			return report.Warn("use port 443, by listen.public_https or by forwarding it", "outsiders look for documents on port 443 only, and listen.public_https is %d", c.publicPort())
		}})
	}
	return steps
}

// checkSecrets checks the modes of files that hold secrets. The program reads
// them whatever their mode: orchestrators mount them in many ways.
func (c *Checker) checkSecrets(context.Context) report.Finding {
	var f report.Faults
	files := slices.Clone(c.Config.SecretFiles)
	if key := c.Config.TLS.KeyFile; key != "" {
		files = append(files, key)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			f.Fail("run the check as the user that runs persona, or as root", "%v", err)
			continue
		}
		if mode := info.Mode().Perm(); mode&0o007 != 0 {
			f.Warn("chmod 0600 "+quote(file), "%s has mode %04o: every user of this machine may read it", file, mode)
		}
	}
	if len(files) == 0 {
		return report.Skip("no secret is in a file")
	}
	return f.Finding("%s: not readable for other users", strings.Join(files, ", "))
}

func counted(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "y"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(what, "y"))
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// quote writes a file's name so that a shell takes it as one word.
func quote(name string) string {
	special := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-", r))
	}
	if name != "" && !strings.ContainsFunc(name, special) {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}
