package ldapauth_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"golang.org/x/text/unicode/norm"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth/ldaptest"
)

// name@dns.domain is the userPrincipalName or the address of one person and the account name of another.
func TestPrincipalNameOfTwoPeople(t *testing.T) {
	t.Parallel()
	person := func(id, account, principal, mail string) map[string][]string {
		return map[string][]string{
			"dn": {"cn=" + account + ",dc=example,dc=test"}, "objectGUID": {strings.Repeat(id, 16)},
			"sAMAccountName": {account}, "userPrincipalName": {principal}, "mail": {mail},
		}
	}
	const first, second = "61616161-6161-6161-6161-616161616161", "62626262-6262-6262-6262-626262626262"
	for name, test := range map[string]struct {
		entries []map[string][]string
		want    string
	}{
		"principal name":          {[]map[string][]string{person("a", "adams", "alice@example.test", "x@example.test"), person("b", "alice", "b@example.test", "y@example.test")}, first},
		"principal name, second":  {[]map[string][]string{person("a", "alice", "a@example.test", "x@example.test"), person("b", "adams", "Alice@Example.test", "y@example.test")}, second},
		"address":                 {[]map[string][]string{person("a", "alice", "a@example.test", "x@example.test"), person("b", "adams", "b@example.test", "SMTP:alice@example.test")}, second},
		"both as they were typed": {[]map[string][]string{person("a", "adams", "alice@example.test", "x@example.test"), person("b", "alice", "b@example.test", "alice@example.test")}, ""},
		"neither":                 {[]map[string][]string{person("a", "alice", "a@example.test", "x@example.test"), person("b", "alice", "b@example.test", "y@example.test")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFaulty(t)
			f.hold(test.entries...)
			var log ldaptest.Log
			cfg := faultyConfig(f.url)
			cfg.Schema, cfg.BaseDNs, cfg.Log = preset("activedirectory"), []string{"dc=example,dc=test"}, zerolog.New(&log)
			found := ""
			signInThrough(t, open(t, cfg), func(id string) bool { found = id; return false }, "alice@example.test", "secret")
			if found != test.want {
				t.Errorf("found %q, want %q", found, test.want)
			}
			if text := log.String(); test.want == "" && (!contains(text, "cn=alice,dc=example,dc=test") || !contains(text, "matches more than one entry")) {
				t.Errorf("the administrator is not told of both: %s", text)
			}
		})
	}
}

// A name in a domain means no account of another domain, and one of any base DN in its own.
func TestNameInADomain(t *testing.T) {
	t.Parallel()
	joe := map[string][]string{
		"dn": {"cn=joe,dc=b,dc=test"}, "objectGUID": {strings.Repeat("a", 16)}, "sAMAccountName": {"joe"}, "userPrincipalName": {"j@other.test"},
	}
	const id = "61616161-6161-6161-6161-616161616161"
	for _, test := range []struct {
		login, want string
		bases       []string
	}{
		{"joe@a.test", "", []string{"dc=a,dc=test", "dc=b,dc=test"}},
		{`a\joe`, "", []string{"dc=a,dc=test", "dc=b,dc=test"}},
		{"joe@b.test", id, []string{"dc=a,dc=test", "dc=b,dc=test"}},
		{`b\joe`, id, []string{"dc=a,dc=test", "dc=b,dc=test"}},
		{"j@other.test", id, []string{"dc=a,dc=test", "dc=b,dc=test"}},
		{`b\joe`, id, []string{"ou=staff,dc=b,dc=test", "cn=joe,dc=b,dc=test"}},
		{"joe@b.test", id, []string{"ou=staff,dc=b,dc=test", "cn=joe,dc=b,dc=test"}},
	} {
		f := startFaulty(t)
		f.hold(joe)
		cfg := faultyConfig(f.url)
		cfg.Schema, cfg.BaseDNs = preset("activedirectory"), test.bases
		found := ""
		signInThrough(t, open(t, cfg), func(id string) bool { found = id; return false }, test.login, "secret")
		if found != test.want {
			t.Errorf("%s below %v: found %q, want %q", test.login, test.bases, found, test.want)
		}
	}
}

