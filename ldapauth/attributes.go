package ldapauth

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"persona-sidecar/ldapauth/account"
	"persona-sidecar/ldapauth/schema"
	"persona-sidecar/ldapauth/servers"

	"github.com/go-ldap/ldap/v3"
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

// learned is what the server's schema says.
type learned struct {
	at     time.Time
	absent []string // address attributes that no entry can have
}

// learnedTime is how long it is taken for true. An attribute that the schema gets is not asked for until then.
const learnedTime = 10 * time.Minute

// absent returns the address attributes that no entry can have. Until the schema is known, there are none.
func (d *Directory) absent() []string {
	if l := d.learned.Load(); l != nil {
		return l.absent
	}
	return nil
}

// learn reads the server's schema (RFC 4512 section 4.2), where the preset says that it is whole. Each attribute
// that need not be asked for makes all searches of a sign-in shorter.
func (d *Directory) learn(ctx context.Context) {
	if l := d.learned.Load(); !d.cfg.Schema.WholeSchema || l != nil && time.Since(l.at) < learnedTime {
		return
	}
	read := func(base, filter, attribute string) []string {
		res, err := d.servers.Search(ctx, &ldap.SearchRequest{
			BaseDN: base, Scope: ldap.ScopeBaseObject, TimeLimit: servers.SecondsLeft(ctx), Filter: filter, Attributes: []string{attribute},
		})
		if err != nil || len(res.Entries) != 1 {
			return nil // then all are asked for
		}
		return res.Entries[0].GetEqualFoldAttributeValues(attribute)
	}
	now := &learned{at: time.Now()}
	defer func() { d.learned.Store(now) }()
	subschema := read("", "(objectClass=*)", "subschemaSubentry")
	if len(subschema) != 1 {
		return
	}
	// ( OID NAME 'mail' … ) or ( OID NAME ( 'mail' 'rfc822Mailbox' ) … ), RFC 4512 section 4.1.2
	named := regexp.MustCompile(`^\(\s*\S+\s+NAME\s+(?:'([^']*)'|\(([^)]*)\))`)
	var names []string
	for _, definition := range read(subschema[0], "(objectClass=subschema)", "attributeTypes") {
		if match := named.FindStringSubmatch(definition); match != nil {
			names = append(append(names, match[1]), strings.FieldsFunc(match[2], func(c rune) bool { return c == '\'' || c == ' ' })...)
		}
	}
	if !contains(names, d.cfg.Schema.ID.Attribute) { // not the schema of these entries
		return
	}
	for _, attribute := range d.cfg.Schema.AddressAttributes {
		if !contains(names, attribute) {
			now.absent = append(now.absent, attribute)
		}
	}
}
