package limit

import (
	"net/netip"

	"github.com/rs/zerolog"
)

// Bounds are what may be there at once.
type Bounds struct {
	PerClient int // of one client network; of an address that is not public, which may be a gateway, half of Sum if that is more
	Sum       int // in all
}

// Config is what both kinds of limits need.
type Config struct {
	Log zerolog.Logger
	// Refused is called for each refusal, with a word for what was refused
	// (connection, request), or for a connection that was ended to admit another
	// (idle_connection), and for the bound that was reached (client, sum). nil:
	// nothing is called.
	Refused func(what, bound string)
}

// The bounds that a refusal names.
const (
	boundClient = "client"
	boundSum    = "sum"
)

// held is what one network has.
type held struct{ count, weight int }

// shares counts what client networks hold. The zero network is counted in the sum
// alone. Its owner's mutex guards it.
type shares struct {
	bounds Bounds
	used   int // the weight of all
	count  int // of all
	held   map[netip.Prefix]held
}

// take adds one thing of a weight to what a network holds. It returns the bound
// that is in the way, "" for none.
//
// With fair, no network gets more than it leaves free. A single one reaches half
// of the sum at most, two reach a third each, so that there is always something
// left for one that comes later.
func (s *shares) take(network netip.Prefix, weight int, fair bool) string {
	has, free := s.held[network], s.bounds.Sum-s.used
	switch {
	case network.IsValid() && has.count >= s.perClient(network):
		return boundClient
	case weight > free:
		return boundSum
	case network.IsValid() && fair && has.weight+weight > free:
		return boundClient
	}
	s.used += weight
	s.count++
	if network.IsValid() {
		s.held[network] = held{has.count + 1, has.weight + weight}
	}
	return ""
}

// give takes back what take added.
func (s *shares) give(network netip.Prefix, weight int) {
	s.used -= weight
	s.count--
	if !network.IsValid() {
		return
	}
	if has := s.held[network]; has.count > 1 {
		s.held[network] = held{has.count - 1, has.weight - weight}
	} else {
		delete(s.held, network)
	}
}

// perClient is how many things a network may hold. A network that is not public
// may be a container engine or a gateway that everyone comes through, and then its
// bound would be everyone's.
func (s *shares) perClient(network netip.Prefix) int {
	if public(network.Addr()) {
		return s.bounds.PerClient
	}
	return max(s.bounds.PerClient, s.bounds.Sum/2)
}

// shared is the range of the carriers' and some container engines' address
// translation (RFC 6598).
var shared = netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10)

func public(addr netip.Addr) bool {
	// ::/56 is the network of ::1.
	return !addr.IsPrivate() && !addr.IsLoopback() && !addr.IsUnspecified() && !addr.IsLinkLocalUnicast() && !shared.Contains(addr)
}

// networkOf returns the network that an address's limits are counted for: the
// address itself, of IPv6 the /56 that one customer commonly gets. It is the zero
// prefix for an unknown address.
func networkOf(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 56
	}
	network, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return network
}
