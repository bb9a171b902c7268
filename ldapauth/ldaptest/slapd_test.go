package ldaptest_test

import (
	"crypto/tls"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"persona-sidecar/ldapauth/ldaptest"
)

func dial(t *testing.T, s *ldaptest.Server) *ldap.Conn {
	t.Helper()
	conn, err := ldap.DialURL(s.LDAPSURL(), ldap.DialWithTLSConfig(&tls.Config{RootCAs: s.Roots(), MinVersion: tls.VersionTLS12}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestCompany(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{LDIF: ldaptest.CompanyOf(3)})
	conn := dial(t, s)
	for _, uid := range []string{"alice", "user00003", ldaptest.SpecialLogin} {
		if err := conn.Bind(ldaptest.PersonDN(uid), ldaptest.Password); err != nil {
			t.Errorf("binding as %s: %v", uid, err)
		}
	}
	if err := conn.Bind(ldaptest.PersonDN("alice"), "wrong"); !ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
		t.Errorf("wrong password: %v", err)
	}
	if err := conn.Bind(s.BindDN, s.BindPassword); err != nil {
		t.Errorf("service account: %v", err)
	}
}

func TestRestartKeepsPortsAndData(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	url := s.LDAPSURL()
	s.Replace(ldaptest.PersonDN("leo"), "mail", "leo@example.test")
	s.Restart()
	if s.LDAPSURL() != url {
		t.Errorf("the port changed from %s to %s", url, s.LDAPSURL())
	}
	if got := s.Attribute(ldaptest.PersonDN("leo"), "mail"); len(got) != 1 || got[0] != "leo@example.test" {
		t.Errorf("mail after restart: %q", got)
	}
}
