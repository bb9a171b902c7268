package ldapauth_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth"
	"persona-sidecar/ldapauth/ldaptest"
	"persona-sidecar/ldapauth/mailbox"
)

func withAliases(c *ldapauth.Config) {
	c.Schema.AddressAttributes = []string{"mail", "mailAlternateAddress", "proxyAddresses"}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	cfg := config(sharedSlapd(t))
	withAliases(&cfg)
	d := open(t, cfg)
	for login, want := range map[string][]string{
		"alice":               {"alice@example.test", "a.adams@example.test", "alice@example.net"},
		"bob":                 {"bob.brown@example.test"},
		"heidi":               {"heidi@example.test"}, // shared@ is ivan's too
		"ivan":                {"ivan@example.test"},
		"juergen":             {"juergen.mueller@example.test"},
		"kate":                nil, // a foreign domain only
		"leo":                 nil,
		"peggy":               {"peggy@example.test"}, // info@ is a mailing list's
		"victor":              {"victor@example.test", "v.vance@example.test", "vic@example.test"},
		"odd":                 {"olga@example.test"},
		ldaptest.SpecialLogin: {"special@example.test"},
	} {
		t.Run(login, func(t *testing.T) {
			res := signIn(t, d, login, ldaptest.Password)
			wantStatus(t, res, identity.OK, true)
			if diff := cmp.Diff(want, texts(res.Person.Addresses)); diff != "" {
				t.Errorf("at sign-in (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want, texts(lookUp(t, d, res.Person.ID).Person.Addresses)); diff != "" {
				t.Errorf("at look-up (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDomainsAreExact(t *testing.T) {
	t.Parallel()
	cfg := config(sharedSlapd(t))
	cfg.Domains = []string{"Example.NET"}
	p := signIn(t, open(t, cfg), "alice", ldaptest.Password).Person
	if diff := cmp.Diff([]string{"alice@example.net"}, texts(p.Addresses)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	cfg.Domains = nil
	if p := signIn(t, open(t, cfg), "alice", ldaptest.Password).Person; p.Addresses != nil {
		t.Errorf("addresses without any domain: %v", p.Addresses)
	}
}

// An address that two entries claim belongs to neither, however many claim it and
// whatever they are; the person's other addresses stay.
func TestContestedAddresses(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	var log ldaptest.Log
	cfg := config(s)
	withAliases(&cfg)
	cfg.Log = zerolog.New(&log).Level(zerolog.WarnLevel)
	d := open(t, cfg)
	alice := signIn(t, d, "alice", ldaptest.Password).Person.ID
	bob := signIn(t, d, "bob", ldaptest.Password).Person.ID
	if log.String() != "" {
		t.Fatalf("warnings although all is well: %s", log.String())
	}
	if err := d.Ping(t.Context()); err != nil { // which attributes the schema has changes nothing
		t.Fatal(err)
	}
	want := func(id string, addresses ...string) {
		t.Helper()
		if diff := cmp.Diff(addresses, texts(lookUp(t, d, id).Person.Addresses)); diff != "" {
			t.Errorf("look-up (-want +got):\n%s", diff)
		}
	}

	// an alias that is another person's primary address, in another spelling
	s.Replace(ldaptest.PersonDN("leo"), "mailAlternateAddress", "BOB.BROWN@EXAMPLE.TEST")
	want(bob)
	// many owners of one address, more than a search returns
	for i := range 5 {
		req := ldap.NewAddRequest(fmt.Sprintf("cn=list%d,ou=groups,dc=example,dc=test", i), nil)
		req.Attribute("objectClass", []string{"organizationalRole", "examplePerson"})
		req.Attribute("cn", []string{fmt.Sprintf("list%d", i)})
		req.Attribute("proxyAddresses", []string{"SmTp:A.Adams@example.test"})
		s.Add(req)
	}
	want(alice, "alice@example.test", "alice@example.net")
	if got := signIn(t, d, "alice", ldaptest.Password).Person.Addresses; len(got) != 2 {
		t.Errorf("at sign-in: %v", got)
	}
	// a disabled owner still counts
	s.Replace(ldaptest.PersonDN("dave"), "mailAlternateAddress", "alice@example.net")
	want(alice, "alice@example.test")

	for _, part := range []string{"bob.brown@example.test", "a.adams@example.test", "alice@example.net", alice, bob, "hint"} {
		if !contains(log.String(), part) {
			t.Errorf("the administrator does not read %q:\n%s", part, log.String())
		}
	}
	before := log.String()
	want(alice, "alice@example.test")
	if log.String() != before {
		t.Error("the same fault is told again at once")
	}
}

func TestManyAddresses(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	cfg := config(s)
	d := open(t, cfg)
	var values, want []string
	for i := range 45 {
		values = append(values, fmt.Sprintf("alias%d@example.test", i))
	}
	s.Replace(ldaptest.PersonDN("leo"), "mailAlternateAddress", values...)
	s.Replace(ldaptest.PersonDN("kate"), "mailAlternateAddress", values[30])
	want = append(append(want, values[:30]...), values[31:]...)
	if diff := cmp.Diff(want, texts(signIn(t, d, "leo", ldaptest.Password).Person.Addresses)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for i := range 300 {
		values = append(values, fmt.Sprintf("more%d@example.test", i))
	}
	s.Replace(ldaptest.PersonDN("leo"), "mailAlternateAddress", values...)
	if got := len(signIn(t, d, "leo", ldaptest.Password).Person.Addresses); got != 199 { // 200, one of them ambiguous
		t.Errorf("%d addresses", got)
	}
}

func TestInternationalDomain(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	cfg := config(s)
	withAliases(&cfg)
	cfg.Domains = []string{"bücher.example"}
	d := open(t, cfg)
	s.Replace(ldaptest.PersonDN("leo"), "proxyAddresses", "smtp:leo@bücher.example")
	want := []string{"leo@xn--bcher-kva.example"}
	if diff := cmp.Diff(want, texts(signIn(t, d, "leo", ldaptest.Password).Person.Addresses)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s.Replace(ldaptest.PersonDN("kate"), "mail", "leo@xn--bcher-kva.example")
	for _, login := range []string{"leo", "kate"} {
		if got := signIn(t, d, login, ldaptest.Password).Person.Addresses; got != nil {
			t.Errorf("%s has the ambiguous %v", login, got)
		}
	}
}

// Entries that ignore_holders selects hold no address: others keep theirs, and they themselves have none, because
// two of them could have the same.
func TestIgnoredHolders(t *testing.T) {
	t.Parallel()
	cfg := config(sharedSlapd(t))
	cfg.Schema.IgnoreHolders = "(uid=ivan)"
	d := open(t, cfg)
	for login, want := range map[string][]string{
		"heidi": {"heidi@example.test", "shared@example.test"},
		"ivan":  nil,
	} {
		res := signIn(t, d, login, ldaptest.Password)
		if diff := cmp.Diff(want, texts(res.Person.Addresses)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", login, diff)
		}
	}
	// The address is the name of the one that counts.
	if p := signIn(t, d, "shared@example.test", ldaptest.Password).Person; p.Login != "heidi" {
		t.Errorf("shared@example.test is %q", p.Login)
	}
}

func TestContestedIsToldWithEntries(t *testing.T) {
	t.Parallel()
	var log ldaptest.Log
	cfg := config(sharedSlapd(t))
	cfg.Log = zerolog.New(&log).Level(zerolog.WarnLevel)
	d := open(t, cfg)
	// info@example.test is a mailing list's, too, an entry of no person.
	if p := signIn(t, d, "peggy", ldaptest.Password).Person; !slices.Equal(texts(p.Contested), []string{"info@example.test"}) {
		t.Errorf("contested: %v", p.Contested)
	}
	for _, part := range []string{"info@example.test", ldaptest.PersonDN("peggy"), "cn=info,ou=groups", "ignore_holders"} {
		if !contains(log.String(), part) {
			t.Errorf("the administrator does not read %q: %s", part, log.String())
		}
	}
}

// Where people write their own mail attribute, it proves nothing.
func TestSelfService(t *testing.T) {
	t.Parallel()
	var log ldaptest.Log
	cfg := config(sharedSlapd(t))
	cfg.Log = zerolog.New(&log).Level(zerolog.WarnLevel)
	cfg.Schema.SelfService = true
	if p := signIn(t, open(t, cfg), "alice", ldaptest.Password).Person; p.Addresses != nil {
		t.Errorf("addresses that people write themselves: %v", p.Addresses)
	}
	if !contains(log.String(), "mail_is_admin_only") {
		t.Errorf("the log does not say why: %s", log.String())
	}
	cfg.Schema.MailIsAdminOnly = true
	if p := signIn(t, open(t, cfg), "alice", ldaptest.Password).Person; len(p.Addresses) == 0 {
		t.Error("no addresses although administrators alone write them")
	}
}

func TestDroppedValuesAreLogged(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{})
	s.Replace(ldaptest.PersonDN("leo"), "mail", "leo@example.test ", "mailto:leo@example.test", "leo@elsewhere.example")
	var log ldaptest.Log
	cfg := config(s)
	cfg.Log = zerolog.New(&log).Level(zerolog.DebugLevel)
	if p := signIn(t, open(t, cfg), "leo", ldaptest.Password).Person; p.Addresses != nil {
		t.Errorf("addresses %v", p.Addresses)
	}
	for _, part := range []string{
		`"value":"leo@example.test ","reason":"` + string(mailbox.OuterSpace),
		`"value":"mailto:leo@example.test","reason":"` + string(mailbox.Mailto),
		`"value":"leo@elsewhere.example","reason":"` + string(mailbox.OtherDomain),
	} {
		if !contains(log.String(), part) {
			t.Errorf("the log lacks %s:\n%s", part, log.String())
		}
	}
}

// People are below people_base or in one of several bases; holders of addresses are in all of the bases.
func TestBases(t *testing.T) {
	t.Parallel()
	s := sharedSlapd(t)
	for name, test := range map[string]struct {
		bases  []string
		people string
		logins map[string][]string // nil: refused
	}{
		"two bases": {[]string{"ou=people," + s.BaseDN, "ou=branch," + s.BaseDN}, "", map[string][]string{
			"sam": nil, "sam.stone@example.test": {"sam.stone@example.test"}, "peggy": {"peggy@example.test", "info@example.test"},
		}},
		"the group is a base": {[]string{"ou=groups," + s.BaseDN, "ou=people," + s.BaseDN}, "", map[string][]string{
			"sam": {"sam.smith@example.test"}, "sam.stone@example.test": nil, "peggy": {"peggy@example.test"},
		}},
		"people base": {[]string{s.BaseDN}, "ou=people", map[string][]string{
			"sam": {"sam.smith@example.test"}, "sam.stone@example.test": nil, "peggy": {"peggy@example.test"},
		}},
		"at the people base": {[]string{"OU=People," + s.BaseDN}, "ou=people", map[string][]string{
			"sam": {"sam.smith@example.test"}, "peggy": {"peggy@example.test", "info@example.test"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(s)
			cfg.BaseDNs, cfg.Schema.PeopleBase = test.bases, test.people
			d := open(t, cfg)
			if err := d.Ping(t.Context()); err != nil {
				t.Error(err)
			}
			for login, want := range test.logins {
				res := signIn(t, d, login, ldaptest.Password)
				if diff := cmp.Diff(want, texts(res.Person.Addresses)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", login, diff)
				}
				if want == nil {
					wantStatus(t, res, identity.Refused, false)
				} else if again := lookUp(t, d, res.Person.ID); again.Status != identity.OK {
					t.Errorf("%s is looked up: %v", login, again.Status)
				}
			}
		})
	}
}
