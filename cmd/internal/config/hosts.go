package config

import "net/url"

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
	// Hubs of an identity host: those of Identity.Hubs on its own site.
	Hubs []string
	// Authority that a delegating host publishes.
	Authority string
}

// Hosts resolves the domains into the served hosts: for each entry its own
// name, then its further names, then the identity host that it makes, if no
// other entry is that host. Names are unique.
func (c *Config) Hosts() []Host { return nil }
