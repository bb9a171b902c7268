package trip

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"persona-sidecar/idp/browserid"
)

const (
	documentPath     = "/.well-known/browserid"
	homePath         = "/persona/"
	authenticatePath = "/persona/authenticate"
	logoutPath       = "/persona/logout"
	sessionPath      = "/persona/api/session"
	cookieName       = "__Host-persona"
)

func (t *Trip) readSupport(ctx context.Context) (string, error) {
	parsed, err := t.readDocument(ctx, t.Origin)
	if err != nil {
		return "", err
	}
	support, ok := parsed.(browserid.Support)
	if !ok {
		return "", fmt.Errorf("the document is of another kind: %T", parsed)
	}
	if err := support.PublicKey.CheckDomainKey(); err != nil {
		return "", fmt.Errorf("the published key: %w", err)
	}
	t.published = support.PublicKey
	return fmt.Sprintf("%s key of %d bits, %s…, sign-in at %s", support.PublicKey.Algorithm(), support.PublicKey.RSA().N.BitLen(),
		support.PublicKey.Fingerprint()[:12], support.Authentication), nil
}

func (t *Trip) readDelegation(ctx context.Context) (string, error) {
	parsed, err := t.readDocument(ctx, t.DelegateOrigin)
	if err != nil {
		return "", err
	}
	delegation, ok := parsed.(browserid.Delegation)
	if !ok || delegation.Authority != t.Host {
		return "", fmt.Errorf("%s does not delegate to %s: %+v", t.DelegateOrigin, t.Host, parsed)
	}
	return t.DelegateOrigin + " names " + delegation.Authority, nil
}

func (t *Trip) readDocument(ctx context.Context, origin string) (browserid.Document, error) {
	page, err := get(ctx, t.Client, origin+documentPath+"?domain="+t.Host)
	if err != nil {
		return nil, err
	}
	if err := page.want(http.StatusOK); err != nil {
		return nil, err
	}
	if kind := page.Header.Get("Content-Type"); kind != "application/json" || page.Header.Get("Set-Cookie") != "" {
		return nil, fmt.Errorf("the document is of type %q, or sets a cookie", kind)
	}
	parsed, err := browserid.ParseDocument([]byte(page.body))
	if err != nil {
		return nil, fmt.Errorf("reading the document of %s: %w", origin, err)
	}
	return parsed, nil
}

// session is what api/session answers.
type session struct {
	SignedIn  bool     `json:"signed_in"`
	Addresses []string `json:"addresses"`
	Computer  string   `json:"computer"`
}

func (t *Trip) readSession(ctx context.Context, client *http.Client, cookies ...*http.Cookie) (session, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.Origin+sessionPath, nil)
	if err != nil {
		return session{}, fmt.Errorf("asking for the session: %w", err)
	}
	for _, c := range cookies {
		request.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	page, err := do(client, request)
	if err != nil {
		return session{}, err
	}
	if err := page.want(http.StatusOK); err != nil {
		return session{}, err
	}
	var s session
	if err := json.Unmarshal([]byte(page.body), &s); err != nil {
		return session{}, fmt.Errorf("reading the session: %w", err)
	}
	return s, nil
}

func (t *Trip) askBeforeSignIn(ctx context.Context) (string, error) {
	s, err := t.readSession(ctx, t.browser)
	if err != nil {
		return "", err
	}
	if s.SignedIn {
		return "", errors.New("somebody is signed in before anybody did")
	}
	return "signed_in: false", nil
}

func (t *Trip) visitSignIn(ctx context.Context) (string, error) {
	page, err := get(ctx, t.browser, t.Origin+authenticatePath)
	if err != nil {
		return "", err
	}
	if err := page.want(http.StatusOK); err != nil {
		return "", err
	}
	for _, field := range []string{`id="username"`, `id="password"`, `id="submit"`} {
		if !strings.Contains(page.body, field) {
			return "", fmt.Errorf("the page has no %s: %s", field, brief(page.body))
		}
	}
	if !strings.Contains(page.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		return "", errors.New("another site could frame the page")
	}
	return "a form for name and password, never framed", nil
}

func (t *Trip) signInWrongly(ctx context.Context) (string, error) {
	page, err := t.postSignIn(ctx, t.Password+"!")
	if err != nil {
		return "", err
	}
	if err := page.want(http.StatusForbidden); err != nil {
		return "", err
	}
	if page.Header.Get("Set-Cookie") != "" {
		return "", errors.New("a cookie was set all the same")
	}
	return page.Status + ", no cookie", nil
}

func (t *Trip) signIn(ctx context.Context) (string, error) {
	page, err := t.postSignIn(ctx, t.Password)
	if err != nil {
		return "", err
	}
	if err := page.want(http.StatusSeeOther); err != nil {
		return "", err
	}
	i := slices.IndexFunc(page.Cookies(), func(c *http.Cookie) bool { return c.Name == cookieName })
	if i < 0 {
		return "", errors.New("no cookie was set")
	}
	t.cookie = page.Cookies()[i]
	if c := t.cookie; !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
		return "", errors.New("the cookie's attributes are too weak")
	}
	return fmt.Sprintf("%s is in; the cookie is Secure, HttpOnly, SameSite=Lax", t.Login), nil
}

func (t *Trip) postSignIn(ctx context.Context, password string) (answer, error) {
	return t.postForm(ctx, authenticatePath, url.Values{
		"username": {t.Login}, "password": {password}, "computer": {"shared"},
	})
}

func (t *Trip) askSession(ctx context.Context) (string, error) {
	s, err := t.readSession(ctx, t.browser)
	if err != nil {
		return "", err
	}
	if !s.SignedIn || !slices.Equal(s.Addresses, t.Addresses) {
		return "", fmt.Errorf("the session has the addresses %q, not %q", s.Addresses, t.Addresses)
	}
	return fmt.Sprintf("%s computer, %s", s.Computer, strings.Join(s.Addresses, ", ")), nil
}

func (t *Trip) visitOwnPage(ctx context.Context) (string, error) {
	page, err := get(ctx, t.browser, t.Origin+homePath)
	if err != nil {
		return "", err
	}
	if err := page.want(http.StatusOK); err != nil {
		return "", err
	}
	for _, wanted := range append([]string{`id="logout"`}, t.Addresses...) {
		if !strings.Contains(page.body, wanted) {
			return "", fmt.Errorf("the page does not have %s", wanted)
		}
	}
	return fmt.Sprintf("%s shows %d addresses and a way out", homePath, len(t.Addresses)), nil
}

func (t *Trip) signOut(ctx context.Context) (string, error) {
	page, err := t.postForm(ctx, logoutPath, url.Values{})
	if err != nil {
		return "", err
	}
	if err := page.want(http.StatusSeeOther); err != nil {
		return "", err
	}
	s, err := t.readSession(ctx, t.browser)
	if err != nil {
		return "", err
	}
	if s.SignedIn {
		return "", errors.New("the session goes on")
	}
	return "the cookie is gone, the session ended", nil
}

// replayCookie presents the cookie that a thief might have kept.
func (t *Trip) replayCookie(ctx context.Context) (string, error) {
	s, err := t.readSession(ctx, t.Client, t.cookie)
	if err != nil {
		return "", err
	}
	if s.SignedIn {
		return "", errors.New("the cookie from before the sign-out still counts")
	}
	return "presented again, it counts as none", nil
}
