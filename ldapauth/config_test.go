package ldapauth_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"persona-sidecar/ldapauth"
)

func TestConfigFaults(t *testing.T) {
	t.Parallel()
	good := ldapauth.Config{
		Name: "corp", URLs: []string{"ldaps://ldap.example.test"}, BaseDNs: []string{"dc=example,dc=test"}, Schema: preset("openldap"),
		BindDN: "cn=persona,dc=example,dc=test", BindPassword: "secret",
	}
	for fault, spoil := range map[string]func(*ldapauth.Config){
		"":                              func(*ldapauth.Config) {},
		"no name":                       func(c *ldapauth.Config) { c.Name = "" },
		"no urls":                       func(c *ldapauth.Config) { c.URLs = nil },
		"is not an LDAP URL":            func(c *ldapauth.Config) { c.URLs = []string{"https://ldap.example.test"} },
		"one of urls is not a URL":      func(c *ldapauth.Config) { c.URLs = []string{"ldaps://u:hunter2%@[bad"} },
		"names no host":                 func(c *ldapauth.Config) { c.URLs = []string{"ldaps://:636"} },
		"name or password in it":        func(c *ldapauth.Config) { c.URLs = []string{"ldaps://u:hunter2@ldap.example.test"} },
		"more than a host and a port":   func(c *ldapauth.Config) { c.URLs = []string{"ldaps://ldap.example.test/dc=example"} },
		"passwords unencrypted":         func(c *ldapauth.Config) { c.URLs = []string{"ldap://ldap.example.test"} },
		"overlap":                       func(c *ldapauth.Config) { c.BaseDNs = []string{"ou=a,dc=test", "DC=Test"} },
		"empty name cannot be":          func(c *ldapauth.Config) { c.BaseDNs, c.Schema.PeopleBase = []string{""}, "ou=people" },
		"no base_dn":                    func(c *ldapauth.Config) { c.BaseDNs = nil },
		"base_dn: \"example.test\"":     func(c *ldapauth.Config) { c.BaseDNs = []string{"example.test"} },
		"bind_dn: \"persona\"":          func(c *ldapauth.Config) { c.BindDN = "persona" },
		"urls and srv":                  func(c *ldapauth.Config) { c.SRV = "ldaps://example.test" },
		"\"ldap://example.test\" would": func(c *ldapauth.Config) { c.URLs, c.SRV = nil, "ldap://example.test" },
		"bind_dn without a password":    func(c *ldapauth.Config) { c.BindPassword = "" },
		"password without bind_dn":      func(c *ldapauth.Config) { c.BindDN = "" },
		"is not a mail domain":          func(c *ldapauth.Config) { c.Domains = []string{"exa mple"} },
		"user_filter":                   func(c *ldapauth.Config) { c.Schema.UserFilter = "objectClass=person" },
		"no login_attributes":           func(c *ldapauth.Config) { c.Schema.LoginAttributes = nil },
		"no address_attributes":         func(c *ldapauth.Config) { c.Schema.AddressAttributes = nil },
		"no id_attribute":               func(c *ldapauth.Config) { c.Schema.ID.Attribute = "" },
		"\"uid)(x\" is not an attribu":  func(c *ldapauth.Config) { c.Schema.LoginAttributes = []string{"uid)(x"} },
		"negative time":                 func(c *ldapauth.Config) { c.Timeout = -1 },
		"negative limit":                func(c *ldapauth.Config) { c.MaxBinds = -1 },
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			cfg := good
			spoil(&cfg)
			d, err := ldapauth.New(cfg)
			switch {
			case fault == "" && err != nil:
				t.Error(err)
			case fault != "" && (err == nil || !strings.Contains(err.Error(), fault)):
				t.Errorf("%v, want %q", err, fault)
			case err != nil && strings.Contains(err.Error(), "hunter2"):
				t.Errorf("the error tells the password: %v", err)
			}
			if d != nil {
				d.Close()
			}
		})
	}
	if _, err := ldapauth.New(ldapauth.Config{}); err == nil || strings.Count(err.Error(), "\n") < 5 {
		t.Errorf("not every fault is told: %v", err)
	}
}

func TestSecretIsNotPrinted(t *testing.T) {
	t.Parallel()
	cfg := ldapauth.Config{BindPassword: "hunter2"}
	asJSON, err := json.Marshal(map[string]any{"password": cfg.BindPassword})
	if err != nil {
		t.Fatal(err)
	}
	printed := []string{string(asJSON)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		printed = append(printed, fmt.Sprintf(verb, cfg.BindPassword), fmt.Sprintf(verb, cfg))
	}
	for _, text := range printed {
		if strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) {
			t.Errorf("it is printed: %s", text)
		}
	}
}
