package config

import (
	"fmt"
	"strings"
)

// checkDirectory checks that the directory of a domain exists.
func (e entry) checkDirectory(c *Config, directories value) {
	at := e.at.at("directory")
	if !at.given() {
		return
	}
	if _, known := c.Directories[e.Directory]; known {
		return
	}
	cure := "describe it under " + directories.path
	if near := nearest(e.Directory, sortedKeys(c.Directories)); near != "" {
		cure = fmt.Sprintf("did you mean %s?", near)
	} else if len(c.Directories) > 0 {
		cure = "there is " + alternatives(sortedKeys(c.Directories))
	}
	at.fault(fmt.Sprintf("there is no directory %s", quote(e.Directory)), cure)
}

// checkAuthority checks that whoever a domain delegates to will speak for it.
func (e entry) checkAuthority(hosts map[string]Host) {
	at := e.at.at("authority")
	if !at.given() || e.Authority == "" || e.Disabled {
		return
	}
	host, served := hosts[e.Authority]
	switch {
	case strings.Contains(e.Authority, ":"):
		e.checkPort(at, hosts)
	case e.Authority == e.Name && e.at.has("directory"):
		at.fault("names the domain itself", "remove it: with a directory the domain is its own authority")
	case e.Authority == e.Name:
		at.fault("names the domain itself", "name the host that signs for it, or give the domain a directory")
	case !served: // somebody else's, whose document is for them to publish
	case host.Role == RoleDelegating:
		at.fault(fmt.Sprintf("%s delegates to %s itself", e.Authority, host.Authority), "name "+host.Authority)
	case host.Role != RoleIdentity:
		at.fault(fmt.Sprintf("%s is served here and is no identity host", e.Authority), "give that domain a directory, or name another host")
	case e.Directory != "" && host.Directory != e.Directory:
		at.fault(fmt.Sprintf("%s signs with the directory %s already", e.Authority, quote(host.Directory)), "use one directory for each identity host")
	}
}

// checkPort checks an authority with a port, which only somebody else's can have.
func (e entry) checkPort(at value, hosts map[string]Host) {
	name, port, _ := strings.Cut(e.Authority, ":")
	if e.at.has("directory") {
		at.fault(fmt.Sprintf("the identity host %s cannot have a port of its own", quote(e.Authority)), "write "+name)
		return
	}
	if host, served := hosts[name]; served {
		at.fault(fmt.Sprintf("%s is served here and not on port %s", host.Name, port), "write "+name)
	}
}

// checkAddresses looks for host names that can get no certificate.
func (e entry) checkAddresses(mode Mode) {
	if mode != ModeACME {
		return
	}
	for _, host := range e.hosts {
		if isAddress(host.text) {
			host.fault(fmt.Sprintf("%s is an IP address, for which no certificate is obtained", quote(host.text)), "write a host name, or bring certificates in files")
		}
	}
}

// checkCertifies checks that each address has exactly one signer: a domain that
// is served says by its own entry who signs for it, and of two hosts that
// certify a domain only one could be named by its document.
func checkCertifies(entries []entry, hosts map[string]Host) {
	first := map[string]value{}
	for _, e := range entries {
		for _, domain := range e.certifies {
			if _, served := hosts[domain.text]; served {
				domain.fault(fmt.Sprintf("%s is served here, so its own entry says who signs for it", quote(domain.text)),
					"remove it here, and write "+e.at.at("authority").setting(e.signer())+" in its entry")
			} else if other, taken := first[domain.text]; taken {
				domain.fault(fmt.Sprintf("%s is certified already by %s", quote(domain.text), other.called()), "one host signs for each address: keep one")
			} else {
				first[domain.text] = domain.value
			}
		}
	}
}
