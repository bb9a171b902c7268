package app_test

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/proxy/certs/acmetest"
	"persona-sidecar/proxy/proxytest"
)

// oddRequest is a request that has brought identity to a stranger, or a stranger into a closed part, at some other
// program. Its host is example.test unless it is given.
type oddRequest struct {
	method, target, host string
	fields               []string // "Name: value", as they stand
	trailers             []string
	cookies              string // whose cookies are sent: alice, or one of the sets of cookies
	want                 string // of what comes by HTTPS: "alice" or "anonymous", what the website is told; "refused", "login", "no one"
	closed               bool   // the website may not get it by plain HTTP
	http1                bool   // cannot be said in HTTP/2
}

var (
	upgrade = []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}
	ownPage = []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Origin: https://example.test"}
)

// oddRequests name their kind. What a rule covers is below /members/ and /intern/, but for /members/health.
func oddRequests() map[string]oddRequest {
	all := map[string]oddRequest{
		"nothing odd":              {want: "anonymous"},
		"nothing odd, signed in":   {cookies: "alice", want: "alice"},
		"closed":                   {target: "/members/", want: "refused", closed: true},
		"closed, signed in":        {target: "/members/", cookies: "alice", want: "alice", closed: true},
		"closed to others":         {target: "/editors/", cookies: "alice", want: "refused", closed: true},
		"open below closed":        {target: "/members/health", want: "anonymous"},
		"open alone below closed":  {target: "/members/health/", want: "refused", closed: true},
		"open in another spelling": {target: "/members/HEALTH", want: "refused", closed: true},
		"longer name":              {target: "/membership", want: "anonymous"},
		"closed in the query":      {target: "/?x=/members/&y=%2e%2e", want: "anonymous"},

		"duplicate of a name":            {fields: []string{"Remote-User: root", "remote-user: root"}, cookies: "alice", want: "alice"},
		"names in Connection":            {fields: []string{"Connection: Remote-User, X-Persona-Assertion, close"}, cookies: "alice", want: "alice", http1: true},
		"a name in Connection and alias": {fields: []string{"Connection: remote_user, close", "remote_user: root"}, want: "anonymous", http1: true},
		"trailers":                       {method: "POST", fields: []string{"Trailer: Remote-User"}, trailers: []string{"Remote-User: root", "remote_groups: root"}, want: "anonymous", http1: true},
		"trailers of a person":           {method: "POST", fields: append([]string{"Trailer: Remote-Groups"}, ownPage...), trailers: []string{"Remote-Groups: root"}, cookies: "alice", want: "alice", http1: true},

		"absolute form":                      {target: "https://example.test/members/", want: "refused", closed: true, http1: true},
		"absolute form of another host":      {target: "https://open.test/", cookies: "alice", want: "no one", http1: true},
		"host with a port":                   {target: "/members/", host: "example.test:443", want: "refused", closed: true},
		"host with a final dot":              {target: "/members/", host: "example.test.", want: "refused", closed: true},
		"host in capitals":                   {target: "/members/", host: "EXAMPLE.Test", want: "refused", closed: true},
		"host in capitals, signed in":        {target: "/members/", host: "EXAMPLE.Test", cookies: "alice", want: "alice", closed: true},
		"another host of the entry":          {target: "/members/", host: "www.example.test", want: "refused", closed: true},
		"the cookie of another host":         {host: "www.example.test", cookies: "alice", want: "anonymous"},
		"the cookie of the identity host":    {cookies: "of id", want: "anonymous"},
		"the cookie renamed":                 {cookies: "of id renamed", want: "anonymous"},
		"the cookie of the login":            {cookies: "of a login", want: "anonymous"},
		"the cookie twice":                   {cookies: "twice", want: "anonymous"},
		"the cookie twice, closed":           {target: "/members/", cookies: "twice", want: "refused", closed: true},
		"a planted cookie before":            {cookies: "planted", want: "anonymous"},
		"the cookie in another letter":       {cookies: "in capitals", want: "anonymous"},
		"a preflight":                        {method: "OPTIONS", target: "/members/", fields: []string{"Origin: https://evil.test", "Access-Control-Request-Method: GET"}, want: "refused", closed: true},
		"a head":                             {method: "HEAD", target: "/members/", want: "refused", closed: true},
		"a method of one's own":              {method: "FROB", target: "/members/", fields: ownPage, want: "refused", closed: true},
		"basic where it does not count":      {target: "/members/", fields: []string{"Authorization: Basic YWxpY2U6eA=="}, want: "refused", closed: true},
		"basic where it counts":              {target: "/git/x", fields: []string{"Authorization: Basic YWxpY2U6eA=="}, cookies: "alice", want: "anonymous", closed: true},
		"an empty authorization":             {target: "/git/x", fields: []string{"Authorization: "}, want: "refused", closed: true},
		"an authorization that is dropped":   {target: "/git/x", fields: []string{"Authorization: Basic YWxpY2U6eA==", "Connection: close, authorization;x"}, want: "refused", closed: true, http1: true},
		"a websocket of a stranger":          {target: "/members/ws", fields: upgrade, want: "refused", closed: true, http1: true},
		"a websocket of another site":        {target: "/members/ws", fields: append([]string{"Origin: https://www.example.test", "Sec-Fetch-Site: same-site"}, upgrade...), cookies: "alice", want: "refused", closed: true, http1: true},
		"a form of a sibling":                {method: "POST", fields: []string{"Origin: https://www.example.test", "Sec-Fetch-Site: same-site"}, cookies: "alice", want: "anonymous"},
		"a form of a sibling, closed":        {method: "POST", target: "/members/", fields: []string{"Origin: https://www.example.test", "Sec-Fetch-Site: same-site"}, cookies: "alice", want: "refused", closed: true},
		"a form of another site":             {method: "POST", fields: []string{"Origin: https://evil.test", "Sec-Fetch-Site: cross-site"}, cookies: "alice", want: "anonymous"},
		"a form of a sandbox":                {method: "POST", fields: []string{"Origin: null"}, cookies: "alice", want: "anonymous"},
		"a form of no one":                   {method: "POST", cookies: "alice", want: "anonymous"},
		"a form of no one, closed":           {method: "POST", target: "/members/", cookies: "alice", want: "refused", closed: true},
		"a form of one's own":                {method: "POST", fields: ownPage, cookies: "alice", want: "alice"},
		"a form of one's own, old browser":   {method: "POST", fields: []string{"Origin: https://example.test"}, cookies: "alice", want: "alice"},
		"a form over plain HTTP":             {method: "POST", fields: []string{"Origin: http://example.test"}, cookies: "alice", want: "anonymous"},
		"a form with two origins":            {method: "POST", fields: []string{"Origin: https://example.test", "Origin: https://evil.test"}, cookies: "alice", want: "anonymous"},
		"another site's link, signed in":     {fields: []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"}, cookies: "alice", want: "alice"},
		"another method of a stranger":       {fields: []string{"X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "x_method_override: DELETE"}, want: "anonymous"},
		"another method of a link":           {fields: []string{"X-HTTP-Method-Override: DELETE"}, cookies: "alice", want: "alice"},
		"another target":                     {fields: []string{"X-Original-URL: /members/", "X-Rewrite-URL: /members/", "x_original_url: /members/"}, cookies: "alice", want: "alice"},
		"another target, as a proxy says it": {fields: []string{"X-Forwarded-Uri: /members/health", "X-Forwarded-Host: open.test", "X-Forwarded-Prefix: /x", "X-Forwarded-Method: GET"}, target: "/members/", want: "refused", closed: true},
		"a page that wants to sign in":       {target: "/members/", fields: []string{"Sec-Fetch-Mode: navigate", "Accept: text/html"}, want: "login", closed: true},
	}
	for _, name := range []string{
		"Remote-User", "remote_user", "REMOTE.USER", "remote~user", "Remote-Groups", "X-Remote-User", "X_REMOTE_USER", "X-Webauth-User", "X-Auth-Request-User",
		"X-Persona-Assertion", "X-Persona_Assertion", "X-Forwarded-User", "X-Forwarded_User", "X-Forwarded-Groups", "X-Forwarded-Displayname", "X-Mail", "x_mail", "X.Mail",
	} {
		all["claim of "+name] = oddRequest{fields: []string{name + ": root"}, want: "anonymous"}
		all["claim of "+name+", signed in"] = oddRequest{fields: []string{name + ": root"}, cookies: "alice", want: "alice"}
	}
	for _, target := range []string{
		"/members", "/MEMBERS/", "/%6dembers/", "/%4DEMBERS", "/members//x", "//members/", "///members/", "/./members/", "/x/../members/", "/x/%2e%2e/members/", "/members%2fx", "/members%5cx",
		`/members\x`, `\members\`, "/members;a=b/", "/members/..;/members/", "/members%3b/", "/members%00", "/members/x%00.css", "/members/%252e%252e/x", "/x/..%c0%afmembers/", "/%c0%ae/members/",
		"/members%23x", "/members/#/../health", "/#/../members/", "/members/health/../list", "/members/health/..%2flist", "/members/health%2f..%2flist", "/members/health;/list", "/members/.", "/members/...",
		"/members./x", "/members%20/x", "/ members/", "/members::$DATA", "/MEMB%45RS/%2e", "/members/\x7f", "/m\u00e9mbers/../members/", "/%u006dembers/", "/members/health?/../list#", "/members/%zz",
		"/members?", "/members/?rest_route=/", "/members/health/x", "/intern/x", "/Intern",
	} {
		_, query, _ := strings.Cut(target, "?")
		if strings.HasPrefix(target, "/members/health?") && query != "" {
			continue
		}
		all["target "+target] = oddRequest{target: target, want: "refused", closed: true}
		all["target "+target+" with basic"] = oddRequest{target: target, fields: []string{"Authorization: Bearer x"}, want: "refused", closed: true}
	}
	for _, agent := range []string{"kube-probe/1.31", "GoogleHC/1.0", "ELB-HealthChecker/2.0", "Uptime-Kuma/1.23", "Mozilla/5.0 (compatible; Googlebot/2.1)"} {
		all["agent "+agent] = oddRequest{target: "/members/", fields: []string{"User-Agent: " + agent}, want: "refused", closed: true}
	}
	return all
}

// wayIn is one way by which requests reach the program.
type wayIn struct {
	name   string
	secure bool
	http2  bool
	fields []string // that a proxy in front adds
	p      *program
	scheme string
}

// TestOddRequests sends every odd request by every way in.
func TestOddRequests(t *testing.T) {
	t.Parallel()
	n := startIntranet(t)
	domains := n.yaml[strings.Index(n.yaml, "domains:"):]
	slow := startAt(t, n.folder, strings.Replace(n.yaml, `listen: {`, `listen: {fast: false, `, 1), n.clock.now)
	off := func(proxies string) *program {
		return startAt(t, n.folder, "state_dir: state\nlisten: {http: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"}\ntls: {mode: off}\ntrusted_proxies: ["+proxies+"]\n"+domains, n.clock.now)
	}
	trusting, wary := off("127.0.0.0/8"), off("192.0.2.0/24")
	uncertified := startAt(t, n.folder, uncertifiedYAML(t, n.folder)+domains, n.clock.now)
	ways := []wayIn{
		{name: "HTTP/1.1", secure: true, p: n.program, scheme: "https"},
		{name: "HTTP/1.1 by net/http", secure: true, p: slow, scheme: "https"},
		{name: "HTTP/2", secure: true, http2: true, p: n.program, scheme: "https"},
		{name: "before a certificate", p: uncertified, scheme: "http"},
		{name: "behind a terminator", secure: true, p: trusting, scheme: "http", fields: []string{"X-Forwarded-Proto: https"}},
		{name: "behind a terminator, plain", p: trusting, scheme: "http", fields: []string{"X-Forwarded-Proto: http"}},
		{name: "past a terminator", p: wary, scheme: "http", fields: []string{"X-Forwarded-Proto: https"}},
	}
	cookies := oddCookies(t, n)
	for name, request := range oddRequests() {
		for _, way := range ways {
			if way.http2 && request.http1 {
				continue
			}
			status, answer := way.send(t, n.roots, request, cookies[request.cookies])
			if fault := request.judge(way, status, answer); fault != "" {
				t.Errorf("%s, %s: %s: %d %.600s", name, way.name, fault, status, answer)
			}
		}
	}
}

// judge returns what is wrong with an answer, "" for nothing.
func (o oddRequest) judge(way wayIn, status int, answer string) string {
	reached := strings.HasPrefix(answer, "website ")
	told := page{body: answer}.told("Remote-User")
	for _, forged := range []string{"root", "DELETE", "X-Original-Url", "X-Rewrite-Url", "__Host-persona"} {
		if strings.Contains(answer, forged) {
			return "the website got " + forged
		}
	}
	switch {
	case !way.secure && (told != "" || strings.Contains(answer, "Assertion")):
		return "identity was sent in clear text"
	case !way.secure && reached && o.closed:
		return "a closed part was served in clear text"
	case !way.secure:
		return ""
	case o.want == "no one" && told != "": // the host of the target counts, which is served here
		return fmt.Sprintf("the website was told of %q", told)
	case o.want == "refused" && (reached || status < 400):
		return "it was not refused"
	case o.want == "login" && (reached || status != http.StatusSeeOther):
		return "it was not sent to sign in"
	case o.want == "anonymous" && (!reached || told != ""):
		return fmt.Sprintf("the website was told of %q", told)
	case o.want == "alice" && (!reached || told != "alice"):
		return fmt.Sprintf("the website was told of %q", told)
	}
	return ""
}

// send sends the request as its bytes stand. A HEAD has the status alone.
func (way wayIn) send(t *testing.T, roots *x509.CertPool, o oddRequest, cookies string) (status int, answer string) {
	t.Helper()
	method, target, host := "GET", "/", "example.test"
	for of, given := range map[*string]string{&method: o.method, &target: o.target, &host: o.host} {
		if given != "" {
			*of = given
		}
	}
	fields := append(append([]string{}, way.fields...), o.fields...)
	if cookies != "" {
		fields = append(fields, "Cookie: "+cookies)
	}
	if way.http2 {
		pseudo := [][2]string{{":method", method}, {":scheme", "https"}, {":authority", host}, {":path", target}}
		for _, line := range fields {
			name, value, _ := strings.Cut(line, ": ")
			pseudo = append(pseudo, [2]string{strings.ToLower(name), value})
		}
		stream := proxytest.HTTP2(t, way.p.Addr("https").String(), "example.test", pseudo, nil)
		status, _ := strconv.Atoi(stream.Status)
		if stream.Status == "" {
			status = http.StatusBadRequest // the stream was reset
		}
		return status, stream.Body
	}
	request := method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n"
	if len(o.trailers) > 0 {
		fields = append(fields, "Transfer-Encoding: chunked")
	}
	if !strings.Contains(strings.Join(fields, "\n"), "Connection: ") {
		fields = append(fields, "Connection: close")
	}
	request += strings.Join(fields, "\r\n") + "\r\n\r\n"
	if len(o.trailers) > 0 {
		request += "1\r\nx\r\n0\r\n" + strings.Join(o.trailers, "\r\n") + "\r\n\r\n"
	}
	response := wire(t, way.p, roots, way.scheme+"://example.test", request)
	if method == http.MethodHead {
		return response.StatusCode, ""
	}
	return response.StatusCode, read(t, response)
}

// oddCookies are the cookies of alice at example.test, and what could be made of hers.
func oddCookies(t *testing.T, n *intranet) map[string]string {
	t.Helper()
	s := n.surfer(t)
	if p := s.signIn("https://example.test/persona/login", "alice"); p.told("Remote-User") != "alice" {
		t.Fatalf("%s: %d %s", p.at, p.status, p.body)
	}
	begun := n.surfer(t)
	begun.open("https://example.test/persona/login")
	at := func(s *surfer, host string) *http.Cookie {
		t.Helper()
		cookies := s.client.Jar.Cookies(&url.URL{Scheme: "https", Host: host})
		if len(cookies) != 1 {
			t.Fatalf("the cookies at %s are %v", host, cookies)
		}
		return cookies[0]
	}
	site, id, login := at(s, "example.test"), at(s, "id.example.test"), at(begun, "example.test")
	return map[string]string{
		"alice":         site.String(),
		"of id":         id.String(),
		"of id renamed": site.Name + "=" + id.Value,
		"of a login":    site.Name + "=" + login.Value,
		"twice":         site.String() + "; " + site.String(),
		"planted":       site.Name + "=planted; " + site.String(),
		"in capitals":   strings.ToUpper(site.Name) + "=" + site.Value,
	}
}

// uncertifiedYAML is the part of a configuration with which no certificate is obtained.
func uncertifiedYAML(t *testing.T, folder string) string {
	t.Helper()
	httpsPort, httpPort := apptest.FreePort(t), apptest.FreePort(t)
	pebble := acmetest.Start(t, acmetest.Options{HTTPPort: httpPort, TLSPort: httpsPort})
	writeRoots(t, folder+"/acme-ca.pem", pebble)
	pebble.Down()
	return fmt.Sprintf("state_dir: state\nlisten: {https: \"127.0.0.1:%d\", http: \"127.0.0.1:%d\", admin: \"127.0.0.1:0\"}\ntls: {acme: {directory: %s, ca_file: acme-ca.pem}}\n",
		httpsPort, httpPort, pebble.Directory())
}
