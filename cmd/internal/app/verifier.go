package app

import (
	"context"
	"errors"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/hub"
	"persona-sidecar/idp/verifier"
	"persona-sidecar/proxy/middleware"
)

// makeDiscovery makes what the verifier and the hub look domains up with. Our own domains are
// answered by the identity provider, which is made after it.
func (g *generation) makeDiscovery() {
	lookups := g.config.Lookups
	g.discovery = verifier.NewDiscovery(verifier.DiscoveryConfig{
		Own: func(domain string) (browserid.Document, bool, error) {
			return g.documents.Document(domain)
		},
		Ports:               lookups.Ports,
		AllowPrivate:        lookups.AllowPrivate.Networks,
		AllowPrivateDomains: lookups.AllowPrivate.Names,
		Roots:               lookups.Roots,
		UserAgent:           "persona/" + g.version,
		Now:                 g.now,
	})
}

// makeVerifier makes what answers the servers of websites.
func (g *generation) makeVerifier() *verifier.API {
	settings := g.config.Verifier
	domains := settings.Domains
	if len(domains) == 0 {
		domains = ownMailDomains(g.hosts)
	}
	var seen verifier.Seen
	if settings.Once {
		seen = g.seen
	}
	return verifier.NewAPI(verifier.APIConfig{
		Verifier: verifier.New(verifier.Config{
			Discovery: g.discovery, Domains: domains, Seen: seen, Now: g.now,
			LegacyClientKeys: g.config.Identity.LegacyClientKeys,
		}),
		Rate:       settings.Rate,
		ClientAddr: middleware.ClientAddr,
		Now:        g.now,
		Log:        g.log,
	})
}

// ownMailDomains are those that our hosts sign for, and our own that leave it to a host elsewhere.
func ownMailDomains(hosts []config.Host) []string {
	var all []string
	for _, host := range hosts {
		all = append(all, host.MailDomains...)
		if host.Role == config.RoleDelegating {
			all = append(all, host.Name)
		}
	}
	return all
}

// lookup lets the hub look up the domains of others.
type lookup struct{ discovery *verifier.Discovery }

func (l lookup) Discover(ctx context.Context, domain string) (hub.Authority, error) {
	found, err := l.discovery.Discover(ctx, domain)
	var failed *verifier.LookupError
	switch {
	case errors.As(err, &failed) && failed.Kind == verifier.Disabled:
		return hub.Authority{Disabled: true}, nil
	case errors.As(err, &failed):
		return hub.Authority{}, &hub.NoAuthority{Reason: failed.Error(), Offline: failed.Temporary(), Cause: failed.Unwrap()}
	case err != nil:
		return hub.Authority{}, err
	}
	base := "https://" + found.Name
	return hub.Authority{
		Issuer:         found.Name,
		Authentication: base + found.Support.Authentication,
		Provisioning:   base + found.Support.Provisioning,
	}, nil
}
