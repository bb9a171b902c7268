package app_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"persona-sidecar/cmd/internal/check"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/translate"
	"persona-sidecar/idp/idptest"
	"persona-sidecar/ldapauth/ldaptest"

	"github.com/chromedp/chromedp"
)

// TestNeighbours: people sign in to the website of a real server, which asks the program about every request.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	for kind := range neighbourKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			n := startNeighbour(t, kind)
			n.strangers(t)
			n.checked(t)
			n.members(t)
		})
	}
}

// checked: persona check finds nothing wrong with a server that is configured by these files.
func (n *neighbour) checked(t *testing.T) {
	loaded, err := config.Load(n.path("persona.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	world := check.SystemEnv(translate.Directory)
	world.Resolver, world.Roots = names{}, n.roots
	dial := world.Dial
	world.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) { return dial(ctx, network, n.front) }
	summary, text := findings(t, check.New(world, check.Options{Config: loaded}).Domain("wiki.example.test"))
	if summary.Failed > 0 || summary.Warnings > 0 || !strings.Contains(text, "is led to sign in") || !strings.Contains(text, "no client can ask it") {
		t.Errorf("check says:\n%s", text)
	}
}

// strangers: what a client claims is nothing, and what is closed is closed however it is asked for.
func (n *neighbour) strangers(t *testing.T) {
	s := n.surfer(t)
	claims := map[string]string{
		"Remote-User": "alice", "remote_user": "alice", "Remote.User": "alice", "Remote-Groups": "staff", "X-Persona-Assertion": "x", "Remote-Id": "1", "Remote-Email": "a@b", "Remote-Name": "A",
	}
	if p := s.ask(http.MethodGet, wiki+"/public/x?y=z", "", claims); p.status != http.StatusOK || strings.Contains(p.body, "alice") || strings.Contains(strings.ToLower(p.body), "remote") || strings.Contains(p.body, "Persona") {
		t.Errorf("a stranger's claims: %d %s", p.status, p.body)
	}
	for _, claim := range []map[string]string{
		{"X-Forwarded-Uri": "/public/", "X-Forwarded-Method": "GET"},
		{"X-Original-URL": wiki + "/public/", "X-Original-Method": "GET"},
		{"X-Forwarded-Prefix": "/public"},
		{"X-Forwarded-Host": "id.example.test"},
		{"X-Original-Host": "x.test"},
		{"X-Rewrite-URL": "/public/"},
		{"X-Forwarded-For": "127.0.0.1"},
		{"X-Forwarded-Proto": "http"},
	} {
		if p := s.ask(http.MethodGet, wiki+"/secret", "", claim); strings.Contains(p.body, "website GET") || p.status == http.StatusOK && !strings.HasPrefix(p.at, "https://id.example.test/persona/authenticate?") {
			t.Errorf("with %v: %d at %s\n%s", claim, p.status, p.at, p.body)
		}
	}
	for _, path := range []string{"/secret", "/public/%2e%2e/secret", "/public/..%2fsecret", "/PUBLIC/secret", "//public/", "/public;/../secret"} {
		request := "GET " + path + " HTTP/1.1\r\nHost: wiki.example.test\r\nConnection: close\r\n\r\n"
		if response := n.wire(t, request); response.StatusCode < 400 || strings.Contains(read(t, response), "website GET") {
			t.Errorf("%s: %d", path, response.StatusCode)
		}
	}
	// A client cannot ask the question itself.
	if p := s.ask(http.MethodGet, wiki+"/persona/forward-auth", "", map[string]string{"X-Forwarded-Uri": "/public/", "X-Forwarded-Method": "GET"}); p.status != http.StatusNotFound {
		t.Errorf("the question is answered to a client: %d %s", p.status, p.body)
	}
	if p := s.ask(http.MethodGet, wiki+"/secret", "", map[string]string{"Sec-Fetch-Mode": "cors", "Accept": "*/*"}); p.status != http.StatusUnauthorized || !strings.Contains(p.body, "sign_in_required") {
		t.Errorf("a script: %d %s", p.status, p.body)
	}
	if response := n.wire(t, "GET /secret HTTP/1.1\r\nHost: wiki.example.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("a websocket: %d", response.StatusCode)
	}
}

// members: alice, who is in the group, signs in, comes back to the page that she asked for, and out; bob is refused.
func (n *neighbour) members(t *testing.T) {
	alice := n.surfer(t)
	if p := alice.signIn(wiki+"/secret?a=b&c=%26", "alice"); p.at != wiki+"/secret?a=b&c=%26" || p.told("Remote-User") != "alice" || p.told("X-Persona-Assertion") == "" ||
		!strings.Contains(p.told("Remote-Groups"), "staff") || strings.Contains(p.body, "__Host-persona") {
		t.Fatalf("signed in: %d at %s\n%s", p.status, p.at, p.body)
	}
	if p := alice.ask(http.MethodGet, wiki+"/public/", "", map[string]string{"Remote-User": "bob", "Cookie": "theme=dark"}); p.told("Remote-User") != "alice" || strings.Contains(p.body, "bob") || p.told("Cookie") != "theme=dark" {
		t.Errorf("with a claim: %s", p.body)
	}
	if p := alice.ask(http.MethodPost, wiki+"/save", "text=x", map[string]string{"Sec-Fetch-Site": "same-origin", "Content-Type": "text/plain"}); p.status != http.StatusOK || p.told("Remote-User") != "alice" || !strings.Contains(p.body, "website POST /save") {
		t.Errorf("a form: %d %s", p.status, p.body)
	}
	if p := alice.ask(http.MethodPost, wiki+"/save", "text=x", map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "https://shop.example.test"}); p.status != http.StatusForbidden || strings.Contains(p.body, "website") && !strings.Contains(p.body, "another website") {
		t.Errorf("a sibling's form: %d %s", p.status, p.body)
	}
	if p := alice.open(wiki + "/board/"); p.status != http.StatusForbidden || !strings.Contains(p.body, "board") || !strings.Contains(p.body, "signed in as alice") {
		t.Errorf("a group that she is not in: %d %s", p.status, p.body)
	}
	if p := alice.open(wiki + "/a%2fb"); p.status != http.StatusBadRequest || !strings.Contains(p.body, "This address cannot be used") {
		t.Errorf("an odd target: %d %s", p.status, p.body)
	}
	bob := n.surfer(t)
	if p := bob.signIn(wiki+"/secret", "bob"); p.status != http.StatusForbidden || !strings.Contains(p.body, "staff") {
		t.Errorf("a person in no group: %d %s", p.status, p.body)
	}
	alice.signOut(wiki)
	if p := alice.open(wiki + "/secret"); !strings.HasPrefix(p.at, "https://id.example.test/persona/authenticate?") || !strings.Contains(p.body, "wiki.example.test") {
		t.Errorf("after signing out: %d at %s", p.status, p.at)
	}
	if user := alice.told(wiki+"/public/", "Remote-User"); user != "" {
		t.Errorf("after signing out %s is signed in", user)
	}
}

