package ldapauth

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"persona-sidecar/ldapauth/mailbox"
	"persona-sidecar/ldapauth/servers"

	"github.com/go-ldap/ldap/v3"
)

// meaning is what a typed name may stand for.
type meaning struct {
	login  string
	filter string   // true for an entry that has the name, one of the people or not
	bases  []string // where such people are
	domain []string // set where the filter takes name@dns.domain for an account name, too: where that domain is
}

// named returns the people that a typed name means, two at most.
func (d *Directory) named(ctx context.Context, m meaning, attributes []string) (found, error) {
	f, err := d.searchBelow(ctx, m.bases, "(&"+d.cfg.Schema.UserFilter+m.filter+")", attributes)
	if m.domain == nil {
		return f, err
	}
	f.entries = slices.DeleteFunc(f.entries, func(e entry) bool { // the account of that name in another domain
		dn, err := ldap.ParseDN(e.DN)
		inside := err == nil && slices.ContainsFunc(m.domain, func(base string) bool {
			place, err := ldap.ParseDN(base)
			return err == nil && contain(place, dn)
		})
		return !inside && len(d.has(e, m.login)) == 0
	})
	if f.more || len(f.entries) != 2 {
		return f, err
	}
	// It is the userPrincipalName or address of one and the account name of another. Active Directory itself takes
	// the first.
	switch first, second := d.has(f.entries[0], m.login), d.has(f.entries[1], m.login); {
	case len(first) > 0 && len(second) == 0:
		f.entries = f.entries[:1]
	case len(second) > 0 && len(first) == 0:
		f.entries = f.entries[1:]
	}
	return f, nil
}

// has returns the attributes of an entry in which a typed name stands as it was typed.
func (d *Directory) has(e entry, login string) []string {
	var by []string
	for _, attribute := range d.cfg.Schema.LoginAttributes {
		if contains(e.values(attribute), login) {
			by = append(by, attribute)
		}
	}
	if address, ok := mailbox.Parse(login); ok {
		for _, value := range d.mailboxes.Read(e.values) {
			if value.Address == address {
				by = append(by, value.Attribute)
			}
		}
	}
	return distinct(by)
}

// meaning reads a typed name: it is the value of a login attribute, or one of a person's addresses, or in Active
// Directory DOMAIN\name or name@dns.domain with the name of an account.
func (d *Directory) meaning(ctx context.Context, login string) meaning {
	m := meaning{login: login, bases: d.people}
	var terms []string
	address, isAddress := mailbox.Parse(login)
	if isAddress {
		terms = append(terms, d.holderFilter(address))
	}
	var ofAddress []string
	for _, attribute := range d.cfg.Schema.LoginAttributes {
		if contains(d.cfg.Schema.AddressAttributes, attribute) {
			ofAddress = append(ofAddress, equals(attribute, login))
		} else {
			terms = append(terms, equals(attribute, login))
		}
	}
	if !isAddress && (len(terms) == 0 || strings.Contains(login, "@")) { // one in a form that counts for no one
		terms = append(terms, ofAddress...)
	}
	if account, domain, principal := splitWindowsName(login); account != "" && d.cfg.Schema.WindowsNames && contains(d.cfg.Schema.LoginAttributes, attrAccountName) {
		var bases []string // several base DNs may lie in one domain
		for _, w := range d.windowsDomains(ctx) {
			if strings.EqualFold(w.dns, domain) || strings.EqualFold(w.netBIOS, domain) {
				bases = append(bases, w.base)
			}
		}
		if bases != nil {
			terms = append(terms, equals(attrAccountName, account))
		}
		switch {
		case bases != nil && principal:
			m.domain = bases
		case bases != nil:
			m.bases = bases
		}
	}
	m.filter = anyOf(terms)
	return m
}

// attrAccountName is the attribute of Active Directory with the names of accounts. None has a character that
// separates it from its domain.
const attrAccountName = "sAMAccountName"

