package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"persona-sidecar/proxy"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
)

// drainTime bounds how long running requests may go on after a stop was asked for. Container
// engines kill after 10 s by default: what is left of that is for closing.
const drainTime = 8 * time.Second

// Run opens the listeners, serves until ctx ends, and then stops in order: not ready, listeners
// closed, requests drained up to a deadline, websockets closed, directories closed. It returns nil
// after such a stop. An error of the start names the listener or file and what to do about it.
func (a *App) Run(ctx context.Context) error {
	first := a.current.Load()
	open, err := listen(ctx, first.config.Listen)
	if err != nil {
		return errors.Join(err, a.closeGenerations())
	}
	// Certificates and other work in the background outlive ctx until requests are drained.
	background, endBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer endBackground()
	a.certificates.listeners = open
	source, err := a.certificates.prepare(background, first)
	if err == nil {
		err = a.certificates.use(background, source)
	}
	if err != nil {
		closeListeners(open)
		return errors.Join(err, a.closeGenerations())
	}
	defer func() { a.certificates.current.Load().Close() }()
	a.metrics.registry.MustRegister(newStates(a.health, a.reportCertificates, a.certificates.status, a.current.Load))
	public, admin := a.servers(open)
	var work sync.WaitGroup
	work.Go(func() { a.sweepStore(background) })
	if public[listenHTTPS] != nil {
		work.Go(func() { a.keepTickets(background) })
	}
	claimed := a.claimState(background)
	work.Go(func() { a.keepClaim(background, claimed) })
	failed := make(chan error, len(open))
	for name, s := range public {
		go serve(name, s, failed)
	}
	for name, s := range admin {
		go serve(name, s, failed)
	}
	started := a.log.Info().Str("version", a.version)
	for name, listener := range open {
		a.addrs[name] = listener.Addr()
		started = started.Stringer(name, listener.Addr())
	}
	first.startBackground(background)
	a.mu.Lock()
	a.background = background // from here on reloads are possible
	a.mu.Unlock()
	a.health.enter(running)
	close(a.ready)
	started.Msg("ready")

	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	a.mu.Lock()
	a.background = nil // no reload from here on
	a.mu.Unlock()
	a.health.enter(stopping)
	a.log.Info().Msg("stopping: no new requests")
	err = errors.Join(err, stop(public))
	endBackground()
	work.Wait()
	// The admin listener goes last: it reports that the program runs and takes no requests.
	err = errors.Join(err, a.closeGenerations(), stop(admin))
	a.log.Info().Msg("stopped")
	return err
}

// server is what serves one listener.
type server interface {
	// Serve serves until Shutdown or Close, and returns http.ErrServerClosed then.
	Serve() error
	// Shutdown takes no new requests and waits for those under way.
	Shutdown(ctx context.Context) error
	// Close ends all connections.
	Close() error
}

// tcpServer serves HTTP/1.1, and HTTP/2 over TLS, on a listener.
type tcpServer struct {
	*proxy.Server
	listener net.Listener
}

func (s tcpServer) Serve() error {
	return s.Server.Serve(s.listener)
}

// servers makes the servers of the public listeners and of the admin listener, by listener.
func (a *App) servers(open map[string]net.Listener) (public, admin map[string]server) {
	public, admin = map[string]server{}, map[string]server{}
	add := func(to map[string]server, name string, handler http.Handler, settings *tls.Config) {
		if listener := open[name]; listener != nil {
			made := proxy.NewServer(handler, settings, a.log)
			made.Fast = false
			if name != listenAdmin { // so that probes and metrics tell about a flood
				made.MaxHeaderBytes = a.current.Load().config.Limits.HeaderBytes
				made.Fast = a.current.Load().config.Listen.Fast
				peers := a.current.Load().config.Listen.ProxyProtocol.Networks()
				if len(peers) > 0 {
					listener = proxy.ProxyProtocol(listener, peers, made.ReadHeaderTimeout)
				}
				listener = a.connections.Listener(listener, len(peers) > 0)
				state := made.ConnState
				made.ConnState = func(conn net.Conn, now http.ConnState) {
					a.connections.State(conn, now)
					state(conn, now)
				}
			}
			to[name] = tcpServer{made, listener}
		}
	}
	if first := a.certificates.current.Load().tls; first != nil {
		settings := first.Clone() // each handshake takes the certificates that are current
		settings.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			return a.current.Load().protocols(hello.ServerName, a.certificates.current.Load().tls), nil
		}
		_ = a.tickets.Load(context.Background()) // keepTickets tells of an error
		a.tickets.Use(settings)
		add(public, listenHTTPS, a.handler(listenHTTPS), settings)
	}
	add(public, listenHTTP, a.handler(listenHTTP), nil)
	// A series that cannot be read does not keep back the others.
	metrics := promhttp.HandlerFor(a.metrics.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
	name, _, _ := net.SplitHostPort(a.current.Load().config.Listen.Admin) // "" where it is off
	add(admin, listenAdmin, a.health.admin(name, a.reportCertificates, metrics), nil)
	return public, admin
}

// handler passes the requests of a listener to the generation that is current when they begin.
func (a *App) handler(listener string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g := a.current.Load()
		for !g.acquire() {
			g = a.current.Load()
		}
		defer g.release()
		g.handlers[listener].ServeHTTP(w, r)
	})
}

// serve runs a server, and sends the error that ends it early.
func serve(name string, s server, failed chan<- error) {
	if err := s.Serve(); !errors.Is(err, http.ErrServerClosed) {
		failed <- fmt.Errorf("serving listen.%s: %w", name, err)
	}
}

// stop closes the listeners and waits for running requests, all servers at once, up to drainTime;
// what still runs then is cut off.
func stop(servers map[string]server) error {
	deadline, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	var group errgroup.Group
	for _, s := range servers {
		group.Go(func() error {
			err := s.Shutdown(deadline)
			if errors.Is(err, context.DeadlineExceeded) {
				return s.Close()
			}
			return err
		})
	}
	return group.Wait()
}
