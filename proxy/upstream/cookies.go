package upstream

import (
	"net/http"
	"slices"
	"strings"
)

// cookieNames are the names of our own cookies. The website never sees their
// values and cannot set them.
type cookieNames []string

// stripRequest takes our cookies out of all Cookie lines (RFC 6265, section
// 4.2.1). All others stay byte for byte, in their order.
func (names cookieNames) stripRequest(h http.Header) {
	lines := h["Cookie"]
	if !slices.ContainsFunc(lines, names.mentioned) {
		return
	}
	kept := make([]string, 0, len(lines))
	for _, line := range lines {
		if names.mentioned(line) {
			pairs := slices.DeleteFunc(strings.Split(line, ";"), names.ours)
			if line = strings.TrimLeft(strings.Join(pairs, ";"), " \t"); line == "" {
				continue
			}
		}
		kept = append(kept, line)
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = kept
}

// mentioned reports whether a line may hold one of our cookies.
func (names cookieNames) mentioned(line string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return strings.Contains(line, name) })
}

// stripResponse takes Set-Cookie lines for our names out of an answer.
func (names cookieNames) stripResponse(h http.Header) {
	lines, found := h["Set-Cookie"]
	if !found || !slices.ContainsFunc(lines, names.sets) {
		return
	}
	kept := slices.DeleteFunc(slices.Clone(lines), names.sets)
	if len(kept) == 0 {
		delete(h, "Set-Cookie")
		return
	}
	h["Set-Cookie"] = kept
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
