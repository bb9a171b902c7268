package relyingparty_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"encoding/pem"
	"html"
	"io"
	"log"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"persona-sidecar/deploy/relying-party/relyingpartytest"
	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/verifier"

	"github.com/rs/zerolog"
)

const (
	persona    = "https://example.test" // the identity host
	mailDomain = "example.test"
)

// The keys of the tests, made once: making them is slow.
var (
	domainKey = sync.OnceValue(makeKey)
	clientKey = sync.OnceValue(makeKey)
	strayKey  = sync.OnceValue(makeKey)
)

func makeKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

func public(t testing.TB, key *rsa.PrivateKey) *browserid.PublicKey {
	t.Helper()
	made, err := browserid.NewPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// bundle is what the dialog hands to a site.
func bundle(t testing.TB, email, audience string, domainKey, clientKey *rsa.PrivateKey) string {
	t.Helper()
	address, err := browserid.ParseAddress(email)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := browserid.NewIssuer(mailDomain, domainKey, rand.Reader, false)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := issuer.Sign(address, public(t, clientKey), time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	assertion, err := browserid.SignAssertion(clientKey, rand.Reader, audience, time.Now().Add(2*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return certificate + "~" + assertion
}

// identity runs the real verifier, as an identity host does.
func identity(t testing.TB) *httptest.Server {
	t.Helper()
	discovery := verifier.NewDiscovery(verifier.DiscoveryConfig{Own: func(domain string) (browserid.Document, bool, error) {
		return browserid.Support{
			PublicKey: public(t, domainKey()), Authentication: "/persona/authenticate", Provisioning: "/persona/provision",
		}, domain == mailDomain, nil
	}})
	t.Cleanup(discovery.Close)
	api := verifier.NewAPI(verifier.APIConfig{
		Verifier: verifier.New(verifier.Config{Discovery: discovery, Domains: []string{mailDomain}}), Log: zerolog.Nop(),
	})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /persona/v2", api.ServeV2)
	server := httptest.NewUnstartedServer(mux)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that tests break on purpose
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func caFile(t testing.TB, server *httptest.Server) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// site is an example that runs behind TLS, as browsers see it.
type site struct {
	*relyingpartytest.Process
	origin string
	roots  *tls.Config
}

// start runs an example. change may spoil what it is told.
func start(t testing.TB, example relyingpartytest.Example, change func(*relyingpartytest.Settings)) *site {
	t.Helper()
	settings := relyingpartytest.Settings{Listen: relyingpartytest.FreeAddress(t), Persona: persona}
	front := httptest.NewUnstartedServer(&httputil.ReverseProxy{
		Transport: &http.Transport{}, // httptest closes the connections of the default one whenever any server stops
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: settings.Listen})
			r.Out.Host = r.In.Host
		},
	})
	front.EnableHTTP2 = true // over HTTP/1 a ReverseProxy may cut an answer that comes before it has seen the form's end
	front.StartTLS()
	t.Cleanup(front.Close)
	settings.Audience = front.URL
	change(&settings)
	return &site{
		Process: example.Start(t, settings), origin: front.URL,
		roots: front.Client().Transport.(*http.Transport).TLSClientConfig,
	}
}

// browser is one that keeps cookies and follows no redirect.
type browser struct {
	t      testing.TB
	client *http.Client
	origin string
}

func (s *site) browser(t testing.TB) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, &http.Client{
		Jar: jar, Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: s.roots, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, s.origin}
}

// page is an answer, read to its end.
type page struct {
	*http.Response
	body string
}

func (b *browser) do(request *http.Request) page {
	b.t.Helper()
	response, err := b.client.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return page{response, string(body)}
}

func (b *browser) get(path string) page {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.origin+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(request)
}

func (b *browser) post(path string, form url.Values) page {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.origin+path, bytes.NewBufferString(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(request)
}

// cookie is the site's cookie as the browser holds it.
func (b *browser) cookie() string {
	b.t.Helper()
	at, err := url.Parse(b.origin)
	if err != nil {
		b.t.Fatal(err)
	}
	var values []string
	for _, c := range b.client.Jar.Cookies(at) {
		values = append(values, c.String())
	}
	return strings.Join(values, "; ")
}

// setCookie lays a cookie into the browser, as another host of the same domain could.
func (b *browser) setCookie(value string) {
	b.t.Helper()
	at, err := url.Parse(b.origin)
	if err != nil {
		b.t.Fatal(err)
	}
	name, text, _ := strings.Cut(value, "=")
	b.client.Jar.SetCookies(at, []*http.Cookie{{Name: name, Value: text, Path: "/", Secure: true}})
}

// token is the site's own token on its page.
func (b *browser) token() string {
	b.t.Helper()
	found := regexp.MustCompile(`name="csrf" value="([^"]{20,})"`).FindStringSubmatch(b.get("/").body)
	if found == nil {
		b.t.Fatal("the page has no token")
	}
	return found[1]
}

// signedIn is the address that the page greets, "" when no one is signed in.
func (b *browser) signedIn() string {
	b.t.Helper()
	body := b.get("/").body
	found := regexp.MustCompile(`id="email">([^<]*)<`).FindStringSubmatch(body)
	if found == nil {
		if !strings.Contains(body, "You are not signed in.") {
			b.t.Errorf("neither page:\n%s", body)
		}
		return ""
	}
	return html.UnescapeString(found[1])
}
