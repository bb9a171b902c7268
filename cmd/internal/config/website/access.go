package website

import (
	"fmt"
	"strings"

	"persona-sidecar/cmd/internal/config/kind"
)

// Rule says who may ask for a part of a website.
type Rule struct {
	// Required. The path, decoded and without a query. It covers what is below it as well:
	// /wp-admin/ and /wp-admin cover the same.
	Path string `yaml:"path" as:"rulePath" example:"/wp-admin/"`
	// Covers this path alone, and nothing below it.
	Exact bool `yaml:"exact" default:"false"`
	// Who may pass: public, everyone; signed_in, everyone who is signed in;
	// authorization_header, also requests with an Authorization header, which the website
	// has to judge by itself: any Basic or Bearer passes, without identity.
	Allow string `yaml:"allow" as:"word public signed_in authorization_header"`
	// Instead of allow: members of one of these groups, by name (cn).
	Groups []string `yaml:"groups" as:"groupName" example:"[editors]"`
}

// The rule that opens a path to everyone. All others protect theirs.
const allowPublic = "public"

// CheckRules returns what is wrong with a list of rules. given reports whether a key below
// has a value; empty, whether it is a list without items.
func CheckRules(rules []Rule, given, empty func(key string) bool) []Finding {
	var found []Finding
	for i, rule := range rules {
		key := fmt.Sprintf("[%d]", i)
		if !given(key) { // which is a fault already
			continue
		}
		if !given(key + ".path") {
			found = append(found, fault(key+".path", "is missing", "write the part of the website that the rule is for, as in /wp-admin/"))
		}
		switch {
		case given(key+".allow") && given(key+".groups"):
			found = append(found, fault(key+".groups", "is given together with allow", "keep one of them"))
		case empty(key + ".groups"):
			found = append(found, fault(key+".groups", "is an empty list", "name a group, as in [editors]"))
		case !given(key+".allow") && !given(key+".groups"):
			found = append(found, fault(key+".allow", "is missing", "write allow: signed_in, or groups: and a list of groups"))
		}
		for before, earlier := range rules[:i] {
			if rule.Path == "" || earlier.Path == "" || !earlier.covers(rule, false) && !earlier.covers(rule, true) {
				continue
			}
			report := fault
			if !earlier.covers(rule, false) {
				report = warning
			}
			found = append(found, report(key, fmt.Sprintf("is never reached: access[%d], for %s, decides before", before, kind.Quote(earlier.Path)),
				"the first rule that covers a path decides: write the narrower rule first, or remove one"))
			break
		}
	}
	return found
}

// covers reports whether a later rule never gets to decide; with fold, whether it does not
// because rules that protect hold for every spelling in upper and lower case.
func (r Rule) covers(later Rule, fold bool) bool {
	outer, inner := r.Path, later.Path
	if fold && r.Allow != allowPublic {
		outer, inner = strings.ToLower(outer), strings.ToLower(inner)
	}
	if r.Exact {
		return later.Exact && inner == outer
	}
	return strings.HasPrefix(inner+"/", strings.TrimSuffix(outer, "/")+"/")
}
