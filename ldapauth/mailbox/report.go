package mailbox

import (
	"slices"
	"strings"
	"unicode"

	"persona-sidecar/idp/browserid"
)

// maxAddresses bounds what one person may claim; more is a mistake in the
// directory that must not turn into thousands of searches.
const maxAddresses = 200

// Report is what became of every value of an entry's address attributes, primary addresses first.
type Report []Value

// Value is one value of an address attribute.
type Value struct {
	Attribute string
	Written   string            // as the directory has it
	Address   browserid.Address // canonical; zero where it is none
	Reason    Reason            // why it does not count; "" where it does
	Holders   []string          // where Contested: the DNs of some of the entries that have it
}

// Reason is why a value is no address that counts, in words for an administrator.
type Reason string

// The reasons.
const (
	OtherDomain   Reason = "its domain is not among those that are signed for here"
	OuterSpace    Reason = "there is a space or an invisible character around it"
	Mailto        Reason = "it is a mailto: link, not an address"
	Several       Reason = "it is several addresses in one value"
	DisplayName   Reason = "it has a display name and angle brackets around the address"
	Quoted        Reason = "its local part is in quotes, which are not supported"
	NotASCII      Reason = "its local part is not ASCII, which is not supported"
	OtherPrefix   Reason = "its prefix says that it is no e-mail address"
	NoPrefix      Reason = "it lacks the prefix smtp: that this attribute has before an e-mail address"
	Malformed     Reason = "it is not an address in the form local@domain"
	Repeated      Reason = "it is there already, in another attribute or spelling"
	TooMany       Reason = "the entry has more than 200 addresses"
	SelfService   Reason = "people may write it themselves, unless mail_is_admin_only says that they cannot"
	Contested     Reason = "another entry has it, too"
	Ignored       Reason = "the entry is one of ignore_holders, which hold no address"
	NotSearchable Reason = "a search for it does not find the entry: check that bind_dn may search by the attribute"
)

// Addresses returns those that count, primary first, each once.
func (r Report) Addresses() []browserid.Address { return r.with("") }

// Contested returns the addresses that another entry has, too.
func (r Report) Contested() []browserid.Address { return r.with(Contested) }

func (r Report) with(reason Reason) []browserid.Address {
	var addresses []browserid.Address
	for _, value := range r {
		if value.Reason == reason {
			addresses = append(addresses, value.Address)
		}
	}
	return addresses
}

// Drop gives the address a reason not to count.
func (r Report) Drop(address browserid.Address, reason Reason, holders []string) {
	for i := range r {
		if r[i].Reason == "" && r[i].Address == address {
			r[i].Reason, r[i].Holders = reason, holders
		}
	}
}

// Reader knows which attributes have addresses, and which addresses may count.
type Reader struct {
	attributes []attribute
	domains    map[string]bool // canonical
	distrusted bool
}

// NewReader makes a Reader of these attributes, the primary one first. Addresses outside the domains, each of
// which [ParseDomain] accepts, do not count; where people write their attributes themselves, none does.
func NewReader(attributes, domains []string, selfService bool) *Reader {
	r := &Reader{domains: map[string]bool{}, distrusted: selfService}
	for _, name := range attributes {
		r.attributes = append(r.attributes, attribute{name: name, prefixed: strings.EqualFold(name, "proxyAddresses")})
	}
	for _, domain := range domains {
		canonical, _ := ParseDomain(domain)
		r.domains[canonical] = true
	}
	return r
}

// Distrusted reports whether no address counts because people write them themselves.
func (r *Reader) Distrusted() bool { return r.distrusted }

