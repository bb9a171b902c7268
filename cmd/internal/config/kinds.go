package config

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

// problem is what is wrong with a text and what to do about it; the zero value
// is nothing.
type problem struct {
	text, cure string
	warning    bool // allowed, but probably not intended
}

func bad(cure, format string, args ...any) problem {
	return problem{text: fmt.Sprintf(format, args...), cure: cure}
}

// convert returns what a text means as the value of a key: of the type of the
// field, or of a list one item or several. A new kind of text is one case here.
func (l *loader) convert(k key, p place) (any, problem) {
	text := p.node.Value
	switch k.kind {
	case "":
		return text, problem{}
	case "bool":
		return boolean(text, p)
	case "number":
		return number(text, k.tag)
	case "duration":
		return duration(text, k.tag)
	case "word":
		return word(text, strings.Fields(k.argument), strings.Fields(k.tag.Get("later")))
	case "path":
		return l.path(p), problem{}
	case "roots":
		return l.roots(l.path(p))
	case "moreRoots":
		return moreRoots(l.path(p))
	case "secret":
		return NewSecret(text), problem{}
	case "secretFile":
		return l.secretFile(l.path(p))
	case "macKeyFile":
		return l.macKeyFile(l.path(p))
	case "listen":
		return listenAddress(text, k.argument)
	case "network":
		return networks(text)
	case "private":
		return privateDestination(text)
	case "host":
		return hostName(text)
	case "hostOrAddress":
		if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
			return addr.Unmap().String(), problem{}
		}
		return hostName(text)
	case "mailDomain":
		if text == "*" {
			return text, problem{}
		}
		return hostName(text)
	case "authority":
		return authority(text)
	case "upstream":
		return upstreamURL(text)
	case "ldap":
		return ldapURL(text)
	case "hub":
		return hubURL(text)
	case "relyingParty":
		return relyingParty(text)
	case "acme":
		return acmeDirectory(text)
	case "email":
		local, domain, found := strings.Cut(text, "@")
		if _, p := hostName(domain); !found || local == "" || p.text != "" || strings.ContainsAny(local, " \t<>,") {
			return text, bad("write one address, as in admin@example.com", "%s is not an e-mail address", quote(text))
		}
		return text, problem{}
	case "keyID":
		// An ASCII string (RFC 8555 section 7.3.4).
		if strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) {
			return text, bad("write it as the authority gave it: ASCII without blanks", "%s is not a key identifier", quote(text))
		}
		return text, problem{}
	case "dn":
		return distinguishedName(text, k.tag.Get("example"))
	case "filter":
		return searchFilter(text)
	case "attribute":
		// As ldapauth accepts them: no options, no numeric OID.
		if !regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`).MatchString(text) {
			return "", bad("write it as in mail or entryUUID", "%s is not the name of an attribute", quote(text))
		}
		return text, problem{}
	}
	panic("config: no kind " + k.kind + " of the key " + k.name) // a wrong tag, which every test of Load meets
}

// quote returns a text of the configuration as a fault may show it.
func quote(text string) string { return strconv.Quote(shorten(text)) }

func shorten(text string) string {
	const most = 60
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// alternatives returns "a", "a or b", "a, b or c".
func alternatives(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// word returns one of the known words. Those of a later release are refused as
// such.
func word(text string, known, later []string) (string, problem) {
	switch {
	case slices.Contains(known, text):
		return text, problem{}
	case slices.Contains(later, text):
		return "", bad("use "+alternatives(known), "%s is not available yet", quote(text))
	}
	return "", bad("use "+alternatives(known), "%s is not a known value", quote(text))
}

// boolean returns true or false. The words in quotes are texts in YAML, and a
// variable has nothing but texts.
func boolean(text string, p place) (bool, problem) {
	unquoted := ""
	if p.line > 0 {
		unquoted = ", without quotes"
	}
	if text != "true" && text != "false" || p.line > 0 && p.node.ShortTag() != "!!bool" {
		return text == "true", bad("write true or false"+unquoted, "%s is neither true nor false", quote(text))
	}
	return text == "true", problem{}
}

func number(text string, tag reflect.StructTag) (int, problem) {
	least, most := tag.Get("min"), tag.Get("max")
	lower, _ := strconv.Atoi(least)
	upper, _ := strconv.Atoi(most)
	n, err := strconv.Atoi(text)
	if err != nil || n < lower || n > upper {
		return 0, bad(fmt.Sprintf("write %s to %s", least, most), "%s is not a whole number that fits", quote(text))
	}
	return n, problem{}
}

func duration(text string, tag reflect.StructTag) (time.Duration, problem) {
	least, _ := time.ParseDuration(tag.Get("min"))
	most, _ := time.ParseDuration(tag.Get("max"))
	bounds := fmt.Sprintf("write %s to %s", tag.Get("min"), tag.Get("max"))
	d, err := time.ParseDuration(text)
	_, notNumeric := strconv.ParseFloat(text, 64)
	switch {
	case err != nil && notNumeric == nil:
		return 0, bad(bounds+", with a unit such as 30m or 1h", "%s has no unit", quote(text))
	case err != nil:
		return 0, bad(bounds+", as in 90s, 30m or 1h30m", "%s is not a duration", quote(text))
	case d < least:
		return 0, bad(bounds, "%s is too short", quote(text))
	case d > most:
		return 0, bad(bounds, "%s is too long", quote(text))
	}
	return d, problem{}
}

// networks returns the network of a CIDR or of a single address, or those of
// the word private: loopback, and what is never routed on the Internet.
func networks(text string) ([]netip.Prefix, problem) {
	if text == "private" {
		var all []netip.Prefix
		for _, network := range []string{"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7"} {
			all = append(all, netip.MustParsePrefix(network))
		}
		return all, problem{}
	}
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return []netip.Prefix{netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())}, problem{}
	}
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return nil, bad("write an address, a network as in 10.0.0.0/8, or the word private", "%s is not a network", quote(text))
	case prefix.Masked() != prefix:
		return nil, bad(fmt.Sprintf("write %s for the network, or %s for the address alone", prefix.Masked(), prefix.Addr()), "%s is an address inside a network", quote(text))
	case prefix.Bits() == 0:
		warning := bad("list the networks of your own proxies alone: clients can choose the address that is logged and throttled", "%s trusts every client", quote(text))
		warning.warning = true
		return []netip.Prefix{prefix}, warning
	}
	return []netip.Prefix{prefix}, problem{}
}

// privateDestination returns networks, or a host name.
func privateDestination(text string) (any, problem) {
	isNetwork := strings.Contains(text, "/") && !strings.Contains(text, "://")
	if text != "private" && !isAddress(text) && !isNetwork {
		return hostName(text)
	}
	prefixes, p := networks(text)
	if p.warning {
		p = bad("list the networks or names of your own other identity providers: the sender of an assertion chooses which domain is looked up", "%s lets look-ups go everywhere", quote(text))
		p.warning = true
	}
	return prefixes, p
}

// distinguishedName returns a DN with at least one component.
func distinguishedName(text, example string) (string, problem) {
	dn, err := ldap.ParseDN(text)
	switch {
	case strings.TrimSpace(text) == "":
		return text, bad("write it as in "+example, "is empty")
	case err != nil || len(dn.RDNs) == 0:
		return text, bad("write it as in "+example, "%s is not a distinguished name", quote(text))
	}
	return text, problem{}
}

// placeholder is where other programs put the login into a filter.
var placeholder = regexp.MustCompile(`%s|%u|[{}]`)

func searchFilter(text string) (string, problem) {
	if placeholder.MatchString(text) {
		return text, bad("leave that part out: login_attributes say where the login is searched", "has a placeholder for the login")
	}
	if _, err := ldap.CompileFilter(text); err != nil {
		return text, bad("write it in parentheses, as in (objectClass=inetOrgPerson)", "%s is not a search filter", quote(text))
	}
	return text, problem{}
}
