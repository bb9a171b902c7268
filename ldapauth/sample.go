package ldapauth

import (
	"context"
	"fmt"
	"slices"

	"persona-sidecar/idp/identity"

	"github.com/go-ldap/ldap/v3"
)

// sampleEntries is how many entries are read to find the sample in: some people
// are locked, and some addresses ambiguous.
const sampleEntries = 25

// Sample returns the primary addresses of up to n people who could have one
// certified now, for an operator to recognize. Who they are is up to the
// server. None and no error: no entry has an address of its own in
// Config.Domains. An error means only that the directory could not answer.
func (d *Directory) Sample(ctx context.Context, n int) ([]string, error) {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	entries, err := d.claimants(ctx)
	if err != nil {
		return nil, d.failure(fmt.Errorf("looking for people with addresses: %w", withHint(err, resultHint(err))))
	}
	var sample []string
	for _, e := range entries {
		if len(sample) >= n {
			break
		}
		if e.id == "" || d.state(e) != identity.OK {
			continue
		}
		addresses, err := d.owned(ctx, e.id, d.addresses(e))
		if err != nil {
			return nil, d.failure(err)
		}
		if len(addresses) > 0 {
			sample = append(sample, addresses[0].String())
		}
	}
	slices.Sort(sample)
	return sample, nil
}

// claimants returns some of the people who claim an address in our domains. The
// server may hold back the rest.
func (d *Directory) claimants(ctx context.Context) ([]entry, error) {
	if err := d.searches.acquire(ctx); err != nil {
		return nil, err
	}
	defer d.searches.release()
	var claims []string // values that end like an address of ours
	for domain := range d.domains {
		for _, attribute := range d.addressAttributes {
			claims = append(claims, "("+attribute.name+"=*@"+ldap.EscapeFilter(domain)+")")
		}
	}
	slices.Sort(claims)
	req := &ldap.SearchRequest{
		BaseDN: d.cfg.BaseDN, Scope: ldap.ScopeWholeSubtree, DerefAliases: ldap.NeverDerefAliases,
		SizeLimit: sampleEntries, TimeLimit: secondsLeft(ctx),
		Filter: "(&" + d.cfg.Schema.UserFilter + anyOf(claims) + ")", Attributes: d.wholePerson,
	}
	var res *ldap.SearchResult
	err := d.servers.do(ctx, searchConn, func(c *conn) (err error) {
		res, err = c.ldap.Search(req)
		return err
	})
	if err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
		return nil, err
	}
	var entries []entry
	for _, e := range res.Entries {
		entries = append(entries, entry{Entry: e, id: d.idOf(e)})
	}
	return entries, nil
}
