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
	"persona-sidecar/idp/memory"
	"persona-sidecar/idp/provision"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"
	"persona-sidecar/idp/signin"
	"persona-sidecar/idp/web"
	"persona-sidecar/ldapauth"
	"persona-sidecar/proxy"
	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/upstream"
)

// openDirectories makes each directory that an identity host uses, once, whatever the number of its
// hosts. Nothing is dialled: a directory that is down never keeps the program from starting.
func (a *App) openDirectories(hosts []config.Host) error {
	domains := map[string][]string{}
	for _, host := range hosts {
		if host.Role == config.RoleIdentity {
			domains[host.Directory] = append(domains[host.Directory], host.MailDomains...)
		}
	}
	for _, name := range sortedNames(domains) {
		directory, err := a.openDirectory(name, domains[name])
		if err != nil {
			return fmt.Errorf("setting up directory %s: %w", name, err)
		}
		a.directories[name] = directory
	}
	return nil
}

func (a *App) openDirectory(name string, domains []string) (*ldapauth.Directory, error) {
	from := a.Config.Directories[name]
	slices.Sort(domains)
	return ldapauth.New(ldapauth.Config{
		Name:              name,
		URLs:              from.URLs,
		StartTLS:          from.StartTLS,
		InsecurePlaintext: from.InsecurePlaintext,
		Roots:             from.Roots,
		BindDN:            from.BindDN,
		BindPassword:      ldapauth.Secret(from.BindPassword.Reveal()),
		BaseDN:            from.BaseDN,
		Schema:            directorySchema(from),
		Domains:           slices.Compact(domains),
		Now:               a.Now,
		Log:               a.Log,
		Observe:           a.metrics.ofDirectory(name),
	})
}

// directorySchema is the preset's schema with whatever the configuration overrides.
func directorySchema(from config.Directory) ldapauth.Schema {
	var preset ldapauth.Schema
	if from.Preset == config.PresetOpenLDAP {
		preset = ldapauth.OpenLDAP()
	}
	return preset.Override(ldapauth.Schema{
		UserFilter: from.UserFilter, LoginAttributes: from.LoginAttributes,
		AddressAttributes: from.AddressAttributes, IDAttribute: from.IDAttribute,
	})
}

// makeSites groups the hosts by the domain entry they come from: the unit of "misdirected".
// An identity host that an entry makes by naming it as authority is a site of its own.
func (a *App) makeSites(hosts []config.Host) error {
	type group struct{ domain, upstream string }
	at := map[group]int{}
	for _, host := range hosts {
		key := group{domain: host.Domain}
		if host.Upstream != nil {
			key.upstream = host.Upstream.String()
		}
		if i, there := at[key]; there {
			a.sites[i].Hosts = append(a.sites[i].Hosts, host.Name)
			continue
		}
		handler, err := a.siteHandler(host)
		if err != nil {
			return err
		}
		at[key] = len(a.sites)
		a.sites = append(a.sites, proxy.Site{Name: host.Name, Hosts: []string{host.Name}, Handler: handler})
	}
	return nil
}

func (a *App) siteHandler(host config.Host) (http.Handler, error) {
	if host.Upstream == nil && host.Role == config.RoleIdentity {
		return http.HandlerFunc(toOwnPage), nil
	}
	if host.Upstream == nil {
		return http.HandlerFunc(nothingHere), nil
	}
	to, err := upstream.New(upstream.Config{
		Site: host.Name, URL: host.Upstream, Cookies: []string{session.CookieName}, Log: a.Log,
		Failed: a.metrics.ofUpstream(host.Name),
	})
	if err != nil {
		return nil, fmt.Errorf("setting up the upstream of %s: %w", host.Name, err)
	}
	a.upstreams = append(a.upstreams, to)
	return to, nil
}

// toOwnPage answers for an identity host without a website: whoever comes is led to their own page.
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

// makeResponder makes what all answers of the identity provider are written with.
func (a *App) makeResponder() (*route.Responder, error) {
	files, err := web.New(nil)
	if err != nil {
		return nil, err
	}
	return &route.Responder{Web: files, Log: a.Log, ClientAddr: middleware.ClientAddr, RequestID: middleware.RequestID}, nil
}

// makeProvider gives the identity provider each host that publishes a document, and its envelopes.
func (a *App) makeProvider(hosts []config.Host, respond *route.Responder, throttle *signin.Throttle) (err error) {
	var published []identity.Host
	for _, host := range hosts {
		if host.Role != config.RolePlain {
			published = append(published, a.identityHost(host))
		}
	}
	a.documents = provision.New(provision.Config{
		Respond: respond, Sessions: a.sessions, Keys: a.ring, Hosts: published,
		LegacyClientKeys: a.Config.Identity.LegacyClientKeys, Now: a.Now, Rand: a.Rand, Events: a.metrics,
	})
	envelopes := []idp.Envelope{
		signin.New(signin.Config{Respond: respond, Sessions: a.sessions, Throttle: throttle, Events: a.metrics}),
		a.documents,
	}
	a.makeDiscovery()
	if a.Config.Hub.Enabled {
		parties, err := a.relyingParties(hosts)
		if err != nil {
			return err
		}
		envelopes = append(envelopes, hub.New(hub.Config{
			Respond: respond, Sessions: a.sessions, Hosts: published, RelyingParties: parties,
			Discovery: lookup{a.discovery}, Lookups: memory.New(memory.Config{Now: a.Now, Most: mostCounters}), Now: a.Now, Rand: a.Rand,
		}))
	}
	if a.Config.Verifier.Enabled {
		envelopes = append(envelopes, a.makeVerifier(hosts))
	}
	a.identity, err = idp.New(idp.Config{
		Hosts:    published,
		Respond:  respond,
		HostName: middleware.HostName,
		KeysReady: func(host string) error {
			_, err := a.ring.Published(host, keys.UseCertificates)
			return err
		},
	}, envelopes...)
	return err
}

// identityHost translates a host that publishes a document.
func (a *App) identityHost(host config.Host) identity.Host {
	to := identity.Host{Name: host.Name, Origin: a.origin(host.Name)}
	switch host.Role {
	case config.RoleIdentity:
		to.Role = identity.Provider
		to.Directory, to.DirectoryName = a.directories[host.Directory], host.Directory
		to.Domains, to.Hubs = host.MailDomains, host.Hubs
		to.CertificateLifetime = a.Config.Identity.CertificateLifetime
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
func (a *App) origin(host string) string {
	if port := a.Config.Listen.PublicHTTPS; port != 443 {
		return "https://" + net.JoinHostPort(host, strconv.Itoa(port))
	}
	return "https://" + host
}
