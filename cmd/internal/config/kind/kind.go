package kind

import (
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// Problem is what is wrong with a text and what to do about it; the zero value is
// nothing.
type Problem struct {
	Text, Cure string
	Warning    bool // allowed, but probably not intended
}

// Bad returns a problem.
func Bad(cure, format string, args ...any) Problem {
	return Problem{Text: fmt.Sprintf(format, args...), Cure: cure}
}

// Read returns what a text of a kind means: the value of a field, or for a list one
// item or several. The argument is what the kind needs to know besides, tags are
// those of the field. Of a faulty text the value is what later checks can use. A new
// kind is one case here.
func Read(kind, argument string, tags reflect.StructTag, text string) (any, Problem) {
	switch kind {
	case "":
		return text, Problem{}
	case "number":
		return number(text, tags)
	case "duration":
		return duration(text, tags)
	case "word":
		return word(text, strings.Fields(argument))
	case "listen":
		return listenAddress(text, argument)
	case "proxy":
		if text == "private" {
			return text, Problem{}
		}
		return networks(text)
	case "private":
		return privateDestination(text)
	case "host":
		return hostName(text)
	case "hostOrAddress":
		if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
			return addr.Unmap().String(), Problem{}
		}
		return hostName(text)
	case "address":
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" || addr.IsUnspecified() {
			return nil, Bad("write the address of one machine, as in 10.0.0.5", "%s is not the address of a machine", Quote(text))
		}
		return addr.Unmap(), Problem{}
	case "mailDomain":
		if text == "*" {
			return text, Problem{}
		}
		return hostName(text)
	case "authority":
		return authority(text)
	case "upstream":
		return upstreamURL(text)
	case "ldap":
		return ldapURL(text)
	case "srv":
		return serviceDomain(text)
	case "page":
		return pageURL(text)
	case "hub":
		return hubURL(text)
	case "relyingParty":
		return relyingParty(text)
	case "acme":
		return acmeDirectory(text)
	case "email":
		return emailAddress(text)
	case "keyID":
		return keyID(text)
	case "dn":
		return distinguishedName(text, tags.Get("example"))
	case "base":
		if text == "" {
			return text, Problem{}
		}
		return distinguishedName(text, tags.Get("example"))
	case "group":
		return groupName(text, tags.Get("example"))
	case "bindName":
		return bindName(text, tags.Get("example"))
	case "filter":
		return searchFilter(text)
	case "attribute":
		// As ldapauth accepts them: no options, no numeric OID.
		if !regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`).MatchString(text) {
			return "", Bad("write it as in mail or entryUUID", "%s is not the name of an attribute", Quote(text))
		}
		return text, Problem{}
	}
	return ofWebsite(kind, text)
}

// Quote returns a text of the configuration as a fault may show it.
func Quote(text string) string { return strconv.Quote(Shorten(text)) }

// Shorten returns the beginning of a long text.
func Shorten(text string) string {
	const most = 60
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// Alternatives returns "a", "a or b", "a, b or c".
func Alternatives(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func emailAddress(text string) (string, Problem) {
	local, domain, found := strings.Cut(text, "@")
	if _, p := hostName(domain); !found || local == "" || p.Text != "" || strings.ContainsAny(local, " \t<>,") {
		return text, Bad("write one address, as in admin@example.com", "%s is not an e-mail address", Quote(text))
	}
	return text, Problem{}
}

// keyID returns the id of an external account, an ASCII string (RFC 8555 section 7.3.4).
func keyID(text string) (string, Problem) {
	if strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return text, Bad("write it as the authority gave it: ASCII without blanks", "%s is not a key identifier", Quote(text))
	}
	return text, Problem{}
}

// groupName returns a group of a directory, by its cn or its DN.
func groupName(text, example string) (string, Problem) {
	if strings.Contains(text, "=") {
		return distinguishedName(text, example)
	}
	if text == "" || strings.TrimSpace(text) != text {
		return text, Bad("write its cn, or its DN as in "+example, "%s is not the name of a group", Quote(text))
	}
	return text, Problem{}
}

// word returns one of the known words.
func word(text string, known []string) (string, Problem) {
	if !slices.Contains(known, text) {
		return "", Bad("use "+Alternatives(known), "%s is not a known value", Quote(text))
	}
	return text, Problem{}
}

func number(text string, tag reflect.StructTag) (int, Problem) {
	least, most := tag.Get("min"), tag.Get("max")
	lower, _ := strconv.Atoi(least)
	upper, _ := strconv.Atoi(most)
	n, err := strconv.Atoi(text)
	if err != nil || n < lower || n > upper {
		return 0, Bad(fmt.Sprintf("write %s to %s", least, most), "%s is not a whole number that fits", Quote(text))
	}
	return n, Problem{}
}

func duration(text string, tag reflect.StructTag) (time.Duration, Problem) {
	least, _ := time.ParseDuration(tag.Get("min"))
	most, _ := time.ParseDuration(tag.Get("max"))
	bounds := fmt.Sprintf("write %s to %s", tag.Get("min"), tag.Get("max"))
	d, err := time.ParseDuration(text)
	_, notNumeric := strconv.ParseFloat(text, 64)
	switch {
	case err != nil && notNumeric == nil:
		return 0, Bad(bounds+", with a unit such as 30m or 1h", "%s has no unit", Quote(text))
	case err != nil:
		return 0, Bad(bounds+", as in 90s, 30m or 1h30m", "%s is not a duration", Quote(text))
	case d < least:
		return 0, Bad(bounds, "%s is too short", Quote(text))
	case d > most:
		return 0, Bad(bounds, "%s is too long", Quote(text))
	}
	return d, Problem{}
}

// Private returns the networks of the word private: loopback, and what is never
// routed on the Internet.
func Private() []netip.Prefix {
	var all []netip.Prefix
	for _, network := range []string{"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7"} {
		all = append(all, netip.MustParsePrefix(network))
	}
	return all
}

// networks returns the network of a CIDR or of a single address, or those of
// the word private.
func networks(text string) ([]netip.Prefix, Problem) {
	if text == "private" {
		return Private(), Problem{}
	}
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return []netip.Prefix{netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())}, Problem{}
	}
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return nil, Bad("write an address, a network as in 10.0.0.0/8, or the word private", "%s is not a network", Quote(text))
	case prefix.Masked() != prefix:
		return nil, Bad(fmt.Sprintf("write %s for the network, or %s for the address alone", prefix.Masked(), prefix.Addr()), "%s is an address inside a network", Quote(text))
	case prefix.Bits() == 0:
		warning := Bad("list the networks of your own proxies alone: clients can choose the address that is logged and throttled", "%s trusts every client", Quote(text))
		warning.Warning = true
		return []netip.Prefix{prefix}, warning
	}
	return []netip.Prefix{prefix}, Problem{}
}

// privateDestination returns networks, or a host name.
func privateDestination(text string) (any, Problem) {
	isNetwork := strings.Contains(text, "/") && !strings.Contains(text, "://")
	if text != "private" && !isAddress(text) && !isNetwork {
		return hostName(text)
	}
	prefixes, p := networks(text)
	if p.Warning {
		p = Bad("list the networks or names of your own other identity providers: the sender of an assertion chooses which domain is looked up", "%s lets look-ups go everywhere", Quote(text))
		p.Warning = true
	}
	return prefixes, p
}

// distinguishedName returns a DN with at least one component.
func distinguishedName(text, example string) (string, Problem) {
	dn, err := ldap.ParseDN(text)
	switch {
	case strings.TrimSpace(text) == "":
		return text, Bad("write it as in "+example, "is empty")
	case err != nil || len(dn.RDNs) == 0:
		return text, Bad("write it as in "+example, "%s is not a distinguished name", Quote(text))
	}
	return text, Problem{}
}

// bindName returns the name of an account as a simple bind takes it: a distinguished name, or one of the forms that Active
// Directory also takes ([MS-ADTS] section 5.1.1.1.1).
func bindName(text, example string) (string, Problem) {
	if regexp.MustCompile(`^[^@\\=,\s]+@[A-Za-z0-9.-]+$|^[A-Za-z0-9._-]+\\[^@\\=,]+$`).MatchString(text) {
		return text, Problem{}
	}
	name, p := distinguishedName(text, example)
	if p.Text != "" {
		p.Cure = "write it as in " + example + " or idp@example.com"
	}
	return name, p
}

// placeholder is where other programs put the login into a filter.
var placeholder = regexp.MustCompile(`%s|%u|[{}]`)

func searchFilter(text string) (string, Problem) {
	if placeholder.MatchString(text) {
		return text, Bad("leave that part out: login_attributes say where the login is searched", "has a placeholder for the login")
	}
	if _, err := ldap.CompileFilter(text); err != nil {
		return text, Bad("write it in parentheses, as in (objectClass=inetOrgPerson)", "%s is not a search filter", Quote(text))
	}
	return text, Problem{}
}
