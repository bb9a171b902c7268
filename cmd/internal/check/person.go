package check

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"persona-sidecar/cmd/internal/check/document"
	"persona-sidecar/cmd/internal/check/network"
	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/visitor"
	"persona-sidecar/idp/browserid"
)

// SignIn is who signs in, for [Checker.Address].
type SignIn struct {
	Address browserid.Address
	// Login is what is typed as the user name; "": the address.
	Login string
	// Password asks for the password. It is called once the own identity host
	// has been found at the other end, and not before.
	Password func(context.Context) (string, error)
}

// Address plans the whole way of a person: a sign-in as in a browser, a
// certificate for a key made here, an assertion, their verification, and the
// sign-out. Without a configuration it is the domain that is checked.
func (c *Checker) Address(who SignIn) []report.Group {
	if c.Config == nil {
		return c.Domain(who.Address.Domain())
	}
	if who.Login == "" {
		who.Login = who.Address.String()
	}
	for _, host := range c.hosts {
		if host.Role != config.RoleIdentity || !slices.Contains(host.MailDomains, who.Address.Domain()) {
			continue
		}
		t := &trip{
			Checker: c, who: who, signer: host,
			visitor: visitor.Visitor{Client: c.client.WithCookies(), Now: c.Now, Rand: c.Rand},
		}
		return []report.Group{{Subject: who.Address.String(), Steps: []report.Step{
			{Name: "authority", Run: t.findAuthority},
			{Name: "sign-in page", Run: t.openForm},
			{Name: "key", Run: t.makeKey},
			{Name: "password", Run: t.askPassword, Interactive: true},
			{Name: "sign-in", Run: t.signIn},
			{Name: "session cookie", Run: t.checkCookie},
			{Name: "addresses", Run: t.readSession},
			{Name: "certificate", Run: t.requestCertificate},
			{Name: "verification", Run: t.verifyCertificate},
			{Name: "assertion", Run: t.verifyAssertion},
			{Name: "sign-out", Run: t.signOut},
		}}}
	}
	return []report.Group{{Subject: who.Address.String(), Steps: []report.Step{{Name: "authority", Run: func(ctx context.Context) report.Finding {
		return c.notOurs(ctx, who.Address.Domain())
	}}}}}
}

// notOurs finds who else signs for a domain.
func (c *Checker) notOurs(ctx context.Context, domain string) report.Finding {
	const elsewhere = "sign in there with a browser: this check types no password anywhere but at its own identity hosts"
	host, served := c.ours(domain)
	switch {
	case served && host.Role == config.RoleDelegating:
		return report.Fail(elsewhere, "%s delegates to %s, and that is not an identity host of this configuration", domain, host.Authority)
	case served && host.Role == config.RoleDisabled:
		return report.Fail("remove disabled and give the domain a directory", "%s is disabled by the configuration: no host signs for it", domain)
	case served && host.Role == config.RolePlain:
		return report.Fail("give the domain a directory or an authority", "%s is only a website in the configuration: no host signs for it", domain)
	}
	way, _, err := document.LookUp(ctx, c.client, c.Now, domain, domain)
	led, found := document.Follow(way, err, 0)
	switch {
	case found.Status == report.Failed && !led.Begun:
		return report.Fail("check an address of one of your own domains, or name the domain in certifies", "%s is not in the configuration, and it is no identity provider: %s", domain, found)
	case found.Status == report.Failed:
		return report.Fail(found.Hint, "%s: %s", domain, found)
	case led.Disabled():
		return report.Fail("contact the operator of the domain", "%s is not in the configuration, and it is no identity provider: its document says disabled", domain)
	}
	if host, ours := c.ours(network.HostOf(led.Provider())); ours {
		return report.Fail("name the domain in certifies of "+host.Name, "%s delegates to %s, whose configuration does not sign for it", domain, host.Name)
	}
	return report.Fail(elsewhere, "%s signs for the addresses of %s, and that is not an identity host of this configuration", led.Provider(), domain)
}

// trip is a person's way through our identity host.
type trip struct {
	*Checker
	who     SignIn
	signer  config.Host
	visitor visitor.Visitor

	authority string // which signs, once it is known to be ours
	open      bool   // the sign-in page shows its form
	password  string
}

