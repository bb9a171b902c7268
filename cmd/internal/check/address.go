package check

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"time"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/idp/browserid"
)

// SignIn says who signs in, for [Examiner.Address].
type SignIn struct {
	Address browserid.Address
	// Login is what is typed as the user name; "": the address.
	Login string
	// Password asks for the password. It is called once the own identity host
	// has been found at the other end, and not before.
	Password func(context.Context) (string, error)
}

// Address plans the whole way of a person: a sign-in at the front door, a
// certificate for a key made here, an assertion, their verification, and the
// sign-out.
func (e *Examiner) Address(who SignIn) []Group {
	if who.Login == "" {
		who.Login = who.Address.String()
	}
	for _, host := range e.hosts {
		if host.Role == config.RoleIdentity && slices.Contains(host.MailDomains, who.Address.Domain()) {
			return []Group{e.tripGroup(who, host)}
		}
	}
	return []Group{{Subject: who.Address.String(), Steps: []Step{{Name: "authority", Look: func(ctx context.Context) Finding {
		return e.notOurs(ctx, who.Address.Domain())
	}}}}}
}

// notOurs says who else signs for a domain, if anybody does.
func (e *Examiner) notOurs(ctx context.Context, domain string) Finding {
	const elsewhere = "sign in there with a browser: this check types no password anywhere but at its own identity hosts"
	host, served := e.ours(domain)
	switch {
	case served && host.Role == config.RoleDelegating:
		return failed(elsewhere, "%s delegates to %s, and that is not an identity host of this configuration", domain, host.Authority)
	case served && host.Role == config.RoleDisabled:
		return failed("remove disabled and give the domain a directory", "%s is disabled by the configuration: nobody signs for it", domain)
	case served && host.Role == config.RolePlain:
		return failed("give the domain a directory or an authority", "%s is only a website in the configuration: nobody signs for it", domain)
	}
	first, found := e.lookUp(ctx, domain, domain)
	if found.Status == Failed {
		return failed("check an address of one of your own domains, or name the domain in certifies", "%s is not in the configuration, and it is no identity provider: %s", domain, found.Seen)
	}
	chain, last, found := e.follow(ctx, domain, first)
	if found.Status == Failed {
		return failed(found.Cure, "%s: %s", domain, found.Seen)
	}
	provider := chain[len(chain)-1]
	if _, disabled := last.document.(browserid.Disabled); disabled {
		return failed("ask whoever runs it", "%s is not in the configuration, and it is no identity provider by its own word (disabled)", domain)
	}
	if host, ours := e.ours(hostOf(provider)); ours {
		return failed("name the domain in certifies of "+host.Name, "%s delegates to %s, whose configuration does not sign for it", domain, host.Name)
	}
	return failed(elsewhere, "%s signs for the addresses of %s, and that is not an identity host of this configuration", provider, domain)
}

// trip is a person's way through the front door.
type trip struct {
	*site
	who     SignIn
	signer  config.Host
	browser *http.Client

	support     browserid.Support
	open        bool // the sign-in page is ours and shows its form
	password    string
	cookie      *http.Cookie
	signedIn    bool
	key         *rsa.PrivateKey
	clientKey   *browserid.PublicKey
	certificate *browserid.Certificate
}

func (e *Examiner) tripGroup(who SignIn, signer config.Host) Group {
	jar, _ := cookiejar.New(nil) // never fails
	browser := *e.web.client
	browser.Jar = jar
	t := &trip{site: e.site(signer.Name, e.publicPort()), who: who, signer: signer, browser: &browser}
	return Group{Subject: who.Address.String(), Steps: []Step{
		{Name: "authority", Look: t.findAuthority},
		{Name: "sign-in page", Look: t.visitForm},
		{Name: "key", Look: t.makeKey},
		{Name: "password", Look: t.askPassword, Waits: true},
		{Name: "sign-in", Look: t.signIn},
		{Name: "session cookie", Look: t.lookAtCookie},
		{Name: "addresses", Look: t.askSession},
		{Name: "certificate", Look: t.requestCertificate},
		{Name: "verification", Look: t.verifyCertificate},
		{Name: "assertion", Look: t.verifyAssertion},
		{Name: "sign-out", Look: t.signOut},
	}}
}

// findAuthority goes the way of a hub: from the domain of the address to the
// host that signs, which has to be ours before anybody is asked for a password.
func (t *trip) findAuthority(ctx context.Context) Finding {
	domain := t.who.Address.Domain()
	authority := domain
	if _, served := t.ours(domain); served {
		authority = t.Examiner.site(domain, t.publicPort()).authority()
	}
	first, found := t.lookUp(ctx, authority, domain)
	if found.Status == Failed {
		return failed(found.Cure+"; for more: persona check "+domain, "%s: %s", authority, found.Seen)
	}
	chain, last, found := t.follow(ctx, domain, first)
	if found.Status == Failed {
		return found
	}
	provider := chain[len(chain)-1]
	support, ok := last.document.(browserid.Support)
	if !ok {
		return failed("remove disabled from its document", "%s is no identity provider, by its own word (disabled)", domain)
	}
	if hostOf(provider) != t.signer.Name {
		return failed("publish {\"authority\":\""+t.signer.Name+"\"} at "+domain, "outsiders are led to %s, and the configuration says that %s signs", arrows(chain), t.signer.Name)
	}
	t.provider, t.support = provider, support
	if own, err := t.ownKeysFor(ctx); err == nil && !slices.ContainsFunc(own, support.PublicKey.Equal) {
		t.provider = ""
		return failed("another program answers there, or one with another state_dir: persona check "+domain, "%s publishes a key that is not in the state directory", provider)
	}
	return passed("%s signs; led there by %s", provider, arrows(chain))
}

