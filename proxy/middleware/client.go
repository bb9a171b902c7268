package middleware

import (
	"net/http"
	"net/netip"
	"strings"
)

// origin is where a request came from.
type origin struct {
	client  netip.Addr
	scheme  string
	trusted bool
}

// originOf reads forwarded headers of trusted proxies only.
func originOf(r *http.Request, trusted []netip.Prefix) origin {
	o := origin{client: peerAddr(r.RemoteAddr), scheme: "http"}
	if r.TLS != nil {
		o.scheme = "https"
	}
	o.trusted = contains(trusted, o.client)
	if !o.trusted {
		return o
	}
	o.client = forwardedFor(o.client, r.Header["X-Forwarded-For"], trusted)
	if scheme := forwardedProto(r.Header["X-Forwarded-Proto"]); scheme != "" {
		o.scheme = scheme
	}
	return o
}

// forwardedFor scans X-Forwarded-For from the right, where the proxy nearest to
// us wrote, past proxies that we trust. The first other address is the client;
// entries to its left are client-supplied. A malformed entry stops the scan.
func forwardedFor(peer netip.Addr, lines []string, trusted []netip.Prefix) netip.Addr {
	client := peer
	for i := len(lines) - 1; i >= 0; i-- {
		rest := lines[i]
		for more := true; more; {
			var element string
			element, rest, more = cutLast(rest)
			addr, ok := parseAddr(element)
			if !ok {
				return client
			}
			client = addr
			if !contains(trusted, client) {
				return client
			}
		}
	}
	return client
}

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

// peerAddr is the other end of the connection; zero when that is not an IP address.
func peerAddr(remote string) netip.Addr {
	addrPort, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return addrPort.Addr().Unmap().WithZone("")
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, prefix := range prefixes {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}
