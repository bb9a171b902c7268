package ldapauth_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth"
	"persona-sidecar/ldapauth/ldaptest"
)

const groupsDN = "ou=groups," + ldaptest.BaseDN

// oddGroup is a group whose name means something in DNs and in filters.
const oddGroup = `R&D, "A" + \B* (#1)`

// groupDN returns the DN of a group of the sample company.
func groupDN(cn string) string { return "cn=" + ldap.EscapeDN(cn) + "," + groupsDN }

func addGroup(s *ldaptest.Server, class, cn, attribute string, members ...string) {
	req := ldap.NewAddRequest(groupDN(cn), nil)
	req.Attribute("objectClass", []string{class})
	req.Attribute("cn", []string{cn})
	req.Attribute(attribute, members)
	if class == "posixGroup" {
		req.Attribute("gidNumber", []string{"5000"})
	}
	s.Add(req)
}

// slapdWithGroups is a server of its own with groups of all kinds:
//
//	direct   user00001; direct is in nested, nested in deep
//	loop-a   user00002 and loop-b, which has loop-a as its member
//	unique   user00003, by uniqueMember
//	posix    user00004, by memberUid; posix is in outer, by uniqueMember
//	oddGroup user00005
//	self     user00006 and itself
func slapdWithGroups(t *testing.T) *ldaptest.Server {
	t.Helper()
	s := ldaptest.StartSlapd(t, ldaptest.Options{LDIF: ldaptest.CompanyOf(10)})
	addGroup(s, "groupOfNames", "direct", "member", ldaptest.PersonDN("user00001"))
	addGroup(s, "groupOfNames", "nested", "member", groupDN("direct"))
	addGroup(s, "groupOfNames", "deep", "member", groupDN("nested"))
	addGroup(s, "groupOfNames", "loop-a", "member", ldaptest.PersonDN("user00002"), groupDN("loop-b"))
	addGroup(s, "groupOfNames", "loop-b", "member", groupDN("loop-a"))
	addGroup(s, "groupOfUniqueNames", "unique", "uniqueMember", ldaptest.PersonDN("user00003"))
	addGroup(s, "posixGroup", "posix", "memberUid", "user00004")
	addGroup(s, "groupOfUniqueNames", "outer", "uniqueMember", groupDN("posix"))
	addGroup(s, "groupOfNames", oddGroup, "member", ldaptest.PersonDN("user00005"))
	addGroup(s, "groupOfNames", "self", "member", ldaptest.PersonDN("user00006"), groupDN("self"))
	return s
}

func TestRequiredGroup(t *testing.T) {
	t.Parallel()
	s := slapdWithGroups(t)
	for _, c := range []struct {
		required string
		inside   []string // and no other of the ten
		searches int      // of a sign-in of the first
	}{
		{groupDN("direct"), []string{"user00001"}, 2},
		{"direct", []string{"user00001"}, 2},
		{"CN = Direct , OU=Groups,DC=EXAMPLE,dc=test", []string{"user00001"}, 2},
		{"nested", []string{"user00001"}, 0},
		{groupDN("deep"), []string{"user00001"}, 0},
		{"loop-a", []string{"user00002"}, 2},
		{"loop-b", []string{"user00002"}, 0},
		{"unique", []string{"user00003"}, 0},
		{"posix", []string{"user00004"}, 0},
		{"outer", []string{"user00004"}, 0},
		{oddGroup, []string{"user00005"}, 2},
		{groupDN(oddGroup), []string{"user00005"}, 2},
		{"self", []string{"user00006"}, 2},
		{"missing", nil, 0},
		{groupDN("missing"), nil, 0},
	} {
		t.Run(c.required, func(t *testing.T) {
			t.Parallel()
			cfg := config(s)
			cfg.RequiredGroup = c.required
			var searches atomic.Int32
			cfg.Observe = func(op ldapauth.Operation, _ ldapauth.Outcome, _ time.Duration) {
				if op == ldapauth.OpSearch {
					searches.Add(1)
				}
			}
			d := open(t, cfg)
			for i := 1; i <= 10; i++ {
				login := fmt.Sprintf("user%05d", i)
				res := signIn(t, d, login, ldaptest.Password)
				want := identity.NotInGroup
				for _, inside := range c.inside {
					if inside == login {
						want = identity.OK
					}
				}
				if res.Status != want || !res.MayTell {
					t.Errorf("%s: %v, may tell %t; want %v", login, res.Status, res.MayTell, want)
				}
				if again := lookUp(t, d, res.Person.ID); again.Status != want {
					t.Errorf("%s is looked up as %v, want %v", login, again.Status, want)
				}
				if want == identity.OK && len(res.Person.Addresses) != 1 || want != identity.OK && len(res.Person.Addresses) != 0 {
					t.Errorf("%s has the addresses %v", login, res.Person.Addresses)
				}
			}
			searches.Store(0)
			if c.searches == 0 {
				return
			}
			wantStatus(t, signIn(t, d, c.inside[0], ldaptest.Password), identity.OK, true)
			if got := int(searches.Load()); got != c.searches {
				t.Errorf("a sign-in took %d searches, want %d", got, c.searches)
			}
		})
	}
}

