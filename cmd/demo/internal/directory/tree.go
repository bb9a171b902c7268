package directory

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// State is what the directory's password policy says of an account.
type State int

// The states of an account. Only Active can sign in.
const (
	Active     State = iota
	MustChange       // the password is right, and has to be changed before anything else
	Locked           // refused with any password
)

// Person is a person in the directory.
type Person struct {
	Login      string // uid
	GivenName  string
	FamilyName string
	Password   string
	Mail       []string // primary first; may be empty
	Groups     []string // names of groups, each made when first named
	State      State
}

// DisplayName is the name as people write it.
func (p Person) DisplayName() string { return p.GivenName + " " + p.FamilyName }

const (
	peopleUnit   = "ou=people,"
	groupsUnit   = "ou=groups,"
	servicesUnit = "ou=services,"

	// generalizedTime is how LDAP writes a moment (RFC 4517, section 3.3.13).
	generalizedTime = "20060102150405Z"
)

// values are the attributes of an entry, by name.
type values map[string][]string

// entry is one object of the directory.
type entry struct {
	dn     string
	parsed *ldap.DN
	values values
}

// get returns the values of an attribute; the case of its name does not count.
func (e entry) get(name string) []string {
	for n, v := range e.values {
		if strings.EqualFold(n, name) {
			return v
		}
	}
	return nil
}

// operational are the attributes that the server keeps (RFC 4512, section 3.4). They are sent only when asked for, by
// name or by "+" (RFC 3673).
var operational = []string{
	"entryUUID", "entryDN", "createTimestamp", "modifyTimestamp", "memberOf", "pwdChangedTime", "pwdReset",
	"pwdAccountLockedTime", "namingContexts", "supportedLDAPVersion", "supportedControl", "vendorName",
}

// selected returns the names of the attributes that a search asked for (RFC 4511, section 4.5.1.8): none named, or
// "*", is all user attributes; "+" all operational ones; "1.1" nothing.
func (e entry) selected(asked []string) []string {
	var chosen []string
	for _, name := range slices.Sorted(maps.Keys(e.values)) {
		kept := slices.Contains(operational, name)
		if len(asked) == 0 && !kept || slices.ContainsFunc(asked, func(a string) bool {
			return strings.EqualFold(a, name) || a == "*" && !kept || a == "+" && kept
		}) {
			chosen = append(chosen, name)
		}
	}
	return chosen
}

// account is an entry that can bind.
type account struct {
	password string
	state    State
	service  bool
}

// tree is the whole directory: its entries in order, and who can bind. It is immutable once built.
type tree struct {
	baseDN   string
	entries  []entry
	accounts map[string]account // by normalized DN
}

// newTree lays out the people under baseDN, with one service account called persona.
func newTree(baseDN, servicePassword string, people []Person, created time.Time) (*tree, error) {
	if baseDN == "" || servicePassword == "" {
		return nil, errors.New("the base DN or the service account's password is missing")
	}
	t := &tree{baseDN: baseDN, accounts: map[string]account{}}
	stamp := created.UTC().Format(generalizedTime)
	var faults []error
	add := func(dn string, attributes values) {
		parsed, err := ldap.ParseDN(dn)
		if err != nil {
			faults = append(faults, fmt.Errorf("%q is not a DN: %w", dn, err))
			return
		}
		maps.Copy(attributes, values{
			"entryUUID": {entryUUID(dn)}, "entryDN": {dn}, "createTimestamp": {stamp}, "modifyTimestamp": {stamp},
		})
		t.entries = append(t.entries, entry{dn: dn, parsed: parsed, values: attributes})
	}

	add(baseDN, values{"objectClass": {"domain"}})
	for _, unit := range []string{peopleUnit, groupsUnit, servicesUnit} {
		add(unit+baseDN, values{"objectClass": {"organizationalUnit"}})
	}
	add(serviceDN(baseDN), values{"objectClass": {"applicationProcess"}, "cn": {"persona"}})
	t.accounts[normalizeDN(serviceDN(baseDN))] = account{password: servicePassword, service: true}
	members := map[string][]string{}
	for _, p := range people {
		dn := "uid=" + ldap.EscapeDN(p.Login) + "," + peopleUnit + baseDN
		if _, twice := t.accounts[normalizeDN(dn)]; twice || p.Login == "" || p.Password == "" {
			faults = append(faults, fmt.Errorf("person %q lacks a login or a password, or is there twice", p.Login))
			continue
		}
		t.accounts[normalizeDN(dn)] = account{password: p.Password, state: p.State}
		attributes := values{
			"objectClass": {"top", "person", "organizationalPerson", "inetOrgPerson"},
			"uid":         {p.Login}, "cn": {p.DisplayName()}, "displayName": {p.DisplayName()},
			"givenName": {p.GivenName}, "sn": {p.FamilyName}, "pwdChangedTime": {stamp},
		}
		if len(p.Mail) > 0 {
			attributes["mail"] = p.Mail
		}
		for _, group := range p.Groups {
			attributes["memberOf"] = append(attributes["memberOf"], groupDN(group, baseDN))
			members[group] = append(members[group], dn)
		}
		switch p.State {
		case MustChange:
			attributes["pwdReset"] = []string{"TRUE"}
		case Locked:
			attributes["pwdAccountLockedTime"] = []string{stamp}
		case Active:
		}
		add(dn, attributes)
	}
	for _, group := range slices.Sorted(maps.Keys(members)) {
		add(groupDN(group, baseDN), values{"objectClass": {"groupOfNames"}, "cn": {group}, "member": members[group]})
	}
	return t, errors.Join(faults...)
}

func groupDN(group, baseDN string) string {
	return "cn=" + ldap.EscapeDN(group) + "," + groupsUnit + baseDN
}

func serviceDN(baseDN string) string { return "cn=persona," + servicesUnit + baseDN }

// normalizeDN writes a DN in one way, so that two spellings of it compare equal; "" when it is none.
func normalizeDN(dn string) string {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return ""
	}
	return strings.ToLower(parsed.String())
}

// entryUUID derives an entry's immutable id from its DN: version 8 of RFC 9562, the one for own schemes.
func entryUUID(dn string) string {
	sum := sha256.Sum256([]byte(normalizeDN(dn)))
	id := sum[:16]
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
