package check

import (
	"fmt"
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
