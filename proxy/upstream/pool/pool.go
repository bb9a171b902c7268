package pool

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"persona-sidecar/proxy/middleware"
	"persona-sidecar/proxy/wire"
)

const (
	// A website closes idle connections after five seconds (Node, Apache) or
	// more. A request that meets such a close fails, and only some may be sent
	// again; so we are the first to close.
	idleTimeout = 4 * time.Second

	maxIdle = 1024 // connections

	maxWaiting = 1024 // requests for a connection
	maxWait    = 10 * time.Second
)

// ErrFull is why there is no connection: the website has as many as it may, and
// too many wait for one, or one has waited too long.
var ErrFull = errors.New("all connections that the website may have are in use")

// Config is where a website listens.
type Config struct {
	Network, Address string             // "tcp" and host:port, or "unix" and a path
	TLS              func() *tls.Config // the settings of a new connection; nil: clear text
	Timeout          time.Duration      // longest wait for the website to take what is written
	Connections      int                // at most, at a time; 0: no limit
	Wait             time.Duration      // longest wait for one of them; 0: ten seconds
}

// Pool is the connections to one website.
type Pool struct {
	dialer  dialer
	timeout time.Duration
	limit   int
	wait    time.Duration
	buffers wire.Buffers

	mu      sync.Mutex
	closed  bool
	count   int     // connections, and those that are being opened
	idle    []*Conn // the one that was used last at the end
	expiry  *time.Timer
	held    map[*middleware.Connection]*Conn // idle, of a client that has signed in on it
	waiting []chan *Conn                     // requests; each gets one, or nil: one may be opened. Only while count is at the limit
}

// New makes a pool. It opens nothing.
func New(cfg Config) *Pool {
	p := &Pool{timeout: cfg.Timeout, limit: cfg.Connections, wait: cfg.Wait, held: make(map[*middleware.Connection]*Conn)}
	if p.wait == 0 {
		p.wait = maxWait
	}
	p.dialer = dialer{
		network: cfg.Network, address: cfg.Address, tls: cfg.TLS, net: net.Dialer{KeepAlive: keepAlive},
		resolve: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		},
	}
	p.expiry = time.AfterFunc(idleTimeout, p.expire)
	p.expiry.Stop()
	return p
}

// Get returns a connection that belongs to the caller: the one that Hold was given
// for this owner, or any if owner is nil; otherwise a new one. Whether one that was kept is
// still good is found by Send.
func (p *Pool) Get(ctx context.Context, owner *middleware.Connection) (*Conn, error) {
	p.mu.Lock()
	var c *Conn
	if owner != nil {
		c = p.held[owner]
		delete(p.held, owner)
	} else if last := len(p.idle) - 1; last >= 0 {
		c = p.idle[last]
		p.idle[last] = nil
		p.idle = p.idle[:last]
	}
	p.mu.Unlock()
	switch {
	case c == nil:
		return p.open(ctx, owner != nil)
	case owner != nil:
		owner.Drop(p)
	}
	return c, nil
}

// Open returns a new connection.
func (p *Pool) Open(ctx context.Context, _ *middleware.Connection) (*Conn, error) {
	return p.open(ctx, true)
}

// open returns a new connection, or, unless fresh is set, one that has become free
// while it waited.
func (p *Pool) open(ctx context.Context, fresh bool) (*Conn, error) {
	free, err := p.enter(ctx)
	if err != nil {
		return nil, err
	}
	if free != nil {
		if !fresh {
			return free, nil
		}
		free.giveUp()
	}
	conn, socket, err := p.dialer.dial(ctx)
	if err != nil {
		p.leave()
		return nil, err
	}
	c := &Conn{Conn: conn, pool: p, socket: socket, counted: true, sight: sightOf(socket)}
	c.Reader = wire.NewReader(c, &p.buffers)
	return c, nil
}

