package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/config/website"
	"persona-sidecar/cmd/internal/translate"
	"persona-sidecar/idp"
	"persona-sidecar/idp/hub"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/oidc"
	"persona-sidecar/idp/oidc/backchannel"
	"persona-sidecar/idp/provision"
	"persona-sidecar/idp/signin"
	"persona-sidecar/idp/verifier"
	"persona-sidecar/proxy/middleware"
)

// makeHosts translates the hosts that have paths of ours.
func (g *generation) makeHosts() error {
	for _, host := range g.hosts {
		if host.Role != config.RolePlain || host.SignIn != "" {
			g.published = append(g.published, g.identityHost(host))
		}
	}
	for i := range g.config.ForwardAuth {
		entry := &g.config.ForwardAuth[i]
		g.published = append(g.published, identity.Host{Name: entry.Name(), Origin: "https://" + entry.Host, Role: identity.Site, Files: g.origin(entry.Authority)})
	}
	return nil
}

// makeProvider gives the identity provider the hosts and its envelopes.
func (g *generation) makeProvider() (err error) {
	documented := slices.DeleteFunc(slices.Clone(g.published), func(h identity.Host) bool { return h.Role == identity.Site })
	signIns := map[string]string{} // the identity host of each website that is told of sign-ins
	for _, host := range g.hosts {
		signIns[host.Name] = host.SignIn
	}
	for i := range g.config.ForwardAuth {
		signIns[g.config.ForwardAuth[i].Name()] = g.config.ForwardAuth[i].Authority
	}
	throttle := signin.NewThrottle(signin.ThrottleConfig{
		Failures: g.config.Throttle.Failures, Window: g.config.Throttle.Window,
		Accounts: g.accounts, Counters: g.failures, Log: g.log,
	})
	g.documents = provision.New(provision.Config{
		Respond: g.respond, Sessions: g.sessions, Keys: g.ring, Hosts: documented,
		LegacyClientKeys: g.config.Identity.LegacyClientKeys, Now: g.now, Rand: g.rand, Events: g.metrics,
	})
	if err := g.makeApps(); err != nil {
		return err
	}
	envelopes := []idp.Envelope{
		signin.New(signin.Config{
			Respond: g.respond, Sessions: g.sessions, Throttle: throttle, Events: g.metrics, SignedOut: g.gate.ExpireCookies, Waiting: g.apps.Waiting,
		}),
		g.documents,
		g.gate,
		g.apps,
	}
	// What the verifier and the hub look domains up with.
	g.discovery = verifier.NewDiscovery(verifier.DiscoveryConfig{
		Own:                 g.documents.Document,
		Ports:               g.config.Lookups.Ports,
		AllowPrivate:        g.config.Lookups.AllowPrivate.Networks,
		AllowPrivateDomains: g.config.Lookups.AllowPrivate.Names,
		Roots:               g.config.Lookups.Roots,
		UserAgent:           "persona/" + g.version,
		Now:                 g.now,
	})
	if g.config.Hub.Enabled {
		// The sites that may use the identity hosts as hubs; without a list those of our own hosts, on
		// the default port and as they are served.
		patterns := g.config.Hub.RelyingParties
		if len(patterns) == 0 {
			var origins []string
			for _, host := range g.hosts {
				origins = append(origins, g.origin(host.Name))
			}
			patterns = hub.DefaultRelyingParties(g.names(), origins...)
		}
		parties, err := hub.NewRelyingParties(patterns)
		if err != nil {
			return fmt.Errorf("setting up the hub: %w", err)
		}
		envelopes = append(envelopes, hub.New(hub.Config{
			Respond: g.respond, Sessions: g.sessions, Hosts: documented, RelyingParties: parties,
			Discovery: lookup{g.discovery}, Lookups: g.lookups, Now: g.now, Rand: g.rand,
		}))
	}
	if g.config.Verifier.Enabled {
		envelopes = append(envelopes, g.makeVerifier())
	}
	g.identity, err = idp.New(idp.Config{
		Hosts:    g.published,
		Respond:  g.respond,
		HostName: middleware.HostName,
		KeysReady: func(host string) error {
			if signIn := signIns[host]; signIn != "" {
				host = signIn
			}
			_, err := g.ring.Published(host, keys.UseCertificates)
			return err
		},
	}, envelopes...)
	return err
}

