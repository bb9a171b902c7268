package ldapauth_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"persona-sidecar/ldapauth"
	"persona-sidecar/ldapauth/ldaptest"
	"persona-sidecar/ldapauth/mailbox"
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

// TestSampleEmpty: the reason why no address can be certified is told of each person.
func TestSampleEmpty(t *testing.T) {
	t.Parallel()
	both := ldaptest.PersonDN("heidi") + " " + ldaptest.PersonDN("ivan")
	words := map[mailbox.Reason]string{mailbox.OtherDomain: "other", mailbox.Contested: "contested"}
	for name, test := range map[string]struct {
		change func(*ldapauth.Config)
		want   string // of all people: their state, and their values with verdict and holders
	}{
		"no entry":        {func(c *ldapauth.Config) { c.Schema.UserFilter = "(uid=none)" }, ""},
		"no address":      {func(c *ldapauth.Config) { c.Schema.UserFilter = "(uid=leo)" }, "ok\n"},
		"locked":          {func(c *ldapauth.Config) { c.Schema.UserFilter = "(uid=dave)" }, "locked\nmail dave@example.test\n"},
		"another domain":  {func(c *ldapauth.Config) { c.Schema.UserFilter = "(uid=kate)" }, "ok\nmail kate@elsewhere.example other\n"},
		"another of ours": {func(c *ldapauth.Config) { c.Schema.UserFilter, c.Domains = "(uid=bob)", []string{"example.net"} }, "ok\nmail Bob.Brown@Example.TEST other\n"},
		"two owners": {func(c *ldapauth.Config) {
			c.Schema.UserFilter, c.Schema.AddressAttributes = "(|(uid=heidi)(uid=ivan))", []string{"mailAlternateAddress"}
		}, "ok\nmailAlternateAddress shared@example.test contested " + both + "\nok\nmailAlternateAddress Shared@example.test contested " + both + "\n"},
		"no id": {
			func(c *ldapauth.Config) { c.Schema.UserFilter, c.Schema.ID.Attribute = "(uid=alice)", "title" },
			"unusable id: title is not there, or may not be read\nmail alice@example.test\nmailAlternateAddress a.adams@example.test\nmailAlternateAddress Alice@Example.NET\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(sharedSlapd(t))
			test.change(&cfg)
			sample, err := open(t, cfg).Sample(t.Context(), 3)
			got := ""
			for _, e := range sample.People {
				if e.NoID != nil {
					got += e.NoID.Error() + "\n"
				} else {
					got += e.Account.String() + "\n"
				}
				for _, v := range e.Addresses {
					got += strings.TrimSpace(fmt.Sprintf("%s %s %s %s", v.Attribute, v.Written, words[v.Reason], strings.Join(v.Holders, " "))) + "\n"
				}
			}
			if err != nil || got != test.want || len(sample.Addresses) > 0 {
				t.Errorf("%v, got %q\n%s\nwant\n%s", err, sample.Addresses, got, test.want)
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
	cfg.BaseDNs = []string{"ou=nowhere," + cfg.BaseDNs[0]}
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
