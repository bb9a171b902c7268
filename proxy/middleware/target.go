package middleware

import (
	"net/http"
	"strings"
)

// Target is what a request asks of its host, byte for byte as it was sent:
// URL.Path is decoded, and URL.RawQuery and URL.RawPath lose some spellings.
type Target struct {
	Path  string // begins with "/", or is "*" in OPTIONS *; escapes as they were sent
	Query string // with its "?", or "" when there was none
}

// String is the target in origin-form (RFC 9112, section 3.2.1).
func (t Target) String() string { return t.Path + t.Query }

// Valid reports whether a target was read.
func (t Target) Valid() bool { return t.Path != "" }

// parseTarget reads the target from the request line, in origin-form,
// asterisk-form or, over HTTP/1.1, absolute-form: HTTP/2 has a field of its own for
// the authority (RFC 9113, section 8.3.1). It returns the zero Target for every
// other form, and for a target that servers read in different ways.
func parseTarget(r *http.Request) Target {
	raw := r.RequestURI
	if raw == "*" {
		return Target{Path: "*"}
	}
	if raw == "" || raw[0] != '/' {
		scheme := r.URL.Scheme
		if scheme != "http" && scheme != "https" || r.ProtoMajor != 1 || r.URL.Host == "" || r.URL.User != nil {
			return Target{}
		}
		// Directly behind the scheme: further on, "://" is part of what net/http
		// has taken for the path, and there must be one path only.
		rest, ok := strings.CutPrefix(raw[len(scheme):], "://")
		if !ok {
			return Target{}
		}
		raw = strings.TrimLeftFunc(rest, func(c rune) bool { return c != '/' && c != '?' && c != '#' }) // without the authority
	}
	path, query := raw, ""
	if i := strings.IndexByte(raw, '?'); i >= 0 {
		path, query = raw[:i], raw[i:]
	}
	if path == "" {
		path = "/"
	}
	if path[0] != '/' || !clearPath(path) || !visible(query) {
		return Target{}
	}
	return Target{Path: path, Query: query}
}

// clearPath reports whether a path is one that all servers take for the same.
// Refused are, besides what visible refuses, malformed escapes, the backslash in
// both spellings (some servers read it as "/") and the encoded NUL (where some end
// the path). What ordinary websites use stays: ";", "//", "%2f", dot segments, bytes
// above 127, and all of these in the query.
func clearPath(path string) bool {
	if !visible(path) || strings.Contains(path, `\`) {
		return false
	}
	for i := strings.IndexByte(path, '%'); i >= 0 && i < len(path); i++ {
		if path[i] != '%' {
			continue
		}
		if i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2]) {
			return false
		}
		if escape := path[i+1 : i+3]; escape == "00" || strings.EqualFold(escape, "5c") {
			return false
		}
	}
	return true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// visible reports whether a text holds neither white space nor control characters,
// which HTTP/2 lets through and which would split a request line, nor a "#": a
// target has no fragment (RFC 9112, section 3.2.1), and servers that cut one off
// would see another path than we do.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f || s[i] == '#' {
			return false
		}
	}
	return true
}
