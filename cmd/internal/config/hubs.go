package config

import (
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// hub returns the base URL of a hub without a final slash.
func (v value) hub() (string, bool) {
	const example = "https://hub.example.com/persona"
	u := v.address([]string{"https"}, example)
	if u == nil {
		return "", false
	}
	if name, problem, _ := hostName(u.Hostname()); problem != "" || name != u.Hostname() {
		v.fault(fmt.Sprintf("the host of %s is not a host name in lower case", quote(u.String())), "write it as in "+example)
		return "", false
	}
	if u.Port() == "443" {
		u.Host = u.Hostname()
	}
	return strings.TrimRight(u.String(), "/"), true
}

// checkHubs checks that each hub can see the session of an identity host.
func checkHubs(hubs []item, hosts []Host) {
	for _, hub := range hubs {
		if u, err := url.Parse(hub.text); err != nil || !onAnySite(u.Hostname(), hosts) {
			hub.fault(fmt.Sprintf("%s is not on the site of an identity host", quote(hub.text)),
				"remove it: browsers block cookies of third parties, so a hub of another site never sees who is signed in")
		}
	}
}

func onAnySite(name string, hosts []Host) bool {
	for _, host := range hosts {
		if host.Role == RoleIdentity && sameSite(name, host.Name) {
			return true
		}
	}
	return false
}

// sameSite says whether browsers hold two host names for one site: both under
// one registrable domain.
func sameSite(a, b string) bool {
	siteA, errA := publicsuffix.EffectiveTLDPlusOne(a)
	siteB, errB := publicsuffix.EffectiveTLDPlusOne(b)
	if errA != nil || errB != nil { // a public suffix itself, such as localhost
		return a == b
	}
	return siteA == siteB
}
