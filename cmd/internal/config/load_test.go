package config_test

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"persona-sidecar/cmd/internal/config"
)

var update = flag.Bool("update", false, "write the golden files of testdata anew")

// golden compares what was got with the golden file beside a file of testdata.
func golden(t *testing.T, yamlFile, got string) {
	t.Helper()
	path := strings.TrimSuffix(yamlFile, ".yaml") + ".golden"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func files(t *testing.T, pattern string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(all) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	return all
}

func TestGoodFiles(t *testing.T) {
	for _, path := range files(t, "*.good.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			c, err := config.Load(path, nil)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, path, dump(c))
		})
	}
}

func TestBadFiles(t *testing.T) {
	for _, path := range files(t, "*.bad.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			c, err := config.Load(path, nil)
			if c != nil {
				t.Error("a configuration was returned with the error")
			}
			var faults config.Faults
			if !errors.As(err, &faults) || len(faults) == 0 {
				t.Fatalf("got error %v, want faults", err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows a secret:\n%v", err)
			}
			golden(t, path, err.Error()+"\n")
		})
	}
}

// dump writes a configuration line by line, for reading.
func dump(c *config.Config) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("state_dir %s", c.StateDir)
	line("listen %+v", c.Listen)
	line("tls %+v", c.TLS)
	line("trusted_proxies %v", c.TrustedProxies)
	for _, h := range c.Hosts() {
		line("host %s", h.Name)
		line("  of %s: %s, upstream %v", h.Domain, h.Role, h.Upstream)
		switch h.Role {
		case config.RoleIdentity:
			line("  directory %s, signs for %v, hubs %v", h.Directory, h.MailDomains, h.Hubs)
		case config.RoleDelegating:
			line("  authority %s", h.Authority)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Directories)) {
		d := c.Directories[name]
		line("directory %s", name)
		line("  %+v", d)
		line("  password of %d bytes", len(d.BindPassword.Reveal()))
	}
	line("identity %+v", c.Identity)
	line("lookups %+v", c.Lookups)
	line("hub %+v", c.Hub)
	line("verifier %+v", c.Verifier)
	line("throttle %+v", c.Throttle)
	line("log %+v", c.Log)
	for _, w := range c.Warnings {
		line("warning %s", w)
	}
	return b.String()
}
