package ldapauth

import (
	"slices"
	"strings"

	"persona-sidecar/ldapauth/account"
	"persona-sidecar/ldapauth/schema"
)

// Attributes that are read from every directory that has them.
const (
	attrDisplayName = "displayName"
	attrCommonName  = "cn"
	attrGivenName   = "givenName"
	attrFamilyName  = "sn"
)

// personAttributes are all that is read of a person.
func personAttributes(s schema.Schema, r *account.Reader) []string {
	return distinct(slices.Concat(stateAttributes(s, r), s.LoginAttributes, []string{
		attrDisplayName, attrCommonName, attrGivenName, attrFamilyName,
	}))
}

// stateAttributes are what is read again when the password has been proven: what a bind may have changed, and
// what must not have changed since the entry was found.
func stateAttributes(s schema.Schema, r *account.Reader) []string {
	return distinct(slices.Concat(r.Attributes(), s.AddressAttributes))
}

func distinct(names []string) []string {
	var unique []string
	for _, name := range names {
		if !contains(unique, name) {
			unique = append(unique, name)
		}
	}
	return unique
}

// contains reports whether a name, such as that of an attribute, is in a list; case is ignored.
func contains(list []string, name string) bool {
	return slices.ContainsFunc(list, func(one string) bool { return strings.EqualFold(one, name) })
}
