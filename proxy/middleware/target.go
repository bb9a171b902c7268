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
// absolute-form or asterisk-form. It returns the zero Target for every other form
// and for a target that holds white space or control characters, which HTTP/2
// lets through and which would split a request line.
func parseTarget(r *http.Request) Target {
	raw := r.RequestURI
	if raw == "" || !visible(raw) {
		return Target{}
	}
	if raw == "*" {
		return Target{Path: "*"}
	}
	if raw[0] != '/' {
		scheme := r.URL.Scheme
		if scheme != "http" && scheme != "https" {
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
	if path[0] != '/' {
		return Target{}
	}
	return Target{Path: path, Query: query}
}

func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
