package directory

import (
	"slices"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// matches reports whether a filter (RFC 4511, section 4.5.1.7) is true of an entry. All attributes compare without
// case. What the directory does not know, such as an extensible match, is undefined and so is what contains it: known
// is false.
func matches(p *ber.Packet, e entry) (match, known bool) {
	text := func(p *ber.Packet) string { return strings.ToLower(p.Data.String()) }
	anyValue := func(pass func(value string) bool) (bool, bool) {
		return slices.ContainsFunc(e.get(text(p.Children[0])), func(value string) bool { return pass(strings.ToLower(value)) }), true
	}
	switch p.Tag {
	case ldap.FilterAnd, ldap.FilterOr:
		// The first part that decides: false for and, true for or. None at all is true for and (RFC 4526).
		decides, known := p.Tag == ldap.FilterOr, true
		for _, part := range p.Children {
			match, sure := matches(part, e)
			if sure && match == decides {
				return decides, true
			}
			known = known && sure
		}
		return !decides, known
	case ldap.FilterNot:
		match, known := matches(p.Children[0], e)
		return !match, known
	case ldap.FilterPresent:
		return e.get(text(p)) != nil, true
	case ldap.FilterEqualityMatch, ldap.FilterApproxMatch:
		return anyValue(func(value string) bool { return value == text(p.Children[1]) })
	case ldap.FilterGreaterOrEqual:
		return anyValue(func(value string) bool { return value >= text(p.Children[1]) })
	case ldap.FilterLessOrEqual:
		return anyValue(func(value string) bool { return value <= text(p.Children[1]) })
	case ldap.FilterSubstrings:
		return anyValue(func(value string) bool {
			for _, part := range p.Children[1].Children {
				var found bool
				switch part.Tag {
				case ldap.FilterSubstringsInitial:
					value, found = strings.CutPrefix(value, text(part))
				case ldap.FilterSubstringsAny:
					_, value, found = strings.Cut(value, text(part))
				case ldap.FilterSubstringsFinal:
					found = strings.HasSuffix(value, text(part))
				}
				if !found {
					return false
				}
			}
			return true
		})
	}
	return false, false
}
