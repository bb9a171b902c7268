//go:build unix

package ldaptest

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
)

// forward carries connections to a port of this machine's loopback to an
// address in the network of the process, until the process ends.
func (p *process) forward(port int, inside string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return fmt.Errorf("forwarding to %s: %w", inside, err)
	}
	ctx, ended := context.WithCancel(context.Background())
	p.forwards.Go(func() {
		<-p.done
		ended()
		listener.Close()
	})
	p.forwards.Go(func() {
		for {
			outer, err := listener.Accept()
			if err != nil {
				return
			}
			inner := p.dialInside(inside)
			if inner == nil { // not listening yet, or no more
				outer.Close()
				continue
			}
			p.forwards.Go(func() {
				defer context.AfterFunc(ctx, func() { outer.Close(); inner.Close() })()
				defer outer.Close()
				defer inner.Close()
				var upward sync.WaitGroup
				upward.Go(func() { carry(inner, outer) })
				carry(outer, inner)
				upward.Wait()
			})
		}
	})
	return nil
}

// dialInside opens a connection in the network of the process; nil for none.
func (p *process) dialInside(address string) (conn net.Conn) {
	dialled := make(chan struct{})
	dial := func() {
		defer close(dialled)
		conn, _ = net.Dial("tcp", address) // the socket is made on this very thread: there is one address
	}
	select {
	case p.inside <- dial:
		<-dialled
		return conn
	case <-p.done:
		return nil
	}
}

// carry copies until one side ends, and tells the other.
func carry(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.(*net.TCPConn).CloseWrite()
}
