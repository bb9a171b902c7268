package config

import (
	"net/url"
	"slices"
)

// Role is the part that a host plays in the protocol.
type Role string

// The roles of a host.
const (
	RolePlain      Role = "plain"      // only proxied, nothing is intercepted
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
	Role     Role
	// Directory of an identity host: a key of Config.Directories.
	Directory string
	// MailDomains that an identity host signs for, sorted but its own name
	// first: itself, every domain whose authority it is, what those certify.
	MailDomains []string
	// Hubs of an identity host besides its own: those of Identity.Hubs on its
	// site, and those of the other identity hosts there.
	Hubs []string
	// Authority that a delegating host publishes.
	Authority string
}

// Hosts resolves the domains into the served hosts: for each entry its own name
// and its further names, then the identity hosts that entries make without
// being them. Names are unique.
func (c *Config) Hosts() []Host {
	r := resolution{at: map[string]int{}}
	for _, d := range c.Domains {
		r.add(d.host())
		for _, name := range d.Hosts {
			r.add(Host{Name: name, Domain: d.Name, Upstream: d.Upstream, Role: RolePlain})
		}
	}
	for _, d := range c.Domains {
		if d.makesHost() {
			r.add(Host{Name: d.Authority, Domain: d.Name, Role: RoleIdentity, Directory: d.Directory})
		}
	}
	for i, h := range r.hosts {
		if h.Role == RoleIdentity {
			r.hosts[i].MailDomains = c.mailDomains(h.Name)
			r.hosts[i].Hubs = union(c.hubs(h.Name), c.sisters(h.Name, r.hosts))
		}
	}
	return r.hosts
}

// resolution gathers hosts by name. The first of a name counts; that there is
// no second was checked.
type resolution struct {
	hosts []Host
	at    map[string]int
}

func (r *resolution) add(h Host) {
	if _, taken := r.at[h.Name]; taken || h.Name == "" {
		return
	}
	r.at[h.Name] = len(r.hosts)
	r.hosts = append(r.hosts, h)
}

// makesHost says whether the entry makes the identity host that it names as
// authority.
func (d Domain) makesHost() bool { return d.Directory != "" && d.Authority != "" && !d.Disabled }

// signer returns the identity host of the entry's directory.
func (d Domain) signer() string {
	if d.makesHost() {
		return d.Authority
	}
	return d.Name
}

// host returns what the entry is under its own name.
func (d Domain) host() Host {
	h := Host{Name: d.Name, Domain: d.Name, Upstream: d.Upstream}
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

// mailDomains returns what an identity host signs for.
func (c *Config) mailDomains(host string) []string {
	var others []string
	for _, d := range c.Domains {
		if d.Authority == host && d.Name != host && !d.Disabled {
			others = append(others, d.Name)
		}
		if d.Directory != "" && d.signer() == host {
			others = append(others, d.Certifies...)
		}
	}
	slices.Sort(others)
	return append([]string{host}, slices.Compact(others)...)
}

// union returns what stands in either list, once.
func union(a, b []string) []string {
	for _, text := range b {
		if !slices.Contains(a, text) {
			a = append(a, text)
		}
	}
	return a
}

// hubs returns the configured hubs on the site of a host.
func (c *Config) hubs(host string) []string {
	var all []string
	for _, hub := range c.Identity.Hubs {
		if u, err := url.Parse(hub); err == nil && sameSite(u.Hostname(), host) {
			all = append(all, hub)
		}
	}
	return all
}
