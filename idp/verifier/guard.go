package verifier

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// guard decides where look-ups may go. Names and ports come from outside, so
// that without it our network's own servers could be asked.
type guard struct {
	ports    []int
	prefixes []netip.Prefix // private networks that may be asked
	domains  []string       // names that may lie in private networks
	resolver *net.Resolver  // nil is the system's
	port     int            // where names without a port are asked
	dnsTime  time.Duration  // for a name's addresses
}

// errForbidden is why a connection was not made.
type errForbidden struct {
	problem string
	hint    string // the configuration key that would allow it
}

func (e *errForbidden) Error() string { return e.problem }
func (e *errForbidden) Hint() string  { return e.hint }

// lookupKey is the context value that holds the context of a whole look-up:
// http.Transport goes on dialling after a request was given up, with the values of
// its context and without its end.
type lookupKey struct{}

// dial connects to an address of the network "tcp". What the name resolves to
// is looked at as the socket is connected, so that there is no second look-up
// that could give another answer. The dial, and the connection, end with the
// look-up.
func (g *guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, err
	}
	if port == 443 { // as the client writes a name without one
		port = g.port
	}
	if !slices.Contains(g.ports, port) {
		return nil, &errForbidden{fmt.Sprintf("port %d is not allowed for look-ups", port), "name it in lookups.ports, if it should be"}
	}
	dialer := net.Dialer{Timeout: LookupTime, KeepAlive: -1 * time.Second, Resolver: g.resolver}
	if !slices.Contains(g.domains, host) {
		dialer.Control = g.control
	}
	lookup, ok := ctx.Value(lookupKey{}).(context.Context)
	if !ok {
		lookup = ctx
	}
	dialling, cancel := context.WithCancelCause(lookup)
	defer cancel(nil)
	slow := &net.DNSError{Err: "the name server did not answer in time", Name: host, IsTimeout: true}
	timer := time.AfterFunc(g.dnsTime, func() { cancel(slow) })
	defer timer.Stop()
	traced := httptrace.WithClientTrace(dialling, &httptrace.ClientTrace{DNSDone: func(httptrace.DNSDoneInfo) { timer.Stop() }})
	conn, err := dialer.DialContext(traced, network, net.JoinHostPort(host, strconv.Itoa(port)))
	switch {
	case err == nil:
		context.AfterFunc(lookup, func() { _ = conn.Close() })
	case errors.Is(context.Cause(dialling), slow):
		err = slow
	}
	return conn, err
}

// resolver returns one that asks as another does, or the system, and whose
// questions end with their context: without that each waits for its own five
// seconds.
func resolver(from *net.Resolver) *net.Resolver {
	if from == nil {
		from = &net.Resolver{PreferGo: true}
	}
	dial := from.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	return &net.Resolver{PreferGo: from.PreferGo, StrictErrors: from.StrictErrors, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err == nil {
			context.AfterFunc(ctx, func() { _ = conn.Close() })
		}
		return conn, err
	}}
}

// control refuses addresses just before the socket is connected.
func (g *guard) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return &errForbidden{"the address " + address + " cannot be read", ""}
	}
	addr := to.Addr().Unmap().WithZone("")
	if PublicAddress(addr) || slices.ContainsFunc(g.prefixes, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return nil
	}
	return &errForbidden{fmt.Sprintf("%s is not a public address", addr), "name it in lookups.allow_private, if it should be asked"}
}

// special are the networks of IPv4 and of global IPv6 that no public server
// lies in (the registries of RFC 6890).
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // shared by customers of a provider
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"), // link-local, and the metadata of clouds
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("224.0.0.0/3"), // multicast, reserved, broadcast
	netip.MustParsePrefix("2001::/23"),   // protocols, Teredo among them
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), // 6to4, which has IPv4 inside
	netip.MustParsePrefix("3fff::/20"),
}

var (
	// globalUnicast is all of IPv6 that is given out.
	globalUnicast = netip.MustParsePrefix("2000::/3")
	// translated is where networks without IPv4 find it (RFC 6052): an address
	// of IPv4 stands in the last four bytes.
	translated = netip.MustParsePrefix("64:ff9b::/96")
)

// PublicAddress reports whether an address is one of the public Internet: unicast,
// and in none of the special networks of RFC 6890.
func PublicAddress(addr netip.Addr) bool {
	addr = addr.Unmap()
	if translated.Contains(addr) {
		bytes := addr.As16()
		return PublicAddress(netip.AddrFrom4([4]byte(bytes[12:])))
	}
	if !addr.IsValid() || addr.Is6() && !globalUnicast.Contains(addr) {
		return false
	}
	return !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(addr) })
}
