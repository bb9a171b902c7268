package verifier

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"persona-sidecar/idp/browserid"
)

// AllDomains among Config.Domains opens the verifier to the addresses of
// whatever domain has an identity provider.
const AllDomains = "*"

// Config is what a Verifier accepts.
type Config struct {
	// Discovery finds the authority over mail domains.
	Discovery *Discovery
	// Domains are the mail domains whose addresses are accepted. Anyone can run
	// an identity provider for a domain of their own, so a valid assertion says
	// nothing by itself: the list is closed unless [AllDomains] opens it.
	Domains []string
	// LegacyClientKeys accepts the keys of historic browsers: DSA, and RSA of
	// 1024 or 1023 bit.
	LegacyClientKeys bool
	// Seen refuses an assertion that was accepted before; nil lets it be used
	// again until it expires, as the protocol does. A store that drops values
	// before their time does not do.
	Seen Seen
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Seen remembers the assertions that were accepted. Add saves a value for a time
// unless there is one already, and reports whether it did: of several callers one
// is told so. An error means that it could not save; the assertion is not accepted.
type Seen interface {
	Add(ctx context.Context, key string, value []byte, ttl time.Duration) (added bool, err error)
}

// Verifier verifies assertions. It is safe for concurrent use.
type Verifier struct {
	config  Config
	domains map[string]bool
	open    bool
}

// New makes a Verifier.
func New(config Config) *Verifier {
	if config.Now == nil {
		config.Now = time.Now
	}
	v := &Verifier{config: config, domains: map[string]bool{}, open: slices.Contains(config.Domains, AllDomains)}
	for _, domain := range config.Domains {
		v.domains[domain] = true
	}
	return v
}

// Verdict is what an accepted assertion proves.
type Verdict struct {
	Email    browserid.Address // proven to be theirs, in the issuer's spelling
	Issuer   string            // the authority that says so
	Audience string            // the website's origin, as it was asked about
	Expires  time.Time         // the assertion's end

	bundle *browserid.Bundle
}

// IdPClaims are further claims of the certificate, in JSON by their names, nil
// when there are none. The identity provider vouches for them.
func (v *Verdict) IdPClaims() map[string][]byte { return v.bundle.Certificate.OtherClaims() }

// UserClaims are further claims of the assertion, in JSON by their names, nil
// when there are none. They are the person's own statement.
func (v *Verdict) UserClaims() map[string][]byte { return v.bundle.Assertion.OtherClaims() }

// Verify accepts bundle, certificate~assertion, if the authority over the
// address's mail domain issued the certificate, the certified key signed the
// assertion, now lies in the times of both, and the assertion is meant for
// audience, an origin such as https://rp.example. A final slash is passed over,
// and an audience without a scheme is https.
//
// The local part of the address may have capitals only where the verifier is open
// to [AllDomains] and the authority is not one of our own, whose addresses are all
// lower case. It stays as it was signed: two spellings may be two people.
//
// The error is a [*Refusal] when it does not, and anything else when it cannot
// be said: the context's error, [ErrBusy], that our own keys are not ready.
func (v *Verifier) Verify(ctx context.Context, bundle, audience string) (*Verdict, error) {
	expected, err := parseAudience(audience)
	if err != nil {
		return nil, &Refusal{"audience mismatch: " + err.Error(), err}
	}
	b, err := browserid.ParseBundle(bundle)
	if err != nil {
		return nil, refuse(err)
	}
	domain := b.Certificate.Email.Domain()
	if !v.open && !v.domains[domain] {
		return nil, &Refusal{
			"this verifier accepts no emails from '" + domain + "'",
			&hinted{errors.New("the mail domain is not accepted"), "name it in verifier.domains, if it should be"},
		}
	}
	if b.Certificate.Email.HasCapitals() && !v.open {
		return nil, refuse(browserid.ErrCapitals)
	}
	if err := b.Certificate.PublicKey.CheckClientKey(); err != nil {
		key := b.Certificate.PublicKey
		// That a DSA key lies in its group is checked when it is used.
		legacy := key.RSA() == nil || key.CheckLegacyClientKey() == nil
		switch {
		case !legacy:
			return nil, refuse(err)
		case !v.config.LegacyClientKeys:
			return nil, &Refusal{err.Error(), &hinted{err, "identity.legacy_client_keys accepts it"}}
		}
	}
	authority, err := v.authority(ctx, b.Certificate.Issuer, domain)
	if err != nil {
		return nil, err
	}
	if b.Certificate.Email.HasCapitals() && authority.Own {
		return nil, refuse(browserid.ErrCapitals)
	}
	if err := b.Verify(authority.Keys(), expected, v.config.Now()); err != nil {
		return nil, refuse(err)
	}
	if err := v.see(ctx, b); err != nil {
		return nil, err
	}
	return &Verdict{
		Email: b.Certificate.Email, Issuer: b.Certificate.Issuer,
		Audience: audience, Expires: b.Assertion.Expires, bundle: b,
	}, nil
}

// parseAudience reads what a website calls itself. Programs made for the first
// verifiers send a final slash, or a bare host and port.
func parseAudience(audience string) (string, error) {
	scheme, rest, ok := strings.Cut(audience, "://")
	if !ok {
		scheme, rest = "https", audience
	}
	return browserid.ParseAudience(scheme + "://" + strings.TrimSuffix(rest, "/"))
}

// authority returns the authority over a mail domain, which must be the issuer:
// this is what keeps one domain from certifying another's addresses. The issuer's
// own document is not looked up, the mail domain's is: the certificate does not
// decide which server is asked.
func (v *Verifier) authority(ctx context.Context, issuer, domain string) (Authority, error) {
	authority, err := v.config.Discovery.Discover(ctx, domain)
	var failed *LookupError
	switch {
	case errors.As(err, &failed):
		return Authority{}, &Refusal{failed.Error(), err}
	case err != nil:
		return Authority{}, fmt.Errorf("looking up %s: %w", domain, err)
	case authority.Name != issuer:
		return Authority{}, &Refusal{fmt.Sprintf("untrusted issuer, expected '%s', got '%s'", authority.Name, issuer), nil}
	}
	return authority, nil
}

// see keeps an assertion that would be accepted, and refuses one that was.
func (v *Verifier) see(ctx context.Context, b *browserid.Bundle) error {
	if v.config.Seen == nil {
		return nil
	}
	use := b.Use()
	// It is accepted up to and including its last millisecond.
	ttl := b.Assertion.Expires.Add(browserid.Skew + time.Millisecond).Sub(v.config.Now())
	first, err := v.config.Seen.Add(ctx, "assertions/"+hex.EncodeToString(use[:]), nil, ttl)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("remembering the assertion: %w", ctx.Err())
	case err != nil:
		return fmt.Errorf("remembering the assertion: %w: %w", ErrBusy, err)
	case !first:
		return &Refusal{"the assertion was used before", nil}
	}
	return nil
}