// Read judges every address of an entry, whose values of an attribute are given by values.
func (r *Reader) Read(values func(attribute string) []string) Report {
	var report Report
	seen := func(address browserid.Address) bool {
		return slices.ContainsFunc(report, func(v Value) bool { return v.Address == address })
	}
	counted := 0
	for _, a := range r.attributes {
		for _, written := range a.primaryFirst(values(a.name)) {
			v := Value{Attribute: a.name, Written: written}
			v.Address, v.Reason = a.parse(written)
			switch {
			case v.Reason != "":
			case !r.domains[v.Address.Domain()]:
				v.Reason = OtherDomain
			case seen(v.Address):
				v.Reason = Repeated
			case r.distrusted:
				v.Reason = SelfService
			case counted == maxAddresses:
				v.Reason = TooMany
			default:
				counted++
			}
			report = append(report, v)
		}
	}
	return report
}

// Spelling is one way in which an attribute may hold an address.
type Spelling struct{ Attribute, Value string }

// Spellings returns what a search must look for to find every holder of an address: an attribute's equality rule
// ignores case, but does not know that an A-label and its Unicode form are one domain. Attributes in absent, which no
// entry can have, are left out.
func (r *Reader) Spellings(address browserid.Address, absent []string) []Spelling {
	values := []string{address.String()}
	if readable := unicodeDomain(address.Domain()); readable != address.Domain() {
		values = append(values, address.Local()+"@"+readable)
	}
	spellings := make([]Spelling, 0, 2*len(values)*len(r.attributes))
	for _, a := range r.attributes {
		if slices.Contains(absent, a.name) {
			continue
		}
		for _, value := range values {
			if !a.prefixed {
				spellings = append(spellings, Spelling{Attribute: a.name, Value: value})
			}
			spellings = append(spellings, Spelling{Attribute: a.name, Value: smtpPrefix + value})
		}
	}
	return spellings
}

// attribute knows how one attribute writes addresses: with Exchange's prefix, "smtp:a@b" and "SMTP:a@b" for the
// primary one, or without.
type attribute struct {
	name     string
	prefixed bool // proxyAddresses: what has no prefix is no address
}

const smtpPrefix = "smtp:"

// primaryFirst moves the primary addresses to the front.
func (a attribute) primaryFirst(values []string) []string {
	primary := func(value string) bool { return strings.HasPrefix(value, "SMTP:") }
	if !slices.ContainsFunc(values, primary) {
		return values
	}
	sorted := slices.Clone(values)
	slices.SortStableFunc(sorted, func(one, other string) int {
		switch {
		case primary(one) == primary(other):
			return 0
		case primary(one):
			return -1
		}
		return 1
	})
	return sorted
}

// parse returns the canonical address, or why the value is none.
func (a attribute) parse(written string) (browserid.Address, Reason) {
	prefix, rest, found := strings.Cut(written, ":")
	switch found = found && isPrefix(prefix); {
	case found && strings.EqualFold(prefix, "smtp"):
		written = rest
	case found && strings.EqualFold(prefix, "mailto"):
		return browserid.Address{}, Mailto
	case found:
		return browserid.Address{}, OtherPrefix
	case a.prefixed:
		return browserid.Address{}, NoPrefix
	}
	if address, ok := Parse(written); ok {
		return address, ""
	}
	outer := func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || unicode.IsControl(r) }
	local, _, _ := strings.Cut(written, "@")
	trimmed := strings.TrimFunc(written, outer)
	reason := Malformed
	switch {
	case strings.ContainsAny(written, ";,") && strings.Count(written, "@") > 1:
		reason = Several
	case strings.ContainsAny(written, "<>"):
		reason = DisplayName
	case trimmed != written && strings.Contains(trimmed, "@"):
		reason = OuterSpace
	case strings.HasPrefix(written, `"`):
		reason = Quoted
	case strings.ContainsFunc(local, func(r rune) bool { return r > unicode.MaxASCII }) && strings.Count(written, "@") == 1:
		reason = NotASCII
	}
	return browserid.Address{}, reason
}

// isPrefix reports whether the text before a colon names a kind of address, as in X500:/o=Example.
func isPrefix(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '+' && r != '.'
	})
}
