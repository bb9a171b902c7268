package ldapauth_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/text/unicode/norm"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth"
	"persona-sidecar/ldapauth/ldaptest"
)

// answer is what a sign-in should come to; the zero answer stands for a case
// that a server cannot hold.
type answer struct {
	status    identity.Status
	mayTell   bool
	addresses []string // the primary one first, the others sorted
}

func (a answer) String() string {
	return strings.TrimRight(fmt.Sprintf("%v, may tell %t, %s", a.status, a.mayTell, strings.Join(a.addresses, " ")), ", ")
}

// in is a person who is let in.
func in(addresses ...string) answer { return answer{identity.OK, true, addresses} }

// told is a right password that does not suffice; common looks like a wrong one.
func told(status identity.Status) answer   { return answer{status, true, nil} }
func common(status identity.Status) answer { return answer{status, false, nil} }

// per is what each kind of server wants, in the order slapd, 389-ds, Samba AD.
type per [3]answer

func everywhere(a answer) per { return per{a, a, a} }

var (
	notHere = answer{}
	refused = common(identity.Refused)
	alice   = in("alice@example.test", "a.adams@example.test", "alice@example.net")
)

// cases are sign-ins of the sample company (see ldaptest.Company), each of which
// is then looked up by id, too.
var cases = []struct {
	name, login, password string
	want                  per
}{
	{"by user name", "alice", ldaptest.Password, everywhere(alice)},
	{"by user name in capitals", "ALICE", ldaptest.Password, everywhere(alice)},
	{"by user name with spaces", "  alice ", ldaptest.Password, everywhere(alice)},
	{"by user name with a tab", "alice\t", ldaptest.Password, everywhere(alice)},
	{"by user name with a no-break space", "alice\u00a0", ldaptest.Password, everywhere(alice)},
	{"by address", "alice@example.test", ldaptest.Password, everywhere(alice)},
	{"by address in capitals", "ALICE@EXAMPLE.TEST", ldaptest.Password, everywhere(alice)},
	{"by another address", "a.adams@example.test", ldaptest.Password, everywhere(alice)},
	{"by an address in another domain", "alice@example.net", ldaptest.Password, everywhere(alice)},
	{"by an address that two people have", "shared@example.test", ldaptest.Password, everywhere(refused)},
	{"by second user name", "timothy", ldaptest.Password, per{in("tim@example.test"), in("tim@example.test"), notHere}},
	{"by a user name that two people have", "sam", ldaptest.Password, per{refused, refused, notHere}},
	{"by address where two have the user name", "sam.stone@example.test", ldaptest.Password, per{in("sam.stone@example.test"), in("sam.stone@example.test"), notHere}},
	{"by user name outside ASCII", "zoë", ldaptest.Password, everywhere(in("zoe@example.test"))},
	{"by user name outside ASCII, decomposed", norm.NFD.String("zoë"), ldaptest.Password, everywhere(in("zoe@example.test"))},
	{"by user name full of filter characters", ldaptest.SpecialLogin, ldaptest.Password, per{in("special@example.test"), in("special@example.test"), notHere}},
	{"by userPrincipalName", "alice@ad.example.test", ldaptest.Password, per{refused, refused, alice}},
	{"by userPrincipalName with another suffix", "u.upper@corp.example", ldaptest.Password, per{refused, refused, in("ursula@example.test")}},
	{"by name@dns.domain where the userPrincipalName differs", "ursula@ad.example.test", ldaptest.Password, per{refused, refused, in("ursula@example.test")}},
	{`by DOMAIN\name`, `ADX\alice`, ldaptest.Password, per{refused, refused, alice}},
	{`by domain\name of another person`, `adx\bob`, ldaptest.OddPassword, everywhere(refused)},

	{"unknown name", "stranger", ldaptest.Password, everywhere(refused)},
	{"wild card", "*", ldaptest.Password, everywhere(refused)},
	{"wild card at the end", "ali*", ldaptest.Password, everywhere(refused)},
	{"filter in the name", "alice)(|(uid=*)", ldaptest.Password, everywhere(refused)},
	{"DN as the name", "uid=alice,ou=people,dc=example,dc=test", ldaptest.Password, everywhere(refused)},
	{"name of a group", "staff", ldaptest.Password, everywhere(refused)},
	{"name of a contact", "contact", ldaptest.Password, everywhere(refused)},
	{"name of a computer", "DC1$", ldaptest.Password, everywhere(refused)},
	{"empty password", "alice", "", everywhere(refused)},
	{"NUL as the password", "alice", "\x00", everywhere(refused)},
	{"person without a password", "nora", ldaptest.Password, per{refused, refused, notHere}},
	{"person without a password, empty password", "nora", "", per{refused, refused, notHere}},
	{"service account as a person", "persona", "service-secret", per{refused, refused, in()}},
	{"wild card as the password", "bob", "*", everywhere(refused)},
	{"wrong password", "bob", "wrong", everywhere(refused)},
	{"password with a space more", "bob", ldaptest.Password + " ", everywhere(refused)},
	{"password in capitals", "bob", strings.ToUpper(ldaptest.Password), everywhere(refused)},
	{"right password after wrong ones", "bob", ldaptest.Password, everywhere(in("bob.brown@example.test"))},

	{"password full of characters", "pat", ldaptest.OddPassword, everywhere(in("pat@example.test"))},
	{"password full of characters, trimmed", "pat", strings.TrimSpace(ldaptest.OddPassword), everywhere(refused)},
	{"password outside ASCII", "uma", ldaptest.UmlautPassword, everywhere(in("uma@example.test"))},
	{"password outside ASCII, decomposed", "uma", norm.NFD.String(ldaptest.UmlautPassword), everywhere(in("uma@example.test"))},
	{"longest password", "max", ldaptest.LongPassword, everywhere(in("max@example.test"))},
	{"longest password, cut", "max", ldaptest.LongPassword[1:], everywhere(refused)},
	{"DN full of characters", "quentin", ldaptest.Password, everywhere(in("quentin@example.test"))},

	{"must change", "carol", ldaptest.Password, everywhere(told(identity.MustChange))},
	{"must change, wrong password", "carol", "wrong", everywhere(refused)},
	{"disabled", "dave", ldaptest.Password, per{common(identity.Locked), common(identity.Deactivated), told(identity.Deactivated)}},
	{"disabled, wrong password", "dave", "wrong", per{common(identity.Locked), common(identity.Deactivated), refused}},
	{"account expired", "erin", ldaptest.Password, everywhere(told(identity.Expired))},
	{"account expired, wrong password", "erin", "wrong", everywhere(refused)},
	{"password expired", "frank", ldaptest.Password, everywhere(told(identity.PasswordExpired))},
	{"password expired, wrong password", "frank", "wrong", everywhere(refused)},
	{"password expired, grace left", "gina", ldaptest.Password, per{in("gina@example.test"), in("gina@example.test"), notHere}},
	{"locked by wrong passwords", "lou", ldaptest.Password, everywhere(common(identity.LockedForNow))},
	{"locked by wrong passwords, wrong password", "lou", "wrong", everywhere(common(identity.LockedForNow))},
	{"outside the hours", "hugo", ldaptest.Password, per{notHere, notHere, told(identity.NotNow)}},
	{"at another workstation", "wendy", ldaptest.Password, per{notHere, notHere, told(identity.NotHere)}},

	{"address that another person has", "heidi", ldaptest.Password, everywhere(in("heidi@example.test"))},
	{"address in other spelling that another person has", "ivan", ldaptest.Password, everywhere(in("ivan@example.test"))},
	{"address that a mailing list has", "peggy", ldaptest.Password, per{in("peggy@example.test"), in("peggy@example.test"), notHere}},
	{"address in a domain of others", "kate", ldaptest.Password, everywhere(in())},
	{"no address", "leo", ldaptest.Password, everywhere(in())},
	{"address with a tag", "plus", ldaptest.Password, everywhere(in("plus+tag@example.test"))},
	{"by address without its tag", "plus@example.test", ldaptest.Password, everywhere(refused)},
	{"address with a space at its end", "spacey", ldaptest.Password, everywhere(in())},
	{"mail in a language", "mona", ldaptest.Password, per{in("mona@example.test"), in("mona@example.test"), notHere}},
	{"addresses that are none", "odd", ldaptest.Password, per{in("olga@example.test"), in("olga@example.test"), notHere}},
	{"name outside ASCII", "juergen", ldaptest.Password, everywhere(in("juergen.mueller@example.test"))},
	{"proxyAddresses", "victor", ldaptest.Password, per{
		in("victor@example.test"), in("victor@example.test"),
		in("victor@example.test", "v.vance@example.test", "vic@example.test"),
	}},
	{"member of nested groups", "nina", ldaptest.Password, everywhere(in("nina@example.test"))},
}

