package field

import (
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"persona-sidecar/proxy/wire"
)

// Kind is what becomes of a field of a request on its way to a website.
type Kind int

// The kinds of fields.
const (
	Plain      Kind = iota
	Made            // made by who sends the request on, or by nothing: never taken from a request
	Edited          // passed on in part
	Claimed         // passed on for trusted proxies only
	Rerouting       // names another target than the request has
	Overriding      // names another method than the request has
)

// identityPrefixes begin the names of fields by which applications are told who
// signed in.
var identityPrefixes = []string{"remote-", "x-remote-", "x-webauth-", "x-auth-request-", "x-persona-"}

// KindOf returns the kind of a field. It looks at the name as servers do that hand fields on as variables: CGI makes
// "-" and "_" one, PHP "." as well, so every byte that is no letter or digit
// counts as "-".
func KindOf(name string) Kind {
	if name == "" || !strings.ContainsRune("cehkprtufxCEHKPRTUFX", rune(name[0])) {
		return Plain
	}
	var buf [32]byte // longer than any name below
	folded := buf[:min(len(name), len(buf))]
	for i := range folded {
		folded[i] = fold(name[i])
	}
	switch string(folded) {
	case "host", "content-length", "transfer-encoding", // made by who sends the request
		"connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "trailer", "http2-settings", // of one connection
		"proxy", // a variable HTTP_PROXY is what many programs take their proxy from
		"forwarded", "x-real-ip", "x-request-id",
		"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port",
		"x-forwarded-user", "x-forwarded-email", "x-forwarded-groups", "x-forwarded-preferred-username":
		return Made
	case "cookie", "expect", "te", "upgrade":
		return Edited
	case "x-original-url", "x-original-uri", "x-rewrite-url", "x-rewrite-uri":
		return Rerouting
	case "x-http-method-override", "x-http-method", "x-method-override":
		return Overriding
	}
	for _, prefix := range identityPrefixes {
		if strings.HasPrefix(string(folded), prefix) {
			return Made
		}
	}
	if strings.HasPrefix(string(folded), "x-forwarded-") {
		return Claimed
	}
	return Plain
}

// fold makes one of the bytes of a name that KindOf does not tell apart.
func fold(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return c
	}
	return '-'
}

// Names are names of fields that are compared as KindOf does.
type Names []string

// NamesOf returns those of the names that are not Made whatever is configured.
func NamesOf(names []string) Names {
	var kept Names
	for _, name := range names {
		if KindOf(name) != Made {
			kept = append(kept, name)
		}
	}
	return kept
}

// Has reports whether a field has one of the names.
func (ns Names) Has(name string) bool {
	for _, n := range ns {
		if len(n) != len(name) {
			continue
		}
		same := true
		for i := range len(n) {
			same = same && fold(n[i]) == fold(name[i])
		}
		if same {
			return true
		}
	}
	return false
}

// Odd reports whether a name holds anything but letters, digits and "-". Servers
// that hand fields on as variables take such names for others.
func Odd(name string) bool {
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return true
		}
	}
	return false
}

// OfConnection reports whether a field of an answer is about the website's
// connection alone (RFC 9110, section 7.6.1).
func OfConnection(name string) bool {
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

// Named reports whether the values of Connection name a field. A length is not
// theirs to take out: it frames the message.
func Named(connection []string, name string) bool {
	for _, line := range connection {
		if line != "keep-alive" && line != "close" && line != "Keep-Alive" && HasToken(line, name) && !strings.EqualFold(name, "Content-Length") {
			return true
		}
	}
	return false
}

// HasToken reports whether a comma-separated list holds a token, without case and
// without what follows it behind a semicolon.
func HasToken(list, token string) bool {
	for element := range strings.SplitSeq(list, ",") {
		element, _, _ = strings.Cut(element, ";")
		if strings.EqualFold(strings.Trim(element, " \t"), token) {
			return true
		}
	}
	return false
}

// MayTrail reports whether a field may stand behind a body (RFC 9110, section
// 6.5.1): it does not frame, route, authenticate or control a message, and is
// nothing that is looked at or made anew in a header. A recipient that merges the
// section into the header would take it for a field that was.
func MayTrail(name string) bool {
	canonical := http.CanonicalHeaderKey(name)
	switch canonical {
	case "Set-Cookie", "Set-Login", "Clear-Site-Data", "Strict-Transport-Security", "Authentication-Info", "Via",
		"Age", "Date", "Expires", "Location", "Retry-After", "Vary", "Warning":
		return false
	}
	return KindOf(name) == Plain && httpguts.ValidTrailerHeader(canonical)
}

// Spelled returns a name of an http.Header as standards and browsers write it.
// Names are compared without case, but some programs know one spelling only.
func Spelled(canonical string) string {
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

// FromHeader returns the fields of a header sorted by name, since an http.Header has
// no order.
func FromHeader(h http.Header) wire.Fields {
	fields := make(wire.Fields, 0, len(h)+4)
	for name, values := range h {
		name = Spelled(name)
		for _, value := range values {
			fields = append(fields, wire.Field{Name: name, Value: value})
		}
	}
	slices.SortStableFunc(fields, func(a, b wire.Field) int { return strings.Compare(a.Name, b.Name) })
	return fields
}

// Fill puts fields into a header, spelled as they are unless net/http or the
// middleware looks for them.
func Fill(h http.Header, fields wire.Fields) {
	values := make([]string, len(fields)) // one allocation for all
	for i, f := range fields {
		name := f.Name
		switch canonical := http.CanonicalHeaderKey(name); canonical {
		case "Content-Length", "Content-Type", "Content-Encoding", "Date", "Trailer", "Strict-Transport-Security":
			name = canonical
		}
		if earlier, found := h[name]; found {
			h[name] = append(earlier, f.Value)
			continue
		}
		values[i] = f.Value
		h[name] = values[i : i+1 : i+1]
	}
}
