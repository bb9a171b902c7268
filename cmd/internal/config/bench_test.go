package config_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/config"
)

// BenchmarkLoad reads a configuration of many identity hosts with websites, each
// on a site of its own. The time per domain must not grow with their number.
func BenchmarkLoad(b *testing.B) {
	for _, domains := range []int{200, 1000} {
		b.Run(fmt.Sprintf("domains=%d", domains), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "persona.yaml")
			write(b, path, manyDomains(domains))
			b.ReportAllocs()
			for b.Loop() {
				c, err := config.Load(path, nil)
				if err != nil {
					b.Fatal(err)
				}
				if got := len(c.Hosts()); got != 3*domains {
					b.Fatalf("%d hosts", got)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*domains), "ns/domain")
		})
	}
}

func manyDomains(n int) string {
	var b strings.Builder
	b.WriteString("domains:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - {name: d%d.example, upstream: \"http://cms:8080\", hosts: [www.d%[1]d.example], directory: corp, authority: id.d%[1]d.example, certifies: [sister.d%[1]d.example]}\n", i)
	}
	b.WriteString("directories:\n  corp: {preset: openldap, urls: [ldaps://ldap.example.com], base_dn: \"dc=example,dc=com\"}\n")
	return b.String()
}
