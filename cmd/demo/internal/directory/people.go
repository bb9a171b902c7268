package directory

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
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

// Person is somebody in the directory.
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
)

// generalizedTime is how LDAP writes a moment (RFC 4517, section 3.3.13).
const generalizedTime = "20060102150405Z"

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

	faults := t.add(baseDN, stamp, values{"objectClass": {"domain"}})
	for _, unit := range []string{peopleUnit, groupsUnit, servicesUnit} {
		faults = errors.Join(faults, t.add(unit+baseDN, stamp, values{"objectClass": {"organizationalUnit"}}))
	}
	faults = errors.Join(faults, t.add(serviceDN(baseDN), stamp, values{"objectClass": {"applicationProcess"}, "cn": {"persona"}}))
	t.accounts[normalizeDN(serviceDN(baseDN))] = account{password: servicePassword, service: true}
	for _, p := range people {
		faults = errors.Join(faults, t.addPerson(p, stamp))
	}
	for group, members := range membersOf(people, baseDN) {
		faults = errors.Join(faults, t.add(groupDN(group, baseDN), stamp,
			values{"objectClass": {"groupOfNames"}, "cn": {group}, "member": members}))
	}
	return t, faults
}

func (t *tree) addPerson(p Person, stamp string) error {
	dn := personDN(p, t.baseDN)
	if _, twice := t.accounts[normalizeDN(dn)]; twice || p.Login == "" || p.Password == "" {
		return fmt.Errorf("person %q lacks a login or a password, or is there twice", p.Login)
	}
	t.accounts[normalizeDN(dn)] = account{password: p.Password, state: p.State}
	return t.add(dn, stamp, p.attributes(t.baseDN, stamp))
}

// add appends an entry with the operational attributes that every directory keeps.
func (t *tree) add(dn, stamp string, attributes values) error {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return fmt.Errorf("%q is not a DN: %w", dn, err)
	}
	maps.Copy(attributes, values{
		"entryUUID": {entryUUID(dn)}, "entryDN": {dn}, "createTimestamp": {stamp}, "modifyTimestamp": {stamp},
	})
	t.entries = append(t.entries, newEntry(parsed, dn, attributes))
	return nil
}

func membersOf(people []Person, baseDN string) map[string][]string {
	members := map[string][]string{}
	for _, p := range people {
		for _, group := range p.Groups {
			members[group] = append(members[group], personDN(p, baseDN))
		}
	}
	return members
}

func (p Person) attributes(baseDN, stamp string) values {
	attributes := values{
		"objectClass":    {"top", "person", "organizationalPerson", "inetOrgPerson"},
		"uid":            {p.Login},
		"cn":             {p.DisplayName()},
		"displayName":    {p.DisplayName()},
		"givenName":      {p.GivenName},
		"sn":             {p.FamilyName},
		"pwdChangedTime": {stamp},
	}
	if len(p.Mail) > 0 {
		attributes["mail"] = p.Mail
	}
	for _, group := range p.Groups {
		attributes["memberOf"] = append(attributes["memberOf"], groupDN(group, baseDN))
	}
	switch p.State {
	case MustChange:
		attributes["pwdReset"] = []string{"TRUE"}
	case Locked:
		attributes["pwdAccountLockedTime"] = []string{stamp}
	case Active:
	}
	return attributes
}

func serviceDN(baseDN string) string { return "cn=persona," + servicesUnit + baseDN }

func personDN(p Person, baseDN string) string {
	return "uid=" + ldap.EscapeDN(p.Login) + "," + peopleUnit + baseDN
}

func groupDN(group, baseDN string) string {
	return "cn=" + ldap.EscapeDN(group) + "," + groupsUnit + baseDN
}

// entryUUID derives an entry's immutable id from its DN: version 8 of RFC 9562, the one for own schemes.
func entryUUID(dn string) string {
	sum := sha256.Sum256([]byte(normalizeDN(dn)))
	id := sum[:16]
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
