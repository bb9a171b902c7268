package upstream

import (
	"context"
	"strings"

	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/wire"
)

// sessionEnded is why a tunnel or an event stream was ended.
const sessionEnded = "the session has ended"

// endWith calls end when the session of a visit ends, unless stop was called before. stop
// reports whether end was called; it may be called more than once, by one goroutine.
func endWith(ctx context.Context, v *middleware.Visit, end func()) (stop func() bool) {
	if v == nil || v.Ended == nil {
		return func() bool { return false }
	}
	ctx, over := context.WithCancel(context.WithoutCancel(ctx)) // a tunnel outlives its request
	ended, outcome := v.Ended(ctx), make(chan bool, 1)
	go func() {
		select {
		case <-ended:
			end()
			outcome <- true
		case <-ctx.Done():
			outcome <- false
		}
	}()
	stopped, called := false, false
	return func() bool {
		if !stopped {
			stopped = true
			over()
			called = <-outcome
		}
		return called
	}
}

// visited adds to the fields of an answer what belongs to a visit. It uses the memory of
// what it is given.
func visited(fields wire.Fields, v *middleware.Visit) wire.Fields {
	if v.Private || len(v.SetCookies) > 0 { // nor may a shared cache give our cookie to another
		fields = unshared(fields)
	}
	if len(v.SetCookies) == 0 {
		return fields
	}
	// In front, so that a website may replace a cookie of its own that is expired.
	return append(setCookies(v), fields...)
}

// setCookies returns the fields of an answer that set the cookies of a visit.
func setCookies(v *middleware.Visit) wire.Fields {
	var fields wire.Fields
	if v != nil {
		for _, line := range v.SetCookies {
			fields = append(fields, wire.Field{Name: "Set-Cookie", Value: line})
		}
	}
	return fields
}

// unshared tells shared caches not to keep an answer (RFC 9111, section 5.2.2), and takes
// out what is said to some of them alone and would count more there (RFC 9213).
func unshared(fields wire.Fields) wire.Fields {
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
