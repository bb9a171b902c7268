package config

import (
	"fmt"
	"slices"
)

// Verifier configures what websites may ask: whether to believe an assertion.
type Verifier struct {
	Enabled bool // true by default
	// Domains are the mail domains whose addresses are believed: canonical host
	// names, or * for all. Empty: those that our own hosts sign for.
	Domains []string
	Rate    int  // requests a caller may send in a second: 1 to 1000000, default 100
	Once    bool // each assertion is believed once
}

func (v value) verifier(to *Verifier) (domains section) {
	return v.section(fields{
		"enabled": func(v value) { to.Enabled = v.boolean() },
		"domains": func(v value) { to.Domains = v.texts(value.mailDomain) },
		"rate":    func(v value) { to.Rate = v.integer(1, 1_000_000) },
		"once":    func(v value) { to.Once = v.boolean() },
	})
}

// mailDomain returns a host name, or * for any.
func (v value) mailDomain() (string, bool) {
	if text, ok := v.text(); !ok || text == "*" {
		return text, ok
	}
	return v.hostName()
}

// checkVerifier warns of a list that leaves our own people out: it is instead
// of the default, not besides it.
func (s section) checkVerifier(v Verifier, hosts []Host) {
	if len(v.Domains) == 0 || slices.Contains(v.Domains, "*") {
		return
	}
	for _, host := range hosts {
		for _, domain := range host.MailDomains {
			if domain == host.Name && len(host.MailDomains) > 1 && host.Upstream == nil {
				continue // an identity host of its own: hardly anybody's address
			}
			if !slices.Contains(v.Domains, domain) {
				s.at("domains").warn(fmt.Sprintf("does not list %s, which %s signs for", quote(domain), host.Name),
					"list it too, if its people shall sign in to websites that ask this verifier")
			}
		}
	}
}
