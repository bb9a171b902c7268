package trip

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"persona-sidecar/cmd/internal/visitor"
	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/verifier"
)

const (
	homePath      = "/persona/"
	lifetime      = 10 * time.Minute // of the certificate, as asked for
	otherAudience = "https://other.example"
)

func (t *Trip) readSupport(ctx context.Context) (string, error) {
	found, err := t.findAuthority(ctx, t.Origin)
	if err != nil {
		return "", err
	}
	if err := found.Support.PublicKey.CheckDomainKey(); err != nil {
		return "", fmt.Errorf("the published key: %w", err)
	}
	t.visitor.Support = found.Support
	return fmt.Sprintf("%s key of %d bits, %s…, sign-in at %s", found.Support.PublicKey.Algorithm(), found.Support.PublicKey.Size(),
		found.Support.PublicKey.Fingerprint()[:12], found.Support.Authentication), nil
}

func (t *Trip) readDelegation(ctx context.Context) (string, error) {
	found, err := t.findAuthority(ctx, t.DelegateOrigin)
	if err != nil {
		return "", err
	}
	if found.Name != t.Host {
		return "", fmt.Errorf("%s does not delegate to %s but to %s", t.DelegateOrigin, t.Host, found.Name)
	}
	return t.DelegateOrigin + " names " + found.Name, nil
}

// findAuthority goes the way of a hub from the document of an origin.
func (t *Trip) findAuthority(ctx context.Context, origin string) (verifier.Authority, error) {
	found, documents, err := t.client.FindAuthority(ctx, strings.TrimPrefix(origin, "https://"), t.Host)
	if err != nil {
		return found, err
	}
	for _, document := range documents {
		if document.Response.Header.Get("Set-Cookie") != "" {
			return found, fmt.Errorf("the document of %s sets a cookie", document.Name)
		}
	}
	return found, nil
}

func (t *Trip) askBeforeSignIn(ctx context.Context) (string, error) {
	s, err := t.visitor.ReadSession(ctx)
	if err != nil {
		return "", err
	}
	if s.SignedIn {
		return "", errors.New("a session exists before the sign-in")
	}
	return "signed_in: false", nil
}

func (t *Trip) openForm(ctx context.Context) (string, error) {
	page, err := t.visitor.OpenForm(ctx, "")
	if err != nil {
		return "", err
	}
	for _, field := range []string{`id="username"`, `id="password"`, `id="submit"`} {
		if !strings.Contains(string(page.Body), field) {
			return "", fmt.Errorf("the page has no %s: %s", field, visitor.Brief(page.Body))
		}
	}
	if !strings.Contains(page.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		return "", errors.New("another site could frame the page")
	}
	return "a form for name and password, never framed", nil
}

func (t *Trip) signInWrongly(ctx context.Context) (string, error) {
	page, err := t.visitor.SignIn(ctx, t.Login, t.Password+"!", "")
	if err := wantRefused(err); err != nil {
		return "", err
	}
	if page.Header.Get("Set-Cookie") != "" {
		return "", errors.New("a cookie was set")
	}
	return page.Status + ", no cookie", nil
}

// wantRefused returns an error unless err is an answer with status 403.
func wantRefused(err error) error {
	var fault *visitor.Fault
	switch {
	case err == nil:
		return errors.New("it was not refused")
	case !errors.As(err, &fault) || fault.Status != http.StatusForbidden:
		return fmt.Errorf("it was not refused: %w", err)
	}
	return nil
}

func (t *Trip) signIn(ctx context.Context) (string, error) {
	if _, err := t.visitor.SignIn(ctx, t.Login, t.Password, ""); err != nil {
		return "", err
	}
	if c := t.visitor.Cookie; !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
		return "", errors.New("the cookie's attributes are too weak")
	}
	return fmt.Sprintf("%s is in; the cookie is Secure, HttpOnly, SameSite=Lax", t.Login), nil
}

func (t *Trip) readSession(ctx context.Context) (string, error) {
	s, err := t.visitor.ReadSession(ctx)
	if err != nil {
		return "", err
	}
	if !s.SignedIn || !slices.Equal(s.Addresses, t.Addresses) {
		return "", fmt.Errorf("the session has the addresses %q, not %q", s.Addresses, t.Addresses)
	}
	return fmt.Sprintf("%s computer, %s", s.Computer, strings.Join(s.Addresses, ", ")), nil
}

