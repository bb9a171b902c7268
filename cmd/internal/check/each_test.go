package check_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/ldapauth/ldaptest"
)

// TestDirectoryOnEach looks at 389 Directory Server and at Samba as Active Directory with their presets, and at people there.
func TestDirectoryOnEach(t *testing.T) {
	t.Parallel()
	type cases struct {
		start  func(dir string) (*ldaptest.Server, error)
		people map[string][]want // by what is typed
	}
	for kind, test := range map[ldaptest.Kind]cases{
		ldaptest.DS389: {ldaptest.Start389, map[string][]want{
			"alice": {{"id", report.OK, "nsUniqueId ", ""}, {"account", report.OK, "in order", ""}, {"groups", report.OK, "staff", ""}},
			"dave":  {{"account", report.Failed, "disabled (nsAccountLock: TRUE)", "in the directory"}},
			"carol": {{"account", report.Failed, "the password has to be changed first (", "change the password"}},
		}},
		ldaptest.SambaAD: {ldaptest.StartSamba, map[string][]want{
			"alice": {
				{"id", report.OK, "objectGUID ", ""},
				{"address", report.OK, "a.adams@example.test, by its proxyAddresses", ""},
				{"address", report.Warning, "another entry has it, too: CN=contact,", "ignore_holders"},
				{"groups", report.OK, "Domain Users", ""},
			},
			`ADX\alice`:            {{"entry", report.OK, "CN=Alice Adams,", ""}},
			"a.adams@example.test": {{"entry", report.OK, "by its proxyAddresses", ""}},
			"dave":                 {{"account", report.Failed, "disabled (userAccountControl: 514)", "in the directory"}},
			"erin":                 {{"account", report.Failed, "expired (accountExpires: ", "in the directory"}},
			"carol":                {{"account", report.Failed, "the password has to be changed first (pwdLastSet: 0", "change the password"}},
			"lou":                  {{"account", report.Failed, "locked for a while after wrong passwords", "unlock the account"}},
			"persona":              {{"addresses", report.Failed, "none of ", "refused without one"}},
			"contact":              {{"entry", report.Failed, "no entry below", ""}},
		}},
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			shared := &ldaptest.Shared{Start: test.start}
			t.Cleanup(shared.Stop)
			server := shared.Server(t)
			folder := t.TempDir()
			write(t, filepath.Join(folder, "ldap-ca.pem"), string(server.RootsPEM), 0o644)
			corp := fmt.Sprintf("preset: %s, urls: [%s], bind_dn: %q, bind_password: %q, base_dn: %q, ca_file: ldap-ca.pem", kind.Preset(), server.LDAPSURL(), server.BindDN, server.BindPassword, server.BaseDN)
			checker := newInternet(t).checker(load(t, folder, fmt.Sprintf(`
state_dir: state
tls: {mode: "off"}
trusted_proxies: [private]
domains:
  - {name: example.test, directory: corp, certifies: [example.net]}
  - {name: text.example.test, directory: text}
directories:
  corp: {%[1]s}
  text: {%[1]s, id_attribute: objectGUID, id_format: text}
`, corp)))
			found := look(t, checker.Directories("corp"))
			found.nothingElse(t)
			found.expect(t, want{"preset", report.OK, kind.Preset() + ", tried against ", ""})
			found.expect(t, want{"sample addresses", report.OK, "@example.test", ""})
			for login, wants := range test.people {
				found := look(t, checker.WhoIs(t.Context(), "corp", login))
				for _, w := range wants {
					found.expect(t, w)
				}
			}
			text := look(t, checker.Directories("text"))
			if kind == ldaptest.SambaAD {
				text.expect(t, want{"ids", report.Failed, "unusable id: objectGUID", "objectGUID wants id_format: guid, or preset: activedirectory"})
				text.expect(t, want{"sample addresses", report.Skipped, "", ""})
			}
		})
	}
}
