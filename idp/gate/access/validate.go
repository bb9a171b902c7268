package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Fault is what is wrong with a rule.
type Fault struct {
	Rule  int    // its index
	Field string // as the configuration calls it: path, allow or groups
	What  string // what is wrong with the field
	Cure  string // what to do
}

func (f *Fault) Error() string {
	return fmt.Sprintf("access rule %d: %s: %s", f.Rule+1, f.Field, f.What)
}

// Hint returns what to do.
func (f *Fault) Hint() string { return f.Cure }

// Validate reports what is wrong with the rules: nil, or the joined faults, each a *[Fault].
func (r Rules) Validate() error {
	var faults []error
	for i := range r {
		rule := &r[i]
		fault := func(field, what, cure string) {
			faults = append(faults, &Fault{Rule: i, Field: field, What: what, Cure: cure})
		}
		if what, cure := pathFault(rule.Path); what != "" {
			fault("path", what, cure)
			continue
		}
		switch rule.Allow {
		case Public, SignedIn, AuthorizationHeader:
			if len(rule.Groups) > 0 {
				fault("groups", fmt.Sprintf("are given beside allow: %s", rule.Allow), "keep one of the two: groups are for members of one of them alone")
			}
		case Members:
			unnamed := func(name string) bool { return strings.TrimSpace(name) != name || name == "" }
			if len(rule.Groups) == 0 || slices.ContainsFunc(rule.Groups, unnamed) {
				fault("groups", "there is none, or one without a name", "list names of groups as the directory has them (cn)")
			}
		default:
			fault("allow", fmt.Sprintf("%q is unknown", string(rule.Allow)), "write public, signed_in or authorization_header, or groups in its place")
		}
		earlier := slices.IndexFunc(r[:i], func(e Rule) bool {
			reached := entry{Rule: e, base: strings.TrimSuffix(e.Path, "/")}
			return reached.coversLetter(rule.Path) && (!e.Exact || rule.Exact)
		})
		if earlier >= 0 {
			fault("path", fmt.Sprintf("%s is never reached: rule %d covers it", rule.Path, earlier+1), "put the narrower rule first: the first one that covers a path decides")
		}
	}
	return errors.Join(faults...)
}

// pathFault reports what is wrong with the path of a rule, and what to do; "": nothing.
func pathFault(path string) (what, cure string) {
	const literal = "write the path as it reads once it is decoded"
	ends := func(segment string) bool { return segment != strings.TrimRight(strings.TrimLeft(segment, " "), " .") }
	switch {
	case !strings.HasPrefix(path, "/"):
		return fmt.Sprintf("%q does not begin with \"/\"", path), "write the path without scheme and host"
	case strings.ContainsAny(path, "?#"):
		return fmt.Sprintf("%q has a query or fragment", path), "rules look at the path alone"
	case strings.Contains(path, "*"):
		return fmt.Sprintf("%q has a \"*\"", path), "leave it out: a rule covers all that is below its path"
	case strings.Contains(path, "%"):
		return fmt.Sprintf("%q has a \"%%\"", path), literal
	case strings.Contains(path, "//"), Odd(path), slices.ContainsFunc(strings.Split(path, "/"), ends):
		return fmt.Sprintf("%q is one that servers read differently", path), literal + ", without \"//\", dot segments, \"\\\", \";\", and blanks or dots at the ends of its segments"
	}
	if path == "/persona" || strings.HasPrefix(path, "/persona/") {
		return fmt.Sprintf("%q is not the website's", path), "remove the rule: what is below /persona/ is answered here, and never by the website"
	}
	return "", ""
}
