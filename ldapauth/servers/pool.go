package servers

import (
	"sync"
	"time"
)

// maxIdleTime is how long a connection may lie unused: shorter than the idle
// time-outs of directories and of the firewalls before them.
const maxIdleTime = 30 * time.Second

// pool keeps idle connections of one server and one purpose. The one used last
// is taken first, so that spare ones grow old and go.
type pool struct {
	mu     sync.Mutex
	idle   []*conn // the one used last at the end
	closed bool
	sweep  *time.Timer // nil: none is due
}

// take returns a connection that seems alive, or nil.
func (p *pool) take() *conn {
	for {
		p.mu.Lock()
		last := len(p.idle) - 1
		if last < 0 {
			p.mu.Unlock()
			return nil
		}
		c := p.idle[last]
		p.idle = p.idle[:last]
		p.mu.Unlock()
		if time.Since(c.used) < maxIdleTime && c.alive() {
			return c
		}
		c.close()
	}
}

func (p *pool) put(c *conn) {
	p.mu.Lock()
	kept := !p.closed
	if kept {
		p.idle = append(p.idle, c)
		if p.sweep == nil {
			p.sweep = time.AfterFunc(maxIdleTime, p.closeOld)
		}
	}
	p.mu.Unlock()
	if !kept {
		c.close()
	}
}

// closeOld closes what has lain for too long, and comes back for the rest.
func (p *pool) closeOld() {
	p.mu.Lock()
	var old, idle []*conn
	next := maxIdleTime
	for _, c := range p.idle {
		if left := maxIdleTime - time.Since(c.used); left <= 0 {
			old = append(old, c)
		} else {
			next = min(next, left)
			idle = append(idle, c)
		}
	}
	p.idle, p.sweep = idle, nil
	if len(idle) > 0 {
		p.sweep = time.AfterFunc(next, p.closeOld)
	}
	p.mu.Unlock()
	closeAll(old)
}

// drop closes all idle connections.
func (p *pool) drop() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	if p.sweep != nil {
		p.sweep.Stop()
		p.sweep = nil
	}
	p.mu.Unlock()
	closeAll(idle)
}

// close is drop, and closes what comes later.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.drop()
}

func (p *pool) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle)
}

func closeAll(conns []*conn) {
	for _, c := range conns {
		c.close()
	}
}
