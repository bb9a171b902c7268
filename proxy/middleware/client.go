package middleware

import (
	"net/http"
	"net/netip"
	"strings"
)

// Trust is which proxies' forwarded fields are used. The zero value trusts no proxy.
type Trust struct {
	// Listed are the proxies named by address. X-Forwarded-For is read past them, and
	// what else they send about the client is taken over.
	Listed []netip.Prefix
	// Private also trusts peers with loopback and private addresses, but for the client
	// and the scheme alone, and never further than the peer itself: others on the same
	// networks could write what they like.
	Private bool
	// Hops is how many proxies in a row every request passes: X-Forwarded-For is read
	// past as many, listed or not. 0: 1.
	Hops int
}

// origin is where a request came from.
type origin struct {
	client   netip.Addr
	address  string // the text of client
	scheme   string
	trusted  bool // the peer is a trusted proxy
	listed   bool // by its address
	doubtful bool // the peer is trusted for being private only, and speaks for a private client
}

// originOf reads forwarded headers of trusted proxies only.
func originOf(r *http.Request, trust Trust) origin {
	peer := PeerAddr(r.RemoteAddr)
	o := origin{client: peer, scheme: "http"}
	if r.TLS != nil {
		o.scheme = "https"
	}
	o.listed = Contains(trust.Listed, peer)
	o.trusted = o.listed || trust.Private && isPrivate(peer)
	o.address = peerText(r.RemoteAddr, peer)
	if !o.trusted {
		return o
	}
	if o.client = forwardedFor(peer, r.Header["X-Forwarded-For"], trust); o.client != peer {
		o.address = o.client.String()
	}
	o.doubtful = !o.listed && o.client != peer && isPrivate(o.client)
	if scheme := forwardedProto(r.Header["X-Forwarded-Proto"]); scheme != "" {
		o.scheme = scheme
	}
	return o
}

// forwardedFor scans X-Forwarded-For from the right, where the peer wrote, past the
// proxies that are listed and as many others as Hops allows. The first other address is
// the client; entries to its left are client-supplied. A malformed entry stops the scan.
func forwardedFor(peer netip.Addr, lines []string, trust Trust) netip.Addr {
	client := peer
	hop := 1
	for i := len(lines) - 1; i >= 0; i-- {
		rest := lines[i]
		for more := true; more; hop++ {
			if hop > max(trust.Hops, 1) && !Contains(trust.Listed, client) {
				return client
			}
			var element string
			element, rest, more = cutLast(rest)
			addr, ok := parseAddr(element)
			if !ok {
				return client
			}
			client = addr
		}
	}
	return client
}

func isPrivate(addr netip.Addr) bool { return addr.IsPrivate() || addr.IsLoopback() }

// forwardedProto reads X-Forwarded-Proto. Of several values the last one counts:
// the nearest proxy wrote it, the others may be the client's own.
func forwardedProto(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	value, _, _ := cutLast(lines[len(lines)-1])
	switch {
	case strings.EqualFold(value, "https"):
		return "https"
	case strings.EqualFold(value, "http"):
		return "http"
	}
	return ""
}

// cutLast takes the last element off a comma-separated list.
func cutLast(list string) (element, rest string, more bool) {
	if i := strings.LastIndexByte(list, ','); i >= 0 {
		element, rest, more = list[i+1:], list[:i], true
	} else {
		element = list
	}
	return strings.Trim(element, " \t"), rest, more
}

// parseAddr reads an address as proxies write it: bare, in brackets, or with a port.
func parseAddr(s string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.Unmap().WithZone(""), true
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok {
			addr, err := netip.ParseAddr(inner)
			return addr.Unmap().WithZone(""), err == nil && addr.Is6()
		}
	}
	addrPort, err := netip.ParseAddrPort(s)
	return addrPort.Addr().Unmap().WithZone(""), err == nil
}

// PeerAddr is the other end of the connection; given as the
// text of a net.Addr; zero when that is not an IP address.
func PeerAddr(remote string) netip.Addr {
	addrPort, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return addrPort.Addr().Unmap().WithZone("")
}

// peerText returns the text of a peer's address. That of an IPv4 peer stands in the text of
// the connection's address.
func peerText(remote string, peer netip.Addr) string {
	switch {
	case !peer.IsValid():
		return ""
	case peer.Is4() && remote[0] != '[':
		return remote[:strings.IndexByte(remote, ':')]
	}
	return peer.String()
}

// Contains reports whether one of the networks holds an address.
func Contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, prefix := range prefixes {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}
