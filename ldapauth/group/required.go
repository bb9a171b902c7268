package group

import (
	"context"
	"fmt"
	"slices"
	"time"

	"persona-sidecar/ldapauth/servers"

	"github.com/go-ldap/ldap/v3"
)

// memory is how long it is remembered where the required group is, and which attributes groups have. Who is a member is
// asked each time.
const memory = time.Minute

// groupClasses are the object classes of groups, so that a name is that of a group and not of a person.
const groupClasses = "(|(objectClass=group)(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=groupOfMembers)" +
	"(objectClass=groupOfEntries)(objectClass=groupOfURLs)(objectClass=posixGroup))"

// required is what the directory says about the required group.
type required struct {
	dn    string    // "" when it was looked for by name and is not there
	sid   []byte    // its security identifier, where directories have such
	found bool      // the entry is there and can be read
	until time.Time // when it is to be looked for again
}

// find returns the required group. An error means that the directory could not tell.
func (g *Groups) find(ctx context.Context) (required, error) {
	g.mu.Lock()
	known := g.required
	g.mu.Unlock()
	if g.cfg.Now().Before(known.until) {
		return known, nil
	}
	attributes := []string{"1.1"}
	if g.cfg.Schema.PrimaryGroup {
		attributes = []string{attrObjectSID}
	}
	var (
		fresh required
		entry *ldap.Entry
		err   error
	)
	if IsDN(g.cfg.Required) {
		fresh.dn = g.cfg.Required
		entry, err = g.read(ctx, g.cfg.Required, "(objectClass=*)", attributes...)
	} else {
		var entries []*ldap.Entry
		var more bool
		entries, more, err = g.search(ctx, 2, "(&"+equals(attrCommonName, "", g.cfg.Required)+groupClasses+")", attributes...)
		if len(entries) > 1 || more && len(entries) > 0 {
			return required{}, servers.WithHint(fmt.Errorf("more than one group is called %q, such as %s", g.cfg.Required, entries[0].DN),
				"write the DN of one of them as required_group")
		}
		if len(entries) == 1 {
			entry, fresh.dn = entries[0], entries[0].DN
		}
	}
	if err != nil {
		return required{}, fmt.Errorf("looking for the required group: %w", err)
	}
	if entry != nil {
		fresh.found, fresh.sid = true, rawValue(entry, attrObjectSID)
	}
	fresh.until = g.cfg.Now().Add(memory)
	g.mu.Lock()
	g.required = fresh
	g.mu.Unlock()
	return fresh, nil
}

// IsDN reports whether a configured group is given by its DN, not by its name.
func IsDN(group string) bool {
	dn, err := ldap.ParseDN(group)
	return err == nil && len(dn.RDNs) > 0
}

// Check returns an error with a hint when the required group is not there, or cannot be told from another one.
func (g *Groups) Check(ctx context.Context) error {
	found, err := g.find(ctx)
	if err != nil || found.found {
		return err
	}
	hint := "correct required_group; is it below the base DN, and may bind_dn read it?"
	if found.dn != "" {
		hint = "correct required_group; may bind_dn read that entry?"
	}
	return servers.WithHint(fmt.Errorf("there is no group %q", g.cfg.Required), hint)
}

// Filter returns a filter that selects people who are in the required group, by what their own entry says; "" when no
// filter can do that. It selects no one who is not in it, but may leave out some who are: those are for Holds.
func (g *Groups) Filter(ctx context.Context) (string, error) {
	s := g.cfg.Schema
	if s.MemberOf == "" {
		return "", nil
	}
	found, err := g.find(ctx)
	if err != nil || found.dn == "" {
		return "", err
	}
	if s.InChain {
		return equals(s.MemberOf, inChain, found.dn), nil
	}
	return equals(s.MemberOf, "", found.dn), nil
}

// Holds reports whether a person whom Filter did not select is in the required group all the same. An error means that
// it cannot be told.
func (g *Groups) Holds(ctx context.Context, person *ldap.Entry) (bool, error) {
	s := g.cfg.Schema
	found, err := g.find(ctx)
	if err != nil || found.dn == "" {
		return false, err
	}
	if s.PrimaryGroup {
		// A person's primary group is not in memberOf. Its number is unique in one domain only, so it is compared by
		// its whole identifier.
		if sid := primarySID(person); sid != "" {
			if sid == string(found.sid) {
				return true, nil
			}
			if s.InChain {
				entries, _, err := g.search(ctx, 1, "(&"+equals(attrObjectSID, "", sid)+equals(s.MemberOf, inChain, found.dn)+")", "1.1")
				if err != nil || len(entries) > 0 {
					return err == nil, err
				}
			}
		}
	}
	if s.MemberOf != "" && (s.InChain || s.Transitive) {
		return false, nil // the filter has asked the whole question
	}
	if terms := g.members(slices.Concat(s.Members, s.MemberNames), person.DN, person.GetEqualFoldAttributeValues(g.cfg.Login)); len(terms) > 0 {
		entry, err := g.read(ctx, found.dn, anyOf(terms), "1.1")
		if err != nil || entry != nil {
			return err == nil, err
		}
	}
	inside := false
	err = g.walk(ctx, person, func(group Group) bool {
		inside = SameDN(group.DN, found.dn)
		return !inside
	})
	return inside && err == nil, err
}

// Contains reports whether the required group is among all groups of a person, as Of returns them.
func (g *Groups) Contains(ctx context.Context, all []Group) (bool, error) {
	found, err := g.find(ctx)
	if err != nil || found.dn == "" {
		return false, err
	}
	for _, group := range all {
		if SameDN(group.DN, found.dn) {
			return true, nil
		}
	}
	return false, nil
}
