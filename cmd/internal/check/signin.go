package check

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"persona-sidecar/idp/browserid"
)

// Where the pages of an identity host of ours ask.
const (
	sessionPath     = "/persona/api/session"
	certificatePath = "/persona/api/certificate"
	logoutPath      = "/persona/logout"
	sessionCookie   = "__Host-persona"
)

var (
	passwordField = regexp.MustCompile(`<input[^>]*\bname="password"`)
	formError     = regexp.MustCompile(`id="error"[^>]*>([^<]*)<`)
)

// visitForm opens the sign-in page as a hub's popup does.
func (t *trip) visitForm(ctx context.Context) Finding {
	if t.provider == "" {
		return skipped("there is no identity host of ours to sign in at")
	}
	address := t.target(t.support.Authentication) + "?email=" + url.QueryEscape(t.who.Address.String())
	page, err := t.web.ask(ctx, t.browser, http.MethodGet, address, nil, nil)
	switch {
	case err != nil:
		return unreached(err, t.signer.Name)
	case page.StatusCode != http.StatusOK:
		return failed("the program's log says why", "%s answers %d: %s", t.target(t.support.Authentication), page.StatusCode, brief(page.body))
	case !passwordField.Match(page.body):
		return failed("is that another program's page?", "%s shows no sign-in form", t.target(t.support.Authentication))
	}
	t.open = true
	return passed("%s", t.target(t.support.Authentication))
}

// signIn sends the form as the page does.
func (t *trip) signIn(ctx context.Context) Finding {
	if t.password == "" {
		return skipped("there is no password to sign in with")
	}
	form := url.Values{"username": {t.who.Login}, "password": {t.password}, "computer": {"shared"}, "email": {t.who.Address.String()}}
	got, err := t.post(ctx, t.support.Authentication, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
	t.password = ""
	if err != nil {
		return unreached(err, t.signer.Name)
	}
	if got.StatusCode != http.StatusSeeOther {
		return refusedSignIn(got)
	}
	for _, cookie := range got.Cookies() {
		if cookie.Name == sessionCookie {
			t.cookie, t.signedIn = cookie, true
		}
	}
	if !t.signedIn {
		return failed("does something in front of the program take cookies away?", "the password was right, and no session cookie came")
	}
	return passed("as %s", t.who.Login)
}

func refusedSignIn(got answer) Finding {
	words := brief(got.body)
	if match := formError.FindSubmatch(got.body); match != nil {
		words = html.UnescapeString(string(match[1]))
	}
	cure := "the program's log says why"
	switch got.StatusCode {
	case http.StatusForbidden:
		cure = "is it the right password, and is the address among the directory's login_attributes? Otherwise give the user name with -login. The log says the exact reason"
	case http.StatusTooManyRequests:
		cure = "wait " + got.Header.Get("Retry-After") + " s; attempts that fail here count like everybody's"
	case http.StatusServiceUnavailable:
		cure = "persona check tells what is wrong with the directory"
	}
	return failed(cure, "%d: %s", got.StatusCode, words)
}

// askSession asks who is signed in, as the provisioning page does.
func (t *trip) askSession(ctx context.Context) Finding {
	if !t.signedIn {
		return skipped("nobody is signed in")
	}
	got, err := t.web.ask(ctx, t.browser, http.MethodGet, t.target(sessionPath), nil, nil)
	if err != nil {
		return unreached(err, t.signer.Name)
	}
	var session struct {
		SignedIn  bool     `json:"signed_in"`
		Name      string   `json:"name"`
		Addresses []string `json:"addresses"`
	}
	if err := json.Unmarshal(got.body, &session); err != nil || got.StatusCode != http.StatusOK {
		return failed("the program's log says why", "%s answers %d: %s", sessionPath, got.StatusCode, brief(got.body))
	}
	switch {
	case !session.SignedIn:
		return failed("does something in front of the program take cookies away, or answer from a cache?", "the session is not known any more")
	case !slices.Contains(session.Addresses, t.who.Address.String()):
		return failed("is the address in one of the directory's address_attributes, and of this person's entry alone?",
			"%s is not among the addresses of %s: %s", t.who.Address, session.Name, strings.Join(session.Addresses, ", "))
	}
	return passed("%s: %s", session.Name, strings.Join(session.Addresses, ", "))
}

// requestCertificate asks for it as the provisioning page does.
func (t *trip) requestCertificate(ctx context.Context) Finding {
	if !t.signedIn || t.clientKey == nil {
		return skipped("nobody is signed in")
	}
	request, err := json.Marshal(struct {
		Email     string               `json:"email"`
		PublicKey *browserid.PublicKey `json:"public_key"`
		Duration  int64                `json:"duration"` // seconds
	}{t.who.Address.String(), t.clientKey, int64(certificateAsked / time.Second)})
	if err != nil {
		return failed("", "writing the request: %v", err)
	}
	got, err := t.post(ctx, certificatePath, "application/json", bytes.NewReader(request))
	if err != nil {
		return unreached(err, t.signer.Name)
	}
	var issued struct{ Certificate, Error, Message string }
	if err := json.Unmarshal(got.body, &issued); err != nil || issued.Certificate == "" {
		words := issued.Message
		if words == "" {
			words = brief(got.body)
		}
		return failed("the program's log says why", "%d %s: %s", got.StatusCode, issued.Error, words)
	}
	certificate, err := browserid.ParseCertificate(issued.Certificate)
	if err != nil {
		finding := failed("is that another program's?", "%v", err)
		finding.Shown = decoded(issued.Certificate)
		return finding
	}
	t.certificate = certificate
	finding := passed("for %s, %d characters", certificate.Email, len(issued.Certificate))
	finding.Shown = decoded(issued.Certificate)
	return finding
}

func (t *trip) signOut(ctx context.Context) Finding {
	if !t.signedIn {
		return skipped("nobody is signed in")
	}
	got, err := t.post(ctx, logoutPath, "application/x-www-form-urlencoded", nil)
	switch {
	case err != nil:
		return unreached(err, t.signer.Name)
	case got.StatusCode != http.StatusSeeOther:
		return failed("the program's log says why; the session ends by itself", "%d: %s", got.StatusCode, brief(got.body))
	}
	return passed("the session of this check has ended")
}

// post sends a body as a page of the same origin does.
func (t *trip) post(ctx context.Context, path, contentType string, body io.Reader) (answer, error) {
	return t.web.ask(ctx, t.browser, http.MethodPost, t.target(path), http.Header{
		"Content-Type":   {contentType},
		"Origin":         {t.target("")},
		"Sec-Fetch-Site": {"same-origin"},
	}, body)
}

// decoded returns header and payload of a JWS as one JSON value; nil for what
// is none.
func decoded(jws string) json.RawMessage {
	var parts []json.RawMessage
	for part := range strings.SplitSeq(jws, ".") {
		content, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			return nil
		}
		parts = append(parts, content)
	}
	if len(parts) != 3 {
		return nil
	}
	value, err := json.Marshal(struct {
		Header  json.RawMessage `json:"header"`
		Payload json.RawMessage `json:"payload"`
	}{parts[0], parts[1]})
	if err != nil {
		return nil
	}
	return value
}
