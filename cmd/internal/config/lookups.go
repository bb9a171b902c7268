package config

import (
	"crypto/x509"
	"net/netip"
	"slices"
	"strings"
)

// Lookups say where the documents of other domains may be asked for.
type Lookups struct {
	// AllowPrivate are networks that may be asked although they are not of the
	// Internet, AllowPrivateDomains names that may resolve to such addresses.
	AllowPrivate        []netip.Prefix
	AllowPrivateDomains []string
	Ports               []int // 443 by default
	// Roots are the system's and those of ca_file; nil, the system's, without it.
	Roots *x509.CertPool
}

func (v value) lookups(l *Lookups) {
	v.section(fields{
		"allow_private": func(v value) { v.texts(l.allowPrivate) },
		"ports":         func(v value) { l.Ports = v.ports() },
		"ca_file":       func(v value) { l.Roots = v.systemRootsAnd() },
	})
}

// allowPrivate reads a network, the word private, or a host name.
func (l *Lookups) allowPrivate(item value) (string, bool) {
	text, ok := item.text()
	if !ok {
		return "", false
	}
	if text == "private" {
		l.AllowPrivate = append(l.AllowPrivate, privateNetworks()...)
		return text, true
	}
	if strings.Contains(text, "/") && !strings.Contains(text, "://") || isAddress(text) {
		prefix, ok := item.network(text)
		if ok {
			l.AllowPrivate = append(l.AllowPrivate, prefix)
		}
		if ok && prefix.Bits() == 0 {
			item.warn(quote(text)+" lets look-ups go everywhere", "list the networks or names that other identity providers of yours have: strangers choose whom we ask")
		}
		return text, ok
	}
	name, ok := item.hostName()
	if ok {
		l.AllowPrivateDomains = append(l.AllowPrivateDomains, name)
	}
	return name, ok
}

// ports returns the ports of a list, each once.
func (v value) ports() []int {
	var all []int
	v.list(func(item value) {
		if port := item.integer(1, 65535); !slices.Contains(all, port) {
			all = append(all, port)
		}
	})
	if len(all) == 0 {
		v.fault("lists no port", "write [443], or remove the key")
	}
	return all
}
