package check

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"persona-sidecar/cmd/internal/visitor"
)

const (
	// longestConnect bounds a connection attempt to one address.
	longestConnect = 7 * time.Second

	agent = "persona-check"
)

// network is the way of an outsider to servers: by DNS, or where Options.Resolve
// says.
type network struct {
	checker *Checker
	client  visitor.Client
	named   map[string]bool // host names for which Options.Resolve counts
	dates   []dated
}

// dated is what an answer says of the time.
type dated struct {
	source string
	ahead  time.Duration
}

func newNetwork(c *Checker) *network {
	n := &network{checker: c, named: map[string]bool{}}
	for _, host := range c.hosts {
		n.named[host.Name] = true
	}
	n.client = n.clientFor(c.Roots)
	return n
}

// clientFor returns a client that trusts other roots.
func (n *network) clientFor(roots *x509.CertPool) visitor.Client {
	return visitor.Client{HTTP: visitor.NewHTTP(n.dial, roots, n.checker.Now), UserAgent: agent, Observe: n.noteDate}
}

// direct returns a client for what the program itself asks, such as the website:
// by the names of the machine (/etc/hosts, the names of containers).
func (n *network) direct() visitor.Client {
	return visitor.Client{HTTP: visitor.NewHTTP(n.checker.Dial, nil, n.checker.Now), UserAgent: agent, Observe: n.noteDate}
}

// dial connects to a host:port by what DNS says, trying each address.
func (n *network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	targets, err := n.targets(ctx, host, port)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, target := range targets {
		connection, err := n.connect(ctx, network, target)
		if err == nil {
			return connection, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (n *network) connect(ctx context.Context, network, target string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, longestConnect)
	defer cancel()
	return n.checker.Dial(ctx, network, target)
}

// targets returns where to connect for a port of a host, each as host:port.
func (n *network) targets(ctx context.Context, host, port string) ([]string, error) {
	if n.redirected(host) {
		target := n.checker.Resolve.instead(port)
		if target == "" {
			return nil, fmt.Errorf("-resolve names a port for HTTPS, and none is known for port %s", port)
		}
		return []string{target}, nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []string{net.JoinHostPort(ip.String(), port)}, nil
	}
	addresses, err := n.checker.Resolver.Addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	if len(addresses) == 0 {
		return nil, noSuchHost(host)
	}
	var targets []string
	for _, ip := range addresses {
		targets = append(targets, net.JoinHostPort(ip.String(), port))
	}
	return targets, nil
}

func noSuchHost(host string) error {
	return &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// redirected reports whether a host is found where Options.Resolve says.
func (n *network) redirected(host string) bool {
	return n.named[host] && n.checker.Resolve.host != ""
}

// noteDate keeps what a server that is not ours says of the time.
func (n *network) noteDate(response *http.Response) {
	host := response.Request.URL.Hostname()
	ip, err := netip.ParseAddr(host)
	if _, own := n.checker.ours(host); own || host == "localhost" || err == nil && ip.IsLoopback() {
		return // one clock cannot be compared with itself
	}
	theirs, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil || response.Header.Get("Age") != "" { // what a cache kept is old
		return
	}
	// A Date is cut to whole seconds: half a second is the best guess.
	n.dates = append(n.dates, dated{host, n.checker.Now().Sub(theirs.Add(time.Second / 2))})
}

// unreached makes a finding of an error of asking or connecting.
func unreached(err error, host string) Finding {
	return failure("", visitor.Explain(err, host), "")
}

const (
	// slowClock is the difference that may still be the time an answer took.
	slowClock = 5 * time.Second
	// wrongClock: a certificate is back-dated 10 s, and the historic verifiers
	// allowed no more.
	wrongClock = 10 * time.Second
)

// checkClock compares the clock of this machine with what others said. Of
// several, one that agrees is enough: the rest are wrong themselves.
func (c *Checker) checkClock(context.Context) Finding {
	if len(c.network.dates) == 0 {
		return skipped("no other server told the time")
	}
	best := c.network.dates[0]
	for _, d := range c.network.dates[1:] {
		if d.ahead.Abs() < best.ahead.Abs() {
			best = d
		}
	}
	const hint = "set the clock and keep it right (NTP): certificates from the future are refused, and so are those that ended"
	off := best.ahead.Abs()
	words := "this clock is " + off.Round(time.Second).String() + " behind"
	if best.ahead > 0 {
		words = "this clock is " + off.Round(time.Second).String() + " ahead of"
	}
	switch {
	case off > wrongClock:
		return failed(hint, "%s %s", words, best.source)
	case off > slowClock:
		return warned(hint, "%s %s", words, best.source)
	}
	return passed("agrees with %s", best.source)
}
