package group

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"persona-sidecar/ldapauth/servers"

	"github.com/go-ldap/ldap/v3"
)

const (
	// maxGroups and maxDepth bound what is followed for one person. Beyond them nothing can be told.
	maxGroups = 10_000
	maxDepth  = 32
	// groupsPerSearch keeps the filter of one search short.
	groupsPerSearch = 100
)

// Of returns all groups of a person, groups of groups included, each once, sorted by name. The entry has been read with
// Attributes. An error means that they cannot be told.
func (g *Groups) Of(ctx context.Context, person *ldap.Entry) ([]Group, error) {
	var all []Group
	err := g.walk(ctx, person, func(group Group) bool {
		all = append(all, group)
		return true
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b Group) int { return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.DN, b.DN)) })
	return all, nil
}

// walk visits the groups of a person, each once and the nearest first, until visit returns false. Groups that are members
// of each other are no harm.
func (g *Groups) walk(ctx context.Context, person *ldap.Entry, visit func(Group) bool) error {
	seen := map[string]bool{}
	level, err := g.direct(ctx, person)
	for depth := 0; err == nil && len(level) > 0; depth++ {
		var fresh []string // the DNs of groups that were not seen before
		for _, group := range level {
			if id := key(group.DN); !seen[id] {
				seen[id] = true
				fresh = append(fresh, group.DN)
				if !visit(group) {
					return nil
				}
			}
		}
		switch {
		case len(seen) > maxGroups || depth == maxDepth:
			return servers.WithHint(fmt.Errorf("%s is in more than %d groups, or in groups nested deeper than %d", person.DN, maxGroups, maxDepth),
				"look at the groups of this person")
		case g.cfg.Schema.Transitive:
			return nil
		}
		level, err = g.parents(ctx, fresh)
	}
	return err
}

// direct returns the groups that a person is a member of by themselves.
func (g *Groups) direct(ctx context.Context, person *ldap.Entry) ([]Group, error) {
	s := g.cfg.Schema
	var groups []Group
	known := map[string]bool{}
	if s.MemberOf != "" {
		dns, err := g.values(ctx, person, s.MemberOf)
		if err != nil {
			return nil, err
		}
		for _, dn := range dns {
			groups = append(groups, named(dn, ""))
			known[key(dn)] = true
		}
	}
	if sid := primarySID(person); s.PrimaryGroup && sid != "" {
		entries, _, err := g.search(ctx, 0, equals(attrObjectSID, "", sid), attrCommonName)
		if err != nil {
			return nil, err
		}
		groups = append(groups, groupsOf(entries)...)
	}
	if s.Transitive || s.InChain { // memberOf is complete
		return groups, nil
	}
	used, err := g.usedAttributes(ctx)
	if err != nil {
		return nil, err
	}
	for _, term := range g.members(used, person.DN, person.GetEqualFoldAttributeValues(g.cfg.Login)) {
		entries, more, err := g.search(ctx, 0, term, attrCommonName)
		if err != nil {
			return nil, err
		}
		// The server keeps memberOf for this attribute when that has every group that it did return.
		strange := func(e *ldap.Entry) bool { return !known[key(e.DN)] }
		if more && (len(entries) == 0 || slices.ContainsFunc(entries, strange)) {
			return nil, tooMany(person.DN)
		}
		groups = append(groups, groupsOf(entries)...)
	}
	return groups, nil
}

// parents returns the groups that have one of these groups as a member.
func (g *Groups) parents(ctx context.Context, dns []string) ([]Group, error) {
	used, err := g.usedAttributes(ctx)
	if err != nil || len(used) == 0 {
		return nil, err
	}
	var groups []Group
	for chunk := range slices.Chunk(dns, groupsPerSearch) {
		var terms []string
		for _, dn := range chunk {
			terms = append(terms, g.members(used, dn, nil)...)
		}
		if len(terms) == 0 {
			return nil, nil
		}
		entries, more, err := g.search(ctx, 0, anyOf(terms), attrCommonName)
		switch {
		case err != nil:
			return nil, err
		case !more:
			groups = append(groups, groupsOf(entries)...)
			continue
		case len(chunk) == 1:
			return nil, tooMany(chunk[0])
		}
		for _, half := range [][]string{chunk[:len(chunk)/2], chunk[len(chunk)/2:]} {
			more, err := g.parents(ctx, half)
			if err != nil {
				return nil, err
			}
			groups = append(groups, more...)
		}
	}
	return groups, nil
}

