package account

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// The matching rules of Active Directory for bits, [MS-ADTS] section 3.1.1.3.4.4.
const (
	allBits = "1.2.840.113556.1.4.803"
	anyBits = "1.2.840.113556.1.4.804"
)

// compile makes a filter that is evaluated on an entry that was read already, so that it costs no search, and returns the
// attributes that it needs. Texts are compared as caseIgnoreMatch does, names of entries as such. Greater, less and
// rules other than those for bits depend on what an attribute is, which is not known here: they are errors.
func compile(text string) (matches func(Entry) bool, attributes []string, err error) {
	packet, err := ldap.CompileFilter(text)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the filter: %w", err)
	}
	matches, err = compilePacket(packet, &attributes)
	return matches, attributes, err
}

func compilePacket(p *ber.Packet, attributes *[]string) (func(Entry) bool, error) {
	switch p.Tag {
	case ldap.FilterAnd, ldap.FilterOr, ldap.FilterNot:
		var parts []func(Entry) bool
		for _, child := range p.Children {
			part, err := compilePacket(child, attributes)
			if err != nil {
				return nil, err
			}
			parts = append(parts, part)
		}
		switch p.Tag {
		case ldap.FilterNot:
			return func(e Entry) bool { return !parts[0](e) }, nil
		case ldap.FilterOr:
			return func(e Entry) bool {
				return slices.ContainsFunc(parts, func(part func(Entry) bool) bool { return part(e) })
			}, nil
		}
		return func(e Entry) bool {
			return !slices.ContainsFunc(parts, func(part func(Entry) bool) bool { return !part(e) })
		}, nil
	}

	var (
		attribute string
		holds     func(value string) bool
	)
	switch p.Tag {
	case ldap.FilterPresent:
		attribute, holds = p.Data.String(), func(string) bool { return true }
	case ldap.FilterEqualityMatch, ldap.FilterApproxMatch:
		attribute, holds = p.Children[0].Data.String(), equalTo(p.Children[1].Data.String())
	case ldap.FilterSubstrings:
		attribute, holds = p.Children[0].Data.String(), like(p.Children[1].Children)
	case ldap.FilterExtensibleMatch:
		parts := map[ber.Tag]string{}
		for _, child := range p.Children {
			parts[child.Tag] = child.Data.String()
		}
		rule := parts[ldap.MatchingRuleAssertionMatchingRule]
		_, dn := parts[ldap.MatchingRuleAssertionDNAttributes]
		bits, err := strconv.ParseUint(parts[ldap.MatchingRuleAssertionMatchValue], 10, 32)
		if rule != allBits && rule != anyBits || dn || err != nil {
			return nil, fmt.Errorf("the only rules that can be used are %s and %s, with a number", allBits, anyBits)
		}
		attribute, holds = parts[ldap.MatchingRuleAssertionType], func(value string) bool {
			n, err := strconv.ParseInt(value, 10, 64)
			set := uint32(n) & uint32(bits)
			return err == nil && (set == uint32(bits) || rule == anyBits && set != 0)
		}
	default:
		return nil, fmt.Errorf("%s cannot be used here", ldap.FilterMap[uint64(p.Tag)])
	}
	*attributes = append(*attributes, attribute)
	return func(e Entry) bool { return slices.ContainsFunc(e.GetEqualFoldAttributeValues(attribute), holds) }, nil
}

// fold makes texts that caseIgnoreMatch takes for the same the same.
func fold(s string) string { return strings.Join(strings.Fields(strings.ToLower(s)), " ") }

// equalTo compares with a text, or with the name of an entry where the text is one.
func equalTo(text string) func(value string) bool {
	text = fold(text)
	dn, err := ldap.ParseDN(text)
	if err != nil || !strings.Contains(text, "=") {
		return func(value string) bool { return fold(value) == text }
	}
	return func(value string) bool {
		other, err := ldap.ParseDN(fold(value))
		return fold(value) == text || err == nil && other.EqualFold(dn)
	}
}

// like compares with the pieces of a substring filter.
func like(pieces []*ber.Packet) func(value string) bool {
	return func(value string) bool {
		rest := fold(value)
		for _, piece := range pieces {
			text := strings.ToLower(piece.Data.String())
			at := strings.Index(rest, text)
			switch {
			case piece.Tag == ldap.FilterSubstringsFinal:
				return strings.HasSuffix(rest, text)
			case at < 0 || piece.Tag == ldap.FilterSubstringsInitial && at > 0:
				return false
			}
			rest = rest[at+len(text):]
		}
		return true
	}
}
