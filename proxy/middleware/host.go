package middleware

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// maxHostName is the longest host name in characters (RFC 1035, section 2.3.4).
const maxHostName = 253

// CanonicalHost returns the canonical form of a host in any spelling: without
// port and final dot, in lower case, as A-labels; an IPv6 address without
// brackets. It returns "" for what is no valid host name or address.
func CanonicalHost(host string) string {
	name, _, ok := cutPort(host)
	if !ok {
		return ""
	}
	if strings.Contains(name, ":") {
		return canonicalIPv6(name)
	}
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > maxHostName*4 || !utf8.ValidString(name) { // U-labels are longer than A-labels
		return ""
	}
	if !plainHost(name) {
		name = strings.TrimSuffix(toASCII(name), ".")
	}
	if !validHost(name) {
		return ""
	}
	return name
}

// HostPort returns the port that a host names, 0 when it names none or the host is
// not valid.
func HostPort(host string) int {
	_, port, _ := cutPort(host)
	n, _ := strconv.ParseUint(port, 10, 16)
	return int(n)
}

// cutPort takes the port off a host. The port may be empty, as in RFC 3986,
// section 3.2.3; a bare IPv6 address has none. It returns IPv6 addresses without
// their brackets.
func cutPort(host string) (name, port string, ok bool) {
	if inner, bracketed := strings.CutPrefix(host, "["); bracketed {
		name, rest, closed := strings.Cut(inner, "]")
		port, found := strings.CutPrefix(rest, ":")
		return name, port, closed && strings.Contains(name, ":") && (rest == "" || found && isPort(port))
	}
	name, port, found := strings.Cut(host, ":")
	if strings.Contains(port, ":") {
		return host, "", true // more than one colon: an address, or nonsense that does not parse as one
	}
	return name, port, !found || isPort(port)
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0 || s == ""
}

func canonicalIPv6(s string) string {
	addr, err := netip.ParseAddr(s)
	if err != nil || addr.Zone() != "" {
		return ""
	}
	return addr.String()
}

// plainHost reports whether a name is in lower-case ASCII without A-labels, so
// that nothing has to be mapped. Nearly all names are.
func plainHost(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c >= 0x80 || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return !strings.Contains(name, "xn--")
}

// toASCII maps a name as browsers do (UTS #46), "" when that fails. Names of
// in-house machines may hold underscores, so the rules for letters, digits and
// hyphens are left to validHost.
func toASCII(name string) string {
	ascii, err := idna.New(
		idna.MapForLookup(),
		idna.BidiRule(),
		idna.Transitional(false),
		idna.StrictDomainName(false),
	).ToASCII(name)
	if err != nil {
		return ""
	}
	return ascii
}

// validHost reports whether a name consists of labels of letters, digits,
// hyphens and underscores.
func validHost(name string) bool {
	if name == "" || len(name) > maxHostName {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}
