package directory

import (
	"fmt"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// truth is the three-valued logic of search filters (RFC 4511, section 4.5.1.7).
type truth int8

const (
	undefined truth = iota
	no
	yes
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// filter decides which entries a search returns.
type filter struct{ root *ber.Packet }

// parseFilter reads a filter as RFC 4515 writes it.
func parseFilter(text string) (filter, error) {
	root, err := ldap.CompileFilter(text)
	if err != nil {
		return filter{}, fmt.Errorf("reading the filter: %w", err)
	}
	return filter{root: root}, nil
}

// matches tells whether the filter is true of the entry; undefined is not true.
func (f filter) matches(e entry) bool { return evaluate(f.root, e) == yes }

func evaluate(p *ber.Packet, e entry) truth {
	switch p.Tag {
	case ldap.FilterAnd:
		return both(p.Children, e)
	case ldap.FilterOr:
		return either(p.Children, e)
	case ldap.FilterNot:
		return not(evaluate(p.Children[0], e))
	case ldap.FilterPresent:
		return truthOf(e.get(text(p)) != nil)
	case ldap.FilterSubstrings:
		return anyValue(e, p, func(value string) bool { return substrings(p.Children[1].Children, value) })
	case ldap.FilterEqualityMatch, ldap.FilterApproxMatch:
		return anyValue(e, p, func(value string) bool { return strings.EqualFold(value, text(p.Children[1])) })
	case ldap.FilterGreaterOrEqual:
		return anyValue(e, p, func(value string) bool { return strings.ToLower(value) >= strings.ToLower(text(p.Children[1])) })
	case ldap.FilterLessOrEqual:
		return anyValue(e, p, func(value string) bool { return strings.ToLower(value) <= strings.ToLower(text(p.Children[1])) })
	}
	return undefined // an extensible match: none of its rules is known here
}

// both is false as soon as one part is, and true only when all are; an empty set is true (RFC 4526).
func both(parts []*ber.Packet, e entry) truth {
	result := yes
	for _, part := range parts {
		switch evaluate(part, e) {
		case no:
			return no
		case undefined:
			result = undefined
		case yes:
		}
	}
	return result
}

// either is true as soon as one part is, and false only when none is; an empty set is false (RFC 4526).
func either(parts []*ber.Packet, e entry) truth {
	result := no
	for _, part := range parts {
		switch evaluate(part, e) {
		case yes:
			return yes
		case undefined:
			result = undefined
		case no:
		}
	}
	return result
}

func not(t truth) truth {
	switch t {
	case yes:
		return no
	case no:
		return yes
	case undefined:
	}
	return undefined
}

// anyValue tells whether some value of the attribute that p names passes. All attributes here compare without case.
func anyValue(e entry, p *ber.Packet, pass func(value string) bool) truth {
	for _, value := range e.get(text(p.Children[0])) {
		if pass(value) {
			return yes
		}
	}
	return no
}

// substrings finds the parts in value, in order: first at the beginning, last at the end, others anywhere between.
func substrings(parts []*ber.Packet, value string) bool {
	value = strings.ToLower(value)
	for _, part := range parts {
		wanted := strings.ToLower(text(part))
		switch part.Tag {
		case ldap.FilterSubstringsInitial:
			rest, found := strings.CutPrefix(value, wanted)
			if !found {
				return false
			}
			value = rest
		case ldap.FilterSubstringsAny:
			_, rest, found := strings.Cut(value, wanted)
			if !found {
				return false
			}
			value = rest
		case ldap.FilterSubstringsFinal:
			if !strings.HasSuffix(value, wanted) {
				return false
			}
		}
	}
	return true
}

func text(p *ber.Packet) string { return p.Data.String() }
