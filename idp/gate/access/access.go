package access

// Rule says who may ask for a part of a website.
type Rule struct {
	Path   string // begins with "/"; covers what is below it, on segment boundaries
	Exact  bool   // covers this path alone
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
