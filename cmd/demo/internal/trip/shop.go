package trip

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

const (
	includePath     = "/persona/include.js"
	shopSignInPath  = "/sign-in"
	shopSignOutPath = "/sign-out"
)

// readInclude fetches the script as the shop's page does. Answered to another site's page, a script has to say that
// it may be.
func (t *Trip) readInclude(ctx context.Context) (string, error) {
	page, err := get(ctx, t.Client, t.Origin+includePath)
	if err != nil {
		return "", err
	}
	if err := page.want(http.StatusOK); err != nil {
		return "", err
	}
	if policy := page.Header.Get("Cross-Origin-Resource-Policy"); policy != "cross-origin" {
		return "", fmt.Errorf("its Cross-Origin-Resource-Policy is %q, so other sites cannot load it", policy)
	}
	if !strings.Contains(page.body, "navigator") {
		return "", fmt.Errorf("this is no navigator.id: %s", brief(page.body))
	}
	return fmt.Sprintf("%d bytes, any site may load it", len(page.body)), nil
}

// shopPage is the shop's page as the browser gets it.
type shopPage struct {
	answer
	token string // against forged forms
	email string // of whoever is signed in, "" for nobody
}

func (t *Trip) readShop(ctx context.Context) (shopPage, error) {
	page, err := get(ctx, t.browser, t.ShopOrigin+"/")
	if err != nil {
		return shopPage{}, err
	}
	if err := page.want(http.StatusOK); err != nil {
		return shopPage{}, err
	}
	token := regexp.MustCompile(`name="csrf" value="([^"]+)"`).FindStringSubmatch(page.body)
	if token == nil {
		return shopPage{}, fmt.Errorf("the page has no token of its own: %s", brief(page.body))
	}
	shown := shopPage{answer: page, token: token[1]}
	if email := regexp.MustCompile(`id="email">([^<]+)<`).FindStringSubmatch(page.body); email != nil {
		shown.email = email[1]
	}
	return shown, nil
}

func (t *Trip) visitShop(ctx context.Context) (string, error) {
	page, err := t.readShop(ctx)
	if err != nil {
		return "", err
	}
	script := t.Origin + includePath
	switch {
	case page.email != "":
		return "", fmt.Errorf("%s is signed in before anybody was", page.email)
	case !strings.Contains(page.body, `src="`+script+`"`):
		return "", fmt.Errorf("it does not load %s: %s", script, brief(page.body))
	case !strings.Contains(page.Header.Get("Content-Security-Policy"), t.Origin):
		return "", errors.New("its Content-Security-Policy does not let it load include.js")
	}
	return t.ShopOrigin + " loads include.js; nobody is signed in", nil
}

// signInAtShop hands the shop what the dialog would have handed it. The shop asks the verifier.
func (t *Trip) signInAtShop(ctx context.Context) (string, error) {
	answered, err := t.postToShop(ctx, t.bundle)
	if err != nil {
		return "", err
	}
	if err := answered.want(http.StatusSeeOther); err != nil {
		return "", err
	}
	page, err := t.readShop(ctx)
	if err != nil {
		return "", err
	}
	if page.email != t.Addresses[0] {
		return "", fmt.Errorf("%q is signed in, not %s", page.email, t.Addresses[0])
	}
	return page.email + " is in, by the word of the verifier", nil
}

// stealIntoShop tries what a dishonest website would: an assertion that it was given, at another one.
func (t *Trip) stealIntoShop(ctx context.Context) (string, error) {
	stolen, err := t.makeBundle(otherAudience)
	if err != nil {
		return "", err
	}
	answered, err := t.postToShop(ctx, stolen)
	if err != nil {
		return "", err
	}
	if err := answered.want(http.StatusForbidden); err != nil {
		return "", err
	}
	return "the one for " + otherAudience + ": " + answered.Status, nil
}

func (t *Trip) postToShop(ctx context.Context, bundle string) (answer, error) {
	page, err := t.readShop(ctx)
	if err != nil {
		return answer{}, err
	}
	return t.postShopForm(ctx, shopSignInPath, url.Values{"csrf": {page.token}, "assertion": {bundle}})
}

// forgeShopForm sends what a page of another site could make the browser send.
func (t *Trip) forgeShopForm(ctx context.Context) (string, error) {
	answered, err := t.postShopForm(ctx, shopSignOutPath, url.Values{})
	if err != nil {
		return "", err
	}
	if err := answered.want(http.StatusForbidden); err != nil {
		return "", err
	}
	page, err := t.readShop(ctx)
	if err != nil {
		return "", err
	}
	if page.email == "" {
		return "", errors.New("the person was signed out all the same")
	}
	return "without the shop's own token: " + answered.Status, nil
}

func (t *Trip) signOutOfShop(ctx context.Context) (string, error) {
	page, err := t.readShop(ctx)
	if err != nil {
		return "", err
	}
	answered, err := t.postShopForm(ctx, shopSignOutPath, url.Values{"csrf": {page.token}})
	if err != nil {
		return "", err
	}
	if err := answered.want(http.StatusSeeOther); err != nil {
		return "", err
	}
	if page, err = t.readShop(ctx); err != nil {
		return "", err
	}
	if page.email != "" {
		return "", fmt.Errorf("%s is still signed in", page.email)
	}
	return "nobody is signed in there; the company's session goes on", nil
}

func (t *Trip) postShopForm(ctx context.Context, path string, form url.Values) (answer, error) {
	return t.post(ctx, t.ShopOrigin, path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
}