// members returns the filters that select groups with a member, one for each of the attributes that names it.
func (g *Groups) members(attributes []string, dn string, logins []string) []string {
	var terms []string
	for _, attribute := range attributes {
		if slices.Contains(g.cfg.Schema.Members, attribute) {
			terms = append(terms, equals(attribute, "", dn))
			continue
		}
		for _, login := range logins {
			terms = append(terms, equals(attribute, "", login))
		}
	}
	return terms
}

// used are the attributes with members that the directory's groups have.
type used struct {
	attributes []string
	until      time.Time // when it is to be looked again
}

// usedAttributes leaves out the attributes that no group has. Servers often have no index for those, and every search by
// them would read the whole directory.
func (g *Groups) usedAttributes(ctx context.Context) ([]string, error) {
	g.mu.Lock()
	known := g.used
	g.mu.Unlock()
	if g.cfg.Now().Before(known.until) {
		return known.attributes, nil
	}
	fresh := used{until: g.cfg.Now().Add(memory)}
	for _, attribute := range slices.Concat(g.cfg.Schema.Members, g.cfg.Schema.MemberNames) {
		entries, more, err := g.search(ctx, 1, "(&("+attribute+"=*)"+groupClasses+")", "1.1")
		if err != nil {
			return nil, err
		}
		if more || len(entries) > 0 {
			fresh.attributes = append(fresh.attributes, attribute)
		}
	}
	g.mu.Lock()
	g.used = fresh
	g.mu.Unlock()
	return fresh.attributes, nil
}

func groupsOf(entries []*ldap.Entry) []Group {
	var groups []Group
	for _, e := range entries {
		groups = append(groups, named(e.DN, e.GetEqualFoldAttributeValue(attrCommonName)))
	}
	return groups
}

func tooMany(dn string) error {
	return servers.WithHint(fmt.Errorf("%s is in more groups than the server returns to one search", dn),
		"raise the server's size limit for bind_dn, or have the server keep memberOf")
}

// values returns all values of an attribute, in as many parts as Active Directory hands them over ("memberOf;range=0-1499",
// [MS-ADTS] section 3.1.1.3.1.3.3).
func (g *Groups) values(ctx context.Context, e *ldap.Entry, attribute string) ([]string, error) {
	values := e.GetEqualFoldAttributeValues(attribute)
	for len(values) <= maxGroups {
		part, next, err := ranged(e, attribute)
		if err != nil {
			return nil, err
		}
		values = append(values, part...)
		if next == 0 {
			return values, nil
		}
		again, err := g.read(ctx, e.DN, "(objectClass=*)", attribute+";range="+strconv.Itoa(next)+"-*")
		if err != nil {
			return nil, err
		}
		if again == nil {
			return nil, fmt.Errorf("reading the groups of %s: the entry went away", e.DN)
		}
		e = again
	}
	return values, nil
}

// ranged returns the values of an attribute with a range, and where the next part begins; 0 for no more.
func ranged(e *ldap.Entry, attribute string) (values []string, next int, err error) {
	for _, a := range e.Attributes {
		name, option, found := strings.Cut(a.Name, ";")
		if !found || !strings.EqualFold(name, attribute) || len(option) < len("range=") || !strings.EqualFold(option[:len("range=")], "range=") {
			continue
		}
		_, last, _ := strings.Cut(option, "-")
		if last == "*" {
			return a.Values, 0, nil
		}
		end, err := strconv.Atoi(last)
		if err != nil || end < 0 || len(a.Values) == 0 {
			return nil, 0, errors.New("the server returned the range " + strconv.Quote(a.Name))
		}
		return a.Values, end + 1, nil
	}
	return nil, 0, nil
}

// primarySID returns the identifier of a person's primary group: that of the person with the last number, the
// relative identifier, replaced ([MS-DTYP] section 2.4.2.2); "" when the entry has none.
func primarySID(person *ldap.Entry) string {
	sid := rawValue(person, attrObjectSID)
	number, err := strconv.ParseUint(person.GetEqualFoldAttributeValue(attrPrimaryGroup), 10, 32)
	if err != nil || len(sid) < 12 || len(sid) != 8+4*int(sid[1]) {
		return ""
	}
	primary := slices.Clone(sid)
	binary.LittleEndian.PutUint32(primary[len(primary)-4:], uint32(number))
	return string(primary)
}

func rawValue(e *ldap.Entry, attribute string) []byte {
	values := e.GetEqualFoldRawAttributeValues(attribute)
	if len(values) == 0 {
		return nil
	}
	return values[0]
}
