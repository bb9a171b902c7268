package config_test

import (
	"cmp"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

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
	if diff := gocmp.Diff(string(want), got); diff != "" {
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
			golden(t, path, dump(t, c))
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

// dump writes what a configuration says besides the defaults, a line for each
// value, and the hosts that follow from it.
func dump(t *testing.T, c *config.Config) string {
	t.Helper()
	defaults, err := config.Load("", []string{"PERSONA_DOMAIN=example.com", "PERSONA_UPSTREAM=http://cms"})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	rest, base := *c, *defaults
	for _, c := range []*config.Config{&rest, &base} { // shown below in their own way
		c.Domains, c.Directories, c.SecretFiles, c.Warnings = nil, nil, nil, nil
	}
	differences(line, "", reflect.ValueOf(rest), reflect.ValueOf(base))
	for _, h := range c.Hosts() {
		line("host %s", h.Name)
		line("  of %s: %s, upstream %v", h.Domain, h.Role, h.Upstream)
		if h.Guarded && h.Upstream != nil {
			line("  its website cannot end sign-ins")
		}
		switch h.Role {
		case config.RoleIdentity:
			line("  directory %s, signs for %v, hubs %v", h.Directory, h.MailDomains, h.Hubs)
		case config.RoleDelegating:
			line("  authority %s", h.Authority)
		}
		if h.SignIn != "" {
			line("  its website is told of sign-ins at %s", h.SignIn)
		}
	}
	for _, d := range c.Domains {
		settings := func(d config.Domain) reflect.Value {
			return reflect.ValueOf(config.Domain{
				UpstreamTLS: d.UpstreamTLS, UpstreamTimeout: d.UpstreamTimeout, MaxConnections: d.MaxConnections, UpstreamHeaderBytes: d.UpstreamHeaderBytes,
				AllowOddFieldNames: d.AllowOddFieldNames, HTTP2: d.HTTP2,
				RewriteRedirects: d.RewriteRedirects, IdentityHeaders: d.IdentityHeaders, Access: d.Access,
			})
		}
		differences(line, d.Name+" ", settings(d), settings(defaults.Domains[0]))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Directories)) {
		d := c.Directories[name]
		line("directory %s", name)
		differences(line, "  ", reflect.ValueOf(d), reflect.ValueOf(config.Directory{}))
		line("  password of %d bytes", len(d.BindPassword.Reveal()))
	}
	for _, w := range c.Warnings {
		line("warning %s", w)
	}
	return b.String()
}

// differences writes each value of a struct that is not the default's.
func differences(line func(string, ...any), name string, v, base reflect.Value) {
	for i := range v.NumField() {
		if !v.Type().Field(i).IsExported() {
			continue
		}
		field, name := v.Field(i), name+v.Type().Field(i).Name
		switch value := field.Interface().(type) {
		case *x509.CertPool:
			if value != nil {
				line("%s given", name)
			}
		case config.Secret:
			if !value.Empty() {
				line("%s %v", name, value)
			}
		default:
			if field.Kind() == reflect.Struct {
				differences(line, name+".", field, base.Field(i))
			} else if !reflect.DeepEqual(value, base.Field(i).Interface()) {
				line("%s %+v", name, cmp.Or(fmt.Sprint(value), `""`))
			}
		}
	}
}
