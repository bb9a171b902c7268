package check

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/rs/zerolog"

	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/store"
	"persona-sidecar/proxy/certs"
)

// configurationSteps check the configuration, which has no faults when it could
// be loaded.
func (c *Checker) configurationSteps() []report.Step {
	steps := []report.Step{{Name: "read", Run: func(context.Context) report.Finding {
		return report.Pass("%s: %s, %s", c.Source, report.Counted(len(c.Config.Domains), "domain"), report.Counted(len(c.Config.Directories), "directory"))
	}}}
	for _, warning := range c.Config.Warnings {
		steps = append(steps, report.Step{Name: "warning", Run: func(context.Context) report.Finding {
			hint := warning.Cure
			warning.Cure = "" // it is printed as the hint
			return report.Warn(hint, "%s", warning)
		}})
	}
	steps = append(steps, report.Step{Name: "secrets", Run: c.checkSecrets})
	if c.Config.TLS.Mode == config.ModeFiles {
		steps = append(steps, report.Step{Name: "certificate files", Run: c.checkCertificateFiles})
	}
	if trusted := c.Config.TrustedProxies; trusted.String() != "" {
		steps = append(steps, report.Step{Name: "trusted proxies", Run: func(context.Context) report.Finding {
			if trusted.Private {
				return report.Warn("list the address of your proxy in trusted_proxies instead of the word private",
					"%s may name the client: every machine of your networks can choose the address that is logged and throttled", trusted)
			}
			return report.Pass("%s may name the client", trusted)
		}})
	}
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
		if errors.Is(err, fs.ErrNotExist) {
			f.Fail("correct the path in the configuration, or put the file there", "%v", err)
			continue
		} else if err != nil {
			f.Fail("run the check as the user that runs persona, or as root", "%v", err)
			continue
		}
		if mode := info.Mode().Perm(); mode&0o007 != 0 {
			f.Warn("chmod 0600 "+store.Quote(file), "%s has mode %04o: every user of this machine may read it", file, mode)
		}
	}
	if len(files) == 0 {
		return report.Skip("no secret is in a file")
	}
	return f.Finding("%s: not readable for other users", strings.Join(files, ", "))
}

// checkCertificateFiles reads the files as the program does, and looks for names
// that the certificate lacks.
func (c *Checker) checkCertificateFiles(context.Context) report.Finding {
	var names []string
	for _, host := range c.hosts {
		names = append(names, host.Name)
	}
	files, err := certs.NewFiles(certs.FilesConfig{
		CertFile: c.Config.TLS.CertFile, KeyFile: c.Config.TLS.KeyFile, Names: names, Log: zerolog.Nop(), Now: c.Now,
	})
	if err != nil {
		return report.Error("", err, "look at tls.cert_file and tls.key_file")
	}
	defer files.Close()
	var lacking []string
	for _, status := range files.Status() {
		if status.Problem != "" {
			lacking = append(lacking, status.Name)
		}
	}
	if len(lacking) > 0 {
		return report.Fail("put a certificate for all of them into the file, or take them out of domains", "%s is not for %s", c.Config.TLS.CertFile, strings.Join(lacking, ", "))
	}
	return report.Pass("%s is for all %s", c.Config.TLS.CertFile, report.Counted(len(names), "name"))
}
