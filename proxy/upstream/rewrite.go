package upstream

import (
	"net/http"
	"net/http/httputil"
	"strings"

	"persona-sidecar/proxy/middleware"
)

// rewrite makes the request that the website sees. ReverseProxy has already
// removed the fields of the client's connection.
func (p *Proxy) rewrite(pr *httputil.ProxyRequest) {
	in, out := pr.In, pr.Out
	rec := middleware.FromContext(in.Context())
	p.setTarget(in, out, rec.Target)
	out.Host = in.Host
	out.Trailer = in.Trailer // filled in when the body has been read
	dropClaims(out.Header, rec.Trusted)
	setForwarded(out.Header, in, rec)
	out.Header["Via"] = append(out.Header["Via"], via(in))
	p.cookies.stripRequest(out.Header)
	dropUpgrade(in, out.Header)
}

// setTarget sends the target byte for byte. Only Opaque does: a URL that holds
// a path escapes what the standard wants escaped, and ReverseProxy has dropped
// query parameters that it cannot parse. An Opaque that begins with "//" would
// be taken for an authority, so there the path it is, with its own escapes.
func (p *Proxy) setTarget(in, out *http.Request, target middleware.Target) {
	u := *p.target
	if strings.HasPrefix(target.Path, "//") {
		u.Path, u.RawPath = in.URL.Path, in.URL.RawPath
	} else {
		u.Opaque = target.Path
	}
	if target.Query != "" {
		u.RawQuery = target.Query[1:]
		u.ForceQuery = u.RawQuery == ""
	}
	out.URL = &u
}

// dropClaims removes what clients say about themselves, who they are and where
// they come from. From a trusted proxy, X-Forwarded- fields that are not made here
// pass, but for those that name a person.
func dropClaims(h http.Header, trusted bool) {
	for name := range h {
		if k := kindOf(name); k == made || k == claimed && !trusted {
			delete(h, name)
		}
	}
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
	scheme := rec.Scheme
	if scheme == "" {
		scheme = schemeOf(in)
	}
	values := make([]string, 0, 6) // one allocation for all
	set := func(name, value string) {
		values = append(values, value)
		n := len(values)
		h[name] = values[n-1 : n : n]
	}
	set("X-Forwarded-Host", in.Host)
	set("X-Forwarded-Proto", scheme)
	set("X-Forwarded-Port", portOf(in.Host, scheme))
	if rec.Client.IsValid() {
		client := rec.Client.String()
		set("X-Forwarded-For", client)
		set("X-Real-Ip", client)
	}
	if rec.ID != "" {
		set("X-Request-Id", rec.ID)
	}
}

// viaName is what this program calls itself in Via.
const viaName = "persona"

// maxPasses is how often a request may pass this program: more than any sensible
// row of proxies, and few enough to end a loop soon.
const maxPasses = 5

// via is our element of the Via field (RFC 9110, section 7.6.3).
func via(r *http.Request) string {
	switch {
	case r.ProtoMajor >= 2:
		return "2.0 " + viaName
	case r.ProtoMinor == 0:
		return "1.0 " + viaName
	}
	return "1.1 " + viaName
}

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

func schemeOf(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

func portOf(host, scheme string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && i+1 < len(host) && !strings.HasSuffix(host, "]") {
		return host[i+1:]
	}
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// dropUpgrade takes out upgrades to another version of HTTP or to TLS: behind
// them, requests would reach the website past everything that happens here
// (RFC 9113 has deprecated h2c for good). An upgrade over HTTP/2 does not exist.
func dropUpgrade(in *http.Request, h http.Header) {
	delete(h, "Http2-Settings")
	if in.ProtoMajor == 1 && !hiddenHTTP(h["Upgrade"]) {
		return
	}
	delete(h, "Upgrade")
	delete(h, "Connection")
}

func hiddenHTTP(upgrade []string) bool {
	for _, line := range upgrade {
		for token := range strings.SplitSeq(strings.ToLower(line), ",") {
			name, _, _ := strings.Cut(strings.Trim(token, " \t"), "/")
			switch name {
			case "h2c", "h2", "h3", "http", "tls":
				return true
			}
		}
	}
	return false
}
