package config_test

import (
	"errors"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/config/strict"
)

func TestCheckText(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ path, text, want string }{
		{"domains[0].name", "example.com", ""},
		{"domains[0].name", "Example.com", `domains[0].name: "Example.com" has upper-case letters (write example.com)`},
		{"domains[0].name", "", "domains[0].name: is empty (write a host name)"},
		{"domains[12].hosts", "www.example.com, shop.example.com", ""},
		{"domains[12].hosts", "a a *", "domains[12].hosts: \"a\" is listed twice (remove one)\ndomains[12].hosts: \"*\" is a wildcard (list each host name)"},
		{"domains[12].hosts[0]", "a, b", `domains[12].hosts[0]: "a, b" is not a host name (write letters, digits, hyphens and dots, as in www.example.com)`},
		{"domains[0].upstream", "cms:8080", `domains[0].upstream: "cms:8080" has no scheme (write http://cms:8080)`},
		{"directories.corp.urls[0]", "ldaps://ldap.example.com", ""},
		{"directories.corp.urls[0]", "ldapi:///", `directories.corp.urls[0]: "ldapi:///" is a local socket (use ldaps:// or ldap://)`},
		{"directories.a.b.base_dn", "example", `directories.a.b.base_dn: "example" is not a distinguished name (write it as in dc=example,dc=com)`},
		{"directories.corp.preset", "rfc2307", `directories.corp.preset: "rfc2307" is not a known value (use activedirectory, freeipa, openldap, 389ds, lldap, authentik, univention, google, glauth, kanidm, synology, jumpcloud, okta or custom)`},
		{"directories.corp.bind_password", " any # text", ""},
		{"directories.corp.bind_password_file", "testdata/password", ""},
		{"directories.corp.bind_password_file", "testdata/password-empty", "directories.corp.bind_password_file: the file testdata/password-empty is empty (write the secret into it)"},
		{"tls.acme.ca_file", "testdata/ca.pem", ""},
		{"tls.acme.ca_file", "testdata/not-pem", "tls.acme.ca_file: the file testdata/not-pem holds no certificate (give certificates in PEM form: -----BEGIN CERTIFICATE-----)"},
		{"tls.acme.directory", "staging", ""}, // a warning, as in Load
		{"listen.http", "", ""},
		{"listen.public_https", "0", `listen.public_https: "0" is not a whole number that fits (write 1 to 65535)`},
		{"identity.session_lifetime", "8", `identity.session_lifetime: "8" has no unit (write 5m to 168h, with a unit such as 30m or 1h)`},
		{"trusted_proxies", "private 10.0.0.1", ""},
		{"lookups.allow_private", "private 10.0.0.1/8", `lookups.allow_private: "10.0.0.1/8" is an address inside a network (write 10.0.0.0/8 for the network, or 10.0.0.1 for the address alone)`},
	} {
		err := config.CheckText(test.path, test.text)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s %q: got %s, want %s", test.path, test.text, got, test.want)
		}
		if faults := (config.Faults{}); err != nil && !errors.As(err, &faults) {
			t.Errorf("%s %q: %T are not faults", test.path, test.text, err)
		}
	}
}

func TestCheckTextUnknownKey(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "domain", "domains[0].nane", "log.level.x", "directories.corp"} {
		err := config.CheckText(path, "x")
		if faults := (config.Faults{}); err == nil || errors.As(err, &faults) {
			t.Errorf("%s: got %v, want an error that is no fault of the text", path, err)
		}
	}
}

func TestReadRoots(t *testing.T) {
	t.Parallel()
	if roots, err := strict.ReadRoots("testdata/ca.pem"); err != nil || roots == nil {
		t.Errorf("got %v, %v", roots, err)
	}
	for file, want := range map[string]string{
		"testdata/not-pem": "the file testdata/not-pem holds no certificate (give certificates in PEM form: -----BEGIN CERTIFICATE-----)",
		"testdata/none":    "the file testdata/none does not exist (create it, or correct the path)",
	} {
		if _, err := strict.ReadRoots(file); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", file, err, want)
		}
	}
}

func TestNeedRestart(t *testing.T) {
	t.Parallel()
	base := whole()
	for want, more := range map[string][]string{
		"":                                     {"PERSONA_TRUSTED_PROXIES=private", "PERSONA_HOSTS=www.example.com", "PERSONA_PUBLIC_HTTPS=8443"},
		"state_dir log.level":                  {"PERSONA_STATE_DIR=elsewhere", "PERSONA_LOG_LEVEL=debug"},
		"listen.https listen.http":             {"PERSONA_LISTEN_HTTPS=:8443", "PERSONA_LISTEN_HTTP="},
		"listen.https tls.mode from or to off": {"PERSONA_TLS_MODE=off", "PERSONA_TRUSTED_PROXIES=private"},
	} {
		from, err := config.Load("", base)
		if err != nil {
			t.Fatal(err)
		}
		to, err := config.Load("", whole(more...))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(config.NeedRestart(from, to), " "); got != want {
			t.Errorf("%v: got %q, want %q", more, got, want)
		}
	}
}
