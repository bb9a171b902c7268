package visitor

import (
	"bytes"
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/session"
)

// Where the pages of an identity host ask.
const (
	sessionPath     = "/persona/api/session"
	certificatePath = "/persona/api/certificate"
	logoutPath      = "/persona/logout"
)

const (
	keyBits           = 2048
	assertionLifetime = 2 * time.Minute

	readLog = "the program's log says why"
)

var (
	passwordField = regexp.MustCompile(`<input[^>]*\bname="password"`)
	formError     = regexp.MustCompile(`id="error"[^>]*>([^<]*)<`)
)

// Visitor is one person's browser at an identity host. The fields up to Rand are
// required; each step fills in what later ones need.
type Visitor struct {
	Client // with cookies
	// Origin is the identity host's, https://host[:port].
	Origin  string
	Support browserid.Support
	Now     func() time.Time
	Rand    io.Reader

	// Cookie is the session cookie as it was set; nil before the sign-in.
	Cookie *http.Cookie
	// PublicKey is the browser's key; nil before MakeKey.
	PublicKey *browserid.PublicKey
	// Certificate is the one issued last.
	Certificate *browserid.Certificate

	key *rsa.PrivateKey
}

// OpenForm opens the sign-in page, as a hub's popup does when an address is given.
func (v *Visitor) OpenForm(ctx context.Context, address string) (Answer, error) {
	target := v.Origin + v.Support.Authentication
	query := ""
	if address != "" {
		query = "?email=" + url.QueryEscape(address)
	}
	page, err := v.Get(ctx, target+query, nil)
	switch {
	case err != nil:
		return page, err
	case page.StatusCode != http.StatusOK:
		return page, &Fault{Status: page.StatusCode, hint: readLog, message: fmt.Sprintf("%s answers %d: %s", target, page.StatusCode, Brief(page.Body))}
	case !passwordField.Match(page.Body):
		return page, &Fault{Status: page.StatusCode, hint: "is that another program's page?", message: target + " shows no sign-in form"}
	}
	return page, nil
}

// SignIn sends the form, for an address unless that is "". It succeeds when the
// session cookie is set.
func (v *Visitor) SignIn(ctx context.Context, login, password, address string) (Answer, error) {
	form := url.Values{"username": {login}, "password": {password}, "computer": {"shared"}}
	if address != "" {
		form.Set("email", address)
	}
	got, err := v.PostForm(ctx, v.Origin, v.Support.Authentication, form)
	if err != nil {
		return got, err
	}
	if got.StatusCode != http.StatusSeeOther {
		words := Brief(got.Body)
		if match := formError.FindSubmatch(got.Body); match != nil {
			words = html.UnescapeString(string(match[1]))
		}
		hint := readLog
		switch got.StatusCode {
		case http.StatusForbidden:
			hint = "is it the right password, and is the address among the directory's login_attributes? Otherwise give the user name with -login. The log says the exact reason"
		case http.StatusTooManyRequests:
			hint = "wait " + got.Header.Get("Retry-After") + " s; attempts that fail here count like all others"
		case http.StatusServiceUnavailable:
			hint = "persona check tells what is wrong with the directory"
		}
		return got, &Fault{Status: got.StatusCode, hint: hint, message: fmt.Sprintf("%d: %s", got.StatusCode, words)}
	}
	for _, cookie := range got.Cookies() {
		if cookie.Name == session.CookieName {
			v.Cookie = cookie
		}
	}
	if v.Cookie == nil {
		return got, &Fault{Status: got.StatusCode, message: "the password was right, and no session cookie came", hint: "does something in front of the program take cookies away?"}
	}
	return got, nil
}

// Session is who is signed in.
type Session struct {
	SignedIn  bool     `json:"signed_in"`
	Name      string   `json:"name"`
	Addresses []string `json:"addresses"`
	Computer  string   `json:"computer"`
}