// findAuthority goes the way of a hub: from the domain of the address to the
// host that signs, which has to be ours before a password is asked for.
func (t *trip) findAuthority(ctx context.Context) report.Finding {
	domain := t.who.Address.Domain()
	authority := domain
	if _, served := t.ours(domain); served {
		authority = t.site(domain, t.publicPort()).authority()
	}
	way, took, err := document.LookUp(ctx, t.client, t.Now, authority, domain)
	led, found := document.Follow(way, err, 0)
	switch {
	case found.Status == report.Failed && !led.Begun:
		return report.Fail(found.Hint+"; for more: persona check "+domain, "%s: %s", authority, found)
	case found.Status == report.Failed:
		return found
	}
	support, ok := led.Last.Document.(browserid.Support)
	if !ok {
		return report.Fail("remove disabled from its document", "%s is no identity provider: its document says disabled", domain)
	}
	if network.HostOf(led.Provider()) != t.signer.Name {
		return report.Fail("publish {\"authority\":\""+t.signer.Name+"\"} at "+domain, "outsiders are led to %s, and the configuration says that %s signs", document.Arrows(led.Chain), t.signer.Name)
	}
	// The key must be ours, where the state directory can be read.
	t.checkState(ctx)
	t.checkKeys(ctx)
	if t.keys.ring != nil {
		own, err := publishedKeys(t.keys.ring, t.signer.Name)
		if err == nil && !slices.ContainsFunc(own, support.PublicKey.Equal) {
			return report.Fail("another program answers there, or one with another state_dir: persona check "+domain, "%s publishes a key that is not in the state directory", led.Provider())
		}
	}
	t.authority = led.Provider()
	t.visitor.Support, t.visitor.Origin = support, "https://"+t.authority
	if slow := document.Speed(took); slow.Status != report.OK {
		return slow
	}
	return report.Pass("%s signs; led there by %s", t.authority, document.Arrows(led.Chain))
}

func (t *trip) openForm(ctx context.Context) report.Finding {
	if t.authority == "" {
		return report.Skip("there is no identity host of ours to sign in at")
	}
	if _, err := t.visitor.OpenForm(ctx, t.who.Address.String()); err != nil {
		return report.Error("", err, "")
	}
	t.open = true
	return report.Pass("%s", t.visitor.Origin+t.visitor.Support.Authentication)
}

func (t *trip) makeKey(context.Context) report.Finding {
	if err := t.visitor.MakeKey(); err != nil {
		return report.Error("", err, "")
	}
	return report.Pass("made as a browser makes it: RSA, %d bits", t.visitor.PublicKey.Size())
}

func (t *trip) askPassword(ctx context.Context) report.Finding {
	if !t.open {
		return report.Skip("there is no place to type it")
	}
	password, err := t.who.Password(ctx)
	switch {
	case err != nil:
		return report.Fail("give it with -password-file", "%v", err)
	case password == "":
		return report.Fail("type it, or give it with -password-file", "it is empty")
	}
	t.password = password
	return report.Pass("given for %s", t.who.Login)
}

func (t *trip) signIn(ctx context.Context) report.Finding {
	if t.password == "" {
		return report.Skip("there is no password to sign in with")
	}
	_, err := t.visitor.SignIn(ctx, t.who.Login, t.password, t.who.Address.String())
	t.password = ""
	if err != nil {
		return report.Error("", err, "")
	}
	return report.Pass("as %s", t.who.Login)
}

const notSignedIn = "not signed in"

// checkCookie: the cookie must not leave the browser unencrypted, nor be read by
// scripts.
func (t *trip) checkCookie(context.Context) report.Finding {
	cookie := t.visitor.Cookie
	if cookie == nil {
		return report.Skip(notSignedIn)
	}
	var f report.Faults
	const hint = "report this with the version"
	if !cookie.Secure {
		f.Fail(hint, "it is not Secure")
	}
	if !cookie.HttpOnly {
		f.Fail(hint, "it is not HttpOnly")
	}
	if cookie.SameSite != http.SameSiteLaxMode {
		f.Warn(hint, "it is not SameSite=Lax")
	}
	if cookie.Domain != "" {
		f.Fail(hint, "it goes to all hosts below %s", cookie.Domain)
	}
	return f.Finding("%s: Secure, HttpOnly, SameSite=Lax, for this host alone", cookie.Name)
}

