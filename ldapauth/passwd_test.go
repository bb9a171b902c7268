package ldapauth_test

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth"
	"persona-sidecar/ldapauth/ldaptest"
)

const newPassword = "a quite new pass phrase"

func changePassword(t *testing.T, d *ldapauth.Directory, login, old, changed string, gate func(string) bool) identity.PasswordChange {
	t.Helper()
	change, err := d.ChangePassword(t.Context(), login, old, changed, gate)
	if err != nil {
		t.Fatalf("changing the password of %q: %v", login, err)
	}
	return change
}

// Servers of their own, because passwords change.
func TestChangePassword(t *testing.T) {
	t.Parallel()
	for kind, start := range map[ldaptest.Kind]func(dir string) (*ldaptest.Server, error){
		ldaptest.Slapd: func(dir string) (*ldaptest.Server, error) { return ldaptest.Start(dir, ldaptest.Options{}) },
		ldaptest.DS389: ldaptest.Start389,
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			shared := ldaptest.Shared{Start: start}
			t.Cleanup(shared.Stop)
			s := shared.Server(t)
			var log ldaptest.Log
			cfg := config(s)
			cfg.Log = zerolog.New(&log).Level(zerolog.TraceLevel)
			d := open(t, cfg)
			if err := d.CheckPasswordChange(t.Context()); err != nil {
				t.Error(err)
			}
			refuse := func(string) bool { return false }
			for _, c := range []struct {
				login, old, changed string
				gate                func(string) bool
				outcome             identity.Outcome
				status              identity.Status
				mayTell             bool
			}{
				{"alice", "wrong", newPassword, nil, identity.NotTried, identity.Refused, false},
				{"stranger", ldaptest.Password, newPassword, nil, identity.NotTried, identity.Refused, false},
				{"alice", "", newPassword, nil, identity.NotTried, identity.Refused, false},
				{"alice", ldaptest.Password, "", nil, identity.NotTried, identity.Refused, false},
				{"alice", ldaptest.Password, "with\x00zero", nil, identity.NotTried, identity.Refused, false},
				{"alice", ldaptest.Password, newPassword, refuse, identity.NotTried, identity.Throttled, false},
				{"alice", ldaptest.Password, "short", nil, identity.Rejected, identity.OK, true},
				{"alice", ldaptest.Password, newPassword, nil, identity.Changed, identity.OK, true},
				{"carol", ldaptest.Password, newPassword, nil, identity.Changed, identity.OK, true}, // must change
				{"gina", ldaptest.Password, newPassword, nil, identity.Changed, identity.OK, true},  // expired, with grace
				{"erin", ldaptest.Password, newPassword, nil, identity.NotTried, identity.Expired, true},
				{"max", ldaptest.LongPassword, ldaptest.OddPassword, nil, identity.Changed, identity.OK, true},
			} {
				before := time.Now()
				change := changePassword(t, d, c.login, c.old, c.changed, c.gate)
				if change.Outcome != c.outcome || change.Status != c.status && c.outcome != identity.Rejected || change.MayTell != c.mayTell {
					t.Errorf("%s, %.10q to %.10q: %q, %v, may tell %t; want %q, %v, %t", c.login, c.old, c.changed,
						change.Outcome, change.Status, change.MayTell, c.outcome, c.status, c.mayTell)
				}
				if change.Outcome == identity.Changed {
					if change.Person.PasswordChanged.Before(before.Add(-2*time.Second)) || len(change.Person.Addresses) == 0 {
						t.Errorf("%s, after the change: %+v", c.login, change.Person)
					}
					wantStatus(t, signIn(t, d, c.login, c.changed), identity.OK, true)
					wantStatus(t, signIn(t, d, c.login, c.old), identity.Refused, false)
				}
				if (change.Words == "") != (change.Outcome != identity.Rejected) {
					t.Errorf("%s: the server says %q", c.login, change.Words)
				}
			}
			wantStatus(t, signIn(t, d, "erin", ldaptest.Password), identity.Expired, true) // as before
			for _, secret := range []string{ldaptest.Password, newPassword, "wrong", "short", ldaptest.LongPassword, ldaptest.OddPassword} {
				if strings.Contains(log.String(), secret) {
					t.Errorf("the log tells %.10q", secret)
				}
			}
		})
	}
}

