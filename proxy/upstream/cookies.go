package upstream

import (
	"slices"
	"strings"
)

// cookieNames are the names of our own cookies. The website never sees their
// values and cannot set them.
type cookieNames []string

// stripRequest takes our cookies out of a Cookie line (RFC 6265, section 4.2.1),
// and reports whether anything is left. All others stay byte for byte, in their order.
func (names cookieNames) stripRequest(line string) (string, bool) {
	// The names are looked for first, so that most lines are not taken apart.
	if !slices.ContainsFunc(names, func(name string) bool { return strings.Contains(line, name) }) {
		return line, true
	}
	pairs := slices.DeleteFunc(strings.Split(line, ";"), names.ours)
	line = strings.TrimLeft(strings.Join(pairs, ";"), " \t")
	return line, line != ""
}

// sets reports whether a Set-Cookie line sets one of our cookies.
func (names cookieNames) sets(line string) bool {
	pair, _, _ := strings.Cut(line, ";")
	return names.ours(pair)
}

// ours reports whether a name=value pair carries one of our names. A pair
// without a name whose value looks like one of our pairs ("=name=value") is sent
// back by browsers as if it were ours, and counts.
func (names cookieNames) ours(pair string) bool {
	pair = strings.TrimLeft(pair, "= \t")
	name, _, _ := strings.Cut(pair, "=")
	return slices.Contains(names, strings.TrimRight(name, " \t"))
}
