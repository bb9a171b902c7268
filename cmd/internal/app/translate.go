package app

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/translate"
	"persona-sidecar/idp/session"
	"persona-sidecar/ldapauth"
	"persona-sidecar/proxy"
	"persona-sidecar/proxy/upstream"
)

// openDirectories makes each directory that an identity host uses, once, whatever the number of its
// hosts. Nothing is dialled: a directory that is down never keeps the program from starting.
func (g *generation) openDirectories() error {
	for _, host := range g.hosts {
		if host.Role != config.RoleIdentity || g.directories[host.Directory] != nil {
			continue
		}
		settings, err := translate.Directory(g.config, g.hosts, host.Directory)
		if err != nil {
			return fmt.Errorf("setting up directory %s: %w", host.Directory, err)
		}
		settings.Now, settings.Log = g.now, g.log
		settings.Observe = func(op ldapauth.Operation, outcome ldapauth.Outcome, took time.Duration) {
			g.metrics.directoryTime.WithLabelValues(host.Directory, string(op), string(outcome)).Observe(took.Seconds())
		}
		directory, err := ldapauth.New(settings)
		if err != nil {
			return fmt.Errorf("setting up directory %s: %w", host.Directory, err)
		}
		g.directories[host.Directory] = directory
	}
	return nil
}

// numberAnswers numbers what the directory of each identity host says of people: as before where the same
// directory is asked for the same things, anew where not.
func (g *generation) numberAnswers(before *generation) {
	same := map[string]bool{}           // by directory
	earlier := map[string]config.Host{} // identity hosts by name
	if before != nil {
		for name, directory := range g.config.Directories {
			same[name] = before.config.Directories[name].Equal(directory) && before.config.Wants(before.hosts, name) == g.config.Wants(g.hosts, name)
		}
		for _, host := range before.hosts {
			if host.Role == config.RoleIdentity {
				earlier[host.Name] = host
			}
		}
	}
	g.answers = map[string]uint64{}
	for _, host := range g.hosts {
		if host.Role != config.RoleIdentity {
			continue
		}
		old, known := earlier[host.Name]
		if known && old.Directory == host.Directory && same[host.Directory] && slices.Equal(old.MailDomains, host.MailDomains) {
			g.answers[host.Name] = before.answers[host.Name]
			continue
		}
		g.answers[host.Name] = g.numbers.Add(1)
	}
}

// makeSites groups the hosts by the domain entry they come from: the unit of "misdirected".
// An identity host that an entry makes by naming it as authority is a site of its own.
func (g *generation) makeSites() error {
	type group struct{ domain, upstream string }
	at := map[group]int{}
	claims := g.identityNames()
	for _, host := range g.hosts {
		key := group{domain: host.Domain}
		if host.Upstream != nil {
			key.upstream = host.Upstream.String()
		}
		if i, there := at[key]; there {
			g.sites[i].Hosts = append(g.sites[i].Hosts, host.Name)
			continue
		}
		handler, err := g.siteHandler(host, claims)
		if err != nil {
			return err
		}
		at[key] = len(g.sites)
		site := proxy.Site{Name: host.Name, Hosts: []string{host.Name}, Handler: handler}
		if host.SignIn != "" {
			site.Gate = g.admit
		}
		g.sites = append(g.sites, site)
	}
	for i := range g.config.ForwardAuth {
		entry := &g.config.ForwardAuth[i]
		g.sites = append(g.sites, proxy.Site{Name: entry.Name(), Hosts: []string{entry.Name()}, Peers: entry.Proxies})
	}
	return nil
}

// siteHandler makes what answers for a host beside the identity paths. claims are the identityNames.
func (g *generation) siteHandler(host config.Host, claims []string) (http.Handler, error) {
	if host.Upstream == nil {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "no-store")
			if host.Role == config.RoleIdentity { // the person is led to their own page
				w.Header().Set("Location", "/persona/")
				w.WriteHeader(http.StatusSeeOther)
				return
			}
			http.Error(w, "There is no website at this name.", http.StatusNotFound)
		}), nil
	}
	entry := host.Entry
	to, err := upstream.New(upstream.Config{
		Site: host.Name, URL: host.Upstream, Log: g.log,
		Cookies:       []string{session.CookieName, session.SiteCookieName, session.LoginCookieName, session.FlowCookieName},
		IdentityNames: claims, Gated: host.SignIn != "",
		TLS: upstream.TLSConfig{
			Roots: entry.UpstreamTLS.Roots, ServerName: entry.UpstreamTLS.ServerName, Insecure: entry.UpstreamTLS.Insecure,
			CertFile: entry.UpstreamTLS.ClientCertFile, KeyFile: entry.UpstreamTLS.ClientKeyFile,
		},
		Timeout: entry.UpstreamTimeout, Connections: entry.MaxConnections, HeaderBytes: entry.UpstreamHeaderBytes,
		OddNames: entry.AllowOddFieldNames, RewriteRedirects: entry.RewriteRedirects, PublicHTTPS: g.config.Listen.PublicHTTPS,
		// One website answers for all hosts of the entry.
		Guarded: slices.ContainsFunc(g.hosts, func(h config.Host) bool { return h.Domain == host.Domain && h.Guarded }),
		Failed:  func(f upstream.Failure) { g.metrics.upstreamErrors.WithLabelValues(host.Name, string(f)).Inc() },
	})
	if err != nil {
		return nil, fmt.Errorf("setting up the upstream of %s: %w", host.Name, err)
	}
	g.upstreams = append(g.upstreams, to)
	return to, nil
}
