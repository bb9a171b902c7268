package assertion_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
	"github.com/go-jose/go-jose/v4/jwt"

	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/gate/assertion"
	"persona-sidecar/idp/idptest"
	"persona-sidecar/idp/keys"
)

// forge signs claims in another way than the issuer does.
func (w *world) forge(key jose.SigningKey, kid, typ string, claims any) string {
	w.t.Helper()
	options := &jose.SignerOptions{}
	if kid != "" {
		options = options.WithHeader("kid", kid)
	}
	if typ != "" {
		options = options.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(key, options)
	if err != nil {
		w.t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// forgeries are tokens that no website may take for an assertion of anna at the audience.
func (w *world) forgeries() map[string]string {
	w.t.Helper()
	good := w.sign(anna())
	parts := strings.Split(good, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		w.t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		w.t.Fatal(err)
	}
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		w.t.Fatal(err)
	}
	kid, signer, err := w.ring.Signer(host, keys.UseAssertions)
	if err != nil {
		w.t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		w.t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	elsewhere := func(h, audience string) string {
		token, _, err := w.issuer.Assertion(identityHost(h), audience, anna())
		if err != nil {
			w.t.Fatal(err)
		}
		return token
	}
	bob := encode([]byte(strings.ReplaceAll(string(payload), "anna", "bob")))
	late := *w.issuer
	late.Now = func() time.Time { return w.clock.Now().Add(-2 * time.Minute) }
	expired, _, err := late.Assertion(identityHost(host), audience, anna())
	if err != nil {
		w.t.Fatal(err)
	}
	return map[string]string{
		"nothing":                       "",
		"no token":                      "anna",
		"no signature":                  parts[0] + "." + parts[1] + ".",
		"two parts":                     parts[0] + "." + parts[1],
		"alg none":                      encode([]byte(`{"alg":"none","kid":"`+kid+`","typ":"persona-site+jwt"}`)) + "." + parts[1] + ".",
		"alg none with the signature":   encode([]byte(`{"alg":"none","kid":"`+kid+`","typ":"persona-site+jwt"}`)) + "." + parts[1] + "." + parts[2],
		"HS256 with the public key":     w.forge(jose.SigningKey{Algorithm: jose.HS256, Key: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})}, kid, assertion.Type, claims),
		"HS256 with the public key DER": w.forge(jose.SigningKey{Algorithm: jose.HS256, Key: spki}, kid, assertion.Type, claims),
		"another key":                   w.forge(jose.SigningKey{Algorithm: jose.RS256, Key: stranger}, kid, assertion.Type, claims),
		"another key and kid":           w.forge(jose.SigningKey{Algorithm: jose.RS256, Key: stranger}, "0123456789abcdef", assertion.Type, claims),
		"no kid":                        w.forge(jose.SigningKey{Algorithm: jose.RS256, Key: stranger}, "", assertion.Type, claims),
		"the key in its header":         w.forge(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: stranger, KeyID: kid}}, "", assertion.Type, claims),
		"another type":                  w.forge(jose.SigningKey{Algorithm: jose.RS256, Key: cryptosigner.Opaque(signer)}, kid, "JWT", claims),
		"no type":                       w.forge(jose.SigningKey{Algorithm: jose.RS256, Key: cryptosigner.Opaque(signer)}, kid, "", claims),
		"another person":                parts[0] + "." + bob + "." + parts[2],
		"for another audience":          elsewhere(host, "https://shop.example.com"),
		"by another host":               elsewhere("other.test", audience),
		"expired":                       expired,
		"signature cut":                 good[:len(good)-4],
		"white space":                   good + " x",
		"a certificate":                 w.certificate(),
	}
}

// certificate is a BrowserID certificate of the identity host, which is a JWS, too.
func (w *world) certificate() string {
	w.t.Helper()
	_, signer, err := w.ring.Signer(host, keys.UseCertificates)
	if err != nil {
		w.t.Fatal(err)
	}
	issuer, err := browserid.NewIssuer(host, signer, rand.Reader, false)
	if err != nil {
		w.t.Fatal(err)
	}
	_, other, err := w.ring.Signer("other.test", keys.UseAssertions)
	if err != nil {
		w.t.Fatal(err)
	}
	client, err := browserid.NewPublicKey(other.Public())
	if err != nil {
		w.t.Fatal(err)
	}
	certificate, err := issuer.Sign(idptest.Addresses("anna@" + host)[0], client, w.clock.Now(), time.Hour)
	if err != nil {
		w.t.Fatal(err)
	}
	return certificate
}

func TestForgeries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.verify(w.sign(anna())); err != nil {
		t.Fatal(err)
	}
	for name, token := range w.forgeries() {
		if claims, err := w.verify(token); err == nil {
			t.Errorf("%s: accepted as %v", name, claims)
		}
	}
}
