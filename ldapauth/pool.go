package ldapauth

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
	idle   []*conn
	closed bool
}

// take returns a connection that seems alive, or nil.
func (p *pool) take() *conn {
	var dead []*conn
	defer func() { closeAll(dead) }()
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		last := len(p.idle) - 1
		c := p.idle[last]
		p.idle = p.idle[:last]
		if !c.ldap.IsClosing() && time.Since(c.used) < maxIdleTime {
			return c
		}
		dead = append(dead, c)
	}
	return nil
}

func (p *pool) put(c *conn) {
	p.mu.Lock()
	if !p.closed {
		p.idle = append(p.idle, c)
		c = nil
	}
	p.mu.Unlock()
	if c != nil {
		c.close()
	}
}

func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	closeAll(idle)
}

func closeAll(conns []*conn) {
	for _, c := range conns {
		c.close()
	}
}
