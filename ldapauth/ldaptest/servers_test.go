package ldaptest_test

import (
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"persona-sidecar/ldapauth/ldaptest"
)

// The servers hold the company as each of them can.
func TestOtherServers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		start   func(dir string) (*ldaptest.Server, error)
		refused map[string]string // login to the cause that the server names
	}{
		"389-ds": {ldaptest.Start389, map[string]string{
			"dave": "Account inactivated", "frank": "password expired", "lou": "Exceed password retry limit",
		}},
		"Samba AD": {ldaptest.StartSamba, map[string]string{
			"carol": "data 773", "dave": "data 533", "erin": "data 701", "frank": "data 532", "lou": "data 775", "hugo": "data 530", "wendy": "data 531",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shared := ldaptest.Shared{Start: c.start}
			t.Cleanup(shared.Stop)
			s := shared.Server(t)
			conn := dial(t, s)
			for login, password := range map[string]string{
				"alice": ldaptest.Password, "max": ldaptest.LongPassword, "pat": ldaptest.OddPassword,
				"quentin": ldaptest.Password, "uma": ldaptest.UmlautPassword,
			} {
				if err := conn.Bind(s.DN(login), password); err != nil {
					t.Errorf("binding as %s: %v", login, err)
				}
			}
			for login, cause := range c.refused {
				if err := conn.Bind(s.DN(login), ldaptest.Password); err == nil || !strings.Contains(err.Error(), cause) {
					t.Errorf("binding as %s: %v; want %s", login, err, cause)
				}
			}
			s.SetPassword(s.DN("bob"), "another password")
			if err := conn.Bind(s.DN("bob"), "another password"); err != nil {
				t.Errorf("binding with the new password: %v", err)
			}
			if err := conn.Bind(s.DN("alice"), "wrong"); !ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
				t.Errorf("wrong password: %v", err)
			}
			s.Freeze()
			s.Thaw()
			s.Restart()
			if err := dial(t, s).Bind(s.BindDN, s.BindPassword); err != nil {
				t.Errorf("the service account after a restart: %v", err)
			}
		})
	}
}