// ownKeysFor returns the keys of the signer in the state directory, where that
// can be read.
func (t *trip) ownKeysFor(ctx context.Context) ([]*browserid.PublicKey, error) {
	t.lookAtState(ctx)
	if t.keys.store == nil {
		return nil, errors.New("the state directory cannot be read")
	}
	t.lookAtKeys(ctx)
	if t.keys.ring == nil {
		return nil, errors.New("the keys cannot be read")
	}
	return t.keys.ring.Published(t.signer.Name)
}

func (t *trip) askPassword(ctx context.Context) Finding {
	if !t.open {
		return skipped("there is no place to type it")
	}
	password, err := t.who.Password(ctx)
	switch {
	case err != nil:
		return failed("give it with -password-file", "%v", err)
	case password == "":
		return failed("type it, or give it with -password-file", "it is empty")
	}
	t.password = password
	return passed("given for %s", t.who.Login)
}

func (t *trip) makeKey(context.Context) Finding {
	key, err := rsa.GenerateKey(t.Rand, 2048)
	if err != nil {
		return failed("", "%v", err)
	}
	if t.clientKey, err = browserid.NewPublicKey(&key.PublicKey); err != nil {
		return failed("", "%v", err)
	}
	t.key = key
	return passed("made as a browser makes it: RSA, %d bits", t.clientKey.Size())
}

// lookAtCookie: what the browser keeps must not leave it in clear, nor be read
// by scripts.
func (t *trip) lookAtCookie(context.Context) Finding {
	if t.cookie == nil {
		return skipped("nobody is signed in")
	}
	var f faults
	const cure = "report this with the version"
	if !t.cookie.Secure {
		f.fail(cure, "it is not Secure")
	}
	if !t.cookie.HttpOnly {
		f.fail(cure, "it is not HttpOnly")
	}
	if t.cookie.SameSite != http.SameSiteLaxMode {
		f.warn(cure, "it is not SameSite=Lax")
	}
	if t.cookie.Domain != "" {
		f.fail(cure, "it goes to all hosts below %s", t.cookie.Domain)
	}
	return f.finding("%s: Secure, HttpOnly, SameSite=Lax, for this host alone", t.cookie.Name)
}

const (
	certificateAsked  = 10 * time.Minute
	assertionLifetime = 2 * time.Minute
	relyingParty      = "https://relying-party.example"
)

func (t *trip) verifyCertificate(context.Context) Finding {
	c := t.certificate
	if c == nil {
		return skipped("there is no certificate")
	}
	const fault = "report this with the version and what is shown above"
	var f faults
	if err := c.Verify(t.support.SigningKeys(), t.Now()); err != nil {
		cure := "the published key is not the one that signs: persona check " + t.signer.Name
		if !errors.Is(err, browserid.ErrSignature) {
			cure = "compare the clocks of this machine and of the program's"
		}
		f.fail(cure, "with the published key: %v", err)
	}
	if c.Issuer != t.provider {
		f.fail("look at listen.public_https: "+c.Issuer+" signs, and outsiders are led to "+t.provider, "it says that %s issued it, and outsiders expect %s", c.Issuer, t.provider)
	}
	if c.Email != t.who.Address {
		f.fail(fault, "it is for %s", c.Email)
	}
	if !c.PublicKey.Equal(t.clientKey) {
		f.fail(fault, "it certifies another key")
	}
	switch {
	case c.IssuedAt.IsZero():
		f.warn(fault, "it does not say when it was issued: the historic hub takes it for expired")
	case c.IssuedAt.After(t.Now()):
		f.warn("set the clocks: the historic verifiers allow no skew", "it was issued %s in the future", c.IssuedAt.Sub(t.Now()).Round(time.Second))
	}
	if lasts := c.Expires.Sub(t.Now()); lasts > certificateAsked+browserid.Skew {
		f.warn(fault, "it lasts %s, and %s were asked for", lasts.Round(time.Second), certificateAsked)
	}
	return f.finding("signed by the published key; issuer %s; valid until %s", c.Issuer, c.Expires.UTC().Format(time.RFC3339))
}

// verifyAssertion plays the browser, which signs, and the relying party, which
// verifies.
func (t *trip) verifyAssertion(context.Context) Finding {
	if t.certificate == nil {
		return skipped("there is no certificate")
	}
	assertion, err := browserid.SignAssertion(t.key, t.Rand, relyingParty, t.Now().Add(assertionLifetime))
	if err != nil {
		return failed("", "making it: %v", err)
	}
	bundle, err := browserid.ParseBundle(t.certificate.String() + "~" + assertion)
	if err == nil {
		err = bundle.Verify(t.support.SigningKeys(), relyingParty, t.Now())
	}
	shown := decoded(assertion)
	if err != nil {
		finding := failed("see what was wrong with the certificate", "a relying party would say: %v", err)
		finding.Shown = shown
		return finding
	}
	finding := passed("%s is proven to %s; the bundle has %d characters", bundle.Certificate.Email, relyingParty, len(bundle.String()))
	finding.Shown = shown
	return finding
}

func (t *trip) target(path string) string { return fmt.Sprintf("https://%s%s", t.provider, path) }
