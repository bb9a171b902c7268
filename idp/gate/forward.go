package gate

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/printable"
	"persona-sidecar/idp/route"
)

// doubt is why a neighbour gets no answer about a request. It is for the log alone.
type doubt struct{ error, hint string }

func (d doubt) Error() string { return d.error }
func (d doubt) Hint() string  { return d.hint }

// forwardAuth answers the server of a neighbour's website about a request to that: 200 with the identity fields where it
// passes, else with what the server is to answer in place of the website. Fields of the original request that are not
// described otherwise are those of this one; its body is not read.
//
// A sign-in that is necessary is answered 401 with a Location, because not every server passes a redirect on, and
// with ?redirect=yes in the address that the server asks at by the redirect itself.
func (g *Gate) forwardAuth(w http.ResponseWriter, r *http.Request, h *identity.Host) error {
	peer := g.Peer(r)
	if !g.peers[peer] {
		return g.stranger(r, h, fmt.Sprintf("%s is in the list proxies of no entry", peer))
	}
	q, problem := g.question(r)
	host := cmp.Or(q.host, h.Name)
	site := g.sites[host]
	switch {
	case problem == nil && q.host == "" && h.Role == identity.Provider:
		problem = &doubt{"the host that was asked for is missing", "let the server in front set X-Forwarded-Host"}
		fallthrough
	case problem != nil:
		return g.doubtful(r, h, http.StatusBadRequest, "bad_question", *problem)
	case site == nil || !slices.Contains(site.Peers, peer):
		return g.stranger(r, h, fmt.Sprintf("%s is not in the list proxies of an entry for %s", peer, printable.Text(host, 80)))
	case h.Name != site.Host && h.Name != site.Authority.Name:
		return g.doubtful(r, h, http.StatusBadRequest, "bad_question", doubt{
			"asked at " + h.Name + " about " + site.Host, "ask with the host name of the website itself, or at " + site.Authority.Name,
		})
	}
	path, query, _ := strings.Cut(q.target, "?")
	asked := r.WithContext(r.Context())
	asked.Method, asked.URL = q.method, &url.URL{Path: path, RawQuery: query}
	d := g.decide(asked, site, path, q.scheme == "https")
	if d.Verdict == TooOpen {
		g.complain(asked, site.pages, doubt{
			"X-Forwarded-Proto is not https, and the part of the website is not for everyone",
			"let the server in front set X-Forwarded-Proto to https where the browser came by it, and redirect plain HTTP",
		})
		d.refused = &route.Error{Status: http.StatusForbidden, Code: "not_https", Link: site.Origin + here(path, query)}
	}
	if len(d.SetCookies) > 0 { // the first is ours, and most servers pass no second on
		w.Header().Set("Set-Cookie", d.SetCookies[0])
	}
	if d.refused != nil {
		if d.refused.Status == http.StatusSeeOther {
			d.refused.Link = site.Origin + d.refused.Link
			if r.URL.Query().Get("redirect") != "yes" {
				d.refused.Status = http.StatusUnauthorized
				w.Header().Set("Location", d.refused.Link)
			}
		}
		g.refuse(w, asked, site, d)
		return nil
	}
	for _, field := range d.Fields {
		w.Header().Set(field.Name, field.Value)
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
	g.Count(site.Host, d.outcome())
	return nil
}

// question is the request that a neighbour asks about, as it came to the neighbour.
type question struct {
	host   string // canonical; "": it is not told
	method string
	target string // path and query as they were sent
	scheme string // lower case; "": it is not told
}

// question reads the fields by which a neighbour describes a request: those that begin with X-Forwarded-, of which Caddy
// and Traefik have Host, Method, Proto and Uri, or with X-Original-, of which nginx is configured to send Host, Method
// and URL, which may be a whole URL. A neighbour passes on what it does not set itself, so that a client may have written
// the others: where they disagree, the client has.
func (g *Gate) question(r *http.Request) (question, *doubt) {
	var forwarded, original question
	for _, field := range []struct {
		name string
		to   *string
	}{
		{"X-Forwarded-Host", &forwarded.host},
		{"X-Forwarded-Method", &forwarded.method},
		{"X-Forwarded-Uri", &forwarded.target},
		{"X-Forwarded-Proto", &forwarded.scheme},
		{"X-Original-Host", &original.host},
		{"X-Original-Method", &original.method},
		{"X-Original-Url", &original.target},
	} {
		switch values := r.Header[field.name]; len(values) {
		case 0:
		case 1:
			*field.to = values[0]
		default:
			return question{}, &doubt{field.name + " is there twice", "let the server in front set it, and take away what clients send"}
		}
	}
	if scheme, rest, whole := strings.Cut(original.target, "://"); whole && !strings.HasPrefix(original.target, "/") {
		original.scheme = scheme
		at := max(strings.IndexByte(rest, '/'), 0)
		if original.host != "" && g.CanonicalHost(original.host) != g.CanonicalHost(rest[:at]) {
			return question{}, &doubt{"X-Original-Host and X-Original-URL name two hosts", "let the server in front set both, or take X-Original-Host away"}
		}
		original.host, original.target = rest[:at], rest[at:]
	}
	for _, q := range []*question{&forwarded, &original} {
		if q.host != "" {
			if q.host = g.CanonicalHost(q.host); q.host == "" {
				return question{}, &doubt{"the host that was asked for is no host name", "let the server in front set X-Forwarded-Host to the one host that was asked for"}
			}
		}
		q.scheme = strings.ToLower(q.scheme)
		switch {
		case q.target == "":
		case q.target[0] != '/' || strings.ContainsAny(q.target, " \t"): // two that were joined have a blank
			return question{}, &doubt{"the address that was asked for is no path", "let the server in front set X-Forwarded-Uri or X-Original-URL to path and query as they were sent"}
		case q.method == "":
			return question{}, &doubt{"the method is missing", "let the server in front set X-Forwarded-Method beside X-Forwarded-Uri, or X-Original-Method beside X-Original-URL"}
		}
	}
	if forwarded.target+original.target == "" {
		return question{}, &doubt{"the address that was asked for is missing", "let the server in front set X-Forwarded-Uri or X-Original-URL"}
	}
	for _, pair := range [][2]string{
		{forwarded.host, original.host}, {forwarded.method, original.method}, {forwarded.target, original.target}, {forwarded.scheme, original.scheme},
	} {
		if pair[0] != "" && pair[1] != "" && pair[0] != pair[1] {
			return question{}, &doubt{"X-Forwarded- and X-Original- fields disagree", "a client sends the fields that the server in front does not set: let that set or take away both kinds"}
		}
	}
	return question{
		cmp.Or(forwarded.host, original.host), cmp.Or(forwarded.method, original.method),
		cmp.Or(forwarded.target, original.target), cmp.Or(forwarded.scheme, original.scheme),
	}, nil
}

// stranger refuses a server that may not ask. It learns nothing else.
func (g *Gate) stranger(r *http.Request, h *identity.Host, why string) error {
	return g.doubtful(r, h, http.StatusForbidden, "no_neighbour", doubt{why, "if it is the server in front of that website, list this address in the entry's proxies in forward_auth"})
}

// doubtful refuses a question, and logs why.
func (g *Gate) doubtful(r *http.Request, h *identity.Host, status int, code string, why doubt) error {
	g.complain(r, h, why)
	return &route.Error{Status: status, Code: code, Cause: why, Repeated: true}
}

// complain logs why a neighbour gets no answer, a few times a minute.
func (g *Gate) complain(r *http.Request, h *identity.Host, why doubt) {
	g.Respond.About(g.doubts.Warn(), r, h).Err(why).Str("hint", why.hint).Msg("a server that asks who is signed in gets no answer")
}
