package acmetest

import (
	"net"
	"sync/atomic"
)

// gate is a listener that closes what it accepts while it is down.
type gate struct {
	net.Listener
	down    atomic.Bool
	refused atomic.Int64
}

func (g *gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil || !g.down.Load() {
			return conn, err
		}
		conn.Close()
		g.refused.Add(1)
	}
}
