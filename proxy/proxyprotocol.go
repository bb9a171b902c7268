package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"

	"persona-sidecar/proxy/middleware"
)

// ProxyProtocol returns a listener for connections of which those from listed peers
// begin with a PROXY header, version 1 or 2, that names the client: its address is
// theirs from then on. A listed peer that sends none within timeout is cut off: it is
// either another program there, or not set up. From all others a header is no request,
// and is refused as such.
//
// The header is read with the first Read or RemoteAddr, never by Accept.
func ProxyProtocol(l net.Listener, peers []netip.Prefix, timeout time.Duration) net.Listener {
	return proxyListener{&proxyproto.Listener{
		Listener:          l,
		ReadHeaderTimeout: timeout,
		ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			if middleware.Contains(peers, middleware.PeerAddr(o.Upstream.String())) {
				return proxyproto.REQUIRE, nil
			}
			return proxyproto.SKIP, nil
		},
	}}
}

type proxyListener struct{ net.Listener }

// Accept returns the next connection.
func (l proxyListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if named, ok := conn.(*proxyproto.Conn); ok {
		conn = proxyConn{named}
	}
	return conn, err
}

type proxyConn struct{ *proxyproto.Conn }

// CloseWrite ends the direction to the client.
func (c proxyConn) CloseWrite() error {
	if half, ok := c.Raw().(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return fmt.Errorf("closing one direction: %w", errors.ErrUnsupported)
}
