package upstream

import (
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"persona-sidecar/proxy/middleware"
)

// rewrite makes the request that the website sees. ReverseProxy has already
// removed the fields of the client's connection.
func (p *Proxy) rewrite(pr *httputil.ProxyRequest) {
	in, out := pr.In, pr.Out
	rec := middleware.FromContext(in.Context())
	// Only Opaque sends the target byte for byte: a URL that holds a path escapes
	// what the standard wants escaped, and ReverseProxy has dropped query parameters
	// that it cannot parse. An Opaque that begins with "//" would be taken for an
	// authority, so there the path it is, with its own escapes.
	u := *p.target
	if strings.HasPrefix(rec.Target.Path, "//") {
		u.Path, u.RawPath = in.URL.Path, in.URL.RawPath
	} else {
		u.Opaque = rec.Target.Path
	}
	if rec.Target.Query != "" {
		u.RawQuery = rec.Target.Query[1:]
		u.ForceQuery = u.RawQuery == ""
	}
	out.URL = &u
	out.Host = in.Host
	out.Trailer = in.Trailer // filled in when the body has been read
	// What clients say about themselves goes. From a trusted proxy, X-Forwarded-
	// fields that are not made here pass, but for those that name a person.
	for name := range out.Header {
		if k := kindOf(name); k == made || k == claimed && !rec.Trusted {
			delete(out.Header, name)
		}
	}
	setForwarded(out.Header, in, rec)
	via := "1.1 " + viaName
	switch {
	case in.ProtoMajor >= 2:
		via = "2.0 " + viaName
	case in.ProtoMinor == 0:
		via = "1.0 " + viaName
	}
	out.Header["Via"] = append(out.Header["Via"], via)
	p.cookies.stripRequest(out.Header)
	dropUpgrade(in, out.Header)
}

type kind int

const (
	plain   kind = iota
	made         // made here or by nothing: never taken from a request
	claimed      // passed on for trusted proxies only
)

// identityPrefixes begin the names of fields by which applications are told who
// signed in.
var identityPrefixes = []string{"remote-", "x-remote-", "x-webauth-", "x-auth-request-", "x-persona-"}

// kindOf looks at a name as servers do that hand fields on as variables: CGI makes
// "-" and "_" one, PHP "." as well, so every byte that is no letter or digit
// counts as "-".
func kindOf(name string) kind {
	if name == "" || !strings.ContainsRune("xXfFrR", rune(name[0])) {
		return plain
	}
	name = strings.Map(func(c rune) rune {
		switch {
		case 'A' <= c && c <= 'Z':
			return c + 'a' - 'A'
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			return c
		}
		return '-'
	}, name)
	switch name {
	case "forwarded", "x-real-ip", "x-request-id",
		"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port",
		"x-forwarded-user", "x-forwarded-email", "x-forwarded-groups", "x-forwarded-preferred-username":
		return made
	}
	for _, prefix := range identityPrefixes {
		if strings.HasPrefix(name, prefix) {
			return made
		}
	}
	if strings.HasPrefix(name, "x-forwarded-") {
		return claimed
	}
	return plain
}

// setForwarded tells the website where the request came from, and how.
func setForwarded(h http.Header, in *http.Request, rec *middleware.Record) {
	port := "80"
	if rec.Scheme == "https" {
		port = "443"
	}
	if i := strings.LastIndexByte(in.Host, ':'); i >= 0 && i+1 < len(in.Host) && !strings.HasSuffix(in.Host, "]") {
		port = in.Host[i+1:]
	}
	values := make([]string, 0, 6) // one allocation for all
	set := func(name, value string) {
		values = append(values, value)
		n := len(values)
		h[name] = values[n-1 : n : n]
	}
	set("X-Forwarded-Host", in.Host)
	set("X-Forwarded-Proto", rec.Scheme)
	set("X-Forwarded-Port", port)
	if rec.Client.IsValid() {
		client := rec.Client.String()
		set("X-Forwarded-For", client)
		set("X-Real-Ip", client)
	}
	if rec.ID != "" {
		set("X-Request-Id", rec.ID)
	}
}

// viaName is what this program calls itself in Via (RFC 9110, section 7.6.3).
const viaName = "persona"

// maxPasses is how often a request may pass this program: more than any sensible
// row of proxies, and few enough to end a loop soon.
const maxPasses = 5

// passes counts how often a request has passed a program like this one.
func passes(r *http.Request) int {
	n := 0
	for _, line := range r.Header["Via"] {
		for element := range strings.SplitSeq(line, ",") {
			if words := strings.Fields(element); len(words) >= 2 && words[1] == viaName {
				n++
			}
		}
	}
	return n
}

// dropUpgrade takes out upgrades to another version of HTTP or to TLS: behind
// them, requests would reach the website past everything that happens here
// (RFC 9113 has deprecated h2c for good). An upgrade over HTTP/2 does not exist.
func dropUpgrade(in *http.Request, h http.Header) {
	delete(h, "Http2-Settings")
	drop := in.ProtoMajor != 1
	for _, line := range h["Upgrade"] {
		for token := range strings.SplitSeq(strings.ToLower(line), ",") {
			name, _, _ := strings.Cut(strings.Trim(token, " \t"), "/")
			switch name {
			case "h2c", "h2", "h3", "http", "tls":
				drop = true
			}
		}
	}
	if drop {
		delete(h, "Upgrade")
		delete(h, "Connection")
	}
}

// trailer is a request's trailer section (RFC 9110, section 6.5). net/http
// fills its fields in when the body has been read to its end.
type trailer struct {
	fields http.Header
	names  []string // those that the website may see
}

// announced takes out of an announced trailer section what has no place there:
// what frames, routes or authenticates a request, and what is made anew or cut out
// in the header. A website that merges the section into the header would take it
// for a field that was looked at in front of the body.
func announced(fields http.Header) trailer {
	t := trailer{fields: fields}
	for name := range fields {
		if httpguts.ValidTrailerHeader(name) && kindOf(name) == plain && name != "Cookie" {
			t.names = append(t.names, name)
		}
	}
	t.keepAnnounced()
	return t
}

// keepAnnounced removes all other fields. Over HTTP/1.1 net/http takes in
// whatever stands behind the body.
func (t trailer) keepAnnounced() {
	for name := range t.fields {
		if !slices.Contains(t.names, name) {
			delete(t.fields, name)
		}
	}
}
