//go:build linux

package applications_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"persona-sidecar/idp/idptest"
	"persona-sidecar/ldapauth/ldaptest"

	"github.com/chromedp/chromedp"
)

// application is one that runs, and how a person uses it.
type application struct {
	*machine
	address       string   // of its web server
	headers       string   // identity_headers in persona.yaml; "": true
	access        string   // rules in persona.yaml: members of staff alone get protected
	protected     string   // path
	page          string   // path of a public page that has the link to sign in
	public        []string // paths that everyone may read
	login, logout string   // selectors of the links
	person        string   // script: the name of the person who is signed in, or ""
	adminLink     string   // selector of a link that administrators alone see
	adminPage     string   // what they alone get
	adminSign     string   // selector of what that page has
	// edit writes a text into a page, which everyone may read, and returns its path.
	edit func(p *person, text string) string
	// upload uploads a file big.zip, and returns the path where it is.
	upload func(p *person, file string) string
	// forged is a form that would write a text into a page, had a page of the application sent it.
	forged func(text string) (path string, fields map[string]string)
}

// ask sends the application a request with these fields, as persona would, and returns the answer's body: a POST of a
// body that is not "". A redirect is answered by where it leads.
func (a *application) ask(t *testing.T, path string, fields map[string]string, body string) string {
	t.Helper()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+a.address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "example.test"
	request.Header.Set("X-Forwarded-Proto", "https")
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
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
	if where := response.Header.Get("Location"); where != "" {
		_ = response.Body.Close()
		return where
	}
	return read(t, response)
}

// seen returns what persona told of the person in the requests for a path, in their order.
func (a *application) seen(t *testing.T, request string) (people []string) {
	t.Helper()
	text, err := os.ReadFile(a.path("access.log"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, request+" "); ok {
			people = append(people, strings.TrimSpace(rest))
		}
	}
	return people
}

// listens reports whether a server accepts connections at an address.
func listens(network, address string) bool {
	connection, err := (&net.Dialer{Timeout: time.Second}).Dial(network, address)
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
	ctx, cancel := context.WithTimeout(p.ctx, patience)
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
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		holds, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`!!(`+condition+`)`)) // fails while pages change
		if err == nil && holds {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			p.t.Fatalf("did not happen: %s\nat %s", condition, p.here())
		}
	}
}

// evaluate returns the text that a script has, once the page has loaded.
func (p *person) evaluate(script string) string {
	p.t.Helper()
	p.until(`document.readyState === 'complete'`)
	got, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](script))
	if err != nil {
		p.t.Fatalf("in the browser: %v", err)
	}
	return got
}

// has reports whether the page has what a selector matches.
func (p *person) has(selector string) bool {
	p.t.Helper()
	return p.evaluate(`String(document.querySelector(`+quote(selector)+`) !== null)`) == "true"
}

// signIn goes to the application's page, and signs in by the application's own link.
func (w *world) signIn(p *person, login string) {
	p.t.Helper()
	p.do(chromedp.Navigate(origin+w.app.page), idptest.Leave(idptest.Click(w.app.login)))
	p.enter(login)
	p.until(`location.href === ` + quote(origin+w.app.page))
	p.until(w.app.person)
}

// enter fills in the form of the sign-in page.
func (p *person) enter(login string) {
	p.t.Helper()
	p.do(idptest.Type("#username", login), idptest.Type("#password", ldaptest.Password), idptest.Click("#submit"))
}

// signedOut goes to the application's page, where no one is signed in.
func (w *world) signedOut(p *person) {
	p.t.Helper()
	p.do(chromedp.Navigate(origin + w.app.page))
	if got := p.evaluate(w.app.person); got != "" {
		p.t.Errorf("after the sign-out %q is signed in", got)
	}
}

// signOut presses the button of the page that asks.
func (p *person) signOut() {
	p.t.Helper()
	// It takes no press for a moment.
	p.until(`document.readyState === 'complete' && document.querySelector('#logout') && document.querySelector('#logout').getAttribute('aria-disabled') !== 'true'`)
	p.do(idptest.Leave(idptest.Click("#logout")))
}

// patience bounds every wait for something that happens soon; a first page may take an application a while.
const patience = 40 * time.Second

// shown returns the block of a language that a page of docs/applications shows, so that what people copy is what is tested.
func shown(t *testing.T, page, language string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/applications/" + page)
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(text), "```"+language+"\n")
	block, _, ended := strings.Cut(block, "```")
	if !found || !ended {
		t.Fatalf("%s shows nothing in %s", page, language)
	}
	return block
}
