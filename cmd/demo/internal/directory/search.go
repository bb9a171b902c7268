package directory

import (
	"github.com/go-ldap/ldap/v3"
	"github.com/jimlambrt/gldap"
)

// outcome is how an operation ends: a result code (RFC 4511, appendix A) and a word for the person who debugs.
type outcome struct {
	code    int
	message string
}

// search answers a search for who is bound, and returns the entries that may be seen.
func (t *tree) search(who identity, m *gldap.SearchMessage) ([]entry, outcome) {
	if m.BaseDN == "" && m.Scope == gldap.BaseObject {
		return []entry{t.rootDSE()}, outcome{code: gldap.ResultSuccess}
	}
	if who.anonymous() {
		return nil, outcome{gldap.ResultInsufficientAccessRights, "bind first: strangers read nothing but the root DSE"}
	}
	for _, control := range m.Controls {
		if c, foreign := control.(*gldap.ControlString); foreign && c.Criticality {
			return nil, outcome{gldap.ResultUnavailableCriticalExtension, "a critical control is not known here"}
		}
	}
	base, err := ldap.ParseDN(m.BaseDN)
	if err != nil {
		return nil, outcome{gldap.ResultInvalidDNSyntax, "the base is not a DN"}
	}
	wanted, err := parseFilter(m.Filter)
	if err != nil {
		return nil, outcome{gldap.ResultProtocolError, "the filter does not parse"}
	}
	if !t.has(base) {
		return nil, outcome{gldap.ResultNoSuchObject, "there is no such base"}
	}
	return t.collect(who, m, base, wanted)
}

func (t *tree) collect(who identity, m *gldap.SearchMessage, base *ldap.DN, wanted filter) ([]entry, outcome) {
	var found []entry
	for _, e := range t.entries {
		if !who.mayRead(e) || !inScope(e.parsed, base, m.Scope) || !wanted.matches(e) {
			continue
		}
		if m.SizeLimit > 0 && int64(len(found)) == m.SizeLimit {
			return found, outcome{gldap.ResultSizeLimitExceeded, "more entries match than were asked for"}
		}
		found = append(found, e)
	}
	return found, outcome{code: gldap.ResultSuccess}
}

func (t *tree) has(dn *ldap.DN) bool {
	for _, e := range t.entries {
		if e.parsed.EqualFold(dn) {
			return true
		}
	}
	return false
}

func inScope(dn, base *ldap.DN, scope gldap.Scope) bool {
	switch scope {
	case gldap.BaseObject:
		return dn.EqualFold(base)
	case gldap.SingleLevel:
		return len(dn.RDNs) == len(base.RDNs)+1 && base.AncestorOfFold(dn)
	case gldap.WholeSubtree:
		return dn.EqualFold(base) || base.AncestorOfFold(dn)
	}
	return false
}

// rootDSE is what a server tells everybody about itself (RFC 4512, section 5.1).
func (t *tree) rootDSE() entry {
	return newEntry(&ldap.DN{}, "", values{
		"objectClass":          {"top"},
		"namingContexts":       {t.baseDN},
		"supportedLDAPVersion": {"3"},
		"supportedControl":     {gldap.ControlTypeBeheraPasswordPolicy},
		"vendorName":           {"persona demo"},
	})
}
