package ldapauth

import (
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

const (
	maxAddress   = 254 // bytes of a whole address, RFC 5321 section 4.5.3.1.3 less the angle brackets
	maxLocalPart = 64  // bytes, RFC 5321 section 4.5.3.1.1
	maxDomain    = 253 // bytes of a host name without the final dot
	// maxAddresses bounds what one person may claim; more is a mistake in the
	// directory that must not turn into thousands of searches.
	maxAddresses = 200
)

// canonicalAddress brings an address into the one form in which addresses are
// compared and certified: ASCII lower case, the domain in A-labels. Nothing is
// trimmed or mended; what is odd in any way is refused, because the directory
// and we might mend it differently.
func canonicalAddress(s string) (local, domain string, ok bool) {
	if len(s) > maxAddress {
		return "", "", false
	}
	local, domain, found := strings.Cut(s, "@")
	if !found || local == "" || len(local) > maxLocalPart || strings.ContainsFunc(local, isOddInLocalPart) {
		return "", "", false
	}
	domain, ok = canonicalDomain(domain)
	if !ok || len(local)+1+len(domain) > maxAddress {
		return "", "", false
	}
	return strings.ToLower(local), domain, true
}

// isOddInLocalPart refuses what the protocol's grammar of addresses does not
// have: quotes, spaces, controls, a second @ and everything outside ASCII.
func isOddInLocalPart(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return !strings.ContainsRune("!#$%&'*+/=?^_`{|}~.-", r)
}

// canonicalDomain returns a host name in lower-case A-labels. A name outside
// ASCII must already be in the form that its A-labels stand for: a full-width
// or otherwise mapped spelling would be found by no search for the real one.
func canonicalDomain(s string) (string, bool) {
	lower := strings.Map(lowerASCII, s) // strings.ToLower turns a Kelvin sign into a k
	ascii, err := idna.Lookup.ToASCII(lower)
	if err != nil || ascii == "" || len(ascii) > maxDomain || strings.HasSuffix(ascii, ".") {
		return "", false
	}
	if lower != ascii && lower != unicodeDomain(ascii) {
		return "", false
	}
	return ascii, true
}

func lowerASCII(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

// unicodeDomain returns the spelling of an A-label domain that people read.
func unicodeDomain(ascii string) string {
	s, err := idna.Lookup.ToUnicode(ascii)
	if err != nil {
		return ascii
	}
	return s
}

// addressAttribute knows how one attribute writes addresses.
type addressAttribute struct {
	name     string
	prefixed bool // proxyAddresses: "smtp:a@b" is an address, "SMTP:a@b" the primary one
}

const proxyPrefix = "smtp:"

func newAddressAttribute(name string) addressAttribute {
	return addressAttribute{name: name, prefixed: strings.EqualFold(name, "proxyAddresses")}
}

// written returns the addresses among an attribute's values as they are
// written, primary ones first.
func (a addressAttribute) written(values []string) []string {
	if !a.prefixed {
		return values
	}
	var primary, others []string
	for _, v := range values {
		if len(v) < len(proxyPrefix) || !strings.EqualFold(v[:len(proxyPrefix)], proxyPrefix) {
			continue // X400, X500, sip and the like
		}
		if address := v[len(proxyPrefix):]; v[:len(proxyPrefix)] == strings.ToUpper(proxyPrefix) {
			primary = append(primary, address)
		} else {
			others = append(others, address)
		}
	}
	return append(primary, others...)
}

// spellings returns the values under which a search finds any holder of a
// canonical address: the attribute's equality rule ignores case, but does not
// know that an A-label and its Unicode form are one domain.
func (a addressAttribute) spellings(canonical string) []string {
	local, domain, _ := strings.Cut(canonical, "@")
	values := []string{canonical}
	if readable := unicodeDomain(domain); readable != domain {
		values = append(values, local+"@"+readable)
	}
	if a.prefixed {
		for i := range values {
			values[i] = proxyPrefix + values[i]
		}
	}
	return values
}

// addresses returns the canonical addresses that an entry claims in our
// domains, primary first, each once.
func (d *Directory) addresses(e entry) []string {
	var claimed []string
	for _, attribute := range d.addressAttributes {
		for _, written := range attribute.written(e.values(attribute.name)) {
			local, domain, ok := canonicalAddress(written)
			address := local + "@" + domain
			if !ok || !d.domains[domain] || slices.Contains(claimed, address) {
				continue
			}
			if len(claimed) == maxAddresses {
				d.log.Warn().Str("id", e.id).Int("limit", maxAddresses).Msg("an entry claims too many addresses: the rest is ignored")
				return claimed
			}
			claimed = append(claimed, address)
		}
	}
	return claimed
}
