package ldapauth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth"
	"persona-sidecar/ldapauth/ldaptest"
	"persona-sidecar/ldapauth/schema"
)

// A password that has expired is accepted as often as the directory allows, each time with a notice, and refused after
// the last. The session of such a sign-in goes on.
func TestGraceLogins(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	d, gina := open(t, config(s)), s.DN("gina")
	s.Replace("cn=grace,ou=policies,"+s.BaseDN, "pwdGraceAuthNLimit", "2")
	for _, left := range []int{1, 0} {
		res := signIn(t, d, "gina", ldaptest.Password)
		wantStatus(t, res, identity.OK, true)
		if want := (identity.Notice{PasswordExpired: true, GraceLeft: left}); res.Notice != want || !res.Person.PasswordExpired {
			t.Errorf("%+v, %t; want %+v", res.Notice, res.Person.PasswordExpired, want)
		}
		wantStatus(t, lookUp(t, d, res.Person.ID), identity.OK, true)
	}
	wantStatus(t, signIn(t, d, "gina", ldaptest.Password), identity.PasswordExpired, true)
	wantStatus(t, signIn(t, d, "gina", "wrong"), identity.Refused, false)
	if used := s.Attribute(gina, "pwdGraceUseTime"); len(used) != 2 {
		t.Errorf("%d grace logins were used", len(used))
	}
}

func TestGraceLogins389(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *ldaptest.Server) {
		if s.Kind != ldaptest.DS389 {
			t.Skip("has a test of its own, or no grace logins")
		}
		dn := s.AddPerson("grace", ldaptest.Password, "grace@example.test")
		s.Replace(dn, "passwordExpirationTime", "20200101000000Z")
		s.Replace(dn, "passwordGraceUserTime", "98")
		d := open(t, config(s))
		for _, left := range []int{1, 0} {
			res := signIn(t, d, "grace", ldaptest.Password)
			wantStatus(t, res, identity.OK, true)
			again := lookUp(t, d, res.Person.ID)
			wantStatus(t, again, identity.OK, true)
			if res.Notice != (identity.Notice{PasswordExpired: true, GraceLeft: left}) || !res.Person.PasswordExpired || !again.Person.PasswordExpired {
				t.Errorf("%+v, %t, %t", res.Notice, res.Person.PasswordExpired, again.Person.PasswordExpired)
			}
		}
		wantStatus(t, signIn(t, d, "grace", ldaptest.Password), identity.PasswordExpired, true)
	})
}

// slapd keeps the attribute of a timed lock until the next bind. The bind decides.
func TestLockThatHasRunOut(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	d, bob := open(t, config(s)), s.DN("bob")
	s.Replace("cn=default,ou=policies,"+s.BaseDN, "pwdLockoutDuration", "3600")
	s.Replace(bob, "pwdAccountLockedTime", time.Now().Add(-30*time.Minute).UTC().Format("20060102150405Z"))
	wantStatus(t, signIn(t, d, "bob", ldaptest.Password), identity.LockedForNow, false)
	s.Replace(bob, "pwdAccountLockedTime", time.Now().Add(-2*time.Hour).UTC().Format("20060102150405Z"))
	res := signIn(t, d, "bob", ldaptest.Password)
	wantStatus(t, res, identity.OK, true)
	wantStatus(t, lookUp(t, d, res.Person.ID), identity.OK, true)
}

func TestExpiryIsAnnounced(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	d, bob := open(t, config(s)), s.DN("bob")
	s.Replace("cn=default,ou=policies,"+s.BaseDN, "pwdMaxAge", "7200")
	s.Replace("cn=default,ou=policies,"+s.BaseDN, "pwdExpireWarning", "7300")
	s.SetPassword(bob, "another password")
	s.KeepPassword(bob)
	res := signIn(t, d, "bob", "another password")
	wantStatus(t, res, identity.OK, true)
	if left := res.Notice.ExpiresIn; left <= time.Hour || left > 2*time.Hour || res.Person.PasswordExpired {
		t.Errorf("%+v", res.Notice)
	}
}

// A disabled_filter is evaluated on the entry that is read anyway. Such a person is told, when their password is right,
// and found at a re-check.
func TestDisabledFilter(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	seen := &observed{}
	cfg := config(s)
	cfg.Schema.DisabledFilter, cfg.Observe = "(&(employeeType=former)(!(title=back)))", seen.observe
	d, alice := open(t, cfg), s.DN("alice")
	id := signIn(t, d, "alice", ldaptest.Password).Person.ID
	if diff := cmp.Diff([]string{"search ok", "bind ok", "search ok"}, seen.take()); diff != "" {
		t.Errorf("questions (-want +got):\n%s", diff)
	}
	s.Replace(alice, "employeeType", "Former")
	wantStatus(t, lookUp(t, d, id), identity.Deactivated, true)
	wantStatus(t, signIn(t, d, "alice", ldaptest.Password), identity.Deactivated, true)
	wantStatus(t, signIn(t, d, "alice", "wrong"), identity.Refused, false)
	s.Replace(alice, "title", "back")
	wantStatus(t, lookUp(t, d, id), identity.OK, true)

	cfg.Schema.DisabledFilter = "(employeeNumber>=5)"
	if _, err := ldapauth.New(cfg); err == nil {
		t.Error("a filter that cannot be evaluated is taken")
	}
}

// A date that cannot be read is no permission, and the log names the attribute, once.
func TestUnreadableState(t *testing.T) {
	t.Parallel()
	s := sharedSlapd(t)
	log := &ldaptest.Log{}
	cfg := config(s)
	cfg.Log = zerolog.New(log)
	cfg.Schema.Account = []schema.Rule{{Attribute: "givenName", Past: schema.Generalized, Then: schema.Expired}}
	d := open(t, cfg)
	wantStatus(t, signIn(t, d, "alice", ldaptest.Password), identity.Expired, true)
	if n := strings.Count(log.String(), `"attribute":"givenName"`); n != 1 {
		t.Errorf("%d lines:\n%s", n, log)
	}
}