// What the directory counts is counted before it: once more for a second form.
func TestPasswordFormsAreCounted(t *testing.T) {
	t.Parallel()
	seen := &observed{}
	cfg := config(sharedSlapd(t))
	cfg.Observe = seen.observe
	d := open(t, cfg)
	for _, change := range []bool{false, true} {
		asked := 0
		once := func(string) bool { asked++; return asked == 1 }
		var res identity.Result
		if wrong := norm.NFD.String("ä"); change {
			res = changePassword(t, d, "user00777", wrong, newPassword, once).Result
		} else {
			res = signInThrough(t, d, once, "user00777", wrong)
		}
		wantStatus(t, res, identity.Throttled, false)
		if diff := cmp.Diff([]string{"search ok", "bind refused"}, seen.take()); diff != "" || asked != 2 {
			t.Errorf("asked %d times (-want +got):\n%s", asked, diff)
		}
	}
}

// A directory counts a second try only for a password that was typed in another form than NFC.
func TestPasswordForms(t *testing.T) {
	t.Parallel()
	seen := &observed{}
	cfg := config(sharedSlapd(t))
	cfg.Observe = seen.observe
	d := open(t, cfg)
	for _, test := range []struct {
		login, password string
		status          identity.Status
		want            []string
	}{
		{"uma", ldaptest.UmlautPassword, identity.OK, []string{"search ok", "bind ok", "search ok"}},
		{"uma", norm.NFD.String(ldaptest.UmlautPassword), identity.OK, []string{"search ok", "bind refused", "bind ok", "search ok"}},
		{"uma", norm.NFD.String("ä"), identity.Refused, []string{"search ok", "bind refused", "bind refused"}},
		{"uma", "ä", identity.Refused, []string{"search ok", "bind refused"}},
	} {
		if res := signIn(t, d, test.login, test.password); res.Status != test.status {
			t.Errorf("%q: %v, want %v", test.password, res.Status, test.status)
		}
		if diff := cmp.Diff(test.want, seen.take()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.password, diff)
		}
	}
}

// Whatever is typed is answered, and a name of no entry is never logged.
func TestOddNames(t *testing.T) {
	t.Parallel()
	var log ldaptest.Log
	onEach(t, func(t *testing.T, s *ldaptest.Server) {
		cfg := config(s)
		cfg.Log = zerolog.New(&log).Level(zerolog.TraceLevel)
		d := open(t, cfg)
		for _, login := range []string{
			" ", "\t", "\u00a0", "\u3000", `\`, `\\`, "/", "@", "@@", `ADX\`, `\alice`, `ADX\\alice`, `ADX\ADX\alice`, `NOTHERE\alice`, "nothere/alice",
			"ADX/", "@ad.example.test", "alice@", "alice@nothere.test", "alice@ad.example.test@ad.example.test", `ADX\*`, `*@ad.example.test`, `ADX\al)(sAMAccountName=alice`,
			"smtp:alice@example.test", "mailto:alice@example.test", "alice@example.test;bob@example.test", "<alice@example.test>", "*@example.test",
			"CN=Users,DC=ad", "#alice", "=", ",", "alice,ou=people", strings.Repeat("ä", 128), strings.Repeat("@", 256), strings.Repeat(`\`, 256), strings.Repeat("a", 250) + "@b.cde",
			"\ufeff", "\u200balice", norm.NFD.String(strings.Repeat("ö", 85)),
		} {
			res, err := d.Authenticate(context.Background(), login, ldaptest.Password, nil)
			if err != nil || res.Status != identity.Refused || res.Person.ID != "" {
				t.Errorf("%q: %v, %q, %v", login, res.Status, res.Person.ID, err)
			}
		}
		if text := log.String(); contains(text, "nothere") || contains(text, "alice") || contains(text, "smtp:") {
			t.Errorf("a typed name is logged: %s", text)
		}
	})
}
