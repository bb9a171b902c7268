package group_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"persona-sidecar/ldapauth/group"
	"persona-sidecar/ldapauth/schema"
)

// searcher answers searches; it keeps what was asked.
type searcher struct {
	answer func(req *ldap.SearchRequest) ([]*ldap.Entry, error)
	asked  []string
}

func (s *searcher) search(_ context.Context, req *ldap.SearchRequest) (*ldap.SearchResult, error) {
	s.asked = append(s.asked, req.BaseDN+" "+req.Filter)
	entries, err := s.answer(req)
	return &ldap.SearchResult{Entries: entries}, err
}

func newGroups(s *searcher, preset, required string) *group.Groups {
	of, err := schema.Preset(preset)
	if err != nil {
		panic(err)
	}
	return group.New(group.Config{
		Schema: of.Groups, Bases: []string{"dc=x"}, Login: of.LoginAttributes[0],
		Required: required, Search: s.search, Now: time.Now,
	})
}

func dns(from, to int) []string {
	var list []string
	for i := from; i < to; i++ {
		list = append(list, fmt.Sprintf("CN=g%d,DC=x", i))
	}
	return list
}

// Active Directory hands over 1,500 values at once, and the rest by range.
func TestRangedValues(t *testing.T) {
	t.Parallel()
	s := &searcher{answer: func(req *ldap.SearchRequest) ([]*ldap.Entry, error) {
		if req.Scope != ldap.ScopeBaseObject {
			return nil, nil
		}
		first, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(req.Attributes[0], "memberOf;range="), "-*"))
		if err != nil {
			t.Errorf("asked for %q", req.Attributes)
		}
		last, name := first+1500, fmt.Sprintf("MemberOf;Range=%d-%d", first, first+1499)
		if last >= 4000 {
			last, name = 4000, fmt.Sprintf("memberOf;range=%d-*", first)
		}
		return []*ldap.Entry{ldap.NewEntry(req.BaseDN, map[string][]string{name: dns(first, last)})}, nil
	}}
	person := ldap.NewEntry("CN=p,DC=x", map[string][]string{"memberOf": nil, "memberOf;range=0-1499": dns(0, 1500)})
	all, err := newGroups(s, "activedirectory", "").Of(t.Context(), person)
	if err != nil || len(all) != 4000 {
		t.Fatalf("%d groups, %v", len(all), err)
	}
	if all[0] != (group.Group{Name: "g0", DN: "CN=g0,DC=x"}) {
		t.Errorf("the first is %+v", all[0])
	}
	for _, nonsense := range []string{"memberOf;range=0-x", "memberOf;range=5--1", "memberOf;range="} {
		person := ldap.NewEntry("CN=p,DC=x", map[string][]string{nonsense: dns(0, 5)})
		if all, err := newGroups(s, "activedirectory", "").Of(t.Context(), person); err == nil {
			t.Errorf("%s: %d groups and no error", nonsense, len(all))
		}
	}
}

// sid is the identifier S-1-5-21-1-2-DOMAIN-NUMBER.
func sid(domain, number byte) string {
	return "\x01\x05\x00\x00\x00\x00\x00\x05\x15\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00" + string([]byte{domain}) + "\x00\x00\x00" + string([]byte{number}) + "\x02\x00\x00"
}

// A primary group is not in memberOf, and its number means another group in another domain.
func TestPrimaryGroup(t *testing.T) {
	t.Parallel()
	users := ldap.NewEntry("CN=Domain Users,DC=x", map[string][]string{"objectSid": {sid(1, 1)}})
	s := &searcher{answer: func(req *ldap.SearchRequest) ([]*ldap.Entry, error) {
		if req.BaseDN == users.DN || req.Filter == "(objectSid="+ldap.EscapeFilter(sid(1, 1))+")" {
			return []*ldap.Entry{users}, nil
		}
		return nil, nil
	}}
	groups := newGroups(s, "activedirectory", users.DN)
	for name, c := range map[string]struct {
		attributes map[string][]string
		want       bool
	}{
		"same domain":     {map[string][]string{"objectSid": {sid(1, 77)}, "primaryGroupID": {"513"}}, true},
		"another domain":  {map[string][]string{"objectSid": {sid(2, 77)}, "primaryGroupID": {"513"}}, false},
		"another group":   {map[string][]string{"objectSid": {sid(1, 77)}, "primaryGroupID": {"514"}}, false},
		"no number":       {map[string][]string{"objectSid": {sid(1, 77)}}, false},
		"not a number":    {map[string][]string{"objectSid": {sid(1, 77)}, "primaryGroupID": {"-513"}}, false},
		"identifier odd":  {map[string][]string{"objectSid": {"\x01\x05"}, "primaryGroupID": {"513"}}, false},
		"no identifier":   {map[string][]string{"primaryGroupID": {"513"}}, false},
		"member, not so":  {map[string][]string{"memberOf": {"CN=Other,DC=x"}}, false},
		"nothing at all":  {nil, false},
		"identifier long": {map[string][]string{"objectSid": {sid(1, 77) + "\x00"}, "primaryGroupID": {"513"}}, false},
	} {
		if got, err := groups.Holds(t.Context(), ldap.NewEntry("CN=p,DC=x", c.attributes)); err != nil || got != c.want {
			t.Errorf("%s: %t, %v", name, got, err)
		}
	}
	all, err := groups.Of(t.Context(), ldap.NewEntry("CN=p,DC=x", map[string][]string{"objectSid": {sid(1, 77)}, "primaryGroupID": {"513"}}))
	if err != nil || len(all) != 1 || all[0].Name != "Domain Users" {
		t.Errorf("groups %v, %v", all, err)
	}
}

