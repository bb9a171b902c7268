package ldapauth_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rs/zerolog"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth"
	"persona-sidecar/ldapauth/ldaptest"
)

func TestSignIn(t *testing.T) {
	t.Parallel()
	s := sharedSlapd(t)
	res := signIn(t, open(t, config(s)), "alice", ldaptest.Password)
	want := identity.Result{
		Status: identity.OK, MayTell: true,
		Person: identity.Person{
			Directory: "corp", ID: s.Attribute(ldaptest.PersonDN("alice"), "entryUUID")[0],
			Login: "alice", Name: "Alice Adams",
			Addresses: res.Person.Addresses,
		},
	}
	if diff := cmp.Diff(want, res, cmpopts.EquateComparable(browserid.Address{})); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"alice@example.test", "a.adams@example.test", "alice@example.net"}, texts(res.Person.Addresses)); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
}

func TestSignInEncrypted(t *testing.T) {
	t.Parallel()
	s := sharedSlapd(t)
	for name, change := range map[string]func(*ldapauth.Config){
		"ldaps":               func(*ldapauth.Config) {},
		"StartTLS":            func(c *ldapauth.Config) { c.URLs, c.StartTLS = []string{s.URL()}, true },
		"clear text, asked":   func(c *ldapauth.Config) { c.URLs, c.InsecurePlaintext = []string{s.URL()}, true },
		"StartTLS goes first": func(c *ldapauth.Config) { c.URLs, c.StartTLS, c.InsecurePlaintext = []string{s.URL()}, true, true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(s)
			change(&cfg)
			d := open(t, cfg)
			for range 3 { // the first on new connections, the others on pooled ones
				wantStatus(t, signIn(t, d, "bob", ldaptest.Password), identity.OK, true)
			}
			if err := d.Ping(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	d := open(t, config(sharedSlapd(t)))
	for _, c := range []struct {
		login, password string
		status          identity.Status
		mayTell         bool
	}{
		{"alice@example.test", ldaptest.Password, identity.OK, true},
		{"ALICE", ldaptest.Password, identity.OK, true},
		{"juergen", ldaptest.Password, identity.OK, true},
		{ldaptest.SpecialLogin, ldaptest.Password, identity.OK, true},
		{"stranger", ldaptest.Password, identity.Refused, false},
		{"user00900", "wrong", identity.Refused, false},
		{"user00900", ldaptest.Password + " ", identity.Refused, false},
		{"sam", ldaptest.Password, identity.Refused, false}, // two entries
		{"carol", ldaptest.Password, identity.MustChange, true},
		{"carol", "wrong", identity.Refused, false},
		{"dave", ldaptest.Password, identity.Locked, false},
		{"dave", "wrong", identity.Locked, false},
		{"erin", ldaptest.Password, identity.Expired, true},
		{"erin", "wrong", identity.Refused, false},
		{"frank", ldaptest.Password, identity.PasswordExpired, true},
		{"frank", "wrong", identity.Refused, false},
		{"gina", ldaptest.Password, identity.OK, true},
	} {
		t.Run(c.login+"/"+c.password, func(t *testing.T) {
			res := signIn(t, d, c.login, c.password)
			wantStatus(t, res, c.status, c.mayTell)
			if c.status != identity.OK && (len(res.Person.Addresses) > 0 || res.Person.Name != "") {
				t.Errorf("a refusal tells about the person: %+v", res.Person)
			}
		})
	}
}

// Refusals carry the id of the entry, so that failures are counted by entry.
func TestRefusalNamesTheEntry(t *testing.T) {
	t.Parallel()
	d := open(t, config(sharedSlapd(t)))
	id := signIn(t, d, "user00001", ldaptest.Password).Person.ID
	if got := signIn(t, d, "user00001@example.test", "wrong").Person.ID; got != id || id == "" {
		t.Errorf("id of the refused %q, of the admitted %q", got, id)
	}
	if got := signIn(t, d, "stranger", "wrong").Person.ID; got != "" {
		t.Errorf("an unknown name has the id %q", got)
	}
}

func TestLockedByGuesses(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]ldaptest.Options{"silent server": {}, "server that tells": {ReportLockout: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := open(t, config(ldaptest.StartSlapd(t, opts)))
			id := signIn(t, d, "bob", ldaptest.Password).Person.ID
			for range 5 {
				signIn(t, d, "bob", "wrong")
			}
			wantStatus(t, signIn(t, d, "bob", ldaptest.Password), identity.LockedForNow, false)
			wantStatus(t, lookUp(t, d, id), identity.OK, true) // anyone can guess: no session ends
			wantStatus(t, signIn(t, d, "alice", ldaptest.Password), identity.OK, true)
		})
	}
}

func TestGate(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	var asked []string
	admit := false
	gate := func(id string) bool {
		asked = append(asked, id)
		return admit
	}
	d := open(t, config(s))
	for range 10 { // more than the server's own limit: no password is tried
		wantStatus(t, signInThrough(t, d, gate, "bob", "wrong"), identity.Throttled, false)
	}
	signInThrough(t, d, gate, "stranger", "wrong") // no entry to ask about
	admit = true
	res := signInThrough(t, d, gate, "bob", ldaptest.Password)
	wantStatus(t, res, identity.OK, true)
	if len(asked) != 11 || asked[0] != res.Person.ID {
		t.Errorf("the gate was asked %d times, first about %q; want 11 and %q", len(asked), asked[0], res.Person.ID)
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	cfg := config(s)
	cfg.Schema.UserFilter = "(&(objectClass=inetOrgPerson)(!(employeeType=left)))"
	d := open(t, cfg)
	signedIn := signIn(t, d, "alice", ldaptest.Password)
	id, dn := signedIn.Person.ID, ldaptest.PersonDN("alice")
	if diff := cmp.Diff(signedIn, lookUp(t, d, id), cmpopts.EquateComparable(browserid.Address{})); diff != "" {
		t.Errorf("sign-in and look-up differ (-sign-in +look-up):\n%s", diff)
	}

	s.Replace(dn, "mail", "alice.adams@example.test")
	if got := lookUp(t, d, id).Person.Addresses[0].String(); got != "alice.adams@example.test" {
		t.Errorf("the new address is %q", got)
	}
	s.Replace(dn, "pwdReset", "TRUE")
	wantStatus(t, lookUp(t, d, id), identity.MustChange, true)
	s.Replace(dn, "pwdReset")
	s.Replace(dn, "shadowExpire", "0")
	wantStatus(t, lookUp(t, d, id), identity.Expired, true)
	s.Replace(dn, "shadowExpire", "-1")
	s.Replace(dn, "pwdAccountLockedTime", "000001010000Z")
	wantStatus(t, lookUp(t, d, id), identity.Locked, true)
	s.Replace(dn, "pwdAccountLockedTime")
	s.Replace(dn, "employeeType", "left")
	wantStatus(t, lookUp(t, d, id), identity.Gone, false)
	wantStatus(t, signIn(t, d, "alice", ldaptest.Password), identity.Refused, false)
	s.Replace(dn, "employeeType")

	s.Replace(dn, "userPassword", "another password")
	wantStatus(t, lookUp(t, d, id), identity.MustChange, true) // an administrator set it
	s.Replace(dn, "pwdReset")
	if age := time.Since(lookUp(t, d, id).Person.PasswordChanged); age < -time.Minute || age > time.Minute {
		t.Errorf("the password was changed %v ago", age)
	}
	s.Rename(ldap.NewModifyDNRequest(dn, "uid=alina", true, ""))
	if res := lookUp(t, d, id); res.Status != identity.OK || res.Person.Login != "alina" {
		t.Errorf("after the rename: %+v", res)
	}
	s.Delete(ldaptest.PersonDN("alina"))
	wantStatus(t, lookUp(t, d, id), identity.Gone, false)
}

func TestLookupOfUnknown(t *testing.T) {
	t.Parallel()
	d := open(t, config(sharedSlapd(t)))
	for _, id := range []string{
		"", "*", "nonsense", "00000000-0000-0000-0000-000000000000", "x)(uid=*", "\x00", "\xff\xfe", "a b",
		string(make([]byte, 1<<20)),
	} {
		wantStatus(t, lookUp(t, d, id), identity.Gone, false)
	}
}

func TestPasswordChangedLongAgo(t *testing.T) {
	t.Parallel()
	p := signIn(t, open(t, config(sharedSlapd(t))), "juergen", ldaptest.Password).Person
	if want := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC); !p.PasswordChanged.Equal(want) {
		t.Errorf("changed %v, want %v", p.PasswordChanged, want)
	}
	if p.Name != "Jürgen Müller" {
		t.Errorf("display name %q", p.Name)
	}
}

func TestAccountExpiryUsesTheClock(t *testing.T) {
	t.Parallel()
	cfg := config(sharedSlapd(t))
	cfg.Now = func() time.Time { return time.Date(1970, 1, 1, 23, 59, 59, 0, time.UTC) } // erin expires on day 1
	wantStatus(t, signIn(t, open(t, cfg), "erin", ldaptest.Password), identity.OK, true)
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	cfg := config(sharedSlapd(t))
	cfg.MaxBinds, cfg.MaxSearches = 2, 2
	d := open(t, cfg)
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			login, password, want := "peggy", ldaptest.Password, identity.OK
			if i%4 == 0 {
				login, password, want = "unknown", "wrong", identity.Refused
			}
			if res, err := d.Authenticate(context.Background(), login, password, nil); err != nil || res.Status != want {
				t.Errorf("%s: %v, %v", login, res.Status, err)
			}
		})
	}
	all.Wait()
}

// Whatever is logged, and at whatever level, passwords are not.
func TestPasswordsAreNotLogged(t *testing.T) {
	t.Parallel()
	s := sharedSlapd(t)
	var log ldaptest.Log
	cfg := config(s)
	cfg.Log = zerolog.New(&log).Level(zerolog.TraceLevel)
	d := open(t, cfg)
	const wrong = "mistyped-secret-42"
	for _, login := range []string{"victor", "dave", "sam", "carol", "stranger", "heidi"} {
		signIn(t, d, login, wrong)
		signIn(t, d, login, ldaptest.Password)
	}
	signIn(t, d, wrong, ldaptest.Password) // typed into the wrong field
	for _, secret := range []string{wrong, ldaptest.Password, s.BindPassword} {
		if contains(log.String(), secret) {
			t.Errorf("%q is in the log:\n%s", secret, log.String())
		}
	}
	if !contains(log.String(), "searching") {
		t.Error("nothing was logged at all")
	}
}
