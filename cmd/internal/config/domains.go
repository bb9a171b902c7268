package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"persona-sidecar/cmd/internal/config/kind"
	"persona-sidecar/cmd/internal/config/strict"
)

func domainPath(i int, key string) string { return fmt.Sprintf("domains[%d].%s", i, key) }

// checkDomains checks each entry by itself, and then all of them together with
// the hosts that they amount to.
func (l loader) checkDomains(c *Config, hosts map[string]Host) {
	if !l.Given("domains") {
		l.Missing("domains", "name at least one, as in example.com")
		return
	}
	if l.IsEmptyList("domains") {
		l.Fault("domains", "is an empty list", "list at least one domain")
	}
	used := map[string]bool{}
	for i, d := range c.Domains {
		used[d.Directory] = true
		c.Domains[i].HSTS.given = l.Given(domainPath(i, "hsts.max_age"))
		if l.IsMapping(fmt.Sprintf("domains[%d]", i)) {
			l.checkDomain(d, i)
			l.checkWebsite(&c.Domains[i], i)
		}
	}
	l.checkUnique(c.Domains)
	for i, d := range c.Domains {
		l.checkReferences(c, d, i, hosts)
		l.checkSignIn(c, d, i, hosts)
	}
	l.checkCertifies(c.Domains, hosts)
	if delete(used, ""); len(c.Domains) > 0 && len(used) == 0 {
		l.Warn("domains", "no domain has a directory, so there is no sign-in", "give one a directory")
	}
	for _, name := range sortedKeys(c.Directories) {
		if !used[name] {
			l.Warn(strict.Join("directories", name), "is used by no domain", "name it in the directory of a domain, or remove it")
		}
	}
}

func (l loader) checkDomain(d Domain, i int) {
	at := func(key string) string { return domainPath(i, key) }
	has := func(key string) bool { return l.Given(at(key)) }
	if !has("name") {
		l.Missing(at("name"), "write it, as in example.com")
	}
	for _, key := range []string{"directory", "authority", "certifies"} {
		if d.Disabled && has(key) {
			l.Fault(at(key), "contradicts "+l.Name(at("disabled")), "keep one of them")
		}
	}
	if d.HSTS.IncludeSubdomains && !has("hsts.max_age") {
		l.Missing(at("hsts.max_age"), l.Setting(at("hsts.include_subdomains"), "true")+" needs it")
	}
	if has("certifies") && !has("directory") && !d.Disabled {
		l.Fault(at("certifies"), "is for an identity host", "write it where the directory is, or give this domain one")
	}
	if len(d.Hosts) > 0 && !has("upstream") {
		l.Fault(at("hosts"), "needs an upstream", "say with "+l.Setting(at("upstream"), "http://…")+" where the website is")
	}
	if !has("directory") && !has("authority") && !d.Disabled && !has("upstream") {
		l.Missing(at("upstream"), "a domain without a website needs directory, authority or disabled")
	}
	for _, key := range []string{"upstream_tls", "upstream_timeout", "upstream_header_bytes", "max_connections", "allow_odd_field_names", "rewrite_redirects", "access"} {
		if has(key) && !has("upstream") {
			l.Fault(at(key), "needs an upstream", "say with "+l.Setting(at("upstream"), "http://…")+" where the website is, or remove the key")
		}
	}
	encrypted := d.Upstream != nil && (d.Upstream.Scheme == "https" || d.Upstream.Scheme == "h2")
	if has("upstream_tls") && d.Upstream != nil && !encrypted {
		l.Fault(at("upstream_tls"), "is for a website at https:// or h2://", "remove it, or correct the upstream")
	}
	l.checkPair(at("upstream_tls.client_cert_file"), at("upstream_tls.client_key_file"))
	switch insecure := at("upstream_tls.insecure"); {
	case d.UpstreamTLS.Insecure && has("upstream_tls.ca_file"):
		l.Fault(insecure, "contradicts "+l.Name(at("upstream_tls.ca_file")), "keep one of them")
	case d.UpstreamTLS.Insecure:
		l.Warn(insecure, "accepts any certificate, so who answers at the website's address is not checked", "name the website's authority in ca_file")
	}
	if d.Upstream != nil && strings.HasPrefix(d.Upstream.Scheme, "h2") && d.MaxConnections > 0 {
		l.Fault(at("max_connections"), "is not counted for a website that speaks HTTP/2", "remove it: its requests share a connection")
	}
	if d.Upstream != nil && (d.Upstream.Hostname() == d.Name || slices.Contains(d.Hosts, d.Upstream.Hostname())) {
		l.Warn(at("upstream"), fmt.Sprintf("%s is a host name that is served here", kind.Quote(d.Upstream.Hostname())),
			"if it leads back to persona, each request goes in circles: name the website's own host")
	}
}