// An error is never a no, wherever it comes, and a chain of groups without end is one.
func TestErrorIsNoAnswer(t *testing.T) {
	t.Parallel()
	failure := ldap.NewError(ldap.LDAPResultInsufficientAccessRights, errors.New("no"))
	for _, preset := range []string{"openldap", "activedirectory", "okta"} {
		for failing := range 12 {
			n := 0
			s := &searcher{}
			s.answer = func(req *ldap.SearchRequest) ([]*ldap.Entry, error) {
				if n++; n > failing {
					return nil, failure
				}
				if req.BaseDN == "CN=required,DC=x" && req.Filter != "(objectClass=*)" {
					return nil, nil
				}
				return []*ldap.Entry{ldap.NewEntry(fmt.Sprintf("CN=g%d,DC=x", n), nil)}, nil
			}
			person := ldap.NewEntry("CN=p,DC=x", map[string][]string{"memberOf": {"CN=a,DC=x"}, "objectSid": {sid(1, 77)}, "primaryGroupID": {"513"}})
			if inside, err := newGroups(s, preset, "CN=required,DC=x").Holds(t.Context(), person); err == nil && n > failing {
				t.Errorf("%s, failing after %d: %t", preset, failing, inside)
			}
			n = 0
			if all, err := newGroups(s, preset, "").Of(t.Context(), person); err == nil && n > failing {
				t.Errorf("%s, failing after %d: %v", preset, failing, all)
			}
		}
	}
	n := 0
	endless := &searcher{answer: func(req *ldap.SearchRequest) ([]*ldap.Entry, error) {
		if req.BaseDN == "CN=required,DC=x" && req.Filter != "(objectClass=*)" {
			return nil, nil
		}
		n++
		return []*ldap.Entry{ldap.NewEntry(fmt.Sprintf("CN=g%d,DC=x", n), nil)}, nil
	}}
	if inside, err := newGroups(endless, "openldap", "CN=required,DC=x").Holds(t.Context(), ldap.NewEntry("CN=p,DC=x", nil)); err == nil || n > 100 {
		t.Errorf("groups without end: %t after %d", inside, n)
	}
}

// One search in the place of another: the kinds of directories that can tell groups of groups by themselves are asked so.
func TestFilter(t *testing.T) {
	t.Parallel()
	s := &searcher{answer: func(req *ldap.SearchRequest) ([]*ldap.Entry, error) { return nil, nil }}
	for preset, want := range map[string]string{
		"activedirectory": `(memberOf:1.2.840.113556.1.4.1941:=CN=A\5c, \2a,DC=x)`,
		"389ds":           `(memberOf=CN=A\5c, \2a,DC=x)`,
		"freeipa":         `(memberOf=CN=A\5c, \2a,DC=x)`,
		"openldap":        `(memberOf=CN=A\5c, \2a,DC=x)`,
		"okta":            "",
	} {
		if got, err := newGroups(s, preset, `CN=A\, *,DC=x`).Filter(t.Context()); err != nil || got != want {
			t.Errorf("%s: %q, %v", preset, got, err)
		}
		if got, err := newGroups(s, preset, "missing").Filter(t.Context()); err != nil || got != "" {
			t.Errorf("%s, a name without a group: %q, %v", preset, got, err)
		}
	}
}

func TestSameDN(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"cn=A,dc=x", "CN = a , DC=X", true},
		{`cn=A\, B,dc=x`, `cn=A\2c B,dc=x`, true},
		{"cn=a+ou=b,dc=x", "OU=B+CN=A,dc=x", true},
		{"cn=a,dc=x", "cn=a,ou=y,dc=x", false},
		{"cn=a", "", false},
		{"nonsense", "nonsense", false},
	} {
		if group.SameDN(c.a, c.b) != c.want {
			t.Errorf("%q and %q: %t", c.a, c.b, !c.want)
		}
	}
}
