package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/config"
)

// FuzzLoad checks that no file makes Load panic, that each is either a
// configuration or refused with faults that have words, and that whatever is a
// configuration resolves into unique hosts, each domain signed for once.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"*.good.yaml", "*.bad.yaml"} {
		paths, _ := filepath.Glob(filepath.Join("testdata", pattern))
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data, "")
			f.Add(data, "PERSONA_DOMAIN=example.com\nPERSONA_LDAP_URLS=ldaps://x\nPERSONA_LOG_LEVEL=info")
		}
	}
	f.Add([]byte("a: &a {<<: *a}"), "")
	f.Add([]byte("domains: &d [*d, *d]"), "")
	path := filepath.Join(f.TempDir(), "persona.yaml")
	f.Fuzz(func(t *testing.T, data []byte, environ string) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(path, strings.Split(environ, "\n"))
		if err != nil {
			checkFaults(t, err)
			return
		}
		checkHosts(t, c)
	})
}

func checkFaults(t *testing.T, err error) {
	t.Helper()
	var faults config.Faults
	if !errors.As(err, &faults) || len(faults) == 0 {
		t.Fatalf("not faults: %v", err)
	}
	for _, fault := range faults {
		if fault.File == "" || fault.Problem == "" || fault.Cure == "" {
			t.Errorf("a fault without words: %#v", fault)
		}
	}
}

func checkHosts(t *testing.T, c *config.Config) {
	t.Helper()
	names, signed := map[string]bool{}, map[string]bool{}
	for _, host := range c.Hosts() {
		if host.Name == "" || names[host.Name] {
			t.Errorf("the host %q is there twice", host.Name)
		}
		names[host.Name] = true
		if host.Role == config.RolePlain && host.Upstream == nil {
			t.Errorf("the host %q leads nowhere", host.Name)
		}
		for _, domain := range host.MailDomains {
			if signed[domain] {
				t.Errorf("%q has two signers", domain)
			}
			signed[domain] = true
		}
		if _, known := c.Directories[host.Directory]; host.Role == config.RoleIdentity && !known {
			t.Errorf("the host %q has no directory", host.Name)
		}
	}
}
