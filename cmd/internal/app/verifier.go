package app

import (
	"context"
	"errors"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/idp/browserid"
	"persona-sidecar/idp/hub"
	"persona-sidecar/idp/memory"
	"persona-sidecar/idp/verifier"
	"persona-sidecar/proxy/middleware"
)

// makeDiscovery makes what the verifier and the hub look domains up with. Our own domains are
// answered by the identity provider, which is made after it.
func (a *App) makeDiscovery() {
	lookups := a.Config.Lookups
	a.discovery = verifier.NewDiscovery(verifier.DiscoveryConfig{
		Own: func(domain string) (browserid.Document, bool, error) {
			return a.documents.Document(domain)
		},
		Ports:               lookups.Ports,
		AllowPrivate:        lookups.AllowPrivate.Networks,
		AllowPrivateDomains: lookups.AllowPrivate.Names,
		Roots:               lookups.Roots,
		UserAgent:           "persona/" + a.Version,
		Now:                 a.Now,
	})
}

// mostSeen bounds the memory of used assertions, at about 150 bytes each. Assertions live for ten
// minutes at most.
const mostSeen = 1 << 18

// makeVerifier makes what answers the servers of websites.
func (a *App) makeVerifier(hosts []config.Host) *verifier.API {
	settings := a.Config.Verifier
	domains := settings.Domains
	if len(domains) == 0 {
		domains = ownMailDomains(hosts)
	}
	var seen verifier.Seen
	if settings.Once {
		seen = memory.New(memory.Config{Now: a.Now, Most: mostSeen})
	}
	return verifier.NewAPI(verifier.APIConfig{
		Verifier: verifier.New(verifier.Config{
			Discovery: a.discovery, Domains: domains, Seen: seen, Now: a.Now,
			LegacyClientKeys: a.Config.Identity.LegacyClientKeys,
		}),
		Rate:       settings.Rate,
		ClientAddr: middleware.ClientAddr,
		Now:        a.Now,
		Log:        a.Log,
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
		offline := failed.Kind == verifier.Unreachable || failed.Kind == verifier.Forbidden
		return hub.Authority{}, &hub.NoAuthority{Reason: failed.Error(), Offline: offline, Cause: failed.Unwrap()}
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
