package certs

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// lookupLimit bounds how long a first order waits for the DNS.
const lookupLimit = 3 * time.Second

// tellAddresses logs where a name points that is about to get its first
// certificate, and whether that is here: a name that points elsewhere is the most
// frequent reason for a refusal, and each refusal counts against the limits of a
// public server. The order is made whatever the answer, because the ACME server
// may see another DNS than this machine.
func (a *ACME) tellAddresses(ctx context.Context, name string) {
	if neverInDNS(name) {
		return
	}
	asking, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	addrs, err := a.lookup(asking, name)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		a.log.Warn().Err(err).Str("domain", name).
			Str("hint", "make an A or AAAA record for this name that leads here; the ACME server must find it").
			Msg("the DNS gives no address for this name")
	default:
		a.tellWhetherHere(name, addrs)
	}
}

func (a *ACME) tellWhetherHere(name string, addrs []netip.Addr) {
	local, err := a.localAddrs()
	if err != nil {
		a.log.Debug().Err(err).Msg("the addresses of this machine cannot be listed")
	}
	elsewhere := slices.DeleteFunc(slices.Clone(addrs), func(addr netip.Addr) bool {
		return slices.Contains(local, addr.Unmap())
	})
	switch {
	case len(elsewhere) == 0:
		a.log.Info().Str("domain", name).Strs("points_to", addressStrings(addrs)).
			Msg("asking for a certificate; the name points to this machine")
	case !slices.ContainsFunc(local, a.public):
		a.log.Info().Str("domain", name).Strs("points_to", addressStrings(addrs)).
			Msg("asking for a certificate; it is unknown whether the name points here, for this machine has no public address of its own (a container, or behind NAT)")
	default:
		a.log.Warn().Str("domain", name).Strs("points_to", addressStrings(addrs)).Strs("elsewhere", addressStrings(elsewhere)).
			Str("hint", "the ACME server may connect to any of these addresses, IPv6 first: correct the A and AAAA records, unless a load balancer there leads here").
			Msg("asking for a certificate; the name points to addresses that are not this machine's")
	}
}

func lookupDNS(ctx context.Context, name string) ([]netip.Addr, error) {
	// The Go resolver obeys the context; the C library's does not.
	resolver := net.Resolver{PreferGo: true}
	addrs, err := resolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, fmt.Errorf("resolving %s: %w", name, err)
	}
	return addrs, nil
}

// InterfaceAddrs lists the addresses of the machine's network interfaces.
func InterfaceAddrs() ([]netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("listing the addresses of this machine: %w", err)
	}
	var addrs []netip.Addr
	for _, addr := range all {
		if network, err := netip.ParsePrefix(addr.String()); err == nil {
			addrs = append(addrs, network.Addr().Unmap())
		}
	}
	return addrs, nil
}

// neverInDNS reports whether name is under a top-level domain that RFC 6761
// keeps out of the DNS.
func neverInDNS(name string) bool {
	switch name[strings.LastIndexByte(name, '.')+1:] {
	case "test", "localhost", "invalid", "example":
		return true
	}
	return false
}

func addressStrings(addrs []netip.Addr) []string {
	texts := make([]string, len(addrs))
	for i, addr := range addrs {
		texts[i] = addr.Unmap().String()
	}
	return texts
}
