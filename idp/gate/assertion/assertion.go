package assertion

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
	"github.com/go-jose/go-jose/v4/jwt"

	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"
	"persona-sidecar/idp/web"
)

const (
	// PathKeys is where an identity host publishes the keys that verify its assertions, as
	// a JWK Set (RFC 7517, section 5).
	PathKeys = "/persona/assertion/jwks.json"

	// Type is the typ of the header: no other JWT can pass for an assertion (RFC 8725,
	// section 3.11).
	Type = "persona-site+jwt"

	// Lifetime is the time from iat to exp.
	Lifetime = 120 * time.Second

	// backdated is how far iat lies behind: libraries refuse what comes from the future,
	// and clocks differ.
	backdated = 10 * time.Second

	// largest bounds an assertion, in bytes: nginx and Apache take 8 KiB for one field,
	// with its name, and answer 400 to more.
	largest = 8000
)

// Keys hands out the keys of the use keys.UseAssertions. Errors wrap keys.ErrNotReady.
type Keys interface {
	Signer(host string, use keys.Use) (kid string, s crypto.Signer, err error)
	Published(host string, use keys.Use) ([]keys.Public, error)
}

// Config is what an Issuer needs. All fields are required.
type Config struct {
	Keys Keys
	Now  func() time.Time
}

// Issuer signs assertions. It is safe for concurrent use.
type Issuer struct{ Config }

// New returns an Issuer.
func New(c Config) *Issuer { return &Issuer{c} }

// claims are the payload of an assertion. The times are in Unix seconds.
type claims struct {
	Issuer   string   `json:"iss"` // the origin of the identity host
	Audience string   `json:"aud"` // the site's
	Subject  string   `json:"sub"`
	Login    string   `json:"preferred_username,omitempty"`
	Email    string   `json:"email,omitempty"` // the primary address
	Name     string   `json:"name,omitempty"`
	Groups   []string `json:"groups"`                   // names; never null
	Omitted  int      `json:"groups_omitted,omitempty"` // how many did not fit
	AuthTime int64    `json:"auth_time"`                // when the password was checked
	Session  string   `json:"sid"`
	IssuedAt int64    `json:"iat"`
	Expires  int64    `json:"exp"`
}

// Subject is the sub of a person: the name that the configuration gives the directory, a
// colon, and the immutable id. It is unique for an issuer, which has one directory.
func Subject(p identity.Person) string { return p.Directory + ":" + p.ID }

// sessionID is the sid of a session: the same in all of its assertions, and of no use to
// who wants to be the person.
func sessionID(id string) string {
	sum := sha256.Sum256([]byte("persona sid\x00" + id))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Assertion signs who is signed in at an identity host, for the website of an audience.
// An error wraps keys.ErrNotReady where the host has no key yet.
//
// All groups are in it, unless it would become longer than websites accept: then the last
// ones are left out, and it says how many, as the result omitted does.
func (i *Issuer) Assertion(h *identity.Host, audience string, s *session.Subject) (token string, omitted int, err error) {
	kid, key, err := i.Keys.Signer(h.Name, keys.UseAssertions)
	if err != nil {
		return "", 0, fmt.Errorf("signing an assertion for %s: %w", audience, err)
	}
	issued := i.Now().Add(-backdated).Truncate(time.Second)
	c := claims{
		Issuer: h.Origin, Audience: audience, Subject: Subject(s.Person),
		Login: s.Person.Login, Name: s.Person.Name, Groups: append([]string{}, s.Person.Groups...),
		AuthTime: s.AuthTime.Unix(), Session: sessionID(s.ID),
		IssuedAt: issued.Unix(), Expires: issued.Add(Lifetime).Unix(),
	}
	if len(s.Person.Addresses) > 0 {
		c.Email = s.Person.Addresses[0].String()
	}
	if err := c.shorten(); err != nil {
		return "", 0, fmt.Errorf("signing an assertion for %s: %w", audience, err)
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.RS256, Key: cryptosigner.Opaque(key)},
		(&jose.SignerOptions{}).WithType(Type).WithHeader("kid", kid),
	)
	if err != nil {
		return "", 0, fmt.Errorf("signing an assertion for %s: %w", audience, err)
	}
	token, err = jwt.Signed(signer).Claims(c).Serialize()
	if err != nil {
		return "", 0, fmt.Errorf("signing an assertion for %s: %w", audience, err)
	}
	return token, c.Omitted, nil
}

// shorten leaves out the last groups where an assertion would be too long.
func (c *claims) shorten() error {
	const around = 512 // header, signature and dots, in base64
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	excess := len(text) - (largest-around)/4*3
	if excess <= 0 {
		return nil
	}
	for excess > -len(`"groups_omitted":12345,`) && len(c.Groups) > 0 {
		last, err := json.Marshal(c.Groups[len(c.Groups)-1])
		if err != nil {
			return err
		}
		excess -= len(last) + len(",")
		c.Groups = c.Groups[:len(c.Groups)-1]
		c.Omitted++
	}
	return nil
}

// Routes returns the route of the published keys.
func (i *Issuer) Routes(h *identity.Host) []route.Route {
	return []route.Route{{Path: PathKeys, Class: route.Document, Methods: route.Get(func(w http.ResponseWriter, r *http.Request) error {
		published, err := i.Keys.Published(h.Name, keys.UseAssertions)
		if err != nil {
			return err
		}
		body, err := keys.JWKS(published)
		if err != nil {
			return err
		}
		return route.Asset(web.Asset{ContentType: "application/json", Body: body, ETag: web.ETag(body)})(w, r)
	})}}
}
