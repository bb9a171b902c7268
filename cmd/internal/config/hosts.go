package config

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"
)

// Role is the part that a host plays in the protocol.
type Role string

// The roles of a host.
const (
	RolePlain      Role = "plain"      // publishes nothing
	RoleIdentity   Role = "identity"   // publishes a support document and signs
	RoleDelegating Role = "delegating" // publishes {"authority": ...}
	RoleDisabled   Role = "disabled"   // publishes {"disabled": true}
)

// Host is one served host name with everything that follows from all domains
// together.
type Host struct {
	Name string // canonical host name
	// Domain is the Name of the first domain entry that this host comes from.
	// Requests whose Host and TLS server name belong to different entries are
	// misdirected.
	Domain string
	// Upstream is nil for an identity host without a website, which redirects
	// to its own page, and for a delegating or disabled host without one, which
	// has nothing to show but its document. Never nil on a plain host.
	Upstream *url.URL
	// Entry is the domain entry that Domain names.
	Entry *Domain
	// Guarded reports whether the host is on the site of an identity host, or is one: its
	// answers could delete the cookies of that host.
	Guarded bool
	Role    Role
	// Directory of an identity host: a key of Config.Directories.
	Directory string
	// MailDomains that an identity host signs for, sorted, but its own name
	// first: itself, every domain whose authority it is, what those certify.
	MailDomains []string
	// Hubs of an identity host besides its own: those of Identity.Hubs on its
	// site, and those of the other identity hosts there.
	Hubs []string
	// Authority that a delegating host publishes.
	Authority string
	// SignIn is the identity host whose sign-ins the website of this host is told of, or
	// asked for; it may be the host itself. "" without identity headers and access rules.
	SignIn string
}

// Hosts resolves the domains into the served hosts: for each entry its own name
// and its further names, then the identity hosts that entries make without
// being them. Names are unique.
func (c *Config) Hosts() []Host {
	var hosts []Host
	taken := map[string]bool{}
	add := func(h Host) {
		if h.Name != "" && !taken[h.Name] { // that there is no second was checked
			taken[h.Name] = true
			hosts = append(hosts, h)
		}
	}
	signed := map[string][]string{} // mail domains by the identity host that signs for them
	for i := range c.Domains {
		d := &c.Domains[i]
		own := d.host()
		if d.IdentityHeaders.On || len(d.Access) > 0 {
			own.SignIn = cmp.Or(d.Authority, d.Name)
		}
		add(own)
		for _, name := range d.Hosts {
			add(Host{Name: name, Domain: d.Name, Upstream: d.Upstream, Entry: d, Role: RolePlain, SignIn: own.SignIn})
		}
		if d.Authority != "" && d.Authority != d.Name && !d.Disabled {
			signed[d.Authority] = append(signed[d.Authority], d.Name)
		}
		if d.Directory != "" {
			signed[d.signer()] = append(signed[d.signer()], d.Certifies...)
		}
	}
	for i := range c.Domains {
		if d := &c.Domains[i]; d.makesHost() {
			add(Host{Name: d.Authority, Domain: d.Name, Entry: d, Role: RoleIdentity, Directory: d.Directory})
		}
	}
	signsIn := map[string]bool{} // by site
	for _, h := range hosts {
		switch h.Role {
		case RoleIdentity:
			signsIn[site(h.Name)] = true
		case RoleDelegating: // the host may be served elsewhere
			name, _, _ := strings.Cut(h.Authority, ":")
			signsIn[site(name)] = true
		}
	}
	hubs := c.hubsBySite(hosts)
	for i := range hosts {
		h := &hosts[i]
		h.Guarded = signsIn[site(h.Name)]
		if h.Role != RoleIdentity {
			continue
		}
		others := signed[h.Name]
		slices.Sort(others)
		h.MailDomains = append([]string{h.Name}, slices.Compact(others)...)
		known := hubs[site(h.Name)]
		h.Hubs = slices.Grow(h.Hubs, max(0, len(known)-1))
		for _, hub := range known {
			if hub.host != h.Name {
				h.Hubs = append(h.Hubs, hub.url)
			}
		}
	}
	return hosts
}

// The max-age that identity hosts send unless it is configured.
// Where a website shares the host, one that goes back to plain HTTP is reachable again
// after a week.
const (
	identityHSTS = 365 * 24 * time.Hour
	sharedHSTS   = 7 * 24 * time.Hour
)

// StrictTransport returns the Strict-Transport-Security that a host sends over HTTPS, ""
// for none. An address can have none (RFC 6797, section 8.1).
func (c *Config) StrictTransport(h Host) string {
	age := h.Entry.HSTS.MaxAge
	switch {
	case h.Entry.HSTS.given:
	case h.Role != RoleIdentity || c.TLS.Mode == ModeOff:
	case h.Upstream == nil:
		age = identityHSTS
	default:
		age = sharedHSTS
	}
	if _, err := netip.ParseAddr(h.Name); err == nil || age == 0 {
		return ""
	}
	value := fmt.Sprintf("max-age=%d", int(age.Seconds()))
	if h.Entry.HSTS.IncludeSubdomains {
		value += "; includeSubDomains"
	}
	return value
}

// makesHost reports whether the entry makes the identity host that it names as
// authority.
func (d *Domain) makesHost() bool { return d.Directory != "" && d.Authority != "" && !d.Disabled }

// signer returns the identity host of the entry's directory.
func (d *Domain) signer() string {
	if d.makesHost() {
		return d.Authority
	}
	return d.Name
}

// host returns what the entry is under its own name.
func (d *Domain) host() Host {
	h := Host{Name: d.Name, Domain: d.Name, Upstream: d.Upstream, Entry: d}
	switch {
	case d.Disabled:
		h.Role = RoleDisabled
	case d.Authority != "":
		h.Role, h.Authority = RoleDelegating, d.Authority
	case d.Directory != "":
		h.Role, h.Directory = RoleIdentity, d.Directory
	default:
		h.Role = RolePlain
	}
	return h
}

// siteHub is a hub of a site: a configured one, or that of an identity host.
type siteHub struct{ url, host string } // host is "" for a configured one

// hubsBySite returns the hubs of each site. An identity host is a hub for people
// of all identity hosts on its site.
func (c *Config) hubsBySite(hosts []Host) map[string][]siteHub {
	hubs := map[string][]siteHub{}
	configured := map[string]bool{}
	for _, hub := range c.Identity.Hubs {
		if u, err := url.Parse(hub); err == nil && !configured[hub] {
			configured[hub] = true
			hubs[site(u.Hostname())] = append(hubs[site(u.Hostname())], siteHub{url: hub})
		}
	}
	if !c.Hub.Enabled {
		return hubs
	}
	for _, h := range hosts {
		authority := Authority(h.Name, c.Listen.PublicHTTPS, 443)
		if hub := "https://" + authority + "/persona"; h.Role == RoleIdentity && !configured[hub] {
			hubs[site(h.Name)] = append(hubs[site(h.Name)], siteHub{hub, h.Name})
		}
	}
	return hubs
}

// Authority returns a host name or IP address with a port as URLs have it: an IPv6
// address in brackets, and no port where it is 0 or the usual one of the scheme.
func Authority(host string, port, usual int) string {
	switch {
	case port != usual && port != 0:
		return net.JoinHostPort(host, strconv.Itoa(port))
	case strings.Contains(host, ":"):
		return "[" + host + "]"
	}
	return host
}

// site returns what browsers hold a host name for a part of: its registrable
// domain. A public suffix itself, such as localhost, is a site of its own.
func site(host string) string {
	domain, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return host
	}
	return domain
}
