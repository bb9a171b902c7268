package group

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"persona-sidecar/ldapauth/schema"
	"persona-sidecar/ldapauth/servers"

	"github.com/go-ldap/ldap/v3"
)

// Config says how a directory is asked about groups. All but Required is needed.
type Config struct {
	Schema schema.Groups
	// Bases are the entries below which groups are.
	Bases []string
	// Login is the attribute of a person whose values stand in Schema.MemberNames.
	Login string
	// Required is the group that people have to be in, by its DN or its cn; "" for none.
	Required string
	// Search asks the directory. The result goes with an error of a size limit: it is what the server did return.
	Search func(context.Context, *ldap.SearchRequest) (*ldap.SearchResult, error)
	Now    func() time.Time
}

// Groups answers questions about groups. It is safe for concurrent use.
type Groups struct {
	cfg Config

	mu       sync.Mutex
	required required
	used     used
}

// New returns Groups. It does no I/O.
func New(cfg Config) *Groups { return &Groups{cfg: cfg} }

// Group is one group of a directory.
type Group struct {
	// Name is its cn, as far as its DN or its entry tells; else the value of its DN's first component.
	Name string
	// DN is spelled as the directory spelled it. Compare it with [SameDN].
	DN string
}

const (
	attrCommonName   = "cn"
	attrObjectSID    = "objectSid"
	attrPrimaryGroup = "primaryGroupID"

	// inChain is Active Directory's rule that follows a chain of links, [MS-ADTS] section 3.1.1.3.4.4.3.
	inChain = ":1.2.840.113556.1.4.1941:"
)

// Attributes are those that a person's entry has to be read with before Of or Holds is asked about it.
func (g *Groups) Attributes() []string {
	var names []string
	if g.cfg.Schema.MemberOf != "" {
		names = append(names, g.cfg.Schema.MemberOf)
	}
	if g.cfg.Schema.PrimaryGroup {
		names = append(names, attrObjectSID, attrPrimaryGroup)
	}
	if len(g.cfg.Schema.MemberNames) > 0 {
		names = append(names, g.cfg.Login)
	}
	return names
}

// SameDN reports whether two DNs mean one entry: case, blanks and the way of escaping do not count
// (RFC 4514; caseIgnoreMatch is assumed of every attribute, as directories use in DNs).
func SameDN(a, b string) bool {
	first, errFirst := ldap.ParseDN(a)
	second, errSecond := ldap.ParseDN(b)
	return errFirst == nil && errSecond == nil && first.EqualFold(second)
}

// key is the same text for the spellings of one DN, as far as maps need it.
func key(dn string) string {
	if parsed, err := ldap.ParseDN(dn); err == nil {
		dn = parsed.String()
	}
	return strings.ToLower(dn)
}

// named returns the group with a DN. The cn of its entry is used only where the DN has none.
func named(dn, cn string) Group {
	parsed, err := ldap.ParseDN(dn)
	if err != nil || len(parsed.RDNs) == 0 {
		return Group{Name: dn, DN: dn}
	}
	first := parsed.RDNs[0].Attributes
	for _, part := range first {
		if strings.EqualFold(part.Type, attrCommonName) {
			return Group{Name: part.Value, DN: dn}
		}
	}
	if cn != "" {
		return Group{Name: cn, DN: dn}
	}
	return Group{Name: first[0].Value, DN: dn}
}

// search looks below all bases, in each for so many entries, or for all when limit is 0. more reports that a server held
// some back.
func (g *Groups) search(ctx context.Context, limit int, filter string, attributes ...string) (entries []*ldap.Entry, more bool, err error) {
	for _, base := range g.cfg.Bases {
		found, held, err := g.ask(ctx, base, ldap.ScopeWholeSubtree, limit, filter, attributes)
		if err != nil {
			return nil, false, err
		}
		entries, more = append(entries, found...), more || held
	}
	return entries, more, nil
}

// read returns one entry if it is there, may be read and matches the filter; else nil.
func (g *Groups) read(ctx context.Context, dn, filter string, attributes ...string) (*ldap.Entry, error) {
	entries, _, err := g.ask(ctx, dn, ldap.ScopeBaseObject, 0, filter, attributes)
	if answer := servers.Answer(err); answer != nil && (answer.ResultCode == ldap.LDAPResultNoSuchObject ||
		answer.ResultCode == ldap.LDAPResultInvalidDNSyntax || answer.ResultCode == ldap.LDAPResultReferral) {
		return nil, nil
	}
	if err != nil || len(entries) != 1 {
		return nil, err
	}
	return entries[0], nil
}

func (g *Groups) ask(ctx context.Context, base string, scope, limit int, filter string, attributes []string) (entries []*ldap.Entry, more bool, err error) {
	res, err := g.cfg.Search(ctx, &ldap.SearchRequest{
		BaseDN: base, Scope: scope, DerefAliases: ldap.NeverDerefAliases,
		SizeLimit: limit, TimeLimit: servers.SecondsLeft(ctx), Filter: filter, Attributes: attributes,
	})
	more = ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded)
	if err != nil && !more {
		return nil, false, fmt.Errorf("looking for groups: %w", err)
	}
	return res.Entries, more, nil
}

// equals is the one place where a value enters a filter and is escaped. The rule is that of an extensible match,
// or "".
func equals(attribute, rule, value string) string {
	return "(" + attribute + rule + "=" + ldap.EscapeFilter(value) + ")"
}

// anyOf joins filters; of one it is that one.
func anyOf(terms []string) string {
	if len(terms) == 1 {
		return terms[0]
	}
	return "(|" + strings.Join(terms, "") + ")"
}
