package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/proxy"
	"persona-sidecar/proxy/certs"
	"persona-sidecar/proxy/middleware"

	"golang.org/x/sync/errgroup"
)

// drainTime bounds how long running requests may go on after a stop was asked for. Container
// engines kill after 10 s by default: what is left of that is for closing.
const drainTime = 8 * time.Second

// Run opens the listeners, serves until ctx ends, and then stops in order: not ready, listeners
// closed, requests drained up to a deadline, websockets closed, directories closed. It returns nil
// after such a stop. An error of the start names the listener or file and the cure.
func (a *App) Run(ctx context.Context) error {
	open, err := a.listen(ctx)
	if err != nil {
		return errors.Join(err, a.closeRooms())
	}
	// Certificates and other work in the background outlive ctx until requests are drained.
	background, endBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer endBackground()
	tlsSource, err := a.openCertificates(background, open)
	if err != nil {
		closeListeners(open)
		return errors.Join(err, a.closeRooms())
	}
	defer tlsSource.Close()
	servers, err := a.servers(open, tlsSource)
	if err != nil {
		closeListeners(open)
		return errors.Join(err, a.closeRooms())
	}
	work := a.startBackground(background)
	failed := serve(servers)
	a.becomeReady(open)

	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	a.health.enter(stopping)
	a.Log.Info().Msg("stopping: no new requests")
	// The admin listener goes last: it tells that the program lives and takes no requests.
	public, admin := apart(servers, listenAdmin)
	err = errors.Join(err, stop(public))
	endBackground()
	work.Wait()
	err = errors.Join(err, a.closeRooms(), stop(admin))
	a.Log.Info().Msg("stopped")
	return err
}

// server is an HTTP server with the listener that it serves.
type server struct {
	name     string
	http     *http.Server
	listener net.Listener
}

func (a *App) servers(open map[string]net.Listener, from certs.Source) ([]server, error) {
	edge, err := proxy.New(proxy.Config{
		Sites:          a.sites,
		Intercepts:     []proxy.Intercept{{Name: "identity", Match: a.identity.Match, Handler: a.identity}},
		Challenge:      from.HandleHTTPChallenge,
		HasCertificate: from.HasCertificate,
		PublicHTTPS:    a.Config.Listen.PublicHTTPS,
		Log:            a.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("setting up the edge: %w", err)
	}
	record := middleware.New(middleware.Config{Trusted: a.Config.TrustedProxies, Now: a.Now, Rand: a.Rand, Log: a.Log, FailuresOnly: !a.Config.Log.Requests, Observe: a.metrics.served})
	plain := edge.Plain()
	if a.Config.TLS.Mode == config.ModeOff {
		plain = edge.Terminated()
	}
	var servers []server
	add := func(name string, handler http.Handler, settings *tls.Config) {
		if listener := open[name]; listener != nil {
			servers = append(servers, server{name, proxy.NewServer(handler, settings, a.Log), listener})
		}
	}
	if settings := from.TLSConfig(); settings != nil {
		add(listenHTTPS, record(edge.Secure()), settings)
	}
	add(listenHTTP, record(plain), nil)
	refresh := func() { a.reportCertificates(from) }
	if err := a.metrics.registry.Register(newStates(a.health, refresh, from.Status)); err != nil {
		return nil, fmt.Errorf("setting up the metrics: %w", err)
	}
	add(listenAdmin, a.health.admin(refresh, a.metrics.handler()), nil)
	return servers, nil
}

// serve starts all servers; the first that fails is told on the channel.
func serve(servers []server) <-chan error {
	failed := make(chan error, len(servers))
	for _, s := range servers {
		go func() {
			serveOne := s.http.Serve
			if s.http.TLSConfig != nil {
				serveOne = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") }
			}
			if err := serveOne(s.listener); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serving listen.%s: %w", s.name, err)
			}
		}()
	}
	return failed
}

// stop closes the listeners and waits for running requests, all servers at once, up to drainTime;
// what still runs then is cut off.
func stop(servers []server) error {
	deadline, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	var group errgroup.Group
	for _, s := range servers {
		group.Go(func() error {
			err := s.http.Shutdown(deadline)
			if errors.Is(err, context.DeadlineExceeded) {
				return s.http.Close()
			}
			return err
		})
	}
	return group.Wait()
}

// apart takes the server of one name out of the others.
func apart(servers []server, name string) (others, named []server) {
	for _, s := range servers {
		if s.name == name {
			named = append(named, s)
		} else {
			others = append(others, s)
		}
	}
	return others, named
}

func (a *App) becomeReady(open map[string]net.Listener) {
	started := a.Log.Info().Str("version", a.Version)
	for name, listener := range open {
		a.addrs[name] = listener.Addr()
		started = started.Stringer(name, listener.Addr())
	}
	a.health.enter(running)
	close(a.ready)
	started.Msg("ready")
}
