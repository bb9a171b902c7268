package ldapauth

import (
	"slices"
	"strings"

	"persona-sidecar/idp/browserid"

	"golang.org/x/net/idna"
)

const (
	// maxWritten bounds an address as the directory writes it, in bytes: what is
	// longer is not worth converting.
	maxWritten = 254
	maxDomain  = 253 // bytes of a host name without the final dot
	// maxAddresses bounds what one person may claim; more is a mistake in the
	// directory that must not turn into thousands of searches.
	maxAddresses = 200
)

// canonicalAddress reads an address as a directory writes it, where the domain
// may be in Unicode. Nothing is trimmed or corrected; what is odd in any way is
// refused, because the directory might correct it differently.
func canonicalAddress(s string) (browserid.Address, bool) {
	local, domain, found := strings.Cut(s, "@")
	if !found || len(s) > maxWritten {
		return browserid.Address{}, false
	}
	ascii, ok := canonicalDomain(domain)
	if !ok {
		return browserid.Address{}, false
	}
	address, err := browserid.ParseAddress(local + "@" + ascii)
	return address, err == nil
}

// canonicalDomain returns a host name in lower-case A-labels. A name outside
// ASCII must already be in the form that its A-labels stand for: a full-width
// or otherwise mapped spelling would be found by no search for the real one.
func canonicalDomain(s string) (string, bool) {
	lower := strings.Map(func(r rune) rune { // strings.ToLower turns a Kelvin sign into a k
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
	ascii, err := idna.Lookup.ToASCII(lower)
	if err != nil || ascii == "" || len(ascii) > maxDomain || strings.HasSuffix(ascii, ".") {
		return "", false
	}
	if lower != ascii && lower != unicodeDomain(ascii) {
		return "", false
	}
	return ascii, true
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

// spellings returns the values under which a search finds any owner of a
// canonical address: the attribute's equality rule ignores case, but does not
// know that an A-label and its Unicode form are one domain.
func (a addressAttribute) spellings(canonical browserid.Address) []string {
	values := []string{canonical.String()}
	if readable := unicodeDomain(canonical.Domain()); readable != canonical.Domain() {
		values = append(values, canonical.Local()+"@"+readable)
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
func (d *Directory) addresses(e entry) []browserid.Address {
	var claimed []browserid.Address
	for _, attribute := range d.addressAttributes {
		for _, written := range attribute.written(e.values(attribute.name)) {
			address, ok := canonicalAddress(written)
			if !ok || !d.domains[address.Domain()] || slices.Contains(claimed, address) {
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