func (t *Trip) openOwnPage(ctx context.Context) (string, error) {
	page, err := t.get(ctx, t.visitor.Client, t.Origin+homePath)
	if err != nil {
		return "", err
	}
	for _, wanted := range append([]string{`id="logout"`}, t.Addresses...) {
		if !strings.Contains(string(page.Body), wanted) {
			return "", fmt.Errorf("the page does not have %s", wanted)
		}
	}
	return fmt.Sprintf("%s shows %d addresses and a way out", homePath, len(t.Addresses)), nil
}

func (t *Trip) makeKey(context.Context) (string, error) {
	began := t.Now()
	if err := t.visitor.MakeKey(); err != nil {
		return "", err
	}
	return fmt.Sprintf("RSA, %d bits, in %s; it never leaves the browser", t.visitor.PublicKey.Size(), t.Now().Sub(began).Round(time.Millisecond)), nil
}

func (t *Trip) requestCertificate(ctx context.Context) (string, error) {
	text, err := t.visitor.RequestCertificate(ctx, t.Addresses[0], lifetime)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("for %s, %d characters", t.visitor.Certificate.Email, len(text)), nil
}

func (t *Trip) verifyCertificate(context.Context) (string, error) {
	c := t.visitor.Certificate
	if err := c.Verify(t.visitor.Support.SigningKeys(), t.Now()); err != nil {
		return "", fmt.Errorf("with the published key: %w", err)
	}
	switch {
	case c.Issuer != t.Host:
		return "", fmt.Errorf("it was issued by %s, not %s", c.Issuer, t.Host)
	case c.Email.String() != t.Addresses[0]:
		return "", fmt.Errorf("it is for %s, not %s", c.Email, t.Addresses[0])
	case !c.PublicKey.Equal(t.visitor.PublicKey):
		return "", errors.New("it certifies another key")
	}
	return fmt.Sprintf("by the published key; issuer %s, valid until %s", c.Issuer, c.Expires.UTC().Format(time.TimeOnly+" MST")), nil
}

// verifyBundle plays the browser, which signs, and the relying party, which verifies; then a relying party for which
// the bundle was not meant.
func (t *Trip) verifyBundle(context.Context) (string, error) {
	audience := t.ShopOrigin
	assertion, err := t.visitor.Assert(audience)
	if err != nil {
		return "", err
	}
	text := t.visitor.Bundle(assertion)
	bundle, err := browserid.ParseBundle(text)
	if err != nil {
		return "", fmt.Errorf("reading the bundle: %w", err)
	}
	keys := t.visitor.Support.SigningKeys()
	if err := bundle.Verify(keys, audience, t.Now()); err != nil {
		return "", fmt.Errorf("for %s: %w", audience, err)
	}
	if bundle.Verify(keys, otherAudience, t.Now()) == nil {
		return "", fmt.Errorf("the bundle for %s also counts at %s", audience, otherAudience)
	}
	t.bundle = text
	return fmt.Sprintf("%s proven to %s alone, %d characters", bundle.Certificate.Email, audience, len(text)), nil
}

func (t *Trip) requestForeign(ctx context.Context) (string, error) {
	_, err := t.visitor.RequestCertificate(ctx, t.Foreign, lifetime)
	if err := wantRefused(err); err != nil {
		return "", err
	}
	return t.Foreign + ": 403 Forbidden", nil
}

func (t *Trip) signOut(ctx context.Context) (string, error) {
	if err := t.visitor.SignOut(ctx); err != nil {
		return "", err
	}
	s, err := t.visitor.ReadSession(ctx)
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
	s, err := t.visitor.ReadSession(ctx, t.visitor.Cookie)
	if err != nil {
		return "", err
	}
	if s.SignedIn {
		return "", errors.New("the cookie from before the sign-out still counts")
	}
	return "presented again, it is refused", nil
}

// get asks for a page that must answer 200.
func (t *Trip) get(ctx context.Context, client visitor.Client, target string) (visitor.Answer, error) {
	page, err := client.Get(ctx, target, nil)
	if err == nil {
		err = page.Want(http.StatusOK)
	}
	return page, err
}