// TestBrowserNeighbours: the same in Chromium, with a websocket.
func TestBrowserNeighbours(t *testing.T) {
	for kind := range neighbourKinds {
		t.Run(kind, func(t *testing.T) {
			n := startNeighbour(t, kind)
			person := func(t *testing.T) *shopper {
				return &shopper{t, idptest.NewBrowser(t, idptest.BrowserOptions{Address: n.front, Trust: n.trust})}
			}
			signIn := func(p *shopper, login string) {
				do(
					p.t, p.ctx, chromedp.Navigate(wiki+"/secret?a=b"), idptest.Type("#username", login), idptest.Type("#password", ldaptest.Password),
					idptest.Leave(idptest.Click("#submit")),
				)
			}
			alice := person(t)
			signIn(alice, "alice")
			alice.until(`location.href === "` + wiki + `/secret?a=b" && document.body.innerText.includes("Remote-User: alice")`)
			if _, err := chromedp.Run(alice.ctx, chromedp.Evaluate[bool](`new WebSocket("wss://wiki.example.test/socket").onmessage = (e) => { document.title = "socket of " + e.data }; true`)); err != nil {
				t.Fatal(err)
			}
			alice.until(`document.title === "socket of alice"`)
			do(t, alice.ctx, chromedp.Navigate(wiki+"/board/"))
			alice.until(`document.body.innerText.includes("You are signed in as alice")`)
			idptest.SaveScreenshot(alice.ctx, t, "forward-auth/"+kind+"-wrong-group")
			do(t, alice.ctx, chromedp.Navigate(wiki+"/persona/logout?return=%2Fpublic%2F"))
			alice.until(`document.readyState === 'complete' && document.querySelector('#logout')?.getAttribute('aria-disabled') !== 'true'`)
			do(t, alice.ctx, idptest.Leave(idptest.Click("#logout")))
			alice.until(`location.href === "` + wiki + `/public/" && document.readyState === 'complete'`)
			do(t, alice.ctx, chromedp.Navigate(wiki+"/secret"))
			alice.until(`location.origin === "https://id.example.test" && document.querySelector('#username') !== null`)

			bob := person(t)
			signIn(bob, "bob")
			bob.until(`location.origin === "` + wiki + `" && document.body.innerText.includes("staff")`)
		})
	}
}

