package access

import (
	"slices"
	"strings"
)

// Rule says who may ask for a part of a website.
type Rule struct {
	// Path begins with "/", is written without escapes, and covers what is below it, on
	// segment boundaries: both "/a" and "/a/" cover "/a", "/a/" and "/a/b".
	Path   string
	Exact  bool // covers this path alone
	Allow  Allow
	Groups []string // for Members: the person is in one of them
}

// Allow is who may pass a rule.
type Allow string

// The values of Allow.
const (
	Public              Allow = "public"               // everyone
	SignedIn            Allow = "signed_in"            // everyone of the directory
	Members             Allow = "groups"               // members of the rule's groups
	AuthorizationHeader Allow = "authorization_header" // requests that carry Authorization, for the website to judge; others must be signed in
)

// Rules are the rules of a website: the first that covers a path decides, and what none
// covers is public.
type Rules []Rule

// Table is what Rules say of each path.
type Table struct {
	rules    []entry
	none     Demand // of what no rule covers
	protects bool
}

// entry is a rule with its path in the two spellings by which it is found, without a
// final "/", and the demand to pass it alone.
type entry struct {
	Rule
	base, folded string
	demand       Demand
}

// Compile checks the rules and makes a table of them. The error joins every [Fault].
func Compile(rules Rules) (*Table, error) {
	if err := rules.Validate(); err != nil {
		return nil, err
	}
	t := &Table{rules: make([]entry, len(rules)), none: Demand{{Path: "/", Allow: Public}}}
	for i, rule := range rules {
		to := &t.rules[i]
		*to = entry{Rule: rule, base: strings.TrimSuffix(rule.Path, "/"), folded: strings.TrimSuffix(fold(rule.Path), "/")}
		to.demand = Demand{&to.Rule}
		t.protects = t.protects || rule.Allow != Public
	}
	return t, nil
}

// Protects reports whether there is a rule that is not public.
func (t *Table) Protects() bool { return t.protects }

// For returns what has to be passed for a path, given as it was sent, with its escapes,
// and not [Odd].
//
// One website tells "/a" and "/A" apart and another one does not, and so with "//", a
// final dot, and the like. So the first rule counts that covers the path by the letter, and
// before it each rule that covers the path, or its part before a decoded "#" or "?", in a
// spelling that has lost all such differences. What opens by the letter thus opens, and
// what protects does so however it is spelled.
func (t *Table) For(path string) Demand {
	if !t.protects {
		return t.none
	}
	decoded, _ := decode(path)
	folded, part := decoded, decoded
	if !simple(decoded) {
		folded = fold(decoded)
		part = folded
		if i := strings.IndexAny(folded, "#?"); i >= 0 {
			part = fold(folded[:i])
		}
	}
	var demand Demand
	for i := range t.rules {
		rule := &t.rules[i]
		letter := rule.coversLetter(decoded)
		if !letter && !rule.coversFolded(folded) && !rule.coversFolded(part) {
			continue
		}
		if demand == nil {
			demand = rule.demand
		} else {
			demand = append(demand[:len(demand):len(demand)], &rule.Rule)
		}
		if letter {
			break
		}
	}
	if demand == nil {
		return t.none
	}
	return demand
}

func (e *entry) coversLetter(path string) bool {
	if e.Exact {
		return path == e.Path
	}
	rest, ok := strings.CutPrefix(path, e.base)
	return ok && (rest == "" || rest[0] == '/')
}

func (e *entry) coversFolded(path string) bool {
	n := len(e.folded)
	if len(path) < n || !strings.EqualFold(path[:n], e.folded) {
		return false
	}
	rest := path[n:]
	return rest == "" || rest == "/" || !e.Exact && rest[0] == '/'
}

// Demand are the rules that a request has to pass, all of them; there is at least one.
type Demand []*Rule

// Public reports whether everyone passes.
func (d Demand) Public() bool {
	return !slices.ContainsFunc(d, func(r *Rule) bool { return r.Allow != Public })
}

// Authorization reports whether everyone passes whose request carries Authorization.
func (d Demand) Authorization() bool {
	return !slices.ContainsFunc(d, func(r *Rule) bool { return r.Allow != Public && r.Allow != AuthorizationHeader })
}

// Lacking returns the first rule that a person in these groups, who is signed in, does
// not pass; nil: they pass. Names of groups are compared as directories compare them,
// without regard to case.
func (d Demand) Lacking(groups []string) *Rule {
	for _, rule := range d {
		if rule.Allow != Members {
			continue
		}
		member := func(wanted string) bool {
			return slices.ContainsFunc(groups, func(group string) bool { return strings.EqualFold(group, wanted) })
		}
		if !slices.ContainsFunc(rule.Groups, member) {
			return rule
		}
	}
	return nil
}
