package certs

import (
	"net"
	"strings"
)

// canonicalName folds a host name from the wire: lower case, no final dot.
func canonicalName(name string) string {
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// hostOnly strips the port of a Host header.
func hostOnly(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return hostport
	}
	return host
}
