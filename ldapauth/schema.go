package ldapauth

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// Schema names where a directory keeps what we need to know about people.
// Attribute names are case-insensitive.
type Schema struct {
	// UserFilter selects the people who may sign in (RFC 4515), for example
	// (objectClass=inetOrgPerson).
	UserFilter string
	// LoginAttributes are those that the typed name is compared with.
	LoginAttributes []string
	// AddressAttributes hold a person's e-mail addresses, the primary one
	// first. Only attributes that people cannot write themselves belong here,
	// and only those with an equality rule that ignores case (as all of mail's
	// kind have): a second owner is found by a search. Values of
	// proxyAddresses count only with the prefix "smtp:".
	AddressAttributes []string
	// IDAttribute holds an id that is never reused and survives a rename.
	IDAttribute string
}

// OpenLDAP is the preset for OpenLDAP with inetOrgPerson entries. Address
// attributes that the server's schema does not know are harmless.
func OpenLDAP() Schema {
	return Schema{
		UserFilter:        "(objectClass=inetOrgPerson)",
		LoginAttributes:   []string{"uid", "mail"},
		AddressAttributes: []string{"mail", "mailLocalAddress", "mailAlternateAddress", "gosaMailAlternateAddress", "zimbraMailAlias"},
		IDAttribute:       "entryUUID",
	}
}

// Override returns s with every field of o that is set in the place of its own:
// what a configuration says beside a preset. Of the zero Schema it returns o.
func (s Schema) Override(o Schema) Schema {
	s.UserFilter = cmp.Or(o.UserFilter, s.UserFilter)
	s.IDAttribute = cmp.Or(o.IDAttribute, s.IDAttribute)
	if len(o.LoginAttributes) > 0 {
		s.LoginAttributes = o.LoginAttributes
	}
	if len(o.AddressAttributes) > 0 {
		s.AddressAttributes = o.AddressAttributes
	}
	return s
}

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
func (s Schema) personAttributes() []string {
	return distinct(slices.Concat(s.claimAttributes(), s.LoginAttributes, []string{
		attrDisplayName, attrCommonName, attrGivenName, attrFamilyName, attrMemberOf,
		attrPwdChanged, attrPwdReset, attrExpire,
	}))
}

// claimAttributes are what must be known before the password is checked.
func (s Schema) claimAttributes() []string {
	return distinct(slices.Concat([]string{s.IDAttribute, attrPwdLocked}, s.AddressAttributes))
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

// attributeName is the descr form of RFC 4512 section 1.4, without options.
var attributeName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`)

func (s Schema) validate() error {
	var faults []error
	if _, err := ldap.CompileFilter(s.UserFilter); err != nil {
		faults = append(faults, fmt.Errorf("user_filter: %q is not a search filter such as (objectClass=inetOrgPerson), parentheses included: %w", s.UserFilter, err))
	}
	if len(s.LoginAttributes) == 0 {
		faults = append(faults, errors.New("no login_attributes, such as [uid, mail]"))
	}
	if len(s.AddressAttributes) == 0 {
		faults = append(faults, errors.New("no address_attributes, such as [mail]"))
	}
	if s.IDAttribute == "" {
		faults = append(faults, errors.New("no id_attribute, such as entryUUID"))
	}
	for _, name := range slices.Concat(s.LoginAttributes, s.AddressAttributes, []string{s.IDAttribute}) {
		if name != "" && !attributeName.MatchString(name) {
			faults = append(faults, fmt.Errorf("%q is not an attribute name", name))
		}
	}
	return errors.Join(faults...)
}
