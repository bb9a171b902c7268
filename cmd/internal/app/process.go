package app

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"sync/atomic"
	"time"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/store"
	"persona-sidecar/idp/keys"
	"persona-sidecar/idp/memory"
	"persona-sidecar/idp/route"
	"persona-sidecar/idp/session"
	"persona-sidecar/idp/web"
	"persona-sidecar/proxy"
	"persona-sidecar/proxy/certs"
	"persona-sidecar/proxy/limit"
	"persona-sidecar/proxy/middleware"

	"github.com/rs/zerolog"
)

// process is what lasts as long as the program and is the same for every configuration: the state
// directory, the keys, and everything that a reload must not forget.
type process struct {
	log     zerolog.Logger
	version string
	now     func() time.Time
	rand    io.Reader

	store    *store.Files
	ring     *keys.Ring
	tickets  *certs.Tickets
	signOuts *session.SignOuts
	said     *session.Answers
	numbers  atomic.Uint64 // of settings of directories, the last one
	failures *memory.Store // of sign-ins, by name and client network
	accounts *memory.Store // of sign-ins, by account
	secrets  *memory.Store // of apps, wrong ones
	lookups  *memory.Store // of other domains, by the hub
	seen     *memory.Store // assertions that were verified
	respond  *route.Responder
	health   *health
	metrics  *metrics

	connections *limit.Connections
	requests    *limit.Requests
}

// mostCounters bounds what is counted for each purpose, at about 150 bytes each. The purposes do not
// share a store, so that strangers who look up domains, or sign in under many names, cannot push out the failures of an account.
const mostCounters = 1 << 17

// mostSeen bounds the memory of used assertions, at about 150 bytes each. Assertions live for ten
// minutes at most.
const mostSeen = 1 << 18

func newProcess(o Options) (*process, error) {
	state, err := store.OpenFiles(o.Config.StateDir, o.Now, o.Log)
	if err != nil {
		return nil, err
	}
	files, err := web.New(nil)
	if err != nil {
		return nil, err
	}
	p := &process{
		log:      o.Log,
		version:  o.Version,
		now:      o.Now,
		rand:     o.Rand,
		store:    state,
		ring:     keys.New(keys.Config{Store: state, Now: o.Now, Rand: o.Rand, Log: o.Log}),
		tickets:  certs.NewTickets(certs.TicketsConfig{Store: state, Now: o.Now, Rand: o.Rand, Log: o.Log}),
		signOuts: session.NewSignOuts(state, o.Now),
		said:     session.NewAnswers(),
		failures: memory.New(memory.Config{Now: o.Now, Most: mostCounters}),
		accounts: memory.New(memory.Config{Now: o.Now, Most: mostCounters}),
		secrets:  memory.New(memory.Config{Now: o.Now, Most: mostCounters}),
		lookups:  memory.New(memory.Config{Now: o.Now, Most: mostCounters}),
		seen:     memory.New(memory.Config{Now: o.Now, Most: mostSeen}),
		respond:  &route.Responder{Web: files, Log: o.Log, ClientAddr: middleware.ClientAddr, RequestID: middleware.RequestID},
		health:   &health{now: o.Now, phase: starting, parts: map[string]part{}},
		metrics:  newMetrics(o.Version),
	}
	limits := limit.Config{Log: p.log, Refused: p.metrics.refused}
	p.connections = limit.NewConnections(limits)
	p.requests = limit.NewRequests(limits, proxy.StreamWindow, p.connections)
	p.metrics.watchLimits(p.connections, p.requests)
	if err := p.ring.Load(context.Background()); err != nil {
		return nil, fmt.Errorf("loading the keys: %w", err)
	}
	p.warnOfClock()
	return p, nil
}

// sessionSealer lends session the one key of the ring that is for cookies.
type sessionSealer struct{ ring *keys.Ring }

func (s sessionSealer) Seal(plaintext, associated []byte) ([]byte, error) {
	return s.ring.Seal(keys.UseSession, plaintext, associated)
}

func (s sessionSealer) Open(sealed, associated []byte) ([]byte, error) {
	return s.ring.Open(keys.UseSession, sealed, associated)
}

// What an idle connection and a request in flight cost in bytes, with what the collector leaves lying;
// docs/performance.md has how they were measured.
const (
	connectionMemory = 48 << 10
	requestMemory    = 64 << 10
)

// limit sets the bounds of a configuration that becomes current. Connections get at most a third of the memory
// limit, requests half.
func (p *process) limit(c *config.Config) {
	memory := debug.SetMemoryLimit(-1) // is not changed by this
	fitting := func(key string, sum int, room int64) int {
		if int64(sum) <= room {
			return sum
		}
		p.log.Info().Str("key", key).Int64("room", room).Int64("memory", memory).
			Msg("a limit was lowered to what the memory limit has room for")
		return int(room)
	}
	l := c.Limits
	p.connections.Set(limit.Bounds{
		PerClient: l.ConnectionsPerClient,
		Sum:       fitting("limits.connections", l.Connections, memory/3/connectionMemory),
	}, c.TrustedProxies.Networks())
	p.requests.Set(limit.Bounds{
		PerClient: l.RequestsPerClient,
		Sum:       fitting("limits.requests", l.Requests, memory/2/requestMemory),
	})
}
