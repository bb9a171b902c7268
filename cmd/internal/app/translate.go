package app

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/idp"
	"persona-sidecar/idp/hub"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/provision"
	"persona-sidecar/idp/session"
	"persona-sidecar/idp/signin"
	"persona-sidecar/ldapauth"
	"persona-sidecar/proxy"
	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/upstream"
)

// openDirectories makes each directory that an identity host uses, once, whatever the number of its
// hosts. Nothing is dialled: a directory that is down never keeps the program from starting.
func (g *generation) openDirectories() error {
	for _, host := range g.hosts {
		if host.Role != config.RoleIdentity || g.directories[host.Directory] != nil {
			continue
		}
		settings := DirectoryConfig(g.config, g.hosts, host.Directory)
		settings.Now, settings.Log, settings.Observe = g.now, g.log, g.metrics.ofDirectory(host.Directory)
		directory, err := ldapauth.New(settings)
		if err != nil {
			return fmt.Errorf("setting up directory %s: %w", host.Directory, err)
		}
		g.directories[host.Directory] = directory
	}
	return nil
}

// DirectoryConfig translates the directory called name of a configuration with these hosts. Clock, log and observer are
// the caller's.
func DirectoryConfig(c *config.Config, hosts []config.Host, name string) ldapauth.Config {
	from := c.Directories[name]
	var preset ldapauth.Schema
	if from.Preset == config.PresetOpenLDAP {
		preset = ldapauth.OpenLDAP()
	}
	var domains []string
	for _, host := range hosts {
		if host.Role == config.RoleIdentity && host.Directory == name {
			domains = append(domains, host.MailDomains...)
		}
	}
	slices.Sort(domains)
	return ldapauth.Config{
		Name:              name,
		URLs:              from.URLs,
		StartTLS:          from.StartTLS,
		InsecurePlaintext: from.InsecurePlaintext,
		Roots:             from.Roots,
		BindDN:            from.BindDN,
		BindPassword:      ldapauth.Secret(from.BindPassword.Reveal()),
		BaseDN:            from.BaseDN,
		Schema: preset.Override(ldapauth.Schema{
			UserFilter: from.UserFilter, LoginAttributes: from.LoginAttributes,
			AddressAttributes: from.AddressAttributes, IDAttribute: from.IDAttribute,
		}),
		Domains: slices.Compact(domains),
	}
}

// makeSites groups the hosts by the domain entry they come from: the unit of "misdirected".
// An identity host that an entry makes by naming it as authority is a site of its own.
func (g *generation) makeSites() error {
	type group struct{ domain, upstream string }
	at := map[group]int{}
	for _, host := range g.hosts {
		key := group{domain: host.Domain}
		if host.Upstream != nil {
			key.upstream = host.Upstream.String()
		}
		if i, there := at[key]; there {
			g.sites[i].Hosts = append(g.sites[i].Hosts, host.Name)
			continue
		}
		handler, err := g.siteHandler(host)
		if err != nil {
			return err
		}
		at[key] = len(g.sites)
		g.sites = append(g.sites, proxy.Site{Name: host.Name, Hosts: []string{host.Name}, Handler: handler})
	}
	return nil
}

func (g *generation) siteHandler(host config.Host) (http.Handler, error) {
	if host.Upstream == nil && host.Role == config.RoleIdentity {
		return http.HandlerFunc(toOwnPage), nil
	}
	if host.Upstream == nil {
		return http.HandlerFunc(nothingHere), nil
	}
	to, err := upstream.New(upstream.Config{
		Site: host.Name, URL: host.Upstream, Cookies: []string{session.CookieName}, Log: g.log,
		Failed: g.metrics.ofUpstream(host.Name),
	})
	if err != nil {
		return nil, fmt.Errorf("setting up the upstream of %s: %w", host.Name, err)
	}
	g.upstreams = append(g.upstreams, to)
	return to, nil
}

// toOwnPage answers for an identity host without a website: the person is led to their own page.
func toOwnPage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Location", "/persona/")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusSeeOther)
}

// nothingHere answers for a host that has nothing but its document: one that delegates, or is
// disabled, and has no website.
func nothingHere(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, "There is no website at this name.", http.StatusNotFound)
}

// makeProvider gives the identity provider each host that publishes a document, and its envelopes.
func (g *generation) makeProvider() (err error) {
	var published []identity.Host
	for _, host := range g.hosts {
		if host.Role != config.RolePlain {
			published = append(published, g.identityHost(host))
		}
	}
	throttle := signin.NewThrottle(signin.ThrottleConfig{
		Failures: g.config.Throttle.Failures, Window: g.config.Throttle.Window,
		Counters: g.failures, Log: g.log,
	})
	g.documents = provision.New(provision.Config{
		Respond: g.respond, Sessions: g.sessions, Keys: g.ring, Hosts: published,
		LegacyClientKeys: g.config.Identity.LegacyClientKeys, Now: g.now, Rand: g.rand, Events: g.metrics,
	})
	envelopes := []idp.Envelope{
		signin.New(signin.Config{Respond: g.respond, Sessions: g.sessions, Throttle: throttle, Events: g.metrics}),
		g.documents,
	}
	g.makeDiscovery()
	if g.config.Hub.Enabled {
		parties, err := g.relyingParties()
		if err != nil {
			return err
		}
		envelopes = append(envelopes, hub.New(hub.Config{
			Respond: g.respond, Sessions: g.sessions, Hosts: published, RelyingParties: parties,
			Discovery: lookup{g.discovery}, Lookups: g.lookups, Now: g.now, Rand: g.rand,
		}))
	}
	if g.config.Verifier.Enabled {
		envelopes = append(envelopes, g.makeVerifier())
	}
	g.identity, err = idp.New(idp.Config{
		Hosts:    published,
		Respond:  g.respond,
		HostName: middleware.HostName,
		KeysReady: func(host string) error {
			_, err := g.ring.Published(host, keys.UseCertificates)
			return err
		},
	}, envelopes...)
	return err
}

// identityHost translates a host that publishes a document.
func (g *generation) identityHost(host config.Host) identity.Host {
	to := identity.Host{Name: host.Name, Origin: g.origin(host.Name)}
	switch host.Role {
	case config.RoleIdentity:
		to.Role = identity.Provider
		directory := g.directories[host.Directory]
		to.Directory, to.DirectoryName = directory, host.Directory
		to.LoginByName, to.LoginByAddress = directory.LoginBy()
		to.Domains, to.Hubs = host.MailDomains, host.Hubs
		to.CertificateLifetime = g.config.Identity.CertificateLifetime
		to.Website = host.Upstream != nil
	case config.RoleDelegating:
		to.Role, to.Authority = identity.Delegating, host.Authority
	case config.RoleDisabled:
		to.Role = identity.Disabled
	case config.RolePlain:
	}
	return to
}

// origin is how browsers name a host of ours.
func (g *generation) origin(host string) string {
	if port := g.config.Listen.PublicHTTPS; port != 443 {
		return "https://" + net.JoinHostPort(host, strconv.Itoa(port))
	}
	return "https://" + host
}