// checkUnique checks that each host name leads to one place.
func (l loader) checkUnique(domains []Domain) {
	first := map[string]string{}
	look := func(name, path string) {
		if other, taken := first[name]; taken {
			l.Fault(path, fmt.Sprintf("%s is served already by %s", kind.Quote(name), l.Called(other)), "list each host name once")
			return
		}
		first[name] = path
	}
	for i, d := range domains {
		if d.Name != "" {
			look(d.Name, domainPath(i, "name"))
		}
	}
	for i := range domains {
		l.Each(domainPath(i, "hosts"), look)
	}
}

// checkReferences checks what an entry names: a directory, an authority, hosts
// that need certificates.
func (l loader) checkReferences(c *Config, d Domain, i int, hosts map[string]Host) {
	at := domainPath(i, "directory")
	if _, known := c.Directories[d.Directory]; l.Given(at) && !known {
		names := sortedKeys(c.Directories)
		cure := "describe it under directories"
		if near := strict.Nearest(d.Directory, names); near != "" {
			cure = fmt.Sprintf("did you mean %s?", near)
		} else if len(names) > 0 {
			cure = "there is " + kind.Alternatives(names)
		}
		l.Fault(at, fmt.Sprintf("there is no directory %s", kind.Quote(d.Directory)), cure)
	}
	if d.Authority != "" && !d.Disabled {
		l.checkAuthority(d, domainPath(i, "authority"), hosts)
	}
	if c.TLS.Mode != ModeACME {
		return
	}
	l.Each(domainPath(i, "hosts"), func(host, path string) {
		if _, err := netip.ParseAddr(host); err == nil {
			l.Fault(path, fmt.Sprintf("%s is an IP address, for which no certificate is obtained", kind.Quote(host)), "write a host name, or bring certificates in files")
		}
	})
}

// checkAuthority checks that the host that a domain delegates to will sign for
// it. Only a host of another provider can have a port, and what such a host
// publishes is not ours to check.
func (l loader) checkAuthority(d Domain, at string, hosts map[string]Host) {
	name, port, hasPort := strings.Cut(d.Authority, ":")
	host, served := hosts[name]
	switch {
	case hasPort && d.Directory != "":
		l.Fault(at, fmt.Sprintf("the identity host %s cannot have a port of its own", kind.Quote(d.Authority)), "write "+name)
	case hasPort && served:
		l.Fault(at, fmt.Sprintf("%s is served here and not on port %s", host.Name, port), "write "+name)
	case d.Authority == d.Name && d.Directory != "":
		l.Fault(at, "names the domain itself", "remove it: with a directory the domain is its own authority")
	case d.Authority == d.Name:
		l.Fault(at, "names the domain itself", "name the host that signs for it, or give the domain a directory")
	case !served:
	case host.Role == RoleDelegating:
		l.Fault(at, fmt.Sprintf("%s delegates to %s itself", d.Authority, host.Authority), "name "+host.Authority)
	case host.Role != RoleIdentity:
		l.Fault(at, fmt.Sprintf("%s is served here and is no identity host", d.Authority), "give that domain a directory, or name another host")
	case d.Directory != "" && host.Directory != d.Directory:
		l.Fault(at, fmt.Sprintf("%s signs with the directory %s already", d.Authority, kind.Quote(host.Directory)), "use one directory for each identity host")
	}
}

// checkCertifies checks that each mail domain has exactly one signer: the entry
// of a served domain names its signer, and of two hosts that certify a domain
// its document could name only one.
func (l loader) checkCertifies(domains []Domain, hosts map[string]Host) {
	first := map[string]string{}
	for i, d := range domains {
		l.Each(domainPath(i, "certifies"), func(domain, path string) {
			if _, served := hosts[domain]; served {
				l.Fault(path, fmt.Sprintf("%s is served here, so its own entry says who signs for it", kind.Quote(domain)),
					"remove it here, and write "+l.Setting(domainPath(i, "authority"), d.signer())+" in its entry")
			} else if other, taken := first[domain]; taken {
				l.Fault(path, fmt.Sprintf("%s is certified already by %s", kind.Quote(domain), l.Called(other)), "one host signs for each address: keep one")
			} else {
				first[domain] = path
			}
		})
	}
}