// Every case on every server that can hold it. What does not hold yet is listed
// in testdata/faults.txt.
func TestCases(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *ldaptest.Server) {
		d := open(t, config(s))
		kind := slices.Index([]ldaptest.Kind{ldaptest.Slapd, ldaptest.DS389, ldaptest.SambaAD}, s.Kind)
		listed := faults(t, string(s.Kind))
		for _, c := range cases {
			want := c.want[kind]
			if want.status == 0 {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				got, err := came(d, c.login, c.password)
				listed.check(t, c.name, want.String(), fmt.Sprint(got, err), err == nil && want.matches(got))
			})
		}
		listed.unknown(t)
	})
}

// matches takes any reason that is not told for a plain refusal.
func (a answer) matches(got answer) bool {
	if a.status == identity.Refused {
		return got.status != identity.OK && !got.mayTell
	}
	return cmp.Equal(a, got, cmp.AllowUnexported(answer{}), cmpopts.EquateEmpty())
}

// came is what a sign-in came to. A person who is let in is also found by id,
// with the same addresses.
func came(d *ldapauth.Directory, login, password string) (got answer, err error) {
	res, err := d.Authenticate(context.Background(), login, password, nil)
	if err != nil {
		return answer{}, err
	}
	got = answer{res.Status, res.MayTell, sorted(texts(res.Person.Addresses))}
	if res.Status != identity.OK {
		return got, nil
	}
	again, err := d.Lookup(context.Background(), res.Person.ID)
	if err != nil {
		return got, err
	}
	if found := sorted(texts(again.Person.Addresses)); again.Status != identity.OK || !slices.Equal(found, got.addresses) {
		return got, fmt.Errorf("looked up: %v, %v", again.Status, found)
	}
	return got, nil
}

