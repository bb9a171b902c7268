package ldapauth

import (
	"slices"
	"strings"

	"persona-sidecar/ldapauth/schema"
)

// Attributes that are read from every directory that has them.
const (
	attrDisplayName = "displayName"
	attrCommonName  = "cn"
	attrGivenName   = "givenName"
	attrFamilyName  = "sn"
	attrMemberOf    = "memberOf"
	attrPwdChanged  = "pwdChangedTime"
	attrPwdReset    = "pwdReset"
	attrPwdLocked   = "pwdAccountLockedTime"
	attrExpire      = "shadowExpire" // days since 1970
)

// personAttributes are all that is read of a person.
func personAttributes(s schema.Schema) []string {
	return distinct(slices.Concat(claimAttributes(s), s.LoginAttributes, []string{
		attrDisplayName, attrCommonName, attrGivenName, attrFamilyName, attrMemberOf,
		attrPwdChanged, attrPwdReset, attrExpire,
	}))
}

// claimAttributes are what must be known before the password is checked.
func claimAttributes(s schema.Schema) []string {
	return distinct(slices.Concat([]string{s.ID.Attribute, attrPwdLocked}, s.AddressAttributes))
}

func distinct(names []string) []string {
	var unique []string
	for _, name := range names {
		if !slices.ContainsFunc(unique, func(have string) bool { return strings.EqualFold(have, name) }) {
			unique = append(unique, name)
		}
	}
	return unique
}