// BenchmarkForwardAuth is a question about a person who is signed in, and its answer, over one connection by TLS.
func BenchmarkForwardAuth(b *testing.B) {
	folder := b.TempDir()
	yaml, roots := filesYAML(b, folder, "example.test", "id.example.test")
	p := start(b, folder, yaml+`
log: {requests: false}
domains: [{name: example.test, directory: corp, authority: id.example.test}]
forward_auth: [{host: wiki.example.test, authority: id.example.test, proxies: [127.0.0.1], groups: [staff], identity_headers: true}]
`+directoryYAML(b, folder, ldaptest.StartSlapd(b, ldaptest.Options{})))
	waitForKeys(b, p)
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	client := p.client(roots) // as a server in front would pass /persona/ on, by the name of the identity host
	client.Jar, client.CheckRedirect = jar, nil
	transport := client.Transport.(*http.Transport)
	transport.TLSClientConfig.ServerName, transport.ForceAttemptHTTP2 = "id.example.test", false
	page, err := client.Get(wiki + "/persona/login")
	if err != nil {
		b.Fatal(err)
	}
	form := url.Values{"username": {"alice"}, "password": {ldaptest.Password}, "computer": {"private"}}
	for _, hidden := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`).FindAllStringSubmatch(read(b, page), -1) {
		form.Set(hidden[1], html.UnescapeString(hidden[2]))
	}
	request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, page.Request.URL.String(), strings.NewReader(form.Encode()))
	if err != nil {
		b.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	signedIn, err := client.Do(request)
	if err != nil {
		b.Fatal(err)
	}
	onward := regexp.MustCompile(`<meta http-equiv="refresh" content="0; url=([^"]+)">`).FindStringSubmatch(read(b, signedIn))
	if onward == nil {
		b.Fatalf("not signed in: %s", signedIn.Status)
	}
	where, err := signedIn.Request.URL.Parse(html.UnescapeString(onward[1]))
	if err != nil {
		b.Fatal(err)
	}
	if signedIn, err = client.Get(where.String()); err != nil {
		b.Fatal(err)
	}
	_ = read(b, signedIn) // 421: the website is not here
	var cookies []string
	for _, cookie := range jar.Cookies(&url.URL{Scheme: "https", Host: "wiki.example.test", Path: "/"}) {
		cookies = append(cookies, cookie.String())
	}
	question := "GET /persona/forward-auth HTTP/1.1\r\nHost: wiki.example.test\r\nX-Original-Method: GET\r\nX-Original-URL: https://wiki.example.test/page?x=1\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\nCookie: " + strings.Join(cookies, "; ") + "\r\n\r\n"
	connection, err := tls.Dial("tcp", p.Addr("https").String(), transport.TLSClientConfig)
	if err != nil {
		b.Fatal(err)
	}
	defer connection.Close()
	answers := bufio.NewReader(connection)
	for b.Loop() {
		if _, err := io.WriteString(connection, question); err != nil {
			b.Fatal(err)
		}
		told := false
		for line := "-"; line != "\r\n"; {
			if line, err = answers.ReadString('\n'); err != nil {
				b.Fatal(err)
			}
			told = told || line == "Remote-User: alice\r\n"
		}
		if !told {
			b.Fatal("no one is signed in")
		}
	}
}