// ReadSession asks who is signed in, as the provisioning page does. The cookies
// are sent besides those that the browser keeps.
func (v *Visitor) ReadSession(ctx context.Context, cookies ...*http.Cookie) (Session, error) {
	header := http.Header{}
	for _, cookie := range cookies {
		header.Add("Cookie", cookie.Name+"="+cookie.Value)
	}
	got, err := v.Get(ctx, v.Origin+sessionPath, header)
	if err != nil {
		return Session{}, err
	}
	var s Session
	if err := json.Unmarshal(got.Body, &s); err != nil || got.StatusCode != http.StatusOK {
		return Session{}, &Fault{Status: got.StatusCode, hint: readLog, message: fmt.Sprintf("%s answers %d: %s", sessionPath, got.StatusCode, Brief(got.Body)), cause: err}
	}
	return s, nil
}

// MakeKey makes the key that a browser makes.
func (v *Visitor) MakeKey() error {
	key, err := rsa.GenerateKey(v.Rand, keyBits)
	if err != nil {
		return fmt.Errorf("making the browser's key: %w", err)
	}
	public, err := browserid.NewPublicKey(&key.PublicKey)
	if err != nil {
		return fmt.Errorf("encoding the browser's key: %w", err)
	}
	v.key, v.PublicKey = key, public
	return nil
}

// RequestCertificate asks for a certificate for an address, as the provisioning
// page does, and returns it as it came, also when it cannot be read.
func (v *Visitor) RequestCertificate(ctx context.Context, address string, lifetime time.Duration) (text string, err error) {
	if v.PublicKey == nil {
		return "", errors.New("there is no key to certify")
	}
	request, err := json.Marshal(struct {
		Email     string               `json:"email"`
		PublicKey *browserid.PublicKey `json:"public_key"`
		Duration  int64                `json:"duration"` // seconds
	}{address, v.PublicKey, int64(lifetime / time.Second)})
	if err != nil {
		return "", fmt.Errorf("writing the request: %w", err)
	}
	got, err := v.Post(ctx, v.Origin, certificatePath, "application/json", bytes.NewReader(request))
	if err != nil {
		return "", err
	}
	var issued struct{ Certificate, Error, Message string }
	if err := json.Unmarshal(got.Body, &issued); err != nil || got.StatusCode != http.StatusOK || issued.Certificate == "" {
		words := issued.Message
		if words == "" {
			words = Brief(got.Body)
		}
		return "", &Fault{Status: got.StatusCode, hint: readLog, message: fmt.Sprintf("%d %s: %s", got.StatusCode, issued.Error, words), cause: err}
	}
	certificate, err := browserid.ParseCertificate(issued.Certificate)
	if err != nil {
		return issued.Certificate, &Fault{Status: got.StatusCode, hint: "is that another program's?", message: err.Error(), cause: err}
	}
	v.Certificate = certificate
	return issued.Certificate, nil
}

// Assert signs an assertion for a website with the certified key.
func (v *Visitor) Assert(audience string) (string, error) {
	assertion, err := browserid.SignAssertion(v.key, v.Rand, audience, v.Now().Add(assertionLifetime))
	if err != nil {
		return "", fmt.Errorf("signing the assertion: %w", err)
	}
	return assertion, nil
}

// Bundle returns what a website gets: the certificate and an assertion.
func (v *Visitor) Bundle(assertion string) string {
	return v.Certificate.String() + "~" + assertion
}

// SignOut ends the session on this browser.
func (v *Visitor) SignOut(ctx context.Context) error {
	got, err := v.PostForm(ctx, v.Origin, logoutPath, nil)
	switch {
	case err != nil:
		return err
	case got.StatusCode != http.StatusOK:
		return &Fault{Status: got.StatusCode, hint: readLog + "; the session ends by itself", message: fmt.Sprintf("%d: %s", got.StatusCode, Brief(got.Body))}
	}
	return nil
}
