package directory

import (
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// values are the attributes of an entry as they are written down, by name.
type values map[string][]string

// attribute is one attribute of an entry.
type attribute struct {
	name        string
	values      []string
	operational bool // sent only when asked for by name or by "+" (RFC 3673)
}

// entry is one object of the directory.
type entry struct {
	dn         string
	parsed     *ldap.DN
	attributes []attribute // sorted by name
}

// operational names the attributes that the server keeps rather than people (RFC 4512, section 3.4).
func operational(name string) bool {
	switch strings.ToLower(name) {
	case "entryuuid", "entrydn", "createtimestamp", "modifytimestamp", "memberof",
		"pwdchangedtime", "pwdreset", "pwdaccountlockedtime",
		"namingcontexts", "supportedldapversion", "supportedcontrol", "vendorname":
		return true
	}
	return false
}

func newEntry(dn *ldap.DN, text string, attributes values) entry {
	e := entry{dn: text, parsed: dn}
	for name, v := range attributes {
		e.attributes = append(e.attributes, attribute{name: name, values: v, operational: operational(name)})
	}
	slices.SortFunc(e.attributes, func(a, b attribute) int { return strings.Compare(a.name, b.name) })
	return e
}

// get returns the values of an attribute; attribute names know no case.
func (e entry) get(name string) []string {
	for _, a := range e.attributes {
		if strings.EqualFold(a.name, name) {
			return a.values
		}
	}
	return nil
}

// selected returns the attributes that a search asked for (RFC 4511, section 4.5.1.8): none named, or "*", is all
// user attributes; "+" all operational ones; "1.1" nothing.
func (e entry) selected(names []string) []attribute {
	var chosen []attribute
	for _, a := range e.attributes {
		asked := slices.ContainsFunc(names, func(name string) bool {
			return strings.EqualFold(name, a.name) || name == "*" && !a.operational || name == "+" && a.operational
		})
		if asked || len(names) == 0 && !a.operational {
			chosen = append(chosen, a)
		}
	}
	return chosen
}

// normalizeDN writes a DN in one way, so that two spellings of it compare equal; "" when it is none.
func normalizeDN(dn string) string {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return ""
	}
	return strings.ToLower(parsed.String())
}
