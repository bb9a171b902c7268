package kind

import (
	"net/url"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// ofWebsite is Read for what a website is told and who may see it, and for apps.
func ofWebsite(kind, text string) (any, Problem) {
	switch kind {
	case "fieldName":
		return fieldName(text)
	case "separator":
		return separator(text)
	case "groupName":
		return groupCN(text)
	case "groupPattern":
		return groupPattern(text)
	case "rulePath":
		return rulePath(text)
	case "origin":
		return origin(text)
	case "cookieName":
		return cookieName(text)
	case "cookiePath":
		return cookiePath(text)
	case "appID":
		return appID(text)
	case "appName":
		return appName(text)
	case "appURL":
		return appURL(text)
	case "redirectURI":
		return redirectURI(text)
	case "logoutURI":
		return logoutURI(text)
	case "claimName":
		return claimName(text)
	}
	panic("config: no kind of text is called " + kind) // a wrong tag, which every test of Load meets
}

// fieldName returns the name of a field of requests that has no other meaning.
func fieldName(text string) (string, Problem) {
	const example = "write it as in Remote-User"
	folded := strings.ToLower(text)
	switch {
	case text == "": // the field is left out
		return "", Problem{}
	case strings.Trim(folded, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || folded[0] < 'a' || folded[0] > 'z' || len(text) > 64:
		return text, Bad("write letters, digits and hyphens, as in Remote-User: many servers take other names for the names of other fields", "%s cannot name a field", Quote(text))
	case strings.HasPrefix(folded, "x-persona-") && folded != "x-persona-assertion":
		return text, Bad(example, "%s is one of the names that persona keeps for itself", Quote(text))
	case takenField(folded):
		return text, Bad(example, "%s has a meaning of its own in requests", Quote(text))
	}
	return text, Problem{}
}

// takenField reports whether a field has a meaning of its own, so that who is signed in
// cannot stand in it: because browsers, proxies or this program write it.
func takenField(folded string) bool {
	for _, prefix := range []string{
		"accept", "access-control-", "authorization", "content-", "cookie", "http2-", "if-", "proxy", "sec-", "set-cookie",
		"x-forwarded-client-", "x-forwarded-tls-", "x-http-method",
	} {
		if strings.HasPrefix(folded, prefix) {
			return true
		}
	}
	if rest, found := strings.CutPrefix(folded, "x-forwarded-"); found {
		return slices.Contains([]string{"", "by", "for", "host", "method", "path", "port", "prefix", "proto", "protocol", "scheme", "server", "ssl", "uri", "url"}, rest)
	}
	return slices.Contains([]string{
		"age", "alt-used", "cache-control", "connection", "date", "dnt", "early-data", "expect", "forwarded", "from", "host", "keep-alive",
		"last-event-id", "location", "max-forwards", "origin", "pragma", "prefer", "priority", "range", "referer", "te", "trailer", "traceparent", "tracestate",
		"transfer-encoding", "upgrade", "upgrade-insecure-requests", "user-agent", "vary", "via", "www-authenticate",
		"client-ip", "true-client-ip", "x-client-ip", "x-real-ip", "x-cluster-client-ip", "front-end-https",
		"x-method-override", "x-original-url", "x-original-uri", "x-rewrite-url", "x-rewrite-uri", "x-request-id", "x-requested-with", "x-csrf-token", "x-xsrf-token",
	}, folded)
}

// separator returns the one character between groups.
func separator(text string) (string, Problem) {
	c := byte(0)
	if len(text) == 1 {
		c = text[0]
	}
	letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
	if c < ' ' || c > '~' || letter {
		return "", Bad(`write one character of ASCII that is neither letter nor digit, as in "," or "|"`, "%s is not a separator", Quote(text))
	}
	return text, Problem{}
}

// groupCN returns the name of a group, which is not its DN.
func groupCN(text string) (string, Problem) {
	if dn, err := ldap.ParseDN(text); err == nil && len(dn.RDNs) > 1 {
		return "", Bad("write its cn, as in editors", "%s is a distinguished name", Quote(text))
	}
	if text == "" || strings.TrimSpace(text) != text || strings.ContainsFunc(text, isControl) {
		return "", Bad("write its cn, as in editors", "%s is not the name of a group", Quote(text))
	}
	return text, Problem{}
}

// groupPattern returns the name of a group, or how such names begin, with a final "*".
func groupPattern(text string) (string, Problem) {
	begin, _ := strings.CutSuffix(text, "*")
	if strings.Contains(begin, "*") {
		return "", Bad("write it at the end, as in wiki-*", "%s has a * that is not its end", Quote(text))
	}
	if begin == "" && text != "" { // all groups
		return text, Problem{}
	}
	if _, p := groupCN(strings.TrimSuffix(begin, " ")); p.Text != "" {
		return "", p
	}
	return text, Problem{}
}

// rulePath returns the path that an access rule is for, as it is after decoding.
func rulePath(text string) (string, Problem) {
	decoded, err := url.PathUnescape(text)
	ends := func(segment string) bool { return segment != strings.TrimRight(strings.TrimLeft(segment, " "), " .") }
	switch {
	case !strings.HasPrefix(text, "/"):
		return "", Bad("begin it with /, as in /wp-admin/", "%s is not a path", Quote(text))
	case strings.Contains(text, "*"):
		return "", Bad("leave it out: a rule covers what is below its path", "%s has a *", Quote(text))
	case strings.ContainsAny(text, "?#"):
		return "", Bad("write the path alone: rules look at nothing else", "%s has a query or a fragment", Quote(text))
	case err == nil && decoded != text:
		return "", Bad("write it decoded, as in "+Shorten(decoded), "%s has escapes", Quote(text))
	case strings.ContainsAny(text, `%\;`) || strings.Contains(text, ":$") || strings.ContainsFunc(text, isControl):
		return "", Bad("write letters, digits, hyphens and slashes, as in /wp-admin/: requests for other paths are refused", "%s has characters that servers read differently", Quote(text))
	case strings.Contains(text, "//") || slices.ContainsFunc(strings.Split(text, "/"), ends):
		return "", Bad("write it as in /wp-admin/, without them", "%s has empty segments, or some that begin with a blank or end with a blank or a dot", Quote(text))
	case text == "/persona" || strings.HasPrefix(text, "/persona/"):
		return "", Bad("remove the rule: what is below /persona/ is answered by persona, and never by the website", "%s is not the website's", Quote(text))
	}
	return text, Problem{}
}

// origin returns an origin as browsers write it.
func origin(text string) (string, Problem) {
	const example = "https://example.com"
	u, p := serverURL(strings.TrimSuffix(text, "/"), []string{"https"}, example, "remove the path")
	if p.Text != "" {
		return "", p
	}
	if name, p := hostName(u.Hostname()); !isAddress(u.Hostname()) && (p.Text != "" || name != u.Hostname()) {
		return "", Bad("write it as in "+example, "the host of %s is not a host name in lower case", Quote(text))
	}
	return strings.TrimSuffix("https://"+u.Host, ":443"), Problem{}
}

// cookieName returns the name of a cookie of a website (RFC 6265, section 4.1.1).
func cookieName(text string) (string, Problem) {
	const example = "write it as in i_like_gitea"
	switch {
	case text == "" || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`()<>@,;:\"/[]?={}`, c) }):
		return text, Bad(example, "%s is not the name of a cookie", Quote(text))
	case strings.HasPrefix(strings.ToLower(text), "__host-persona"):
		return text, Bad("name a cookie of the application", "%s is a cookie of persona", Quote(text))
	}
	return text, Problem{}
}

// cookiePath returns the path of a cookie (RFC 6265, section 4.1.1).
func cookiePath(text string) (string, Problem) {
	if !strings.HasPrefix(text, "/") || strings.Contains(text, ";") || strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' }) {
		return "", Bad("write it as in /", "%s is not the path of a cookie", Quote(text))
	}
	return text, Problem{}
}

func isControl(c rune) bool { return c < ' ' || c == 0x7f }
