package trip

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"persona-sidecar/cmd/internal/visitor"
)

const (
	includePath     = "/persona/include.js"
	shopSignInPath  = "/sign-in"
	shopSignOutPath = "/sign-out"
)

var (
	tokenField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)
	shownEmail = regexp.MustCompile(`id="email">([^<]+)<`)
)

// readInclude fetches the script as the shop's page does. Browsers load it into another site's page only with a header
// that allows it.
func (t *Trip) readInclude(ctx context.Context) (string, error) {
	page, err := t.get(ctx, t.client, t.Origin+includePath)
	if err != nil {
		return "", err
	}
	if policy := page.Header.Get("Cross-Origin-Resource-Policy"); policy != "cross-origin" {
		return "", fmt.Errorf("its Cross-Origin-Resource-Policy is %q, so other sites cannot load it", policy)
	}
	if !strings.Contains(string(page.Body), "navigator") {
		return "", fmt.Errorf("this is no navigator.id: %s", visitor.Brief(page.Body))
	}
	return fmt.Sprintf("%d bytes, any site may load it", len(page.Body)), nil
}

// readShop returns the shop's page as the browser gets it, its token against forged forms, and the address that is
// signed in, "" for none.
func (t *Trip) readShop(ctx context.Context) (page visitor.Answer, token, email string, err error) {
	if page, err = t.get(ctx, t.visitor.Client, t.ShopOrigin+"/"); err != nil {
		return page, "", "", err
	}
	match := tokenField.FindSubmatch(page.Body)
	if match == nil {
		return page, "", "", fmt.Errorf("the page has no token of its own: %s", visitor.Brief(page.Body))
	}
	if shown := shownEmail.FindSubmatch(page.Body); shown != nil {
		email = string(shown[1])
	}
	return page, string(match[1]), email, nil
}

func (t *Trip) visitShop(ctx context.Context) (string, error) {
	page, _, email, err := t.readShop(ctx)
	script := t.Origin + includePath
	switch {
	case err != nil:
		return "", err
	case email != "":
		return "", fmt.Errorf("%s is signed in before the sign-in", email)
	case !strings.Contains(string(page.Body), `src="`+script+`"`):
		return "", fmt.Errorf("it does not load %s: %s", script, visitor.Brief(page.Body))
	case !strings.Contains(page.Header.Get("Content-Security-Policy"), t.Origin):
		return "", errors.New("its Content-Security-Policy does not let it load include.js")
	}
	return t.ShopOrigin + " loads include.js; not signed in", nil
}

// signInAtShop gives the shop what the dialog would have given it. The shop asks the verifier.
func (t *Trip) signInAtShop(ctx context.Context) (string, error) {
	if _, err := t.postToShop(ctx, http.StatusSeeOther, shopSignInPath, url.Values{"assertion": {t.bundle}}); err != nil {
		return "", err
	}
	_, _, email, err := t.readShop(ctx)
	if err != nil {
		return "", err
	}
	if email != t.Addresses[0] {
		return "", fmt.Errorf("%q is signed in, not %s", email, t.Addresses[0])
	}
	return email + " is in, verified by the verifier", nil
}

// stealIntoShop tries what a dishonest website would: an assertion that it was given, at another one.
func (t *Trip) stealIntoShop(ctx context.Context) (string, error) {
	stolen, err := t.visitor.Assert(otherAudience)
	if err != nil {
		return "", err
	}
	answered, err := t.postToShop(ctx, http.StatusForbidden, shopSignInPath, url.Values{"assertion": {t.visitor.Bundle(stolen)}})
	if err != nil {
		return "", err
	}
	return "the one for " + otherAudience + ": " + answered.Status, nil
}

// forgeShopForm sends what a page of another site could make the browser send.
func (t *Trip) forgeShopForm(ctx context.Context) (string, error) {
	answered, err := t.visitor.PostForm(ctx, t.ShopOrigin, shopSignOutPath, nil)
	if err == nil {
		err = answered.Want(http.StatusForbidden)
	}
	if err != nil {
		return "", err
	}
	_, _, email, err := t.readShop(ctx)
	if err == nil && email == "" {
		err = errors.New("the person was signed out by it")
	}
	return "without the shop's own token: " + answered.Status, err
}

func (t *Trip) signOutOfShop(ctx context.Context) (string, error) {
	if _, err := t.postToShop(ctx, http.StatusSeeOther, shopSignOutPath, url.Values{}); err != nil {
		return "", err
	}
	_, _, email, err := t.readShop(ctx)
	if err == nil && email != "" {
		err = fmt.Errorf("%s is still signed in", email)
	}
	return "not signed in there; the company's session goes on", err
}

// postToShop sends a form with the token of the shop's page, and wants a status.
func (t *Trip) postToShop(ctx context.Context, status int, path string, form url.Values) (visitor.Answer, error) {
	_, token, _, err := t.readShop(ctx)
	if err != nil {
		return visitor.Answer{}, err
	}
	form.Set("csrf", token)
	answered, err := t.visitor.PostForm(ctx, t.ShopOrigin, path, form)
	if err == nil {
		err = answered.Want(status)
	}
	return answered, err
}