func TestChangePasswordRefused(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	d := open(t, config(s))
	change := changePassword(t, d, "frank", ldaptest.Password, newPassword, nil) // expired, and the server lets no one in
	if change.Outcome != identity.NotTried || change.Status != identity.PasswordExpired || !change.MayTell {
		t.Errorf("expired: %+v", change)
	}
	if change = changePassword(t, d, "dave", ldaptest.Password, newPassword, nil); change.Outcome != identity.NotTried || change.MayTell {
		t.Errorf("locked: %+v", change)
	}
	s.Replace("cn=default,ou=policies,"+ldaptest.BaseDN, "pwdAllowUserChange", "FALSE")
	if change = changePassword(t, d, "alice", ldaptest.Password, newPassword, nil); change.Outcome != identity.Forbidden || change.Words == "" {
		t.Errorf("not allowed: %+v", change)
	}
	s.Replace("cn=default,ou=policies,"+ldaptest.BaseDN, "pwdAllowUserChange", "TRUE")
	cfg := config(s)
	cfg.RequiredGroup = "staff"
	if change = changePassword(t, open(t, cfg), "bob", ldaptest.Password, newPassword, nil); change.Outcome != identity.NotTried || change.Status != identity.NotInGroup || !change.MayTell {
		t.Errorf("not in the group: %+v", change)
	}
	s.Stop()
	if change, err := d.ChangePassword(t.Context(), "alice", ldaptest.Password, newPassword, nil); err == nil {
		t.Errorf("without a server: %+v", change)
	}
}

// Samba as Active Directory does not know the operation: the operator learns it.
func TestChangePasswordUnsupported(t *testing.T) {
	t.Parallel()
	s := sharedServers[ldaptest.SambaAD].Server(t)
	err := open(t, config(s)).CheckPasswordChange(t.Context())
	if err == nil || !strings.Contains(identity.Hint(err), "password_change") {
		t.Errorf("%v (%s)", err, identity.Hint(err))
	}
}

// forgetful forwards connections until the client changes a password: that is passed on, and the answer is not.
func forgetful(t *testing.T, to string) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() { listener.Close(); running.Wait() })
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				continue
			}
			var mute sync.Mutex // held while an answer passes, and for ever once none may
			running.Go(func() {
				defer server.Close()
				b := make([]byte, 64<<10)
				for {
					n, err := client.Read(b)
					if err != nil {
						return
					}
					if bytes.Contains(b[:n], []byte("1.3.6.1.4.1.4203.1.11.1")) {
						mute.Lock()
					}
					if _, err := server.Write(b[:n]); err != nil {
						return
					}
				}
			})
			running.Go(func() {
				defer client.Close()
				b := make([]byte, 64<<10)
				for {
					n, err := server.Read(b)
					if err != nil || !mute.TryLock() {
						return // and the client is left without its answer
					}
					_, err = client.Write(b[:n])
					mute.Unlock()
					if err != nil {
						return
					}
				}
			})
		}
	})
	return listener.Addr().String()
}

// What was sent once is not sent again, and what came of it is not guessed.
func TestChangePasswordWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	cfg := config(s)
	cfg.URLs = []string{"ldap://" + forgetful(t, strings.TrimPrefix(s.URL(), "ldap://")), s.URL()}
	cfg.InsecurePlaintext = true
	d := open(t, cfg)
	change := changePassword(t, d, "alice", ldaptest.Password, newPassword, nil)
	if change.Outcome != identity.Unknown || !change.MayTell {
		t.Errorf("%+v", change)
	}
	ldaptest.Eventually(t, "the new password counts", func() bool {
		res, err := d.Authenticate(t.Context(), "alice", newPassword, nil)
		return err == nil && res.Status == identity.OK
	})
}
