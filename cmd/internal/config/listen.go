package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

func (v value) listen(l *Listen) section {
	return v.section(fields{
		"https":        func(v value) { l.HTTPS = v.listenAddress(":443") },
		"http":         func(v value) { l.HTTP = v.listenAddress(":80") },
		"admin":        func(v value) { l.Admin = v.listenAddress(":9180") },
		"public_https": func(v value) { l.PublicHTTPS = v.integer(1, 65535) },
	})
}

// checkListeners looks for two listeners on one address.
func (s section) checkListeners(l Listen) {
	listeners := []struct{ key, address string }{{"https", l.HTTPS}, {"http", l.HTTP}, {"admin", l.Admin}}
	for i, one := range listeners {
		for _, other := range listeners[:i] {
			if sameAddress(one.address, other.address) {
				s.at(one.key).fault(
					fmt.Sprintf("%s is the address of %s too", quote(one.address), s.at(other.key).name()),
					"give each listener its own port")
			}
		}
	}
}

// sameAddress says whether two listeners cannot both be opened.
func sameAddress(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return hostA == hostB || isUnspecified(hostA) || isUnspecified(hostB)
}

func isUnspecified(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || err == nil && addr.IsUnspecified()
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// trustedProxies returns the networks that are listed.
func (v value) trustedProxies() []netip.Prefix {
	var all []netip.Prefix
	v.texts(func(item value) (string, bool) {
		text, ok := item.text()
		if !ok {
			return "", false
		}
		if text == "private" {
			all = append(all, privateNetworks()...)
			return text, true
		}
		prefix, ok := item.network(text)
		if ok {
			all = append(all, prefix)
		}
		if ok && prefix.Bits() == 0 {
			item.warn(quote(text)+" trusts everybody", "list the networks of your own proxies alone: anybody can choose the address that is logged and throttled")
		}
		return text, ok
	})
	return all
}

// privateNetworks are the networks of the word private: loopback, and what is
// never routed on the Internet.
func privateNetworks() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("127.0.0.0/8"),
		netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16"),
		netip.MustParsePrefix("::1/128"),
		netip.MustParsePrefix("fc00::/7"),
	}
}

// network returns the CIDR or the single address that stands here.
func (v value) network(text string) (netip.Prefix, bool) {
	const cure = `write an address, a network as in 10.0.0.0/8, or the word private`
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		v.fault(quote(text)+" is not a network", cure)
		return prefix, false
	case prefix.Masked() != prefix:
		v.fault(quote(text)+" is an address inside a network", fmt.Sprintf("write %s for the network, or %s for the address alone", prefix.Masked(), prefix.Addr()))
		return prefix, false
	}
	return prefix, true
}
