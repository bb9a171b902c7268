package ldapauth

import (
	"context"
	"fmt"
	"slices"

	"persona-sidecar/idp/identity"
	"persona-sidecar/ldapauth/mailbox"
	"persona-sidecar/ldapauth/servers"

	"github.com/go-ldap/ldap/v3"
)

// sampleEntries is how many entries are read to find the sample in: some people
// are locked, and some addresses ambiguous.
const sampleEntries = 25

// Sample is some of the people's addresses, for an operator to recognize, and
// why there are none.
type Sample struct {
	// Addresses are primary ones that could be certified now.
	Addresses []string
	// The rest is filled in when there are none. People is how many entries the
	// UserFilter selects, 25 at most; Domains are the mail domains of their
	// addresses that are not among Config.Domains; Ambiguous are the addresses
	// in Config.Domains that another entry has as well.
	People    int
	Domains   []string
	Ambiguous []string
}

// Sample reads the addresses of up to n people. Who they are is up to the server.
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
	var (
		sample  Sample
		entries []entry
		err     error
	)
	// An address attribute without a substring rule matches no claim, so all
	// people are the second choice.
	for _, filter := range []string{"(&" + d.cfg.Schema.UserFilter + anyOf(claims) + ")", d.cfg.Schema.UserFilter} {
		if entries, err = d.some(ctx, filter); err != nil {
			return Sample{}, d.failure(err)
		}
		if err := d.sample(ctx, entries, n, &sample); err != nil {
			return Sample{}, d.failure(err)
		}
		if len(sample.Addresses) > 0 {
			slices.Sort(sample.Addresses)
			return Sample{Addresses: sample.Addresses}, nil
		}
	}
	sample.People = len(entries)
	for _, e := range entries {
		for _, value := range d.mailboxes.Read(e.values) {
			if domain := value.Address.Domain(); value.Reason == mailbox.OtherDomain && !slices.Contains(sample.Domains, domain) {
				sample.Domains = append(sample.Domains, domain)
			}
		}
	}
	slices.Sort(sample.Domains)
	return sample, nil
}

// sample collects addresses of the entries until there are n, and ambiguous ones.
func (d *Directory) sample(ctx context.Context, entries []entry, n int, sample *Sample) error {
	for _, e := range entries {
		if len(sample.Addresses) >= n {
			return nil
		}
		if e.id == "" || d.state(e) != identity.OK {
			continue
		}
		report, err := d.addresses(ctx, e)
		if err != nil {
			return err
		}
		if owned := report.Addresses(); len(owned) > 0 {
			sample.Addresses = append(sample.Addresses, owned[0].String())
		}
		for _, address := range report.Contested() {
			if !slices.Contains(sample.Ambiguous, address.String()) {
				sample.Ambiguous = append(sample.Ambiguous, address.String())
			}
		}
	}
	return nil
}

// some returns some of the entries that a filter selects. The server may hold
// back the rest.
func (d *Directory) some(ctx context.Context, filter string) ([]entry, error) {
	req := &ldap.SearchRequest{
		BaseDN: d.cfg.BaseDN, Scope: ldap.ScopeWholeSubtree, DerefAliases: ldap.NeverDerefAliases,
		SizeLimit: sampleEntries, TimeLimit: servers.SecondsLeft(ctx), Filter: filter, Attributes: d.wholePerson,
	}
	res, err := d.servers.Search(ctx, req)
	if err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
		return nil, fmt.Errorf("looking for people with addresses: %w", err)
	}
	var entries []entry
	for _, e := range res.Entries {
		entries = append(entries, entry{Entry: e, id: d.idOf(e)})
	}
	return entries, nil
}