func (t *trip) readSession(ctx context.Context) report.Finding {
	if t.visitor.Cookie == nil {
		return report.Skip(notSignedIn)
	}
	session, err := t.visitor.ReadSession(ctx)
	switch {
	case err != nil:
		return report.Error("", err, "")
	case !session.SignedIn:
		return report.Fail("does something in front of the program take cookies away, or answer from a cache?", "the session is not known any more")
	case !slices.Contains(session.Addresses, t.who.Address.String()):
		return report.Fail("is the address in one of the directory's address_attributes, and of this person's entry alone?",
			"%s is not among the addresses of %s: %s", t.who.Address, session.Name, strings.Join(session.Addresses, ", "))
	}
	return report.Pass("%s: %s", session.Name, strings.Join(session.Addresses, ", "))
}

const (
	certificateLifetime = 10 * time.Minute // asked for
	relyingParty        = "https://relying-party.example"
	noCertificate       = "there is no certificate"
)

func (t *trip) requestCertificate(ctx context.Context) report.Finding {
	if t.visitor.Cookie == nil || t.visitor.PublicKey == nil {
		return report.Skip(notSignedIn)
	}
	text, err := t.visitor.RequestCertificate(ctx, t.who.Address.String(), certificateLifetime)
	var finding report.Finding
	if err != nil {
		finding = report.Error("", err, "")
	} else {
		finding = report.Pass("for %s, %d characters", t.visitor.Certificate.Email, len(text))
	}
	finding.Shown = decoded(text)
	return finding
}

func (t *trip) verifyCertificate(context.Context) report.Finding {
	c := t.visitor.Certificate
	if c == nil {
		return report.Skip(noCertificate)
	}
	const fault = "report this with the version and what is shown above"
	var f report.Faults
	if err := c.Verify(t.visitor.Support.SigningKeys(), t.Now()); err != nil {
		hint := "the published key is not the one that signs: persona check " + t.signer.Name
		if !errors.Is(err, browserid.ErrSignature) {
			hint = "compare the clocks of this machine and of the program's"
		}
		f.Fail(hint, "with the published key: %v", err)
	}
	if c.Issuer != t.authority {
		f.Fail("look at listen.public_https: "+c.Issuer+" signs, and outsiders are led to "+t.authority, "it says that %s issued it, and outsiders expect %s", c.Issuer, t.authority)
	}
	if c.Email != t.who.Address {
		f.Fail(fault, "it is for %s", c.Email)
	}
	if !c.PublicKey.Equal(t.visitor.PublicKey) {
		f.Fail(fault, "it certifies another key")
	}
	switch {
	case c.IssuedAt.IsZero():
		f.Warn(fault, "it does not say when it was issued: the historic hub takes it for expired")
	case c.IssuedAt.After(t.Now()):
		f.Warn("set the clocks: the historic verifiers allow no skew", "it was issued %s in the future", c.IssuedAt.Sub(t.Now()).Round(time.Second))
	}
	if lasts := c.Expires.Sub(t.Now()); lasts > certificateLifetime+browserid.Skew {
		f.Warn(fault, "it lasts %s, and %s were asked for", lasts.Round(time.Second), certificateLifetime)
	}
	return f.Finding("signed by the published key; issuer %s; valid until %s", c.Issuer, c.Expires.UTC().Format(time.RFC3339))
}

// verifyAssertion plays the browser, which signs, and the relying party, which
// verifies.
func (t *trip) verifyAssertion(context.Context) report.Finding {
	if t.visitor.Certificate == nil {
		return report.Skip(noCertificate)
	}
	assertion, err := t.visitor.Assert(relyingParty)
	if err != nil {
		return report.Error("", err, "")
	}
	bundle, err := browserid.ParseBundle(t.visitor.Bundle(assertion))
	if err == nil {
		err = bundle.Verify(t.visitor.Support.SigningKeys(), relyingParty, t.Now())
	}
	var finding report.Finding
	if err != nil {
		finding = report.Error("a relying party would say", err, "see what was wrong with the certificate")
	} else {
		finding = report.Pass("%s is proven to %s; the bundle has %d characters", bundle.Certificate.Email, relyingParty, len(bundle.String()))
	}
	finding.Shown = decoded(assertion)
	return finding
}

func (t *trip) signOut(ctx context.Context) report.Finding {
	if t.visitor.Cookie == nil {
		return report.Skip(notSignedIn)
	}
	if err := t.visitor.SignOut(ctx); err != nil {
		return report.Error("", err, "")
	}
	return report.Pass("the session of this check has ended")
}

// decoded returns header and payload of a JWS as one JSON value; nil for other
// text.
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
