package route

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// PathLogin, PathLogout and PathHandover lead between a website and its identity host.
const (
	PathLogin    = "/persona/login"
	PathLogout   = "/persona/logout"
	PathHandover = "/persona/handover"
)

// PathForwardAuth is where the servers of neighbours' websites ask who is signed in.
const PathForwardAuth = "/persona/forward-auth"

// longestReturn bounds a return path, in bytes, escaped.
const longestReturn = 2 << 10

// ReturnPath checks a path on the same host, query and fragment included, to which a person is to be sent back, and
// returns it as a Location holds it: space and what is not ASCII are escaped. What a browser could resolve to another
// origin (URL Standard, section 4.4: backslashes are slashes, tabs and line breaks are nothing) is an error, and so is a
// path of ours, which could lead back to where it comes from.
func ReturnPath(text string) (string, error) {
	refused := &Error{Status: http.StatusBadRequest, Code: "bad_return", Link: "/"}
	if len(text) > longestReturn || !strings.HasPrefix(text, "/") || strings.HasPrefix(text, "//") {
		return "", refused
	}
	var escaped strings.Builder
	for _, b := range []byte(text) {
		switch {
		case b < ' ' || b == 0x7f || b == '\\':
			return "", refused
		case b == ' ' || b > 0x7f:
			fmt.Fprintf(&escaped, "%%%02X", b)
		default:
			escaped.WriteByte(b)
		}
	}
	where, _, _ := strings.Cut(text, "#")
	where, _, _ = strings.Cut(where, "?")
	decoded, err := url.PathUnescape(where)
	if err != nil {
		return "", refused
	}
	if decoded = path.Clean(decoded); decoded == "/persona" || strings.HasPrefix(decoded, "/persona/") {
		return "", refused
	}
	if escaped.Len() > longestReturn {
		return "", refused
	}
	return escaped.String(), nil
}
