package ldapauth

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth/mailbox"
	"persona-sidecar/ldapauth/servers"

	"github.com/go-ldap/ldap/v3"
)

// sampleEntries is how many entries are read to find the sample in: some people
// are locked, and some addresses contested.
const sampleEntries = 25

// Sample is some of the people, for an operator to recognize, or to see why they have no addresses.
type Sample struct {
	// Addresses are primary ones that could be certified now.
	Addresses []string
	// People are the entries that were looked at, those with an address among Config.Domains first.
	People []Entry
	// Seen are how many of the entries that were read show an attribute, by its name in small letters; Read is
	// how many those are.
	Seen map[string]int
	Read int
}

// Sample looks for the addresses of n people. Who they are is up to the server.
// An error means only that the directory could not answer.
func (d *Directory) Sample(ctx context.Context, n int) (Sample, error) {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	var claims []string // values that end like an address of ours
	for _, domain := range d.cfg.Domains {
		canonical, _ := mailbox.ParseDomain(domain)
		for _, attribute := range d.cfg.Schema.AddressAttributes {
			claims = append(claims, "("+attribute+"=*@"+ldap.EscapeFilter(canonical)+")")
		}
	}
	slices.Sort(claims)
	sample := Sample{Seen: make(map[string]int)}
	// An address attribute without a substring rule matches no claim, so all
	// people are the second choice.
	filters := []string{"(&" + d.cfg.Schema.UserFilter + anyOf(claims) + ")", d.cfg.Schema.UserFilter}
	if len(claims) == 0 {
		filters = filters[1:]
	}
	for _, filter := range filters {
		if err := d.sample(ctx, filter, n, &sample); err != nil {
			return Sample{}, d.failure(err)
		}
		if len(sample.Addresses) > 0 {
			break
		}
	}
	slices.Sort(sample.Addresses)
	return sample, nil
}

// sample adds entries that a filter selects, until n have an address.
func (d *Directory) sample(ctx context.Context, filter string, n int, sample *Sample) error {
	entries, err := d.some(ctx, filter)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if slices.ContainsFunc(sample.People, func(known Entry) bool { return known.DN == e.DN }) {
			continue
		}
		sample.Read++
		for _, attribute := range e.Attributes {
			if len(attribute.Values) > 0 {
				sample.Seen[strings.ToLower(attribute.Name)]++
			}
		}
		if len(sample.Addresses) >= n {
			continue
		}
		examined, err := d.examine(ctx, e)
		if err != nil {
			return err
		}
		sample.People = append(sample.People, examined)
		if examined.NoID == nil && examined.Account == identity.OK && len(examined.Person.Addresses) > 0 {
			sample.Addresses = append(sample.Addresses, examined.Person.Addresses[0].String())
		}
	}
	return nil
}

// Timed is how long a search took that every sign-in does.
type Timed struct {
	By         string   // what it looks for, such as "name"
	Attributes []string // those that its filter compares
	Took       time.Duration
}

// Times measures the searches of a sign-in, for entries that are not there: an attribute without an index makes the
// server read all entries. id is that of one of the people; "" leaves its search out.
func (d *Directory) Times(ctx context.Context, id string) ([]Timed, error) {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	if err := d.servers.Ping(ctx, d.cfg.BaseDNs[0]); err != nil { // connected before the first is measured
		return nil, d.failure(err)
	}
	s := d.cfg.Schema
	type question struct {
		by, filter string
		attributes []string
	}
	asked := []question{{"name", "(&" + s.UserFilter + d.meaning(ctx, "no one has this name").filter + ")", s.LoginAttributes}}
	for _, domain := range d.cfg.Domains {
		if address, err := browserid.ParseAddress("no.one.has.this.address@" + domain); err == nil {
			asked = append(asked, question{"address", d.holderFilter(address), s.AddressAttributes})
			break
		}
	}
	if id != "" {
		asked = append(asked, question{"id", "(&" + s.UserFilter + d.byID(id) + ")", []string{s.ID.Attribute}})
	}
	var times []Timed
	for _, q := range asked {
		began := d.cfg.Now()
		if _, err := d.search(ctx, q.filter, d.onlyID); err != nil {
			return nil, d.failure(err)
		}
		times = append(times, Timed{By: q.by, Attributes: q.attributes, Took: d.cfg.Now().Sub(began)})
	}
	return times, nil
}

// some returns some of the entries that a filter selects. The server may hold
// back the rest.
func (d *Directory) some(ctx context.Context, filter string) ([]entry, error) {
	// What only some directories show is asked for as well, to count it.
	attributes := append([]string{d.cfg.Schema.PasswordTime, d.cfg.Schema.Groups.MemberOf}, d.withGroups...)
	for _, rule := range d.cfg.Schema.Account {
		attributes = append(attributes, rule.Attribute)
	}
	attributes = distinct(slices.DeleteFunc(attributes, func(name string) bool { return name == "" }))
	var entries []entry
	for _, base := range d.people {
		req := &ldap.SearchRequest{
			BaseDN: base, Scope: ldap.ScopeWholeSubtree, DerefAliases: ldap.NeverDerefAliases,
			SizeLimit: sampleEntries, TimeLimit: servers.SecondsLeft(ctx), Filter: filter, Attributes: attributes,
		}
		res, err := d.servers.Search(ctx, req)
		if err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
			return nil, fmt.Errorf("looking for people with addresses: %w", err)
		}
		for _, e := range res.Entries {
			entries = append(entries, d.identified(e))
		}
	}
	return entries, nil
}
