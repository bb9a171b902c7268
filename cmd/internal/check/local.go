package check

import (
	"context"
	"fmt"
	"os"
	"strings"

	"persona-sidecar/cmd/internal/config"
)

// configurationSteps look at the configuration itself, which is without faults:
// else nobody could look at anything.
func (e *Examiner) configurationSteps() []Step {
	steps := []Step{{Name: "read", Look: func(context.Context) Finding {
		return passed("%s: %s, %s", e.Source, counted(len(e.Config.Domains), "domain"), counted(len(e.Config.Directories), "directory"))
	}}}
	for _, warning := range e.Config.Warnings {
		steps = append(steps, Step{Name: "warning", Look: func(context.Context) Finding {
			cure := warning.Cure
			warning.Cure = "" // has a column of its own
			return warned(cure, "%s", warning)
		}})
	}
	steps = append(steps, Step{Name: "secrets", Look: e.lookAtSecrets})
	if e.publicPort() != 443 {
		steps = append(steps, Step{Name: "public port", Look: func(context.Context) Finding {
			return warned("serve the world on port 443, by listen.public_https or by forwarding it", "outsiders look for documents on port 443 only, and listen.public_https is %d", e.publicPort())
		}})
	}
	return steps
}

// lookAtSecrets looks at the modes of files that hold secrets. They are read as
// they are: orchestrators mount them in many ways.
func (e *Examiner) lookAtSecrets(context.Context) Finding {
	var f faults
	files := e.secretFiles()
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			f.fail("run the check as the user that runs persona, or as root", "%v", err)
			continue
		}
		if mode := info.Mode().Perm(); mode&0o007 != 0 {
			f.warn("chmod 0600 "+quote(file), "%s has mode %04o: everybody on this machine may read it", file, mode)
		}
	}
	if len(files) == 0 {
		return skipped("none lies in a file")
	}
	return f.finding("%s, readable for few", strings.Join(files, ", "))
}

// secretFiles are the files that hold a secret of the configuration.
func (e *Examiner) secretFiles() []string {
	files := append([]string(nil), e.Config.SecretFiles...)
	if key := e.Config.TLS.KeyFile; key != "" {
		files = append(files, key)
	}
	return files
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
	plain := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-", r))
	}
	if name != "" && !strings.ContainsFunc(name, plain) {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}

// directoriesInUse are those that an identity host asks, in order.
func (e *Examiner) directoriesInUse() []string {
	var names []string
	seen := map[string]bool{}
	for _, host := range e.hosts {
		if host.Role == config.RoleIdentity && !seen[host.Directory] {
			seen[host.Directory] = true
			names = append(names, host.Directory)
		}
	}
	return names
}
