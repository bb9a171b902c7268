package upstream

import (
	"net/http"
	"net/http/httputil"
	"strings"

	"persona-sidecar/proxy/middleware"
)

// rewrite makes the request that the website sees. ReverseProxy has already
// removed hop-by-hop fields.
func (p *Proxy) rewrite(pr *httputil.ProxyRequest) {
	in, out := pr.In, pr.Out
	rec := middleware.FromContext(in.Context())
	p.setTarget(in, out, rec.Target)
	out.Host = in.Host
	out.Trailer = in.Trailer // filled in when the body has been read
	dropForwarded(out.Header, rec.Trusted)
	setForwarded(out.Header, in, rec)
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

// dropForwarded removes what clients say about themselves and where they come
// from, however it is spelled: to CGI and its heirs, X_Forwarded_For and
// X-Forwarded-For are one name. From a trusted proxy, X-Forwarded- fields that we
// do not make ourselves pass.
func dropForwarded(h http.Header, trusted bool) {
	for name := range h {
		switch kindOf(name) {
		case made:
			delete(h, name)
		case claimed:
			if !trusted {
				delete(h, name)
			}
		}
	}
}

type kind int

const (
	plain   kind = iota
	made         // always made anew
	claimed      // believed from trusted proxies only
)

func kindOf(name string) kind {
	if name == "" || name[0] != 'X' && name[0] != 'x' && name[0] != 'F' && name[0] != 'f' {
		return plain
	}
	switch name = strings.ReplaceAll(strings.ToLower(name), "_", "-"); name {
	case "forwarded", "x-real-ip", "x-request-id",
		"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port":
		return made
	}
	if strings.HasPrefix(name, "x-forwarded-") {
		return claimed
	}
	return plain
}

// setForwarded tells the website who asked, and how.
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
