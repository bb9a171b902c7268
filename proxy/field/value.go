package field

import (
	"strings"

	"persona-sidecar/proxy/wire"
)

// Announced returns what is left of a Trailer line, and whether anything is.
func Announced(line string) (string, bool) {
	var kept []string
	for name := range strings.SplitSeq(line, ",") {
		if name = strings.Trim(name, " \t"); name != "" && MayTrail(name) {
			kept = append(kept, name)
		}
	}
	return strings.Join(kept, ", "), len(kept) > 0
}

// Cleared returns what is left of a Clear-Site-Data line when it must not end sign-ins, and
// whether anything is: browsers delete the cookies of a whole registrable domain, ours on its
// other hosts included. "*" is taken for what else there is to clear.
func Cleared(line string) (string, bool) {
	var kept []string
	for element := range strings.SplitSeq(line, ",") {
		element = strings.Trim(element, " \t")
		switch strings.ToLower(strings.Trim(element, "\"")) {
		case "", "cookies":
		case "*":
			kept = append(kept, `"cache"`, `"storage"`)
		default:
			kept = append(kept, element)
		}
	}
	return strings.Join(kept, ", "), len(kept) > 0
}

// Private tells shared caches not to keep an answer (RFC 9111, section 5.2.2), and takes
// out what is said to some of them alone and would count more there (RFC 9213). It uses the
// memory of what it is given.
func Private(fields wire.Fields) wire.Fields {
	kept, said, first := fields[:0], false, -1
	for _, f := range fields {
		keep := true
		switch {
		case f.Is("Cache-Control"):
			var enough bool
			f.Value, enough = withoutShared(f.Value)
			said, keep = said || enough, f.Value != ""
			if keep && first < 0 {
				first = len(kept)
			}
		case f.Is("Surrogate-Control"), f.Is("Edge-Control"), f.Is("X-Accel-Expires"):
			keep = false
		default:
			const suffix = "CDN-Cache-Control"
			keep = len(f.Name) < len(suffix) || !strings.EqualFold(f.Name[len(f.Name)-len(suffix):], suffix)
		}
		if keep {
			kept = append(kept, f)
		}
	}
	switch {
	case said:
	case first < 0:
		kept = append(kept, wire.Field{Name: "Cache-Control", Value: "private"})
	default: // in front, where no quote that is never closed can hide it
		kept[first].Value = "private, " + kept[first].Value
	}
	return kept
}

// withoutShared takes out of a line of Cache-Control what lets shared caches keep an
// answer: public, s-maxage, and a private that is about some fields alone. All else stays byte for byte.
// enough reports whether the line forbids it to them.
func withoutShared(line string) (rest string, enough bool) {
	var kept []string
	all := true
	for left, more := line, true; more; {
		var directive string
		directive, left, more = cutDirective(left)
		name, _, argument := strings.Cut(directive, "=")
		name = strings.ToLower(strings.Trim(name, " \t"))
		switch {
		case name == "public", name == "s-maxage", name == "private" && argument:
			all = false
			continue
		case name == "private", name == "no-store" && !argument:
			enough = true
		}
		kept = append(kept, directive)
	}
	if all {
		return line, enough
	}
	return strings.Trim(strings.Join(kept, ","), " \t"), enough
}

// cutDirective cuts a list at its first comma that stands in no quoted string
// (RFC 9110, section 5.6.4).
func cutDirective(list string) (first, rest string, more bool) {
	quoted := false
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			return list[:i], list[i+1:], true
		}
	}
	return list, "", false
}
