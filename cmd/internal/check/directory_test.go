package check_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/ldapauth/ldaptest"
)

// TestDirectory checks a real slapd that is right, and at each thing that may
// be wrong with the way to it.
func TestDirectory(t *testing.T) {
	t.Parallel()
	slapd := ldaptest.StartSlapd(t, ldaptest.Options{})
	settings := map[string]string{
		"URLS": slapd.LDAPSURL(), "DN": slapd.BindDN, "BASE": slapd.BaseDN, "PASSWORD": slapd.BindPassword, "MORE": "ca_file: ldap-ca.pem",
	}
	early, _ := forged{name: "localhost", notBefore: time.Hour, notAfter: 2 * time.Hour, issuer: "Root"}.make(t)
	early.MinVersion = tls.VersionTLS12
	tooEarly := newServer(t, http.NotFoundHandler())
	tooEarly.TLS = early
	tooEarly.StartTLS()
	for name, test := range map[string]struct {
		change map[string]string
		wants  []want
	}{
		"right": {nil, []want{
			{"reach", report.OK, slapd.LDAPSURL(), ""},
			{"bind and base", report.OK, "as " + slapd.BindDN, ""},
			{"sample addresses", report.OK, "alice@example.test, bob.brown@example.test, ", ""},
		}},
		"down": {map[string]string{"URLS": "ldaps://127.0.0.1:1"}, []want{
			{"reach", report.Failed, "ldaps://127.0.0.1:1: the connection is refused", "is the directory running"},
			{"bind and base", report.Skipped, "does not answer", ""},
			{"sample addresses", report.Skipped, "does not answer", ""},
		}},
		"no such name": {map[string]string{"URLS": "ldaps://ldap.nowhere.test"}, []want{
			{"reach", report.Failed, "DNS knows no address of ldap.nowhere.test", "correct the host name in urls"},
		}},
		"certificate of tomorrow": {map[string]string{"URLS": "ldaps://" + tooEarly.Listener.Addr().String()}, []want{
			{"bind and base", report.Failed, "not yet valid", "set this machine's clock, if it is behind"},
		}},
		"one of two down": {map[string]string{"URLS": slapd.LDAPSURL() + ", ldaps://127.0.0.1:1"}, []want{
			{"reach", report.OK, slapd.LDAPSURL(), ""},
			{"reach", report.Failed, "ldaps://127.0.0.1:1", "is the directory running"},
			{"sample addresses", report.OK, "alice@example.test", ""},
		}},
		"wrong password": {map[string]string{"PASSWORD": "wrong"}, []want{
			{"reach", report.OK, "", ""},
			{"bind and base", report.Failed, "binding as the service account", "check bind_dn and bind_password"},
			{"sample addresses", report.Skipped, "", ""},
		}},
		"wrong base":      {map[string]string{"BASE": "ou=nowhere," + slapd.BaseDN}, []want{{"bind and base", report.Failed, "reading the base", "there is " + slapd.BaseDN + " and no more"}}},
		"unknown CA":      {map[string]string{"MORE": "start_tls: false"}, []want{{"bind and base", report.Failed, "TLS", "ca_file"}}},
		"empty base":      {map[string]string{"BASE": "cn=staff,ou=groups," + slapd.BaseDN}, []want{{"sample addresses", report.Failed, "no entry below cn=staff", "look at base_dn, user_filter"}}},
		"no person":       {map[string]string{"MORE": `ca_file: ldap-ca.pem, user_filter: "(uid=none)"`}, []want{{"sample addresses", report.Failed, "matches user_filter", "look at base_dn, user_filter"}}},
		"another domain":  {map[string]string{"MORE": `ca_file: ldap-ca.pem, user_filter: "(uid=kate)"`}, []want{{"sample addresses", report.Failed, "their addresses are of elsewhere.example, none of example.test", "certifies: [elsewhere.example]"}}},
		"two owners":      {map[string]string{"MORE": `ca_file: ldap-ca.pem, user_filter: "(|(uid=heidi)(uid=ivan))", address_attributes: [mailAlternateAddress]`}, []want{{"sample addresses", report.Failed, "that of two entries", "shared@example.test"}}},
		"no address":      {map[string]string{"MORE": `ca_file: ldap-ca.pem, user_filter: "(uid=leo)"`}, []want{{"sample addresses", report.Failed, "none that may sign in has an address of example.test", "address_attributes"}}},
		"required group":  {map[string]string{"MORE": "ca_file: ldap-ca.pem, required_group: staff"}, []want{{"required group", report.OK, "staff", ""}}},
		"no such group":   {map[string]string{"MORE": "ca_file: ldap-ca.pem, required_group: stuff"}, []want{{"required group", report.Failed, `there is no group "stuff"`, "correct required_group"}}},
		"wrong attribute": {map[string]string{"MORE": "ca_file: ldap-ca.pem, address_attributes: [description]"}, []want{{"sample addresses", report.Failed, "example.test", "address_attributes"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			write(t, filepath.Join(folder, "ldap-ca.pem"), string(slapd.RootsPEM), 0o644)
			value := func(name string) string {
				if changed, ok := test.change[name]; ok {
					return changed
				}
				return settings[name]
			}
			write(t, filepath.Join(folder, "secret"), value("PASSWORD"), 0o600)
			yaml := fmt.Sprintf(`
state_dir: state
tls: {mode: "off"}
trusted_proxies: [private]
domains:
  - {name: example.test, directory: corp}
directories:
  corp: {preset: openldap, urls: [%s], bind_dn: %q, bind_password_file: secret, base_dn: %q, %s}
`, value("URLS"), value("DN"), value("BASE"), value("MORE"))
			found := look(t, newInternet(t).checker(load(t, folder, yaml)).Everything())
			for _, w := range test.wants {
				found.expect(t, w)
			}
		})
	}
}
