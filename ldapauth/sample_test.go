package ldapauth_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"persona-sidecar/ldapauth"
	"persona-sidecar/ldapauth/ldaptest"
)

func TestSample(t *testing.T) {
	t.Parallel()
	server := ldaptest.StartSlapd(t, ldaptest.Options{})
	d := open(t, config(server))
	found, err := d.Sample(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	all := found.Addresses
	for _, want := range []string{"alice@example.test", "bob.brown@example.test"} {
		if !slices.Contains(all, want) {
			t.Errorf("%s is not among %v", want, all)
		}
	}
	for _, address := range all {
		for _, never := range []string{"shared@", "info@", "elsewhere", "dave@", "carol@", "erin@"} {
			if strings.Contains(address, never) {
				t.Errorf("%s cannot be certified", address)
			}
		}
	}
	few, err := d.Sample(t.Context(), 3)
	if err != nil || len(few.Addresses) != 3 {
		t.Errorf("got %v, %v", few, err)
	}
}

// TestSampleOfMany: the server holds most of them back, and that is no fault.
func TestSampleOfMany(t *testing.T) {
	t.Parallel()
	d := open(t, config(sharedSlapd(t)))
	few, err := d.Sample(t.Context(), 3)
	if err != nil || len(few.Addresses) != 3 {
		t.Errorf("got %v, %v", few, err)
	}
}

// TestSampleEmpty: the reason why no address can be certified is told.
func TestSampleEmpty(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*ldapauth.Config)
		want   ldapauth.Sample
	}{
		"no entry":        {func(c *ldapauth.Config) { c.Schema.UserFilter = "(uid=none)" }, ldapauth.Sample{}},
		"no address":      {func(c *ldapauth.Config) { c.Schema.UserFilter = "(uid=leo)" }, ldapauth.Sample{People: 1}},
		"locked":          {func(c *ldapauth.Config) { c.Schema.UserFilter = "(uid=dave)" }, ldapauth.Sample{People: 1}},
		"another domain":  {func(c *ldapauth.Config) { c.Schema.UserFilter = "(uid=kate)" }, ldapauth.Sample{People: 1, Domains: []string{"elsewhere.example"}}},
		"another of ours": {func(c *ldapauth.Config) { c.Schema.UserFilter, c.Domains = "(uid=bob)", []string{"example.net"} }, ldapauth.Sample{People: 1, Domains: []string{"example.test"}}},
		"two owners": {func(c *ldapauth.Config) {
			c.Schema.UserFilter, c.Schema.AddressAttributes = "(|(uid=heidi)(uid=ivan))", []string{"mailAlternateAddress"}
		}, ldapauth.Sample{People: 2, Ambiguous: []string{"shared@example.test"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(sharedSlapd(t))
			test.change(&cfg)
			got, err := open(t, cfg).Sample(t.Context(), 3)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, %v; want %+v", got, err, test.want)
			}
		})
	}
}

func TestSampleWithoutAnswer(t *testing.T) {
	t.Parallel()
	cfg := config(sharedSlapd(t))
	cfg.BindPassword = ldapauth.Secret("wrong")
	got, err := open(t, cfg).Sample(t.Context(), 3)
	if err == nil || !strings.Contains(withHint(err), "hint: check bind_dn") || len(got.Addresses) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
	cfg = config(sharedSlapd(t))
	cfg.BaseDN = "ou=nowhere," + cfg.BaseDN
	if _, err = open(t, cfg).Sample(t.Context(), 3); err == nil || !strings.Contains(withHint(err), "hint: check base_dn") {
		t.Errorf("got %v", err)
	}
	d := open(t, config(sharedSlapd(t)))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Sample(t.Context(), 3); err == nil || errors.Unwrap(err) == nil {
		t.Errorf("a closed directory answers: %v", err)
	}
}