// enter waits until a connection may be opened. When it returns one that has become
// free, its place may be taken. Requests get theirs in the order in which they came.
func (p *Pool) enter(ctx context.Context) (*Conn, error) {
	p.mu.Lock()
	switch {
	case p.limit == 0 || p.count < p.limit:
		p.count++
		p.mu.Unlock()
		return nil, nil
	case len(p.idle) > 0:
		c := p.idle[0]
		p.idle = slices.Delete(p.idle, 0, 1)
		p.mu.Unlock()
		return c, nil
	case len(p.held) > 0: // logins give way, or they would keep all others out
		var owner *middleware.Connection
		for o, c := range p.held {
			if owner == nil || c.since.Before(p.held[owner].since) {
				owner = o
			}
		}
		c := p.held[owner]
		delete(p.held, owner)
		p.mu.Unlock()
		c.giveUp() // never to be used by another client
		return nil, nil
	}
	if len(p.waiting) >= maxWaiting {
		p.mu.Unlock()
		return nil, ErrFull
	}
	ready := make(chan *Conn, 1)
	p.waiting = append(p.waiting, ready)
	p.mu.Unlock()

	late := time.NewTimer(p.wait)
	defer late.Stop()
	err := ErrFull
	select {
	case c := <-ready:
		return c, nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-late.C:
	}
	p.mu.Lock()
	i := slices.Index(p.waiting, ready)
	if i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
	p.mu.Unlock()
	if i < 0 { // one was on its way
		if c := <-ready; c != nil {
			c.Release()
		} else {
			p.leave()
		}
	}
	return nil, err
}

// leave gives up the place of a connection.
func (p *Pool) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 {
		p.count--
		return
	}
	p.waiting[0] <- nil // has room for one
	p.waiting = slices.Delete(p.waiting, 0, 1)
}

// Release gives a connection back whose answer has ended exactly where it said. It
// is closed if more has come.
func (c *Conn) Release() {
	p := c.pool
	c.Served, c.since = true, time.Now()
	if len(c.Reader.Buffered()) > 0 {
		_ = c.Close()
		return
	}
	p.mu.Lock()
	switch {
	case p.closed || len(p.idle) >= maxIdle:
		p.mu.Unlock()
		_ = c.Close()
		return
	case len(p.waiting) > 0:
		p.waiting[0] <- c
		p.waiting = slices.Delete(p.waiting, 0, 1)
	default:
		if len(p.idle) == 0 {
			p.expiry.Reset(idleTimeout)
		}
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
}

// Hold gives a connection back for requests of one client's connection alone, until
// that ends.
func (c *Conn) Hold(owner *middleware.Connection) {
	p := c.pool
	c.Served, c.since = true, time.Now()
	p.mu.Lock()
	if p.closed || len(p.waiting) > 0 {
		p.mu.Unlock()
		_ = c.Close()
		return
	}
	p.held[owner] = c
	p.mu.Unlock()
	owner.Keep(p, func() {
		p.mu.Lock()
		mine := p.held[owner] == c
		if mine {
			delete(p.held, owner)
		}
		p.mu.Unlock()
		if mine {
			_ = c.Close()
		}
	})
}

// expire closes what has been idle for too long.
func (p *Pool) expire() {
	now := time.Now()
	p.mu.Lock()
	n := 0
	for n < len(p.idle) && now.Sub(p.idle[n].since) >= idleTimeout {
		n++
	}
	old := slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	if len(p.idle) > 0 {
		p.expiry.Reset(idleTimeout - now.Sub(p.idle[0].since))
	}
	p.mu.Unlock()
	for _, c := range old {
		_ = c.Close()
	}
}

// Close ends all idle connections, and others when they are given back.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.expiry.Stop()
	idle := p.idle
	for _, c := range p.held {
		idle = append(idle, c)
	}
	p.idle = nil
	clear(p.held)
	p.mu.Unlock()
	for _, c := range idle {
		_ = c.Close()
	}
}
