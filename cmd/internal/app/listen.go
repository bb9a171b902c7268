package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/proxy/socket"
)

// The names of the listeners, as [App.Addr] takes them.
const (
	listenHTTPS = "https"
	listenHTTP  = "http"
	listenAdmin = "admin"
)

// listen opens every configured listener before anything is served, so that a port that is taken is
// an error of the start, and so that certmagic finds its challenge ports open.
func listen(ctx context.Context, addresses config.Listen) (map[string]net.Listener, error) {
	open := map[string]net.Listener{}
	for _, l := range []struct{ name, address string }{
		{listenHTTPS, addresses.HTTPS},
		{listenHTTP, addresses.HTTP},
		{listenAdmin, addresses.Admin},
	} {
		if l.address == "" {
			continue
		}
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", l.address)
		if err != nil {
			closeListeners(open)
			failed := fmt.Errorf("opening listen.%s %s: %w", l.name, l.address, err)
			for cause, hint := range map[syscall.Errno]string{
				syscall.EADDRINUSE:    "another program listens there; stop it, or set listen.%s to a free port",
				syscall.EACCES:        "ports below 1024 need root or the capability CAP_NET_BIND_SERVICE; or set listen.%s to a higher port",
				syscall.EADDRNOTAVAIL: "this machine has no such address; correct listen.%s",
			} {
				if errors.Is(err, cause) {
					failed = &hinted{failed, fmt.Sprintf(hint, l.name)}
				}
			}
			return nil, failed
		}
		open[l.name] = socket.Listener(listener)
	}
	return open, nil
}

// hinted is an error with what the operator can do about it.
type hinted struct {
	error
	hint string
}

func (e *hinted) Unwrap() error { return e.error }
func (e *hinted) Hint() string  { return e.hint }

func closeListeners(open map[string]net.Listener) {
	for _, listener := range open {
		_ = listener.Close() // nothing was served on it yet
	}
}

// address returns the IP address that a listener is bound to, "" for all of them, and its port; 0 for
// no listener.
func address(l net.Listener) (host string, port int) {
	if l == nil {
		return "", 0
	}
	bound, ok := l.Addr().(*net.TCPAddr)
	switch {
	case !ok:
		return "", 0
	case bound.IP.IsUnspecified():
		return "", bound.Port
	}
	return bound.IP.String(), bound.Port
}
