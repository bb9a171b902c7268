package config_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/config"
)

// TestLimits checks that files far from any configuration are refused soon.
func TestLimits(t *testing.T) {
	t.Parallel()
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	domain := "domains: [{name: example.com, upstream: \"http://cms\"%s}]\n"
	for name, test := range map[string]struct{ file, want string }{
		"large file":         {strings.Repeat("# a line of comment\n", 1<<16), ": is larger than 1 MiB (give the path of a configuration file)"},
		"many items":         {fmt.Sprintf(domain, ", hosts: ["+many(50_000, "h%d.e, ")+"]"), "there are more values than any configuration needs (look for aliases of aliases)"},
		"aliases of aliases": {"state_dir: x\ndomains:\n  - &d {name: example.com, hosts: [" + many(1000, "h%d.example, ") + "]}\n" + strings.Repeat("  - *d\n", 1000), "there are more values than any configuration needs"},
		"merges of merges":   {"log: &a {" + many(5000, "k%d: 1, ") + "}\nthrottle: {<<: [" + strings.Repeat("*a, ", 10_000) + "]}\n", "throttle.<<: is a merge key"},
		"merge of itself":    {"log: &a {<<: *a, level: info}\n" + fmt.Sprintf(domain, ""), "log.<<: is a merge key, which persona does not read (write the keys out)"},
		"alias of itself":    {"domains: &a [*a, *a]\n", "domains[0]: is not a section"},
		"depth":              {strings.Repeat("[", 20_000), "is not YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "persona.yaml")
			write(t, path, test.file)
			_, err := config.Load(path, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %.300v, want %s in it", err, test.want)
			}
		})
	}
}
