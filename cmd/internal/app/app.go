package app

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"persona-sidecar/cmd/internal/config"

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

// App is the whole program. It runs once; its configuration may change while it runs.
type App struct {
	*process
	certificates *certificates

	ready chan struct{}
	addrs map[string]net.Addr // complete when ready is closed

	// current serves all new requests.
	current atomic.Pointer[generation]

	mu sync.Mutex // guards what follows, and is held while the generation changes
	// background is the context of all work beside requests; nil while no reload is possible.
	background context.Context
	// live are the current generation and those that still serve a request.
	live map[*generation]struct{}
}

// New builds an App: it opens the store and loads the keys in it, and does no other input or
// output. No lock is taken, so that nothing a crash left behind delays the start. An error names
// the cause, such as an unwritable folder or a corrupted key, and what to do about it.
func New(o Options) (*App, error) {
	p, err := newProcess(o.withDefaults())
	if err != nil {
		return nil, err
	}
	a := &App{
		process:      p,
		certificates: new(certificates),
		ready:        make(chan struct{}),
		addrs:        map[string]net.Addr{},
		live:         map[*generation]struct{}{},
	}
	first, err := newGeneration(p, a.certificates, o.Config, nil)
	if err != nil {
		return nil, err
	}
	a.live[first] = struct{}{}
	a.current.Store(first)
	a.limit(o.Config)
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

// closeGenerations closes all generations, whether their requests are over or not.
func (a *App) closeGenerations() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var errs []error
	for g := range a.live {
		g.endBackground()
		errs = append(errs, g.close())
	}
	return errors.Join(errs...)
}
