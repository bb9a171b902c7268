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
)

// personAttributes are all that is read of a person.
func personAttributes(s schema.Schema, r *account.Reader) []string {
	return distinct(slices.Concat(r.Attributes(), s.AddressAttributes, s.LoginAttributes, []string{attrDisplayName, attrCommonName}))
}

// changedByBind is what a bind itself may change of them: a server that stores a password in another way then may note
// the time.
func changedByBind(s schema.Schema) []string {
	if s.PasswordTime == "" {
		return []string{"1.1"} // none (RFC 4511 section 4.5.1.8)
	}
	return []string{s.PasswordTime}
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
