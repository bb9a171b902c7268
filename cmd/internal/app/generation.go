package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/idp"
	"persona-sidecar/idp/gate"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/oidc"
	"persona-sidecar/idp/provision"
	"persona-sidecar/idp/session"
	"persona-sidecar/idp/verifier"
	"persona-sidecar/ldapauth"
	"persona-sidecar/proxy"
	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/upstream"
)

// generation is what one configuration makes. It serves from the moment it becomes current, and
// what it opened stays open until its last request is over.
type generation struct {
	*process
	config *config.Config
	hosts  []config.Host

	directories map[string]*ldapauth.Directory
	answers     map[string]uint64 // identity.Host.Answers by host
	published   []identity.Host   // what has paths of ours
	gate        *gate.Gate
	sessions    *session.Manager
	documents   *provision.Envelope
	apps        *oidc.Provider
	discovery   *verifier.Discovery
	identity    *idp.Server
	sites       []proxy.Site
	upstreams   []*upstream.Proxy
	handlers    map[string]http.Handler // by listener: https and http

	// uses counts the requests under way, and one for being current. When it reaches 0 it stays 0,
	// and drained is closed.
	uses    atomic.Int64
	drained chan struct{}

	stopWork context.CancelFunc
	work     sync.WaitGroup
	closed   sync.Once
}

// newGeneration builds what a configuration asks for, from the directories outward. Nothing is
// dialled and no goroutine is started. The generation before it is nil at the start.
func newGeneration(p *process, tls *certificates, c *config.Config, before *generation) (*generation, error) {
	g := &generation{
		process: p, config: c, hosts: c.Hosts(),
		directories: map[string]*ldapauth.Directory{},
		drained:     make(chan struct{}),
		stopWork:    func() {},
	}
	g.uses.Store(1)
	g.numberAnswers(before)
	g.sessions = session.New(session.Config{
		Sealer: sessionSealer{p.ring}, SignOuts: p.signOuts, Answers: p.said, Codes: p.store, Now: p.now, Rand: p.rand,
		Lifetime: c.Identity.SessionLifetime, Log: p.log,
		Ended: func(r *http.Request, h *identity.Host, personID, reason string) {
			p.respond.SessionEnded(r, h, personID, reason)
			p.metrics.SessionEnded(h.Name, reason)
		},
	})
	for _, build := range []func() error{
		g.openDirectories, g.makeHosts, g.makeGate, g.makeSites, g.makeProvider, func() error { return g.makeHandlers(tls) },
	} {
		if err := build(); err != nil {
			return nil, errors.Join(err, g.close())
		}
	}
	return g, nil
}

// makeHandlers makes what the public listeners serve.
func (g *generation) makeHandlers(tls *certificates) error {
	strict := map[string]string{}
	for _, host := range g.hosts {
		strict[host.Name] = g.config.StrictTransport(host)
	}
	edge, err := proxy.New(proxy.Config{
		Sites:      g.sites,
		Intercepts: []proxy.Intercept{{Name: "identity", Match: g.identity.Match, Handler: g.identity}},
		Challenge: func(w http.ResponseWriter, r *http.Request) bool {
			return tls.current.Load().HandleHTTPChallenge(w, r)
		},
		HasCertificate:  func(host string) bool { return tls.current.Load().HasCertificate(host) },
		StrictTransport: strict,
		PublicHTTPS:     g.config.Listen.PublicHTTPS,
		Log:             g.log,
	})
	if err != nil {
		return fmt.Errorf("setting up the edge: %w", err)
	}
	record := middleware.New(middleware.Config{
		Trust: middleware.Trust{Listed: g.config.TrustedProxies.Listed, Private: g.config.TrustedProxies.Private, Hops: g.config.TrustedHops},
		Now:   g.now, Rand: g.rand, Log: g.log,
		FailuresOnly: !g.config.Log.Requests, Observe: g.metrics.served,
	})
	if trusted := g.config.TrustedProxies.String(); trusted != "" {
		g.log.Info().Str("proxies", trusted).Int("hops", g.config.TrustedHops).Msg("trusting X-Forwarded-For and X-Forwarded-Proto of proxies")
	}
	plain := edge.Plain()
	if g.config.TLS.Mode == config.ModeOff {
		plain = edge.Terminated()
	}
	g.handlers = map[string]http.Handler{listenHTTPS: record(g.requests.Handler(edge.Secure())), listenHTTP: record(g.requests.Handler(plain))}
	return nil
}

// protocols returns the TLS settings for a server name: without HTTP/2 where its domain turned it off.
func (g *generation) protocols(name string, settings *tls.Config) *tls.Config {
	canonical := middleware.CanonicalHost(name)
	if !slices.ContainsFunc(g.hosts, func(h config.Host) bool { return h.Name == canonical && !h.Entry.HTTP2 }) {
		return settings
	}
	settings = settings.Clone() // the keys of session tickets stay those of the listener
	settings.NextProtos = slices.DeleteFunc(slices.Clone(settings.NextProtos), func(protocol string) bool { return protocol == "h2" })
	return settings
}

// acquire counts a request. It returns false when the generation has drained: another one is
// current then.
func (g *generation) acquire() bool {
	for {
		uses := g.uses.Load()
		if uses == 0 {
			return false
		}
		if g.uses.CompareAndSwap(uses, uses+1) {
			return true
		}
	}
}

// release ends what acquire counted.
func (g *generation) release() {
	if g.uses.Add(-1) == 0 {
		close(g.drained)
	}
}

// endBackground ends the work beside requests and waits for it.
func (g *generation) endBackground() {
	g.stopWork()
	g.work.Wait()
}

// close closes what newGeneration opened, the outermost first. A second call does nothing.
func (g *generation) close() error {
	var errs []error
	g.closed.Do(func() {
		g.sessions.Close()
		if g.apps != nil {
			g.apps.Close()
		}
		for _, up := range g.upstreams {
			up.Close()
		}
		if g.discovery != nil {
			g.discovery.Close()
		}
		for _, name := range slices.Sorted(maps.Keys(g.directories)) {
			errs = append(errs, g.directories[name].Close())
		}
	})
	return errors.Join(errs...)
}

// names lists the host names.
func (g *generation) names() []string {
	names := make([]string, len(g.hosts))
	for i, host := range g.hosts {
		names[i] = host.Name
	}
	return names
}
