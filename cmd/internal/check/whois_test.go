package check_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/ldapauth/ldaptest"
)

// TestWhoIs asks a real slapd for people of every kind.
func TestWhoIs(t *testing.T) {
	t.Parallel()
	slapd := ldaptest.StartSlapd(t, ldaptest.Options{})
	slapd.Replace(ldaptest.PersonDN("juergen"), "mail", "juergen.mueller@example.test ", "j.mueller@example.test")
	folder := t.TempDir()
	write(t, filepath.Join(folder, "ldap-ca.pem"), string(slapd.RootsPEM), 0o644)
	yaml := fmt.Sprintf(`
state_dir: state
tls: {mode: "off"}
trusted_proxies: [private]
domains:
  - {name: example.test, directory: corp, certifies: [example.net]}
  - {name: example.org, directory: no-id}
  - {name: staff.example.org, directory: staff}
directories:
  corp: &corp {preset: openldap, urls: [%s], bind_dn: %q, bind_password: %q, base_dn: %q, ca_file: ldap-ca.pem, address_attributes: [mail, mailAlternateAddress, proxyAddresses]}
  no-id: {preset: openldap, urls: [%[1]s], bind_dn: %[2]q, bind_password: %[3]q, base_dn: %[4]q, ca_file: ldap-ca.pem, id_attribute: title}
  staff: {preset: openldap, urls: [%[1]s], bind_dn: %[2]q, bind_password: %[3]q, base_dn: %[4]q, ca_file: ldap-ca.pem, required_group: staff}
`, slapd.LDAPSURL(), slapd.BindDN, slapd.BindPassword, slapd.BaseDN)
	yaml = strings.Replace(yaml, "&corp ", "", 1)
	checker := newInternet(t).checker(load(t, folder, yaml))
	const in, out = true, false
	for _, test := range []struct {
		login string
		may   bool // sign in
		wants []want
	}{
		{"alice", in, []want{
			{"entry", report.OK, ldaptest.PersonDN("alice") + ", by its uid", ""},
			{"id", report.OK, "entryUUID ", ""},
			{"account", report.OK, "in order", ""},
			{"address", report.OK, "alice@example.test, by its mail", ""},
			{"address", report.OK, "alice@example.net, by its mailAlternateAddress", ""},
			{"groups", report.OK, "staff", ""},
		}},
		{"ALICE@example.test", in, []want{{"entry", report.OK, "by its mail", ""}}},
		{"heidi", in, []want{
			{"address", report.OK, "heidi@example.test", ""},
			{"address", report.Warning, `"shared@example.test" in mailAlternateAddress: another entry has it, too: ` + ldaptest.PersonDN("ivan"), "take it from all but one"},
		}},
		{"juergen", in, []want{{"address", report.Warning, `"juergen.mueller@example.test " in mail: there is a space`, "correct the value"}}},
		{"odd", in, []want{
			{"address", report.Skipped, `"olga@sub.example.test" in mail: its domain is not among those that are signed for here`, ""},
			{"address", report.Warning, `"olga@" in mail`, ""},
		}},
		{"victor", in, []want{{"address", report.OK, "v.vance@example.test, by its proxyAddresses", ""}}},
		{"sam", out, []want{{"entry", report.Failed, "uid=sam,ou=branch," + slapd.BaseDN, "unique"}, {"entry", report.Failed, ldaptest.PersonDN("sam"), ""}}},
		{"carol", out, []want{{"account", report.Failed, "has to be changed first (pwdReset: TRUE)", "change the password"}}},
		{"dave", out, []want{{"account", report.Failed, "locked (pwdAccountLockedTime: 000001010000Z)", ""}, {"address", report.OK, "dave@example.test", ""}}},
		{"erin", out, []want{{"account", report.Failed, "expired (shadowExpire: 1)", ""}}},
		{"leo", out, []want{{"addresses", report.Failed, "none of example.net, example.test in mail, ", "refused without one"}}},
		{"kate", out, []want{{"address", report.Skipped, "elsewhere.example", ""}, {"addresses", report.Failed, "none of", ""}}},
		{"no-one-has-this-name", out, []want{{"entry", report.Failed, "no entry below " + slapd.BaseDN + " has the name in uid, mail", "login_attributes"}}},
		{"*", out, []want{{"entry", report.Failed, "no entry below", ""}}},
		{"a\x00b", out, []want{{"entry", report.Failed, "no name that any directory is asked for", "as people type it"}}},
		{"guest", out, []want{{"entry", report.Failed, "uid=guest,ou=people,dc=example,dc=test has the name, and user_filter (objectClass=inetOrgPerson) does not select it", "user_filter"}}},
	} {
		if test.login == "guest" {
			add := ldap.NewAddRequest(ldaptest.PersonDN("guest"), nil)
			add.Attribute("objectClass", []string{"account"})
			slapd.Add(add)
		}
		found := look(t, checker.WhoIs(t.Context(), "corp", test.login))
		for _, w := range test.wants {
			found.expect(t, w)
		}
		failed := false
		for _, f := range found.findings {
			failed = failed || f.Status == report.Failed
		}
		if failed == test.may {
			t.Errorf("%q: failed %t in %+v", test.login, failed, found.findings)
		}
	}
	look(t, checker.WhoIs(t.Context(), "staff", "alice")).expect(t, want{"account", report.OK, "in order", ""})
	look(t, checker.WhoIs(t.Context(), "staff", "bob")).expect(t, want{"account", report.Failed, "not in the required group staff", "make the person a member"})
	look(t, checker.WhoIs(t.Context(), "no-id", "alice")).expect(t, want{"id", report.Failed, "title is not there", "id_attribute"})
}
