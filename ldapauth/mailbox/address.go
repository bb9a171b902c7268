package mailbox

import (
	"strings"

	"persona-sidecar/idp/browserid"

	"golang.org/x/net/idna"
)

const (
	// maxWritten bounds an address as the directory writes it, in bytes: what is
	// longer is not worth converting.
	maxWritten = 254
	maxDomain  = 253 // bytes of a host name without the final dot
)

// Parse reads an address as a directory writes it, where the domain may be in
// Unicode. Nothing is trimmed or corrected; what is odd in any way is refused,
// because the directory might correct it differently.
func Parse(written string) (browserid.Address, bool) {
	local, domain, found := strings.Cut(written, "@")
	if !found || len(written) > maxWritten {
		return browserid.Address{}, false
	}
	ascii, ok := ParseDomain(domain)
	if !ok {
		return browserid.Address{}, false
	}
	address, err := browserid.ParseAddress(local + "@" + ascii)
	return address, err == nil
}

// ParseDomain returns a host name in lower-case A-labels. A name outside
// ASCII must already be in the form that its A-labels stand for: a full-width
// or otherwise mapped spelling would be found by no search for the real one.
func ParseDomain(written string) (string, bool) {
	lower := strings.Map(func(r rune) rune { // strings.ToLower turns a Kelvin sign into a k
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, written)
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
	if !strings.Contains(ascii, "xn--") {
		return ascii
	}
	s, err := idna.Lookup.ToUnicode(ascii)
	if err != nil {
		return ascii
	}
	return s
}
