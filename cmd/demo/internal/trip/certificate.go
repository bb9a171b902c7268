package trip

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"persona-sidecar/idp/browserid"
)

const (
	certificatePath = "/persona/api/certificate"

	keyBits           = 2048
	lifetime          = 10 * time.Minute // asked for
	assertionLifetime = 2 * time.Minute
	otherAudience     = "https://other.example"
)

// certificateRequest is what the provisioning page posts.
type certificateRequest struct {
	Email     string               `json:"email"`
	PublicKey *browserid.PublicKey `json:"public_key"`
	Duration  int64                `json:"duration"` // seconds
}

func (t *Trip) makeKey(context.Context) (string, error) {
	began := t.Now()
	key, err := rsa.GenerateKey(t.Rand, keyBits)
	if err != nil {
		return "", fmt.Errorf("making the browser's key: %w", err)
	}
	if t.clientKey, err = browserid.NewPublicKey(&key.PublicKey); err != nil {
		return "", fmt.Errorf("encoding the browser's key: %w", err)
	}
	t.key = key
	return fmt.Sprintf("RSA, %d bits, in %s; it never leaves the browser", keyBits, t.Now().Sub(began).Round(time.Millisecond)), nil
}

func (t *Trip) requestCertificate(ctx context.Context) (string, error) {
	page, err := t.postCertificate(ctx, t.Addresses[0])
	if err != nil {
		return "", err
	}
	if err := page.want(http.StatusOK); err != nil {
		return "", err
	}
	var issued struct {
		Certificate string `json:"certificate"`
	}
	if err := json.Unmarshal([]byte(page.body), &issued); err != nil {
		return "", fmt.Errorf("reading the answer: %w", err)
	}
	if t.certificate, err = browserid.ParseCertificate(issued.Certificate); err != nil {
		return "", fmt.Errorf("reading the certificate: %w", err)
	}
	return fmt.Sprintf("for %s, %d characters", t.certificate.Email, len(issued.Certificate)), nil
}

func (t *Trip) verifyCertificate(context.Context) (string, error) {
	c := t.certificate
	if err := c.Verify([]*browserid.PublicKey{t.published}, t.Now()); err != nil {
		return "", fmt.Errorf("with the published key: %w", err)
	}
	switch {
	case c.Issuer != t.Host:
		return "", fmt.Errorf("it was issued by %s, not %s", c.Issuer, t.Host)
	case c.Email.String() != t.Addresses[0]:
		return "", fmt.Errorf("it is for %s, not %s", c.Email, t.Addresses[0])
	case !c.PublicKey.Equal(t.clientKey):
		return "", errors.New("it certifies another key")
	}
	return fmt.Sprintf("by the published key; issuer %s, valid until %s", c.Issuer, c.Expires.UTC().Format(time.TimeOnly+" MST")), nil
}

// verifyBundle plays the browser, which signs, and the relying party, which verifies; then a relying party for which
// the bundle was not meant.
func (t *Trip) verifyBundle(context.Context) (string, error) {
	audience := t.ShopOrigin
	text, err := t.makeBundle(audience)
	if err != nil {
		return "", err
	}
	bundle, err := browserid.ParseBundle(text)
	if err != nil {
		return "", fmt.Errorf("reading the bundle: %w", err)
	}
	keys := []*browserid.PublicKey{t.published}
	if err := bundle.Verify(keys, audience, t.Now()); err != nil {
		return "", fmt.Errorf("for %s: %w", audience, err)
	}
	if bundle.Verify(keys, otherAudience, t.Now()) == nil {
		return "", fmt.Errorf("the bundle for %s also counts at %s", audience, otherAudience)
	}
	t.bundle = text
	return fmt.Sprintf("%s proven to %s and to nobody else, %d characters", bundle.Certificate.Email, audience, len(text)), nil
}

// makeBundle makes what the dialog hands to a relying party.
func (t *Trip) makeBundle(audience string) (string, error) {
	assertion, err := browserid.SignAssertion(t.key, t.Rand, audience, t.Now().Add(assertionLifetime))
	if err != nil {
		return "", fmt.Errorf("signing the assertion: %w", err)
	}
	return t.certificate.String() + "~" + assertion, nil
}

func (t *Trip) requestForeign(ctx context.Context) (string, error) {
	page, err := t.postCertificate(ctx, t.Foreign)
	if err != nil {
		return "", err
	}
	if err := page.want(http.StatusForbidden); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: %s", t.Foreign, page.Status), nil
}

func (t *Trip) postCertificate(ctx context.Context, email string) (answer, error) {
	return t.postJSON(ctx, certificatePath, certificateRequest{
		Email: email, PublicKey: t.clientKey, Duration: int64(lifetime / time.Second),
	})
}
