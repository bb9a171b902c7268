package website

import (
	"net"
	"net/netip"
)

// Neighbour is a website that another server serves, and for which that server asks here who is signed in.
type Neighbour struct {
	// Required. The host name of the website, with its port if that is not 443. It is not served here, and no
	// certificate is ordered for it.
	Host string `yaml:"host" as:"authority" example:"wiki.example.com"`
	// Required. The identity host of this file whose sign-ins count.
	Authority string `yaml:"authority" as:"host" example:"id.example.com"`
	// Required. The addresses from which the server of the website asks. No other address may,
	// and X-Forwarded-For does not count: it is the address of the connection.
	Proxies []netip.Addr `yaml:"proxies" as:"address" example:"[10.0.0.5]"`
	// Lets in members of one of these groups alone, by name (cn).
	Groups []string `yaml:"groups" as:"groupName" example:"[staff]"`
	// Instead of groups: rules as those of domains[].access. Without both, everyone who is
	// signed in is let in, and no one else.
	Access []Rule `yaml:"access"`
	// Answers the server with fields that tell who is signed in, as those of
	// domains[].identity_headers: true, or keys below it.
	IdentityHeaders Headers `yaml:"identity_headers" as:"switch" example:"true"`
}

// Name is the host name without its port.
func (n *Neighbour) Name() string {
	if name, _, err := net.SplitHostPort(n.Host); err == nil {
		return name
	}
	return n.Host
}

// Rules are the rules that access and groups amount to.
func (n *Neighbour) Rules() []Rule {
	switch {
	case len(n.Access) > 0:
		return n.Access
	case len(n.Groups) > 0:
		return []Rule{{Path: "/", Groups: n.Groups}}
	}
	return []Rule{{Path: "/", Allow: "signed_in"}}
}
