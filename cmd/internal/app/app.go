package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/store"
	"persona-sidecar/idp"
	"persona-sidecar/idp/identity"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/memory"
	"persona-sidecar/idp/provision"
	"persona-sidecar/idp/session"
	"persona-sidecar/idp/signin"
	"persona-sidecar/idp/verifier"
	"persona-sidecar/ldapauth"
	"persona-sidecar/proxy"
	"persona-sidecar/proxy/upstream"

	"github.com/rs/zerolog"
)

// Options are what an App is built from.
type Options struct {
	Config *config.Config
	Log    zerolog.Logger
	// Version names this build, for the log.
	Version string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Rand is the source of randomness; nil is crypto/rand.
	Rand io.Reader
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	return o
}

// App is the whole program, built and not yet running. It runs once.
type App struct {
	Options

	store       *store.Files
	ring        *keys.Ring
	sessions    *session.Manager
	directories map[string]*ldapauth.Directory
	identity    *idp.Server
	documents   *provision.Envelope
	discovery   *verifier.Discovery
	sites       []proxy.Site
	upstreams   []*upstream.Proxy
	health      *health
	metrics     *metrics

	ready chan struct{}
	addrs map[string]net.Addr // complete when ready is closed
}

// New builds an App: it opens the store and loads the keys that lie there, and does no other
// input or output. No lock is taken, so that nothing a crash left behind delays the start.
// An error names what is wrong with the world (an unwritable folder, a corrupted key) and the cure.
func New(o Options) (*App, error) {
	o = o.withDefaults()
	files, err := store.OpenFiles(o.Config.StateDir, o.Now, o.Log)
	if err != nil {
		return nil, err
	}
	a := &App{
		Options:     o,
		store:       files,
		ring:        keys.New(keys.Config{Store: files, Now: o.Now, Rand: o.Rand, Log: o.Log}),
		directories: map[string]*ldapauth.Directory{},
		health:      newHealth(o.Now),
		metrics:     newMetrics(o.Version),
		ready:       make(chan struct{}),
		addrs:       map[string]net.Addr{},
	}
	if err := a.ring.Load(context.Background()); err != nil {
		return nil, fmt.Errorf("loading the keys: %w", err)
	}
	a.suspectClock()
	if err := a.build(); err != nil {
		return nil, errors.Join(err, a.closeRooms())
	}
	return a, nil
}

// Ready is closed once all listeners are open and served.
func (a *App) Ready() <-chan struct{} { return a.ready }

// Addr returns the address of the listener called "https", "http" or "admin", with the port that
// was chosen where the configuration says 0. It is nil before Ready and for a listener that is off.
func (a *App) Addr(listener string) net.Addr {
	select {
	case <-a.ready:
		return a.addrs[listener]
	default:
		return nil
	}
}

// mostCounters bounds what is counted for each purpose, at about 150 bytes each. The
// purposes do not share a store, so that strangers who look up domains cannot push out
// the failures of a sign-in.
const mostCounters = 1 << 17

// build makes the rooms, from the directories outward.
func (a *App) build() error {
	hosts := a.Config.Hosts()
	respond, err := a.makeResponder()
	if err != nil {
		return err
	}
	throttle := signin.NewThrottle(signin.ThrottleConfig{
		Failures: a.Config.Throttle.Failures, Window: a.Config.Throttle.Window,
		Counters: memory.New(memory.Config{Now: a.Now, Most: mostCounters}), Log: a.Log,
	})
	if err := a.openDirectories(hosts); err != nil {
		return err
	}
	a.sessions = session.New(session.Config{
		Sealer: sessionSealer{a.ring}, Store: a.store, Now: a.Now, Rand: a.Rand,
		Lifetime: a.Config.Identity.SessionLifetime, Log: a.Log,
		Ended: func(r *http.Request, h *identity.Host, personID, reason string) {
			respond.SessionEnded(r, h, personID, reason)
			a.metrics.SessionEnded(h.Name, reason)
		},
	})
	if err := a.makeSites(hosts); err != nil {
		return err
	}
	return a.makeProvider(hosts, respond, throttle)
}

// closeRooms ends what New opened, the outermost first.
func (a *App) closeRooms() error {
	var errs []error
	for _, up := range a.upstreams {
		up.Close()
	}
	if a.discovery != nil {
		a.discovery.Close()
	}
	for _, name := range sortedNames(a.directories) {
		errs = append(errs, a.directories[name].Close())
	}
	return errors.Join(errs...)
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