// sorted leaves the primary address in front; the others are in no order.
func sorted(addresses []string) []string {
	if len(addresses) > 0 {
		slices.Sort(addresses[1:])
	}
	return addresses
}

// faultList is what is known to be wrong on one kind of server.
type faultList struct {
	server string
	want   map[string]string // by name of the case: what is wanted
	seen   map[string]bool
}

const faultFile = "testdata/faults.txt"

// faults reads the lines "server | case | what is wanted".
func faults(t *testing.T, server string) *faultList {
	t.Helper()
	data, err := os.ReadFile(faultFile)
	if err != nil {
		t.Fatal(err)
	}
	list := &faultList{server: server, want: make(map[string]string), seen: make(map[string]bool)}
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		fields := strings.Split(strings.TrimSpace(line), " | ")
		if len(fields) != 3 {
			t.Fatalf("%s: %q", faultFile, line)
		}
		if fields[0] == server {
			list.want[fields[1]] = fields[2]
		}
	}
	return list
}

// check expects a case to be right, or to be wrong where a fault is listed.
func (l *faultList) check(t *testing.T, name, want, got string, right bool) {
	t.Helper()
	l.seen[name] = true
	listed, known := l.want[name]
	switch {
	case known && listed != want:
		t.Errorf("%s says that %q is wanted, the table %q", faultFile, listed, want)
	case known && right:
		t.Errorf("this is right now: remove the line %q from %s", l.server+" | "+name+" | "+want, faultFile)
	case known:
		t.Skipf("known: %s; want %s", got, want)
	case !right:
		t.Errorf("got %s, want %s", got, want)
	}
}

// unknown reports lines that belong to no case.
func (l *faultList) unknown(t *testing.T) {
	t.Helper()
	for name := range l.want {
		if !l.seen[name] {
			t.Errorf("%s lists %q of %s, which is no case", faultFile, name, l.server)
		}
	}
}