// hasApps reports whether an identity host has apps.
func (g *generation) hasApps(host string) bool {
	return slices.ContainsFunc(g.config.Apps, func(a website.App) bool { return a.Authority == host })
}

// makeApps makes the OpenID provider of all apps.
func (g *generation) makeApps() error {
	clients, err := translate.Clients(g.config.Apps)
	if err != nil {
		return fmt.Errorf("setting up the apps: %w", err)
	}
	var logout *http.Client
	if slices.ContainsFunc(clients, func(c oidc.Client) bool { return c.BackchannelLogoutURI != "" }) {
		logout = backchannel.NewClient(g.config.Lookups.Roots)
	}
	g.apps, err = oidc.New(oidc.Config{
		Clients: clients, BackChannel: logout, Respond: g.respond, Sessions: g.sessions, Keys: g.ring, Sealer: sessionSealer{g.ring},
		Store: g.store, Counters: g.secrets, Now: g.now, Rand: g.rand, SignedOut: g.gate.ExpireCookies,
	})
	return err
}

// identityHost translates a host that has paths of ours.
func (g *generation) identityHost(host config.Host) identity.Host {
	to := identity.Host{Name: host.Name, Origin: g.origin(host.Name)}
	switch host.Role {
	case config.RoleIdentity:
		to.Role = identity.Provider
		directory := g.directories[host.Directory]
		to.Directory, to.DirectoryName, to.Answers = directory, host.Directory, g.answers[host.Name]
		to.LoginByName, to.LoginByAddress = directory.LoginBy()
		to.SessionLifetime = directory.SessionLifetime()
		switch change := g.config.Directories[host.Directory].PasswordChange; {
		case change.Method != "":
			to.PasswordChanger = directory
		case change.URL != "":
			to.PasswordURL = change.URL
		}
		to.Domains, to.Hubs = host.MailDomains, host.Hubs
		to.CertificateLifetime = g.config.Identity.CertificateLifetime
		to.Website = host.Upstream != nil
		to.Apps = g.hasApps(host.Name)
		to.Sites = map[string]string{}
		for _, site := range g.hosts {
			if site.SignIn == host.Name && site.Name != host.Name {
				to.Sites[site.Name] = g.origin(site.Name)
			}
		}
		for i := range g.config.ForwardAuth {
			if entry := &g.config.ForwardAuth[i]; entry.Authority == host.Name {
				to.Sites[entry.Name()] = "https://" + entry.Host
			}
		}
	case config.RoleDelegating:
		to.Role, to.Authority = identity.Delegating, host.Authority
		if slices.ContainsFunc(g.hosts, func(h config.Host) bool { return h.Role == config.RoleIdentity && h.Name == host.Authority }) {
			to.Files = g.origin(host.Authority)
		}
	case config.RoleDisabled:
		to.Role = identity.Disabled
	case config.RolePlain:
		to.Role, to.Files = identity.Site, g.origin(host.SignIn)
	}
	return to
}

// origin is how browsers name a host of ours.
func (g *generation) origin(host string) string {
	return "https://" + config.Authority(host, g.config.Listen.PublicHTTPS, 443)
}

// makeVerifier makes what verifies assertions for the servers of websites.
func (g *generation) makeVerifier() *verifier.API {
	settings := g.config.Verifier
	domains := settings.Domains
	if len(domains) == 0 { // those that our hosts sign for, and our own that leave it to a host elsewhere
		for _, host := range g.hosts {
			domains = append(domains, host.MailDomains...)
			if host.Role == config.RoleDelegating {
				domains = append(domains, host.Name)
			}
		}
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

// lookup lets the hub look up the domains of others.
type lookup struct{ discovery *verifier.Discovery }

func (l lookup) Discover(ctx context.Context, caller netip.Prefix, domain string) (hub.Authority, error) {
	found, err := l.discovery.Discover(verifier.WithCaller(ctx, caller), domain)
	var failed *verifier.LookupError
	switch {
	case errors.As(err, &failed) && failed.Kind == verifier.Disabled:
		return hub.Authority{Disabled: true}, nil
	case errors.As(err, &failed):
		return hub.Authority{}, &hub.NoAuthority{Reason: failed.Error(), Offline: failed.Temporary(), Cause: failed.Unwrap()}
	case errors.Is(err, verifier.ErrBusy):
		return hub.Authority{}, fmt.Errorf("looking up %s: %w", domain, hub.ErrBusy)
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
