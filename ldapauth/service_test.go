package ldapauth_test

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth"
	"persona-sidecar/ldapauth/ldaptest"
)

// The service account by the names that Active Directory takes beside its DN.
func TestServiceNames(t *testing.T) {
	t.Parallel()
	s := sharedServers[ldaptest.SambaAD].Server(t)
	for _, name := range []string{s.BindDN, "persona@ad.example.test", `ADX\persona`} {
		cfg := config(s)
		cfg.BindDN = name
		wantStatus(t, signIn(t, open(t, cfg), "alice", ldaptest.Password), identity.OK, true)
	}
}

// A password of the service account that is not right any more is sent once, whatever is asked, until it has been
// changed: four wrong ones lock the account in the Active Directory of the tests.
func TestServicePasswordIsTriedOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *ldaptest.Server) {
		wrong := map[ldaptest.Kind]string{ldaptest.Slapd: "pwdFailureTime", ldaptest.DS389: "passwordRetryCount", ldaptest.SambaAD: "badPwdCount"}[s.Kind]
		counted := func() int {
			values := s.Attribute(s.BindDN, wrong)
			if s.Kind == ldaptest.Slapd {
				return len(values)
			}
			if len(values) == 0 {
				return 0
			}
			n, err := strconv.Atoi(values[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		var file atomic.Pointer[string]
		old := "the old one"
		file.Store(&old)
		cfg := config(s)
		cfg.BindPassword = ldapauth.Secret(old)
		cfg.ReadPassword = func() (ldapauth.Secret, error) { return ldapauth.Secret(*file.Load()), nil }
		d := open(t, cfg)
		before := counted()
		var calls sync.WaitGroup
		for range 8 {
			calls.Go(func() {
				res, err := d.Authenticate(context.Background(), "alice", ldaptest.Password, nil)
				wantOutage(t, res, err, "binding as the service account", "bind_password_file")
				if err := d.Ping(context.Background()); err == nil || !contains(withHint(err), "bind_password_file") {
					t.Errorf("ping: %v", err)
				}
			})
		}
		calls.Wait()
		if n := counted() - before; n > 1 {
			t.Errorf("the directory has counted %d wrong passwords", n)
		}
		file.Store(&s.BindPassword)
		wantStatus(t, signIn(t, d, "alice", ldaptest.Password), identity.OK, true)
	})
}
