package kind

import (
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
)

// The bounds of what names an app, in bytes.
const (
	maxAppID       = 64
	maxAppName     = 80
	maxRedirectURI = 1024
)

// appID returns a client identifier. It stands in addresses and in the settings of apps, each of which has a syntax of its own.
func appID(text string) (string, Problem) {
	if len(text) > maxAppID || strings.Trim(strings.ToLower(text), "abcdefghijklmnopqrstuvwxyz0123456789._-") != "" {
		return text, Bad("write up to 64 letters, digits, dots, underscores and hyphens, as in grafana", "%s cannot identify an app", Quote(text))
	}
	return text, Problem{}
}

// appName returns the name of an app that people read.
func appName(text string) (string, Problem) {
	switch {
	case len(text) > maxAppName:
		return text, Bad("write 80 bytes at most", "%s is too long", Quote(text))
	case strings.ContainsFunc(text, isControl):
		return text, Bad("write it on one line", "%s has control characters", Quote(text))
	}
	return text, Problem{}
}

var appAddress = regexp.MustCompile(`^(https://[a-z0-9.-]+|http://(localhost|127\.0\.0\.1|\[::1\]))(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$`)

// appURL returns where people open an app. What the app is told is made of it, in the syntax of its settings.
func appURL(text string) (string, Problem) {
	const cure = "write it as in https://app.example.com/path: https, the host in small letters and ASCII, no query, no escapes"
	u, err := url.Parse(text)
	if err != nil || !appAddress.MatchString(text) || u.Port() != "" && !isPort(u.Port()) {
		return text, Bad(cure, "%s is not the address of an app", withoutCredentials(text))
	}
	if !clean(u.Path) {
		return text, Bad("write it as the browser shows it", "%s has double slashes or dot segments", Quote(text))
	}
	return text, Problem{}
}

// clean reports whether a path means the same to all programs.
func clean(p string) bool {
	return p == "" || p == "/" || path.Clean(p) == strings.TrimSuffix(p, "/")
}

// withoutCredentials quotes an address, unless it may hold a password.
func withoutCredentials(text string) string {
	if strings.Contains(text, "@") {
		return "a text with an @"
	}
	return Quote(text)
}

// redirectURI returns an address that codes may be sent to, as the app writes it. Those with a scheme of their own are for
// programs on people's devices (RFC 8252, section 7.1).
func redirectURI(text string) (string, Problem) {
	const cure = "write it as the app has it, as in https://app.example.com/callback"
	bad := func(problem string) (string, Problem) {
		return text, Bad(cure, "%s %s", withoutCredentials(text), problem)
	}
	if len(text) > maxRedirectURI {
		return text, Bad(cure, "has more than 1024 characters")
	}
	if strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune("\\\"<>^`{|}", c) }) {
		return bad("has characters that belong escaped")
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" {
		return bad("is not a URL")
	}
	loopback := u.Scheme == "http" && slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())
	scheme, _, _ := strings.Cut(text, ":")
	switch {
	case scheme != u.Scheme || u.Host != strings.ToLower(u.Host):
		return bad("has upper-case letters in its scheme or host")
	case strings.Contains(text, "#"):
		return bad("has a fragment")
	case strings.Contains(text, "*"):
		return text, Bad("list each address", "%s has a wildcard", withoutCredentials(text))
	case u.User != nil:
		return bad("has a user name")
	case PrivateUse(text):
		return text, Problem{}
	case u.Scheme != "https" && !loopback:
		return bad("does not begin with https://, nor with http:// and a loopback address, so what is sent there would cross the network in clear text")
	case u.Hostname() == "":
		return bad("names no host")
	case strings.HasSuffix(u.Host, ":") || u.Port() != "" && !isPort(u.Port()):
		return bad("has a port that is not a number from 1 to 65535")
	case !clean(u.Path):
		return bad("has double slashes or dot segments")
	}
	return text, Problem{}
}

// PrivateUse reports whether an address has a scheme of an app's own, such as com.example.app: (RFC 8252, section 7.1).
func PrivateUse(uri string) bool {
	scheme, _, found := strings.Cut(uri, ":")
	return found && strings.Contains(scheme, ".")
}

// logoutURI returns the address of an app's server, "" for none.
func logoutURI(text string) (string, Problem) {
	switch {
	case text == "":
		return "", Problem{}
	case PrivateUse(text):
		return text, Bad("write it as in https://app.example.com/logout", "%s has a scheme that no server has", withoutCredentials(text))
	}
	return redirectURI(text)
}

// claimName returns a name that a claim about a person can have in tokens.
func claimName(text string) (string, Problem) {
	switch {
	case slices.Contains([]string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "sid", "amr", "azp", "at_hash", "jti"}, text):
		return text, Bad("choose another name", "%s is a claim about the token itself", Quote(text))
	case len(text) > maxAppName || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '\\' }):
		return text, Bad("write ASCII without blanks, as in login", "%s cannot name a claim", Quote(text))
	}
	return text, Problem{}
}
