package check_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/ldapauth/ldaptest"

	"github.com/jimlambrt/gldap"
)

// TestDirectory checks a real slapd that is right, and at each thing that may
// be wrong with the way to it.
func TestDirectory(t *testing.T) {
	t.Parallel()
	slapd := ldaptest.StartSlapd(t, ldaptest.Options{})
	settings := map[string]string{
		"URLS": slapd.LDAPSURL(), "DN": slapd.BindDN, "BASE": slapd.BaseDN, "PASSWORD": slapd.BindPassword, "MORE": "ca_file: ldap-ca.pem", "PRESET": "openldap",
	}
	early, _ := forged{name: "localhost", notBefore: time.Hour, notAfter: 2 * time.Hour, issuer: "Root"}.make(t)
	early.MinVersion = tls.VersionTLS12
	tooEarly := newServer(t, http.NotFoundHandler())
	tooEarly.TLS = early
	tooEarly.StartTLS()
	slapd.Replace(ldaptest.PersonDN("juergen"), "mail", "mailto:juergen@example.test")
	slapd.Replace(ldaptest.PersonDN("alice"), "jpegPhoto", "\xff\xd8\xff\xe0")
	type fault struct {
		change map[string]string
		wants  []want
	}
	// only is a fault of the people that a filter selects.
	only := func(filter, more string, w want) fault {
		return fault{map[string]string{"MORE": fmt.Sprintf("ca_file: ldap-ca.pem, user_filter: %q, %s", filter, more)}, []want{w}}
	}
	for name, test := range map[string]fault{
		"right": {nil, []want{
			{"reach", report.OK, slapd.LDAPSURL() + " in ", ""},
			{"TLS", report.OK, "TLS 1.3, certificate for localhost, 127.0.0.1", ""},
			{"bind and base", report.OK, "as " + slapd.BindDN, ""},
			{"preset", report.OK, "openldap, tried against slapd", ""},
			{"people", report.OK, " entries read", ""},
			{"ids", report.OK, "entryUUID, as ", ""},
			{"sample addresses", report.OK, "alice@example.test, bob.brown@example.test, ", ""},
			{"account state", report.OK, "told by pwdAccountLockedTime, shadowExpire, pwdReset; pwdStartTime, pwdEndTime: of none", ""},
			{"password time", report.OK, "pwdChangedTime of ", ""},
			{"searches", report.OK, "by name ", ""},
		}},
		"down": {map[string]string{"URLS": "ldaps://127.0.0.1:1"}, []want{
			{"reach", report.Failed, "ldaps://127.0.0.1:1: ", "is the directory running"},
			{"TLS", report.Skipped, "no server is reached", ""},
			{"bind and base", report.Skipped, "no server is reached", ""},
			{"people", report.Skipped, "does not answer", ""},
			{"sample addresses", report.Skipped, "there are no people", ""},
		}},
		"no such name": {map[string]string{"URLS": "ldaps://ldap.nowhere.test"}, []want{
			{"reach", report.Failed, "ldaps://ldap.nowhere.test: looking up ldap.nowhere.test: ", "correct the host name in urls"},
		}},
		"certificate of tomorrow": {map[string]string{"URLS": "ldaps://" + tooEarly.Listener.Addr().String()}, []want{
			{"reach", report.OK, "ldaps://", ""},
			{"TLS", report.Failed, "not yet valid", "set this machine's clock, if it is behind"},
			{"bind and base", report.Skipped, "", ""},
		}},
		"one of two down": {map[string]string{"URLS": slapd.LDAPSURL() + ", ldaps://127.0.0.1:1"}, []want{
			{"reach", report.Failed, "ldaps://127.0.0.1:1", "is the directory running"},
			{"bind and base", report.OK, "as " + slapd.BindDN, ""},
			{"sample addresses", report.OK, "alice@example.test", ""},
		}},
		"wrong password": {map[string]string{"PASSWORD": "wrong"}, []want{
			{"reach", report.OK, "", ""},
			{"bind and base", report.Failed, "bind: ", "check bind_dn and bind_password"},
			{"sample addresses", report.Skipped, "", ""},
		}},
		"wrong base": {map[string]string{"BASE": "ou=nowhere," + slapd.BaseDN}, []want{{"bind and base", report.Failed, "read the base: ", "there is " + slapd.BaseDN + " and no more"}}},
		"unknown CA": {map[string]string{"MORE": "start_tls: false"}, []want{{"TLS", report.Failed, "unknown authority (certificate for localhost", "ca_file"}}},
		"clear text": {map[string]string{"URLS": slapd.URL(), "MORE": "insecure_plaintext: true"}, []want{{"TLS", report.Warning, "cross the network in clear text", "start_tls: true"}}},
		"StartTLS":   {map[string]string{"URLS": slapd.URL(), "MORE": "ca_file: ldap-ca.pem, start_tls: true"}, []want{{"TLS", report.OK, "StartTLS, TLS 1.3, certificate for localhost", ""}}},
		"empty base": {map[string]string{"BASE": "cn=staff,ou=groups," + slapd.BaseDN}, []want{
			{"people", report.Failed, "no entry below cn=staff", "look at base_dn, user_filter"},
			{"sample addresses", report.Skipped, "no people", ""},
		}},
		"no person":       only("(uid=none)", "", want{"people", report.Failed, "matches user_filter (uid=none)", "look at base_dn, user_filter"}),
		"another domain":  only("(uid=kate)", "", want{"sample addresses", report.Failed, "there are addresses of elsewhere.example, and this directory is for example.test", "certifies: [elsewhere.example]"}),
		"two owners":      only("(|(uid=heidi)(uid=ivan))", "address_attributes: [mailAlternateAddress]", want{"sample addresses", report.Failed, "shared@example.test of " + ldaptest.PersonDN("heidi") + " and of " + ldaptest.PersonDN("ivan"), "take each of them from one"}),
		"no address":      only("(uid=leo)", "address_attributes: [mail, proxyAddresses]", want{"sample addresses", report.Failed, "1 of 1 people show no value of mail, proxyAddresses", "set address_attributes"}),
		"wrong attribute": only("(objectClass=inetOrgPerson)", "address_attributes: [description]", want{"sample addresses", report.Failed, "people show no value of description", "address_attributes"}),
		"dropped values":  only("(uid=juergen)", "", want{"sample addresses", report.Failed, `values that are dropped: "mailto:juergen@example.test" in mail of ` + ldaptest.PersonDN("juergen"), "correct these values"}),
		"locked":          only("(uid=dave)", "", want{"sample addresses", report.Failed, ldaptest.PersonDN("dave") + " is locked", "open an account"}),
		"no id":           only("(uid=alice)", "id_attribute: carLicense", want{"ids", report.Failed, ldaptest.PersonDN("alice") + ": unusable id: carLicense is not there", "check id_attribute, and that bind_dn may read it"}),
		"binary id":       only("(uid=alice)", "id_attribute: jpegPhoto", want{"ids", report.Failed, "jpegPhoto is not printable", "set id_format to hex"}),
		"a name as id":    only("(uid=alice)", "id_attribute: uid", want{"ids", report.Warning, "uid may be given to another person", "entryUUID"}),
		"people write mail": {map[string]string{"PRESET": "lldap"}, []want{
			{"preset", report.OK, "lldap, by documentation", ""},
			{"sample addresses", report.Failed, "people can write their own mail", "mail_is_admin_only: true"},
		}},
		"no password time":      only("(uid=alice)", "password_time_attribute: pwdLastSet", want{"password time", report.Warning, "no entry shows pwdLastSet: a changed password ends no session", "let " + slapd.BindDN + " read it"}),
		"hidden states":         {map[string]string{"PRESET": "activedirectory", "MORE": `ca_file: ldap-ca.pem, user_filter: "(uid=alice)", id_attribute: entryUUID`}, []want{{"account state", report.Warning, "no entry shows userAccountControl, accountExpires, pwdLastSet", "read them"}}},
		"no client certificate": {map[string]string{"PRESET": "google"}, []want{{"preset", report.Warning, "its servers want a client certificate", "client_cert_file"}}},
		"blind search":          {map[string]string{"PRESET": "okta"}, []want{{"preset", report.OK, "sessions end after 1h0m0s, because no entry there tells", ""}}},
		"required group":        {map[string]string{"MORE": "ca_file: ldap-ca.pem, required_group: staff"}, []want{{"required group", report.OK, "staff", ""}}},
		"no such group":         {map[string]string{"MORE": "ca_file: ldap-ca.pem, required_group: stuff"}, []want{{"required group", report.Failed, `there is no group "stuff"`, "correct required_group"}}},
		"password change":       {map[string]string{"MORE": "ca_file: ldap-ca.pem, password_change: {method: rfc3062}"}, []want{{"password change", report.OK, "the server offers it", ""}}},
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
  corp: {preset: %s, urls: [%s], bind_dn: %q, bind_password_file: secret, base_dn: %q, %s}
`, value("PRESET"), value("URLS"), value("DN"), value("BASE"), value("MORE"))
			found := look(t, newInternet(t).checker(load(t, folder, yaml)).Everything())
			for _, w := range test.wants {
				found.expect(t, w)
			}
		})
	}
}

// TestSlowAndEnding: a search that takes long is told with what to index, and certificates before they end.
func TestSlowAndEnding(t *testing.T) {
	t.Parallel()
	slapd := ldaptest.StartSlapd(t, ldaptest.Options{})
	folder := t.TempDir()
	write(t, filepath.Join(folder, "ldap-ca.pem"), string(slapd.RootsPEM), 0o644)
	world := newInternet(t)
	var at atomic.Int64 // seconds that have passed, one for each look at the clock
	began := time.Now()
	world.now = func() time.Time { return began.Add(time.Duration(at.Add(1)) * time.Second) }
	c := load(t, folder, fmt.Sprintf(`
state_dir: state
tls: {mode: "off"}
trusted_proxies: [private]
domains:
  - {name: example.test, directory: corp}
directories:
  corp: {preset: openldap, urls: [%s], bind_dn: %q, bind_password: %q, base_dn: %q, ca_file: ldap-ca.pem}
`, slapd.LDAPSURL(), slapd.BindDN, slapd.BindPassword, slapd.BaseDN))
	began = began.AddDate(1, 0, -10) // the certificates end in ten days
	found := look(t, world.checker(c).Directories("corp"))
	for _, w := range []want{
		{"searches", report.Warning, "slow: by name 1s; slow: by address 1s; slow: by id 1s", "index uid, mail for equality; index mail, "},
		{"TLS", report.Warning, "ends in 9 days", "have it issued anew"},
		{"searches", report.Warning, "", "index entryUUID for equality"},
	} {
		found.expect(t, w)
	}
}

// TestTimeLimit: a server that ends searches after a time of its own (result 3) is told from one that is away.
func TestTimeLimit(t *testing.T) {
	t.Parallel()
	mux, err := gldap.NewMux()
	if err != nil {
		t.Fatal(err)
	}
	_ = mux.Bind(func(w *gldap.ResponseWriter, r *gldap.Request) {
		_ = w.Write(r.NewBindResponse(gldap.WithResponseCode(gldap.ResultSuccess)))
	})
	_ = mux.Search(func(w *gldap.ResponseWriter, r *gldap.Request) {
		code := gldap.ResultTimeLimitExceeded
		if m, err := r.GetSearchMessage(); err == nil && m.Scope == gldap.BaseObject {
			code = gldap.ResultSuccess
			_ = w.Write(r.NewSearchResponseEntry(m.BaseDN, gldap.WithAttributes(map[string][]string{"objectClass": {"domain"}})))
		}
		_ = w.Write(r.NewSearchDoneResponse(gldap.WithResponseCode(code)))
	})
	server, err := gldap.NewServer()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Router(mux); err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", apptest.FreePort(t))
	var running sync.WaitGroup
	running.Go(func() { _ = server.Run(address) })
	t.Cleanup(func() { _ = server.Stop(); running.Wait() })
	apptest.Eventually(t, "the server runs", server.Ready)
	c := load(t, t.TempDir(), fmt.Sprintf(`
state_dir: state
tls: {mode: "off"}
trusted_proxies: [private]
domains:
  - {name: example.test, directory: corp}
directories:
  corp: {preset: openldap, urls: ["ldap://%s"], insecure_plaintext: true, bind_dn: "cn=service,dc=test", bind_password: secret, base_dn: "dc=test"}
`, address))
	found := look(t, newInternet(t).checker(c).Directories("corp"))
	for _, w := range []want{
		{"reach", report.OK, "ldap://" + address, ""},
		{"bind and base", report.OK, "as cn=service,dc=test", ""},
		{"people", report.Failed, "Time Limit Exceeded", "ends searches that take it too long: index the login and address attributes"},
	} {
		found.expect(t, w)
	}
}
