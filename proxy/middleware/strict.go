package middleware

import (
	"strconv"
	"strings"
)

const strictTransport = "Strict-Transport-Security"

// stricter returns the one Strict-Transport-Security of an answer: the website's own
// where it binds browsers for as long as ours or longer, and where it takes in the
// sub-domains if ours does; else ours. Of several of the website's only the first would
// count (RFC 6797, section 8.1).
func stricter(ours string, theirs []string) string {
	if len(theirs) == 0 {
		return ours
	}
	age, subdomains, ok := parseStrict(theirs[0])
	least, all, _ := parseStrict(ours)
	if !ok || age < least || all && !subdomains {
		return ours
	}
	return theirs[0]
}

// parseStrict reads a field (RFC 6797, section 6.1). One that names a directive twice,
// or has no max-age, does not count.
func parseStrict(value string) (age uint64, subdomains, ok bool) {
	seen := map[string]bool{}
	for directive := range strings.SplitSeq(value, ";") {
		name, text, _ := strings.Cut(directive, "=")
		name = strings.ToLower(strings.Trim(name, " \t"))
		if name == "" {
			continue
		}
		if seen[name] {
			return 0, false, false
		}
		seen[name] = true
		if name == "max-age" {
			var err error
			if age, err = strconv.ParseUint(strings.Trim(strings.Trim(text, " \t"), `"`), 10, 63); err != nil {
				return 0, false, false
			}
		}
	}
	return age, seen["includesubdomains"], seen["max-age"]
}
