package app_test

import (
	"crypto/x509"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"persona-sidecar/ldapauth/ldaptest"
)

// surfer is a browser without a screen: it keeps cookies, follows redirects and pages that go on by themselves, sends
// forms, and says of its requests what browsers say of theirs.
type surfer struct {
	t      *testing.T
	client *http.Client
}

func newSurfer(t *testing.T, p *program, roots *x509.CertPool) *surfer {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := p.client(roots)
	client.Jar, client.CheckRedirect = jar, nil
	return &surfer{t, client}
}

// page is what a surfer sees.
type page struct {
	at     string // its address
	status int
	header http.Header
	body   string
}

// open goes to an address by hand.
func (s *surfer) open(address string) page {
	s.t.Helper()
	return s.ask(http.MethodGet, address, "", map[string]string{"Sec-Fetch-Site": "none"})
}

// ask sends a request as a page would, and follows where the answer leads. Fields replace those of a navigation; one
// that is "" is left out.
func (s *surfer) ask(method, address, body string, fields map[string]string) page {
	s.t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	request, err := http.NewRequestWithContext(s.t.Context(), method, address, content)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Accept", "text/html,*/*;q=0.8")
	request.Header.Set("Sec-Fetch-Mode", "navigate")
	request.Header.Set("Sec-Fetch-Dest", "document")
	for name, value := range fields {
		request.Header.Set(name, value)
		if value == "" {
			request.Header.Del(name)
		}
	}
	response, err := s.client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	p := page{at: response.Request.URL.String(), status: response.StatusCode, header: response.Header, body: read(s.t, response)}
	if onward := regexp.MustCompile(`<meta http-equiv="refresh" content="0; url=([^"]+)">`).FindStringSubmatch(p.body); onward != nil {
		return s.open(s.resolve(p.at, html.UnescapeString(onward[1])))
	}
	return p
}

func (s *surfer) resolve(base, reference string) string {
	s.t.Helper()
	from, err := url.Parse(base)
	if err == nil {
		from, err = from.Parse(reference)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return from.String()
}

// send fills the only form of a page that posts, and sends it.
func (s *surfer) send(p page, values url.Values) page {
	s.t.Helper()
	form := regexp.MustCompile(`(?s)<form[^>]*method="post"[^>]*action="([^"]*)"[^>]*>(.*?)</form>`).FindStringSubmatch(p.body)
	if form == nil {
		s.t.Fatalf("there is no form on %s: %d %s", p.at, p.status, p.body)
	}
	fields := url.Values{}
	for _, hidden := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`).FindAllStringSubmatch(form[2], -1) {
		fields.Set(hidden[1], html.UnescapeString(hidden[2]))
	}
	for name, value := range values {
		fields[name] = value
	}
	at, err := url.Parse(p.at)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.ask(http.MethodPost, s.resolve(p.at, html.UnescapeString(form[1])), fields.Encode(), map[string]string{
		"Content-Type": "application/x-www-form-urlencoded", "Origin": "https://" + at.Host, "Sec-Fetch-Site": "same-origin",
	})
}

// signIn opens an address that leads to the sign-in page, and signs in there.
func (s *surfer) signIn(address, login string) page {
	s.t.Helper()
	return s.send(s.open(address), url.Values{"username": {login}, "password": {ldaptest.Password}, "computer": {"private"}})
}

// signOut signs out at the host of an address.
func (s *surfer) signOut(address string) page {
	s.t.Helper()
	return s.send(s.open(s.resolve(address, "/persona/logout")), nil)
}

// told returns the value of a field that the website of an address is sent, "" for none.
func (s *surfer) told(address, field string) string {
	s.t.Helper()
	return s.open(address).told(field)
}

// told returns the value of a field that the website was sent, as mirror answers it.
func (p page) told(field string) string {
	for line := range strings.Lines(p.body) {
		if value, found := strings.CutPrefix(line, field+": "); found {
			return strings.TrimSuffix(value, "\n")
		}
	}
	return ""
}
