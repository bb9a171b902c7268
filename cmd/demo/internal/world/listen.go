package world

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// Listen says where the sidecar and the shop listen, each as host:port; port 0 is any free one.
type Listen struct {
	HTTPS, HTTP string
	Shop        string // "" is any free port of 127.0.0.1
}

// choose fixes the ports of both listeners before the configuration names them, because the public port stands in
// it as well. A port that another program holds is replaced by a free one, which notices tell.
func (l Listen) choose(ctx context.Context) (fixed Listen, publicHTTPS int, notices []string, err error) {
	var taken string
	if fixed.HTTPS, taken, err = freeAddress(ctx, l.HTTPS); err != nil {
		return Listen{}, 0, nil, fmt.Errorf("-https %s: %w (hint: give host:port, such as 127.0.0.1:8443)", l.HTTPS, err)
	}
	notices = append(notices, notice(taken, fixed.HTTPS)...)
	if fixed.HTTP, taken, err = freeAddress(ctx, l.HTTP); err != nil {
		return Listen{}, 0, nil, fmt.Errorf("-http %s: %w (hint: give host:port, such as 127.0.0.1:8080)", l.HTTP, err)
	}
	notices = append(notices, notice(taken, fixed.HTTP)...)
	_, port, err := net.SplitHostPort(fixed.HTTPS)
	if err != nil {
		return Listen{}, 0, nil, fmt.Errorf("reading the chosen port: %w", err)
	}
	publicHTTPS, err = strconv.Atoi(port)
	return fixed, publicHTTPS, notices, err
}

// freeAddress finds out whether address can be listened on, and takes any free port of the same host when another
// program does; taken is the address asked for then.
func freeAddress(ctx context.Context, address string) (free, taken string, err error) {
	listener, taken, err := openFree(ctx, address)
	if err != nil {
		return "", "", err
	}
	return listener.Addr().String(), taken, listener.Close()
}

// openFree opens the address, or any free port of the same host where another program holds it; taken is the address
// asked for then.
func openFree(ctx context.Context, address string) (listener net.Listener, taken string, err error) {
	var config net.ListenConfig
	listener, err = config.Listen(ctx, "tcp", address)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return listener, "", err
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, "", err
	}
	listener, err = config.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	return listener, address, err
}

func notice(taken, fixed string) []string {
	if taken == "" {
		return nil
	}
	return []string{fmt.Sprintf("another program listens on %s, so the demo took %s", taken, fixed)}
}
