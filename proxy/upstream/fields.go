package upstream

import (
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"

	"persona-sidecar/proxy/wire"
)

// kind is what becomes of a field of a request.
type kind int

const (
	plain   kind = iota
	made         // made here or by nothing: never taken from a request
	edited       // passed on in part
	claimed      // passed on for trusted proxies only
)

// identityPrefixes begin the names of fields by which applications are told who
// signed in.
var identityPrefixes = []string{"remote-", "x-remote-", "x-webauth-", "x-auth-request-", "x-persona-"}

// kindOf looks at a name as servers do that hand fields on as variables: CGI makes
// "-" and "_" one, PHP "." as well, so every byte that is no letter or digit
// counts as "-".
func kindOf(name string) kind {
	if name == "" || !strings.ContainsRune("cehkprtufxCEHKPRTUFX", rune(name[0])) {
		return plain
	}
	var buf [32]byte // longer than any name below
	folded := buf[:min(len(name), len(buf))]
	for i := range folded {
		switch c := name[i]; {
		case 'A' <= c && c <= 'Z':
			folded[i] = c + 'a' - 'A'
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			folded[i] = c
		default:
			folded[i] = '-'
		}
	}
	switch string(folded) {
	case "host", "content-length", "transfer-encoding", // made by who sends the request
		"connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "trailer", "http2-settings", // of one connection
		"proxy", // a variable HTTP_PROXY is what many programs take their proxy from
		"forwarded", "x-real-ip", "x-request-id",
		"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port",
		"x-forwarded-user", "x-forwarded-email", "x-forwarded-groups", "x-forwarded-preferred-username":
		return made
	case "cookie", "expect", "te", "upgrade":
		return edited
	}
	for _, prefix := range identityPrefixes {
		if strings.HasPrefix(string(folded), prefix) {
			return made
		}
	}
	if strings.HasPrefix(string(folded), "x-forwarded-") {
		return claimed
	}
	return plain
}

// odd reports whether a name holds anything but letters, digits and "-". Servers
// that hand fields on as variables take such names for others.
func odd(name string) bool {
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return true
		}
	}
	return false
}

// ofConnection reports whether a field of an answer is about the website's
// connection alone (RFC 9110, section 7.6.1).
func ofConnection(name string) bool {
	is := func(other string) bool { return strings.EqualFold(name, other) }
	switch len(name) {
	case 2:
		return is("TE")
	case 7:
		return is("Upgrade") || is("Trailer")
	case 10:
		return is("Connection") || is("Keep-Alive")
	case 16, 17:
		return is("Proxy-Connection") || is("Transfer-Encoding")
	case 18, 25:
		return is("Proxy-Authenticate") || is("Proxy-Authentication-Info")
	}
	return false
}

// named reports whether the values of Connection name a field. A length is not
// theirs to take out: it frames the message.
func named(connection []string, name string) bool {
	for _, line := range connection {
		if line != "keep-alive" && line != "close" && line != "Keep-Alive" && hasToken(line, name) && !strings.EqualFold(name, "Content-Length") {
			return true
		}
	}
	return false
}

// hasToken reports whether a comma-separated list holds a token, without case and
// without what follows it behind a semicolon.
func hasToken(list, token string) bool {
	for element := range strings.SplitSeq(list, ",") {
		element, _, _ = strings.Cut(element, ";")
		if strings.EqualFold(strings.Trim(element, " \t"), token) {
			return true
		}
	}
	return false
}

// mayTrail reports whether a field may stand behind a body (RFC 9110, section
// 6.5.1): it does not frame, route, authenticate or control a message, and is
// nothing that is looked at or made anew in a header. A recipient that merges the
// section into the header would take it for a field that was.
func mayTrail(name string) bool {
	canonical := http.CanonicalHeaderKey(name)
	switch canonical {
	case "Set-Cookie", "Set-Login", "Clear-Site-Data", "Strict-Transport-Security", "Authentication-Info", "Via",
		"Age", "Date", "Expires", "Location", "Retry-After", "Vary", "Warning":
		return false
	}
	return kindOf(name) == plain && httpguts.ValidTrailerHeader(canonical)
}

// trailing returns the fields of a trailer section that may stand there.
func trailing(fields wire.Fields) wire.Fields {
	kept := fields[:0]
	for _, f := range fields {
		if mayTrail(f.Name) {
			kept = append(kept, f)
		}
	}
	return kept
}

// spelled returns a name of an http.Header as standards and browsers write it.
// Names are compared without case, but some programs know one spelling only.
func spelled(canonical string) string {
	switch canonical {
	case "Sec-Websocket-Accept":
		return "Sec-WebSocket-Accept"
	case "Sec-Websocket-Extensions":
		return "Sec-WebSocket-Extensions"
	case "Sec-Websocket-Key":
		return "Sec-WebSocket-Key"
	case "Sec-Websocket-Protocol":
		return "Sec-WebSocket-Protocol"
	case "Sec-Websocket-Version":
		return "Sec-WebSocket-Version"
	case "Accept-Ch":
		return "Accept-CH"
	case "Cdn-Loop":
		return "CDN-Loop"
	case "Content-Md5":
		return "Content-MD5"
	case "Dav":
		return "DAV"
	case "Dnt":
		return "DNT"
	case "Dpop":
		return "DPoP"
	case "Etag":
		return "ETag"
	case "Mime-Version":
		return "MIME-Version"
	case "Nel":
		return "NEL"
	case "Odata-Maxversion":
		return "OData-MaxVersion"
	case "Odata-Version":
		return "OData-Version"
	case "P3p":
		return "P3P"
	case "Sec-Ch-Ua":
		return "Sec-CH-UA"
	case "Sec-Ch-Ua-Mobile":
		return "Sec-CH-UA-Mobile"
	case "Sec-Ch-Ua-Platform":
		return "Sec-CH-UA-Platform"
	case "Sec-Gpc":
		return "Sec-GPC"
	case "Soapaction":
		return "SOAPAction"
	case "Sourcemap":
		return "SourceMap"
	case "Te":
		return "TE"
	case "Www-Authenticate":
		return "WWW-Authenticate"
	case "X-Csrf-Token":
		return "X-CSRF-Token"
	case "X-Dns-Prefetch-Control":
		return "X-DNS-Prefetch-Control"
	case "X-Http-Method-Override":
		return "X-HTTP-Method-Override"
	case "X-Ua-Compatible":
		return "X-UA-Compatible"
	case "X-Xsrf-Token":
		return "X-XSRF-TOKEN"
	case "X-Xss-Protection":
		return "X-XSS-Protection"
	}
	return canonical
}
