package directory_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"
)

func search(base string, scope int, filter string, attributes ...string) *ldap.SearchRequest {
	return ldap.NewSearchRequest(base, scope, ldap.NeverDerefAliases, 0, 0, false, filter, attributes, nil)
}

func logins(result *ldap.SearchResult) []string {
	found := []string{}
	for _, e := range result.Entries {
		found = append(found, e.GetAttributeValue("uid"))
	}
	return found
}

func TestFilters(t *testing.T) {
	t.Parallel()
	w := start(t)
	connection := w.service(t)
	for filter, want := range map[string][]string{
		"(uid=alice)":                    {"alice"},
		"(UID=ALICE)":                    {"alice"},
		"(uid=alic)":                     {},
		"(mail=sales@example.localhost)": {"alice"},
		"(&(objectClass=inetOrgPerson)(|(uid=bob)(mail=bob)))":                                         {"bob"},
		"(&(objectClass=inetOrgPerson)(|(uid=alice@example.localhost)(mail=alice@example.localhost)))": {"alice"},
		"(&(objectClass=inetOrgPerson)(!(mail=*)))":                                                    {"carol", "dave", "erin"},
		"(|(mail=alice@example.localhost)(mail=bob@example.localhost))":                                {"alice", "bob"},
		"(pwdAccountLockedTime=*)":                                                                     {"erin"},
		"(&(uid=*)(!(pwdAccountLockedTime=*))(!(pwdReset=TRUE)))":                                      {"alice", "bob", "carol"},
		"(memberOf=cn=board,ou=groups," + baseDN + ")":                                                 {"alice"},
		"(cn=A*e*m)":        {"alice"},
		"(cn=*lder)":        {"bob"},
		"(cn=A*e*mx)":       {},
		"(uid>=carol)":      {"carol", "dave", "erin"},
		"(uid<=alice)":      {"alice"},
		"(uid~=BOB)":        {"bob"},
		"(&(uid=alice)(|))": {},
		"(&(uid=alice)(&))": {"alice"},
		"(!(memberOf:1.2.840.113556.1.4.1941:=x))":        {}, // undefined, and so is its opposite
		"(sn=" + ldap.EscapeFilter("(Star*)") + ")":       {"carol"},
		"(sn=" + ldap.EscapeFilter("Ångström") + ")":      {"alice"},
		"(uid=" + ldap.EscapeFilter("*") + ")":            {},
		"(uid=" + ldap.EscapeFilter("alice)(uid=*") + ")": {},
		"(userPassword=*)":                                {},
	} {
		t.Run(filter, func(t *testing.T) {
			result, err := connection.Search(search(baseDN, ldap.ScopeWholeSubtree, filter, "uid"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, logins(result)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSearchByImmutableID(t *testing.T) {
	t.Parallel()
	connection := start(t).service(t)
	first, err := connection.Search(search(aliceDN, ldap.ScopeBaseObject, "(objectClass=*)", "entryUUID", "mail"))
	if err != nil {
		t.Fatal(err)
	}
	id := first.Entries[0].GetAttributeValue("entryUUID")
	if len(id) != 36 {
		t.Fatalf("entryUUID is %q", id)
	}
	again, err := connection.Search(search(baseDN, ldap.ScopeWholeSubtree, "(entryUUID="+strings.ToUpper(id)+")", "*"))
	if err != nil || len(again.Entries) != 1 || again.Entries[0].DN != aliceDN {
		t.Fatalf("by entryUUID: %v, %v", again, err)
	}
	if mail := again.Entries[0].GetAttributeValues("mail"); !slices.Equal(mail, people()[0].Mail) {
		t.Errorf("addresses in another order: %v", mail)
	}
}

func TestSizeLimit(t *testing.T) {
	t.Parallel()
	connection := start(t).service(t)
	for filter, want := range map[string]uint16{
		"(uid=*)":                 ldap.LDAPResultSizeLimitExceeded,
		"(|(uid=alice)(uid=bob))": ldap.LDAPResultSuccess,
	} {
		request := search(baseDN, ldap.ScopeWholeSubtree, filter, "uid")
		request.SizeLimit = 2
		result, err := connection.Search(request)
		if got := code(err); got != want || len(result.Entries) != 2 {
			t.Errorf("%s: code %d and %d entries", filter, got, len(result.Entries))
		}
	}
}

func TestScopesAndBases(t *testing.T) {
	t.Parallel()
	connection := start(t).service(t)
	for name, test := range map[string]struct {
		base  string
		scope int
		want  uint16
		found int
	}{
		"one level":  {"ou=people," + baseDN, ldap.ScopeSingleLevel, ldap.LDAPResultSuccess, 5},
		"not deeper": {baseDN, ldap.ScopeSingleLevel, ldap.LDAPResultSuccess, 3},
		"base":       {aliceDN, ldap.ScopeBaseObject, ldap.LDAPResultSuccess, 1},
		"all":        {baseDN, ldap.ScopeWholeSubtree, ldap.LDAPResultSuccess, 12},
		"no such":    {"dc=elsewhere", ldap.ScopeWholeSubtree, ldap.LDAPResultNoSuchObject, 0},
		"not a DN":   {"elsewhere", ldap.ScopeWholeSubtree, ldap.LDAPResultInvalidDNSyntax, 0},
	} {
		result, err := connection.Search(search(test.base, test.scope, "(objectClass=*)", "1.1"))
		if got := code(err); got != test.want {
			t.Errorf("%s: code %d, want %d", name, got, test.want)
		}
		if err == nil && len(result.Entries) != test.found {
			t.Errorf("%s: %d entries, want %d", name, len(result.Entries), test.found)
		}
	}
}

func TestAttributesAskedFor(t *testing.T) {
	t.Parallel()
	connection := start(t).service(t)
	for name, test := range map[string]struct {
		asked       []string
		has, hasNot []string
	}{
		"none named": {nil, []string{"mail", "cn"}, []string{"entryUUID", "memberOf", "userPassword"}},
		"star":       {[]string{"*"}, []string{"mail"}, []string{"entryUUID"}},
		"plus":       {[]string{"+"}, []string{"entryUUID", "pwdChangedTime"}, []string{"mail"}},
		"both":       {[]string{"*", "+"}, []string{"entryUUID", "mail"}, nil},
		"named":      {[]string{"ENTRYUUID", "mail"}, []string{"entryUUID", "mail"}, []string{"cn"}},
		"no":         {[]string{"1.1"}, nil, []string{"mail", "entryUUID"}},
		"the secret": {[]string{"userPassword"}, nil, []string{"userPassword", "mail"}},
	} {
		result, err := connection.Search(search(aliceDN, ldap.ScopeBaseObject, "(objectClass=*)", test.asked...))
		if err != nil {
			t.Fatal(err)
		}
		for _, attribute := range test.has {
			if result.Entries[0].GetAttributeValue(attribute) == "" {
				t.Errorf("%s: %s is missing", name, attribute)
			}
		}
		for _, attribute := range test.hasNot {
			if result.Entries[0].GetAttributeValue(attribute) != "" {
				t.Errorf("%s: %s was sent", name, attribute)
			}
		}
	}
	typesOnly := search(aliceDN, ldap.ScopeBaseObject, "(objectClass=*)", "mail")
	typesOnly.TypesOnly = true
	result, err := connection.Search(typesOnly)
	if err != nil || len(result.Entries[0].Attributes) != 1 || len(result.Entries[0].Attributes[0].Values) != 0 {
		t.Errorf("types only: %v, %v", result, err)
	}
}

func TestAnonymousReadsOnlyTheRootDSE(t *testing.T) {
	t.Parallel()
	w := start(t)
	connection := w.dial(t)
	result, err := connection.Search(search("", ldap.ScopeBaseObject, "(objectClass=*)", "namingContexts", "supportedControl"))
	if err != nil || result.Entries[0].GetAttributeValue("namingContexts") != baseDN {
		t.Fatalf("root DSE: %v, %v", result, err)
	}
	if _, err := connection.Search(search(baseDN, ldap.ScopeWholeSubtree, "(uid=*)")); code(err) != ldap.LDAPResultInsufficientAccessRights {
		t.Errorf("an anonymous client searched: %v", err)
	}
	if err := connection.Bind(aliceDN, "wonderland"); err != nil {
		t.Fatal(err)
	}
	mine, err := connection.Search(search(baseDN, ldap.ScopeWholeSubtree, "(uid=*)", "uid"))
	if err != nil || !slices.Equal(logins(mine), []string{"alice"}) {
		t.Errorf("a person reads others: %v, %v", mine, err)
	}
	_ = connection.Bind(aliceDN, "wrong")
	if _, err := connection.Search(search(baseDN, ldap.ScopeWholeSubtree, "(uid=*)")); code(err) != ldap.LDAPResultInsufficientAccessRights {
		t.Errorf("after a failed bind the old one holds: %v", err)
	}
}
