//go:build linux

package applications_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"persona-sidecar/idp/idptest"
	"persona-sidecar/ldapauth/ldaptest"

	"github.com/chromedp/chromedp"
)

// origin is where the application is.
const origin = "https://example.test"

// application is one that runs, and how a person uses it.
type application struct {
	*machine
	address       string // of its web server
	page          string // path of a public page that has the link to sign in
	login, logout string // selectors of these links
	person        string // script: the name of the person who is signed in, or ""
	adminLink     string // selector of a link that administrators alone see
	adminPage     string // where it leads
	adminSign     string // selector of what that page has
	// edit writes a text into a page, which everyone may read, and returns its path.
	edit func(p *person, text string) string
	// upload uploads a file big.zip, and returns the path where it is.
	upload func(p *person, file string) string
}

// ask sends the application a request with these fields, as persona would, and returns the page.
func (a *application) ask(t *testing.T, path string, fields map[string]string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+a.address+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "example.test"
	request.Header.Set("X-Forwarded-Proto", "https")
	for name, value := range fields {
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, response)
}

func read(t *testing.T, response *http.Response) string {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// world is an application with persona in front of it.
type world struct {
	t       *testing.T
	app     *application
	address string // host:port of persona's HTTPS
	trust   string // see idptest.BrowserOptions
	client  *http.Client
}

// listens reports whether a server accepts connections at an address.
func listens(network, address string) bool {
	connection, err := net.DialTimeout(network, address, time.Second)
	if err != nil {
		return false
	}
	return connection.Close() == nil
}

func quote(text string) string { return strconv.Quote(text) }

// person is someone in front of a browser.
type person struct {
	t   *testing.T
	ctx context.Context
}

func (w *world) person(t *testing.T) *person {
	t.Helper()
	return &person{t, idptest.NewBrowser(t, idptest.BrowserOptions{Address: w.address, Trust: w.trust, Deadline: 4 * time.Minute})}
}

func (p *person) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, idptest.Patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatalf("in the browser: %v\nat %s", err, p.here())
	}
}

func (p *person) here() string {
	here, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body?.innerText`))
	return here
}

func (p *person) until(condition string) {
	p.t.Helper()
	deadline := time.Now().Add(idptest.Patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		holds, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](`!!(`+condition+`)`)) // fails while pages change
		if err == nil && holds {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("did not happen: %s\nat %s", condition, p.here())
		}
		<-tick.C
	}
}

func (p *person) evaluate(script string) string {
	p.t.Helper()
	got, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](script))
	if err != nil {
		p.t.Fatalf("in the browser: %v", err)
	}
	return got
}

// signIn goes to the application's page, and signs in by the application's own link.
func (p *person) signIn(app *application, login string) {
	p.t.Helper()
	p.do(
		chromedp.Navigate(origin+app.page), idptest.Leave(idptest.Click(app.login)),
		idptest.Type("#username", login), idptest.Type("#password", ldaptest.Password), idptest.Click("#submit"),
	)
	p.until(`location.href === ` + quote(origin+app.page))
	p.until(app.person)
}

// get returns what a path of the application answers someone who is not signed in.
func (w *world) get(t *testing.T, path string) string {
	t.Helper()
	response, err := w.client.Get(origin + path)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, response)
}

func clientOf(address string, authority *idptest.Authority) *http.Client {
	return &http.Client{
		Timeout: time.Minute,
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: authority.Roots()},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, address)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
