package check

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"persona-sidecar/idp/browserid"
)

// Target is what the caller wants checked: a domain, or the way of a person with
// an address. Exactly one of them is set.
type Target struct {
	Domain  string // host or host:port, canonical
	Address browserid.Address
}

// ParseTarget reads a domain or an address as it was typed. Upper case,
// international names and a final dot are fine.
func ParseTarget(text string) (Target, error) {
	if strings.Contains(text, "@") {
		address, err := browserid.ParseAddress(text)
		if err != nil {
			return Target{}, err
		}
		return Target{Address: address}, nil
	}
	host, port, _ := strings.Cut(text, ":")
	name, err := idna.New(idna.MapForLookup(), idna.StrictDomainName(true)).ToASCII(strings.TrimSuffix(host, "."))
	if err == nil && port != "" && port != "443" {
		name += ":" + port
	}
	if err == nil {
		name, err = browserid.ParseAuthority(name)
	}
	if err != nil {
		return Target{}, fmt.Errorf("%q is not a domain", text)
	}
	return Target{Domain: name}, nil
}

// Resolve is an address at which our names are found instead of where DNS says.
// The zero value leaves it to DNS.
type Resolve struct {
	host  string // IP address or host name; "" for none
	https int    // port; 0: the port that outsiders use
	plain int    // port for plain HTTP; 0: 80, -1: not known
}

// ParseResolve reads ADDR or ADDR:PORT, where ADDR is an IP address or a host
// name. With a port, that is where HTTPS is, and plain HTTP is looked for at the
// port of the configuration's listen.http.
func ParseResolve(text string) (Resolve, error) {
	if text == "" {
		return Resolve{}, nil
	}
	if address, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return Resolve{host: address.String()}, nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = text, ""
	}
	if strings.ContainsAny(text, "/ @") || host == "" || err != nil && strings.Contains(text, ":") {
		return Resolve{}, fmt.Errorf("%q is not an address such as 192.0.2.1 or 127.0.0.1:8443", text)
	}
	if port == "" {
		return Resolve{host: host}, nil
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return Resolve{}, errors.New("the port of " + strconv.Quote(text) + " is not a number from 1 to 65535")
	}
	return Resolve{host: host, https: int(number), plain: -1}, nil
}

// withPlain completes what a port leaves open: it says that the program's own
// listener is asked, and that one listens for plain HTTP where it was told to.
func (r Resolve) withPlain(listen string) Resolve {
	if r.plain != -1 || listen == "" {
		return r
	}
	_, port, err := net.SplitHostPort(listen)
	if number, bad := strconv.Atoi(port); err == nil && bad == nil && number > 0 {
		r.plain = number
	}
	return r
}

// instead returns where to connect for a port of one of our names; "" when that
// is not known.
func (r Resolve) instead(port string) string {
	switch {
	case port == "80" && r.plain == -1:
		return ""
	case port == "80" && r.plain > 0:
		port = strconv.Itoa(r.plain)
	case port != "80" && r.https > 0:
		port = strconv.Itoa(r.https)
	}
	return net.JoinHostPort(r.host, port)
}