// splitWindowsName splits DOMAIN\name, DOMAIN/name and, where principal is true, name@dns.domain. The account is ""
// for every other name.
func splitWindowsName(login string) (account, domain string, principal bool) {
	i := strings.IndexAny(login, `\/@`)
	if i <= 0 || i == len(login)-1 || strings.ContainsAny(login[i+1:], `\/@`) {
		return "", "", false
	}
	if login[i] == '@' {
		return login[:i], login[i+1:], true
	}
	return login[i+1:], login[:i], false
}

// windowsDomain is a domain of Active Directory.
type windowsDomain struct {
	netBIOS, dns string // as in EXAMPLE\name and name@ad.example.com
	base         string // where it is searched
}

// windowsDomains are those of a directory, as they were read last.
type windowsDomains struct {
	mu    sync.Mutex
	list  []windowsDomain
	until time.Time // when they are read again
}

const (
	windowsDomainsTime  = time.Hour
	windowsDomainsRetry = time.Minute // where the server did not tell
)

// windowsDomains returns the domains that the base DNs lie in, and all of the forest for an empty base. Where the
// server does not tell, the base DN does: dc=ad,dc=example,dc=com is ad.example.com, and most probably AD.
func (d *Directory) windowsDomains(ctx context.Context) []windowsDomain {
	w := &d.windows
	w.mu.Lock()
	list, until := w.list, w.until
	w.mu.Unlock()
	if time.Now().Before(until) {
		return list
	}
	forest, err := d.forest(ctx)
	until = time.Now().Add(windowsDomainsTime)
	if err != nil {
		d.log.Debug().Err(err).Msg("the names of the Windows domains cannot be read: taking them from base_dn")
		until = time.Now().Add(windowsDomainsRetry)
	}
	list = nil
	for _, base := range d.people {
		dn, _ := ldap.ParseDN(base) // New has checked it
		if len(dn.RDNs) == 0 {
			list = append(list, forest...)
			continue
		}
		found := windowsDomain{}
		for _, domain := range forest { // the smallest one around the base
			if place, err := ldap.ParseDN(domain.base); err == nil && contain(place, dn) && len(domain.base) > len(found.base) {
				found = domain
			}
		}
		var labels []string
		for _, rdn := range dn.RDNs {
			if first := rdn.Attributes[0]; found.dns == "" && strings.EqualFold(first.Type, "dc") {
				labels = append(labels, first.Value)
			}
		}
		if len(labels) > 0 {
			const longest = 15 // of a NetBIOS name
			found = windowsDomain{dns: strings.Join(labels, "."), netBIOS: labels[0][:min(longest, len(labels[0]))]}
		}
		if found.dns != "" {
			found.base = base
			list = append(list, found)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list, w.until = list, until
	return list
}

// forest reads the domains that the partitions container names ([MS-ADTS] section 6.1.1.2.1.1).
func (d *Directory) forest(ctx context.Context) ([]windowsDomain, error) {
	root, err := d.servers.Search(ctx, &ldap.SearchRequest{
		Scope: ldap.ScopeBaseObject, TimeLimit: servers.SecondsLeft(ctx),
		Filter: "(objectClass=*)", Attributes: []string{"configurationNamingContext"},
	})
	if err != nil || len(root.Entries) != 1 {
		return nil, err
	}
	configuration := root.Entries[0].GetEqualFoldAttributeValue("configurationNamingContext")
	if configuration == "" {
		return nil, nil
	}
	res, err := d.servers.Search(ctx, &ldap.SearchRequest{
		BaseDN: "CN=Partitions," + configuration, Scope: ldap.ScopeSingleLevel, TimeLimit: servers.SecondsLeft(ctx),
		Filter: "(&(objectClass=crossRef)(nETBIOSName=*))", Attributes: []string{"nETBIOSName", "dnsRoot", "nCName"},
	})
	if err != nil {
		return nil, err
	}
	var forest []windowsDomain
	for _, e := range res.Entries {
		forest = append(forest, windowsDomain{
			netBIOS: e.GetEqualFoldAttributeValue("nETBIOSName"), dns: e.GetEqualFoldAttributeValue("dnsRoot"), base: e.GetEqualFoldAttributeValue("nCName"),
		})
	}
	return forest, nil
}
