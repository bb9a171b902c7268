package schema

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// Schema is what is known about one kind of directory. Attribute names are case-insensitive, filters
// those of RFC 4515.
type Schema struct {
	// Name is that of the preset.
	Name string `yaml:"name"`
	// Sources are where a preset's facts are from; Tried is the real server that the preset was run
	// against, "" for one that was written by documentation alone.
	Sources []string `yaml:"sources"`
	Tried   string   `yaml:"tried"`

	// PeopleBase is where people are below a base DN that is not already there, for example
	// cn=users,cn=accounts; "" is all of the base. Holders of addresses are looked for in the whole base.
	PeopleBase string `yaml:"people_base"`
	// UserFilter selects the people who may sign in, for example (objectClass=inetOrgPerson).
	UserFilter string `yaml:"user_filter"`
	// DisabledFilter selects those of them whose account is disabled; "" is none.
	DisabledFilter string `yaml:"disabled_filter"`
	// LoginAttributes are those that the typed name is compared with. The first is the person's login.
	LoginAttributes []string `yaml:"login_attributes"`
	// WindowsNames says that DOMAIN\name and name@dns.domain also mean the name, as in Active Directory.
	WindowsNames bool `yaml:"windows_names"`
	// AddressAttributes hold a person's e-mail addresses, the primary one first. Only attributes that
	// people cannot write themselves belong here, and only those with an equality rule that ignores case
	// (as all of mail's kind have): a second holder is found by a search. Values may have the prefix
	// smtp:, which Exchange writes; those with another prefix are not e-mail addresses.
	AddressAttributes []string `yaml:"address_attributes"`
	// WholeSchema says that the server publishes every attribute that an entry can have: address attributes
	// that its schema lacks need not be asked for.
	WholeSchema bool `yaml:"whole_schema"`
	// SelfService says that people may write their mail attribute by themselves unless an administrator
	// has forbidden it: addresses count only when MailIsAdminOnly.
	SelfService     bool `yaml:"self_service"`
	MailIsAdminOnly bool `yaml:"-"`
	// IgnoreHolders selects entries that do not count as holders of an address, such as contacts; ""
	// is none.
	IgnoreHolders string `yaml:"-"`
	// ID is what identifies an entry.
	ID ID `yaml:"id"`
	// PasswordTime is the attribute with the time of the last change of the password; "" is none.
	PasswordTime string `yaml:"password_time_attribute"`
	// Account are the rules about the state of an account. Of those that end a session the first that holds
	// decides.
	Account []Rule `yaml:"account"`
	Groups  Groups `yaml:"groups"`
	// ClientCertificate says that the servers want one.
	ClientCertificate bool `yaml:"client_certificate"`
	// SearchTellsNothing says that people who may no longer sign in are still found, and that nothing
	// in their entry says so: the next bind alone refuses them.
	SearchTellsNothing bool `yaml:"search_tells_nothing"`
}

// ID is the attribute that identifies an entry: it survives a rename.
type ID struct {
	Attribute string `yaml:"attribute"`
	Format    Format `yaml:"format"`
	// Reusable says that an id may be given to another person later.
	Reusable bool `yaml:"reusable"`
}

// Format is how the values of an id attribute are written.
type Format string

// The formats of ids.
const (
	Text Format = "text" // printable ASCII, kept as it is
	GUID Format = "guid" // 16 bytes in the order of Active Directory, kept as 8-4-4-4-12 hexadecimal digits
	Hex  Format = "hex"  // any bytes, kept as hexadecimal digits
)

// Groups is how a directory tells of which groups a person is a member.
type Groups struct {
	// MemberOf is the attribute of a person that names their groups; "" is none.
	MemberOf string `yaml:"member_of"`
	// Transitive says that MemberOf also has the groups of groups.
	Transitive bool `yaml:"transitive"`
	// Members are the attributes of a group that name its members by DN, and MemberNames those that
	// name them by login (RFC 2307).
	Members     []string `yaml:"members"`
	MemberNames []string `yaml:"member_names"`
	// InChain says that the server itself searches groups of groups by the rule
	// 1.2.840.113556.1.4.1941, and PrimaryGroup that a person has one group more, by primaryGroupID.
	InChain      bool `yaml:"in_chain"`
	PrimaryGroup bool `yaml:"primary_group"`
}

// Override returns s with every field of o that a configuration can set in the place of its own.
func (s Schema) Override(o Schema) Schema {
	// Names and numbers of people, in small letters, which a newcomer may get from one who has left.
	names := []string{"uid", "cn", "mail", "samaccountname", "userprincipalname", "krbprincipalname", "uidnumber", "employeenumber", "dn", "entrydn", "distinguishedname"}
	s.UserFilter = cmp.Or(o.UserFilter, s.UserFilter)
	s.DisabledFilter = cmp.Or(o.DisabledFilter, s.DisabledFilter)
	s.IgnoreHolders = cmp.Or(o.IgnoreHolders, s.IgnoreHolders)
	s.PasswordTime = cmp.Or(o.PasswordTime, s.PasswordTime)
	s.MailIsAdminOnly = o.MailIsAdminOnly || s.MailIsAdminOnly
	if o.ID.Attribute != "" {
		s.ID = ID{Attribute: o.ID.Attribute, Format: Text, Reusable: slices.Contains(names, strings.ToLower(o.ID.Attribute))}
	}
	s.ID.Format = cmp.Or(o.ID.Format, s.ID.Format)
	if len(o.LoginAttributes) > 0 {
		s.LoginAttributes = o.LoginAttributes
	}
	if len(o.AddressAttributes) > 0 {
		s.AddressAttributes = o.AddressAttributes
	}
	return s
}

// attributeName is the descr form of RFC 4512 section 1.4, without options.
var attributeName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`)

// Validate reports every fault, one a line.
func (s Schema) Validate() error {
	var faults []error
	fault := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	_, err := ldap.CompileFilter(s.UserFilter)
	fault(err != nil, "user_filter: %q is not a search filter such as (objectClass=inetOrgPerson), parentheses included: %w", s.UserFilter, err)
	for key, filter := range map[string]string{"disabled_filter": s.DisabledFilter, "ignore_holders": s.IgnoreHolders} {
		if filter != "" {
			_, err := ldap.CompileFilter(filter)
			fault(err != nil, "%s: %q is not a search filter such as (objectClass=inetOrgPerson), parentheses included: %w", key, filter, err)
		}
	}
	_, err = ldap.ParseDN(s.PeopleBase)
	fault(err != nil, "people_base: %q is not a distinguished name: %w", s.PeopleBase, err)
	fault(len(s.LoginAttributes) == 0, "no login_attributes, such as [uid, mail]")
	fault(len(s.AddressAttributes) == 0, "no address_attributes, such as [mail]")
	fault(s.ID.Attribute == "", "no id_attribute, such as entryUUID")
	fault(!slices.Contains([]Format{Text, GUID, Hex}, s.ID.Format), "id_format: %q is neither text nor guid nor hex", s.ID.Format)
	for _, rule := range s.Account {
		faults = append(faults, rule.validate())
	}
	names := slices.Concat(s.LoginAttributes, s.AddressAttributes, s.Groups.Members, s.Groups.MemberNames, []string{s.ID.Attribute, s.PasswordTime, s.Groups.MemberOf})
	for _, name := range names {
		fault(name != "" && !attributeName.MatchString(name), "%q is not an attribute name", name)
	}
	return errors.Join(faults...)
}
