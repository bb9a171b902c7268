package limit

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// warnings is how many refusals of a kind are logged in a minute.
const warnings = 3

// Connections bounds the connections of the listeners that it wraps. Where a bound
// is reached, the connection that has waited for a request for longest is ended to
// admit the new one: of the same client, or of all where the sum is reached. Without
// such a connection the new one is closed before anything is read from it.
type Connections struct {
	log     zerolog.Logger
	refused func(what, bound string)
	order   atomic.Int64 // counts up each time a connection begins to wait

	mu      sync.Mutex
	shares  shares
	trusted []netip.Prefix
	open    map[*conn]struct{}
}

// NewConnections returns Connections without bounds; see Set.
func NewConnections(cfg Config) *Connections {
	if cfg.Refused == nil {
		cfg.Refused = func(string, string) {}
	}
	return &Connections{
		log:     cfg.Log.Sample(&zerolog.BurstSampler{Burst: warnings, Period: time.Minute}),
		refused: cfg.Refused,
		shares:  shares{held: map[netip.Prefix]held{}},
		open:    map[*conn]struct{}{},
	}
}

// Set changes the bounds, for connections that come from then on. Those that come
// from trusted proxies bring many clients and are counted in the sum alone.
func (c *Connections) Set(b Bounds, trusted []netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shares.bounds, c.trusted = b, trusted
}

// Open is how many connections there are.
func (c *Connections) Open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shares.used
}

// Listener wraps a listener. It stands below TLS. A listener that learns clients'
// addresses from what they send first (the PROXY protocol) stands below this one,
// and late is set: RemoteAddr is asked for with the first Read then.
func (c *Connections) Listener(inner net.Listener, late bool) net.Listener {
	return &listener{inner, c, late}
}

// State is the hook of http.Server.ConnState, and of others that serve connections
// of a Listener: a connection in http.StateNew or http.StateIdle waits for a
// request and may be ended for another. conn may be wrapped, as long as the
// wrappers have a method NetConn, as tls.Conn has.
func (c *Connections) State(wrapped net.Conn, state http.ConnState) {
	for {
		if found, ok := wrapped.(*conn); ok {
			found.waits(state == http.StateNew || state == http.StateIdle)
			return
		}
		outer, ok := wrapped.(interface{ NetConn() net.Conn })
		if !ok {
			return
		}
		wrapped = outer.NetConn()
	}
}

type listener struct {
	net.Listener
	owner *Connections
	late  bool
}

// Accept returns the next connection that is admitted.
func (l *listener) Accept() (net.Conn, error) {
	for {
		inner, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		accepted := &conn{Conn: inner, owner: l.owner}
		accepted.waits(true)
		accepted.late.Store(l.late)
		if l.owner.admit(accepted, !l.late) {
			return accepted, nil
		}
		_ = inner.Close() // nothing was sent on it
	}
}

// conn is a counted connection.
type conn struct {
	net.Conn
	owner *Connections
	late  atomic.Bool // its client is not known yet

	// since is 0 while a request is served, gone once the connection was chosen to
	// be ended, and else the place in the order in which connections began to wait.
	since atomic.Int64

	// The owner's mutex guards these.
	network netip.Prefix
	counted bool
}

const gone = -1

// NetConn returns the connection below.
func (c *conn) NetConn() net.Conn { return c.Conn }

func (c *conn) waits(waits bool) {
	var next int64
	if waits {
		next = c.owner.order.Add(1)
	}
	for {
		was := c.since.Load()
		if was == gone || c.since.CompareAndSwap(was, next) {
			return
		}
	}
}

func (c *conn) Read(p []byte) (int, error) {
	if c.late.Load() && c.late.CompareAndSwap(true, false) && !c.owner.admit(c, true) {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return c.Conn.Read(p)
}

// CloseWrite ends the direction to the client.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return fmt.Errorf("closing one direction of a %T: %w", c.Conn, http.ErrNotSupported)
}

// Close closes the connection and gives its place back.
func (c *conn) Close() error {
	c.owner.mu.Lock()
	c.owner.leave(c)
	c.owner.mu.Unlock()
	return c.Conn.Close()
}

// admit counts a connection, for its client once that is known, and reports whether
// it may stay. It ends another one for it if need be.
func (c *Connections) admit(accepted *conn, known bool) bool {
	network := netip.Prefix{}
	if known {
		network = c.counts(peerOf(accepted.Conn))
	}
	c.mu.Lock()
	c.leave(accepted) // it was counted in the sum while its client was not known
	var ended *conn
	bound := c.shares.take(network, 1, false)
	admitted := bound == ""
	if !admitted {
		if ended = c.longest(bound, network); ended != nil {
			c.leave(ended)
			admitted = c.shares.take(network, 1, false) == ""
		}
	}
	if admitted {
		accepted.network, accepted.counted = network, true
		c.open[accepted] = struct{}{}
	}
	limit := c.shares.perClient(network)
	if bound == boundSum {
		limit = c.shares.bounds.Sum
	}
	c.mu.Unlock()

	if ended != nil {
		_ = ended.Conn.Close() // its server notices
	}
	if bound != "" {
		c.report(bound, network, limit, admitted)
	}
	return admitted
}

// report counts and logs that a bound was reached. That a client's own idle
// connections make way for its new ones is no reason to look into the log.
func (c *Connections) report(bound string, network netip.Prefix, limit int, admitted bool) {
	switch {
	case admitted:
		c.refused("idle_connection", bound)
	default:
		c.refused("connection", bound)
	}
	switch {
	case bound == boundSum:
		c.log.Warn().Int("limit", limit).Bool("refused", !admitted).
			Str("hint", "raise limits.connections if there is memory for more").
			Msg("no room for more connections")
	case !admitted:
		c.log.Warn().Stringer("client", network).Int("limit", limit).
			Str("hint", "if this is a proxy of yours, list it in trusted_proxies; if many people share this address, raise limits.connections_per_client").
			Msg("a client has too many connections at once")
	}
}

// counts returns the network that a peer's connections are counted for, the zero
// prefix for those that are counted in the sum alone.
func (c *Connections) counts(peer netip.Addr) netip.Prefix {
	c.mu.Lock()
	trusted := c.trusted
	c.mu.Unlock()
	if slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(peer) }) {
		return netip.Prefix{}
	}
	return networkOf(peer)
}

// longest chooses the connection that has waited for longest: of all where the sum
// is reached, else of one network. It looks at every connection, which takes less
// time than the TLS handshake of the one that is admitted. It returns nil when none
// waits. The caller holds mu.
func (c *Connections) longest(bound string, network netip.Prefix) *conn {
	for {
		var found *conn
		var since int64
		for candidate := range c.open {
			if bound == boundClient && candidate.network != network {
				continue
			}
			if at := candidate.since.Load(); at > 0 && (found == nil || at < since) {
				found, since = candidate, at
			}
		}
		if found == nil || found.since.CompareAndSwap(since, gone) {
			return found // else it has begun to serve a request
		}
	}
}

// leave gives a connection's place back. The caller holds mu.
func (c *Connections) leave(left *conn) {
	if left.counted {
		left.counted = false
		delete(c.open, left)
		c.shares.give(left.network, 1)
	}
}

// peerOf is the other end of a connection; zero when that is not an IP address.
func peerOf(conn net.Conn) netip.Addr {
	if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
