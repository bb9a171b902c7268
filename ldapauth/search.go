package ldapauth

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/ldapauth/servers"

	"github.com/go-ldap/ldap/v3"
)

// entry is an entry with its immutable id in text form, which is empty when the
// entry has none that can be used.
type entry struct {
	*ldap.Entry
	id       string
	unusable error // an *account.UnusableID
}

// values returns an attribute's values; names are case-insensitive, as the
// server is free to spell them its own way.
func (e entry) values(attribute string) []string {
	return e.GetEqualFoldAttributeValues(attribute)
}

func (e entry) value(attribute string) string {
	return e.GetEqualFoldAttributeValue(attribute)
}

// found is the answer to a search for one entry: two are asked for, so that
// more than one is seen.
type found struct {
	entries []entry
	more    bool // the server held some back
}

// only returns the entry if there is exactly one.
func (f found) only() (entry, bool) {
	if f.more || len(f.entries) != 1 {
		return entry{}, false
	}
	return f.entries[0], true
}

// search looks in the whole directory for at most two entries.
func (d *Directory) search(ctx context.Context, filter string, attributes []string) (found, error) {
	return d.searchBelow(ctx, d.cfg.BaseDNs, filter, attributes)
}

// searchPeople looks for at most two entries that the user filter selects.
func (d *Directory) searchPeople(ctx context.Context, filter string, attributes []string) (found, error) {
	return d.searchBelow(ctx, d.people, "(&"+d.cfg.Schema.UserFilter+filter+")", attributes)
}

// searchBelow looks for two entries at most below several bases.
func (d *Directory) searchBelow(ctx context.Context, bases []string, filter string, attributes []string) (all found, err error) {
	for _, base := range bases {
		f, err := d.searchOne(ctx, base, filter, attributes)
		if err != nil {
			return found{}, err
		}
		all.entries, all.more = append(all.entries, f.entries...), all.more || f.more
		if all.more || len(all.entries) > 1 {
			break
		}
	}
	return all, nil
}

// searchOne looks below one base. Aliases are never dereferenced, referrals never followed.
func (d *Directory) searchOne(ctx context.Context, base, filter string, attributes []string) (found, error) {
	if absent := d.absent(); len(absent) > 0 {
		attributes = slices.DeleteFunc(slices.Clone(attributes), func(name string) bool { return slices.Contains(absent, name) })
	}
	req := &ldap.SearchRequest{
		BaseDN: base, Scope: ldap.ScopeWholeSubtree, DerefAliases: ldap.NeverDerefAliases,
		SizeLimit: 2, TimeLimit: servers.SecondsLeft(ctx), Filter: filter, Attributes: attributes,
	}
	res, err := d.ask(ctx, req)
	more := ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded)
	if err != nil && !more {
		return found{}, fmt.Errorf("searching: %w", err)
	}
	f := found{more: more || len(res.Entries) > 2}
	for _, e := range res.Entries {
		f.entries = append(f.entries, d.identified(e))
	}
	return f, nil
}

// ask sends one search to the servers. The result goes with an error of a size limit, which is an answer.
func (d *Directory) ask(ctx context.Context, req *ldap.SearchRequest) (*ldap.SearchResult, error) {
	began := time.Now()
	d.log.Debug().Str("base", req.BaseDN).Msg("searching") // the filter may hold a password that was typed as a name
	res, err := d.servers.Search(ctx, req)
	outcome := answeredOr(err)
	if ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
		outcome = Answered
	}
	d.observe(OpSearch, began, outcome)
	return res, err
}

// identified returns an entry with its id.
func (d *Directory) identified(e *ldap.Entry) entry {
	id, err := d.account.ID(e)
	return entry{Entry: e, id: id, unusable: err}
}

// byID is the filter that finds the entry of an id: that of an entry, or one that Lookup has accepted.
func (d *Directory) byID(id string) string {
	filter, _ := d.account.ByID(id)
	return filter
}

// holderFilter finds everything in the directory, people or not, that has one of the addresses and counts as a
// holder.
func (d *Directory) holderFilter(addresses ...browserid.Address) string {
	var terms []string
	absent := d.absent()
	for _, address := range addresses {
		for _, spelling := range d.mailboxes.Spellings(address, absent) {
			terms = append(terms, equals(spelling.Attribute, spelling.Value))
		}
	}
	if d.cfg.Schema.IgnoreHolders == "" {
		return anyOf(terms)
	}
	return "(&" + anyOf(terms) + "(!" + d.cfg.Schema.IgnoreHolders + "))"
}

// equals is the one place where a value enters a filter and is escaped.
func equals(attribute, value string) string {
	return "(" + attribute + "=" + ldap.EscapeFilter(value) + ")"
}

func anyOf(terms []string) string {
	if len(terms) == 1 {
		return terms[0]
	}
	return "(|" + strings.Join(terms, "") + ")"
}