// Who leaves the group is out at the next look, whatever way the membership was found.
func TestGroupLost(t *testing.T) {
	t.Parallel()
	s := slapdWithGroups(t)
	for required, lose := range map[string]struct{ login, group, attribute, keep string }{
		"direct": {"user00001", "direct", "member", ldaptest.PersonDN("bob")},
		"loop-b": {"user00002", "loop-a", "member", groupDN("loop-b")},
		"unique": {"user00003", "unique", "uniqueMember", ldaptest.PersonDN("bob")},
		"posix":  {"user00004", "posix", "memberUid", "bob"},
	} {
		cfg := config(s)
		cfg.RequiredGroup = required
		d := open(t, cfg)
		res := signIn(t, d, lose.login, ldaptest.Password)
		wantStatus(t, res, identity.OK, true)
		s.Replace(groupDN(lose.group), lose.attribute, lose.keep)
		wantStatus(t, lookUp(t, d, res.Person.ID), identity.NotInGroup, true)
		wantStatus(t, signIn(t, d, lose.login, ldaptest.Password), identity.NotInGroup, true)
	}
}

// A group that is not there lets no one in, and the operator learns why. It is found when it is made.
func TestRequiredGroupMissing(t *testing.T) {
	t.Parallel()
	s := slapdWithGroups(t)
	for required, hint := range map[string]string{"late": "below the base DN", groupDN("late-too"): "read that entry"} {
		var log ldaptest.Log
		now := time.Now()
		cfg := config(s)
		cfg.RequiredGroup, cfg.Log, cfg.Now = required, zerolog.New(&log), func() time.Time { return now }
		d := open(t, cfg)
		err := d.CheckRequiredGroup(t.Context())
		if err == nil || !strings.Contains(err.Error(), "there is no group") || !strings.Contains(identity.Hint(err), hint) {
			t.Errorf("%s: %v (%s)", required, err, identity.Hint(err))
		}
		for range 2 {
			wantStatus(t, signIn(t, d, "alice", ldaptest.Password), identity.NotInGroup, true)
			wantStatus(t, signIn(t, d, "alice", "wrong"), identity.Refused, false) // of groups only the right password learns
		}
		if got := strings.Count(log.String(), "there is no group"); got != 1 {
			t.Errorf("it is logged %d times: %s", got, log.String())
		}
		cn, _, _ := strings.Cut(strings.TrimPrefix(required, "cn="), ",")
		addGroup(s, "groupOfNames", cn, "member", ldaptest.PersonDN("alice"))
		now = now.Add(time.Minute)
		wantStatus(t, signIn(t, d, "alice", ldaptest.Password), identity.OK, true)
		if err := d.CheckRequiredGroup(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A name that two groups have tells nothing: an answer would be a guess.
func TestRequiredGroupAmbiguous(t *testing.T) {
	t.Parallel()
	s := slapdWithGroups(t)
	req := ldap.NewAddRequest("cn=direct,ou=branch,"+ldaptest.BaseDN, nil)
	req.Attribute("objectClass", []string{"groupOfNames"})
	req.Attribute("member", []string{ldaptest.PersonDN("bob")})
	s.Add(req)
	cfg := config(s)
	cfg.RequiredGroup = "direct"
	d := open(t, cfg)
	for _, login := range []string{"user00001", "bob"} {
		if res, err := d.Authenticate(t.Context(), login, ldaptest.Password, nil); err == nil || !strings.Contains(identity.Hint(err), "DN") {
			t.Errorf("%s: %v, %v", login, res.Status, err)
		}
	}
}

// Groups are read where they are wanted, and only there.
func TestGroupsOfPeople(t *testing.T) {
	t.Parallel()
	s := slapdWithGroups(t)
	cfg := config(s)
	cfg.Groups = true
	d := open(t, cfg)
	for login, want := range map[string][]string{
		"user00001": {"deep", "direct", "nested"},
		"user00002": {"loop-a", "loop-b"},
		"user00003": {"unique"},
		"user00004": {"outer", "posix"},
		"user00005": {oddGroup},
		"user00006": {"self"},
		"user00007": nil,
	} {
		res := signIn(t, d, login, ldaptest.Password)
		if diff := cmp.Diff(want, res.Person.Groups); diff != "" {
			t.Errorf("%s (-want +got):\n%s", login, diff)
		}
		if diff := cmp.Diff(want, lookUp(t, d, res.Person.ID).Person.Groups); diff != "" {
			t.Errorf("%s, looked up (-want +got):\n%s", login, diff)
		}
	}
	if res := signIn(t, open(t, config(s)), "user00001", ldaptest.Password); len(res.Person.Groups) > 0 {
		t.Errorf("groups that no one asked for: %v", res.Person.Groups)
	}
	cfg.RequiredGroup = "deep"
	d = open(t, cfg)
	if res := signIn(t, d, "user00001", ldaptest.Password); res.Status != identity.OK || len(res.Person.Groups) != 3 {
		t.Errorf("groups and a required group: %v, %v", res.Status, res.Person.Groups)
	}
	wantStatus(t, signIn(t, d, "user00002", ldaptest.Password), identity.NotInGroup, true)
}

// manyGroups is the LDIF of two people who are in 5,000 groups each, the last of which is in cn=top. Only for the
// first does the server keep memberOf.
func manyGroups() string {
	const n = 5000
	var b strings.Builder
	b.WriteString(ldaptest.Company())
	groups := make([]string, n)
	for i := range groups {
		groups[i] = fmt.Sprintf("many%04d", i)
	}
	for _, uid := range []string{"kept", "unkept"} {
		fmt.Fprintf(&b, "dn: %s\nobjectClass: inetOrgPerson\nuid: %s\ncn: %[2]s\nsn: %[2]s\nmail: %[2]s@example.test\nuserPassword: %s\n",
			ldaptest.PersonDN(uid), uid, ldaptest.Password)
		for _, name := range groups {
			if uid == "kept" {
				fmt.Fprintf(&b, "memberOf: %s\n", groupDN(name))
			}
		}
		b.WriteString("\n")
	}
	for _, name := range groups {
		fmt.Fprintf(&b, "dn: %s\nobjectClass: groupOfNames\ncn: %s\nmember: %s\nmember: %s\n\n",
			groupDN(name), name, ldaptest.PersonDN("kept"), ldaptest.PersonDN("unkept"))
	}
	fmt.Fprintf(&b, "dn: %s\nobjectClass: groupOfNames\ncn: top\nmember: %s\n\n", groupDN("top"), groupDN(groups[n-1]))
	return b.String()
}

// On every kind of server nina is in team, which is in staff. That a person is in the required group costs a search more
// only where the server does not tell groups of groups by itself.
func TestGroupsOnEach(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *ldaptest.Server) {
		for required, cheap := range map[string]bool{"team": true, "staff": s.Kind != ldaptest.Slapd} {
			cfg := config(s)
			cfg.RequiredGroup = required
			var searches atomic.Int32
			cfg.Observe = func(op ldapauth.Operation, _ ldapauth.Outcome, _ time.Duration) {
				if op == ldapauth.OpSearch {
					searches.Add(1)
				}
			}
			d := open(t, cfg)
			wantStatus(t, signIn(t, d, "nina", ldaptest.Password), identity.OK, true)
			searches.Store(0)
			wantStatus(t, signIn(t, d, "nina", ldaptest.Password), identity.OK, true)
			if got := searches.Load(); cheap && got != 2 {
				t.Errorf("nina in %s: %d searches", required, got)
			}
		}
		cfg := config(s)
		cfg.Groups = true
		want := []string{"staff", "team"}
		if s.Kind == ldaptest.SambaAD { // the primary group, and the one that it is in
			want = []string{"Domain Users", "Users", "staff", "team"}
			nested := config(s)
			nested.RequiredGroup = "Users"
			wantStatus(t, signIn(t, open(t, nested), "leo", ldaptest.Password), identity.OK, true)
		}
		got := slices.DeleteFunc(signIn(t, open(t, cfg), "nina", ldaptest.Password).Person.Groups, func(name string) bool { return strings.HasPrefix(name, "ring") })
		if diff := cmp.Diff(want, got); diff != "" { // without the groups of other tests
			t.Errorf("nina's groups (-want +got):\n%s", diff)
		}
	})
}

// Person in 5,000 groups: what can be told is told, and what the server's size limit hides is an outage, never a no.
func TestManyGroups(t *testing.T) {
	t.Parallel()
	s := ldaptest.StartSlapd(t, ldaptest.Options{LDIF: manyGroups()})
	for _, c := range []struct {
		login, required string
		want            identity.Status // 0 for an error
	}{
		{"kept", "many4321", identity.OK},
		{"kept", "top", identity.OK},
		{"kept", "staff", identity.NotInGroup},
		{"unkept", "many4321", identity.OK},
		{"unkept", "top", 0},
		{"unkept", "staff", 0},
		{"alice", "staff", identity.OK},
		{"alice", "top", identity.NotInGroup},
	} {
		cfg := config(s)
		cfg.RequiredGroup = c.required
		res, err := open(t, cfg).Authenticate(t.Context(), c.login, ldaptest.Password, nil)
		if (err != nil) != (c.want == 0) || err == nil && res.Status != c.want {
			t.Errorf("%s in %s: %v, %v; want %v", c.login, c.required, res.Status, err, c.want)
		}
		if err != nil && !strings.Contains(identity.Hint(err), "size limit") {
			t.Errorf("the hint of %v is %q", err, identity.Hint(err))
		}
	}
	cfg := config(s)
	cfg.Groups = true
	if got := signIn(t, open(t, cfg), "kept", ldaptest.Password).Person.Groups; len(got) != 5001 || got[5000] != "top" {
		t.Errorf("%d groups", len(got))
	}
}
