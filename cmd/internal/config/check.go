package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"persona-sidecar/cmd/internal/config/kind"
	"persona-sidecar/cmd/internal/config/strict"
)

// check checks what no value shows by itself.
func (l loader) check(c *Config) {
	l.joinDirectory(c)
	l.checkPair("tls.acme.eab_key_id", "tls.acme.eab_mac_key_file")
	l.checkTLS(c)
	l.checkListeners(c.Listen)
	for _, name := range sortedKeys(c.Directories) {
		l.checkDirectory(c.Directories[name], strict.Join("directories", name))
	}
	hosts := map[string]Host{}
	all := c.Hosts()
	for _, h := range all {
		hosts[h.Name] = h
	}
	l.checkPasswordChange(c, all)
	l.checkDomains(c, hosts)
	l.checkForwardAuth(c, hosts)
	l.checkApps(c, hosts)
	l.checkHubs(all)
	if l.IsEmptyList("lookups.ports") {
		l.Fault("lookups.ports", "lists no port", "write [443], or remove the key")
	}
	l.checkVerifier(c.Verifier, all)
}

// joinDirectory gives the only domain the directory that the environment
// describes, because no variable names directories.
func (l loader) joinDirectory(c *Config) {
	const path = "domains[0].directory"
	if !l.FromEnvironment("directories") || len(c.Domains) != 1 || !l.IsMapping("domains[0]") || l.Written(path) || l.Written("domains[0].disabled") {
		return
	}
	c.Domains[0].Directory = EnvironmentDirectory
	l.Follows(path, EnvironmentDirectory, "directories")
}

// checkPair checks that of two keys that belong together both are given, or
// none.
func (l loader) checkPair(one, other string) {
	if l.Given(other) {
		one, other = other, one
	}
	if l.Given(one) && !l.Given(other) {
		l.Missing(other, l.Name(one)+" needs it")
	}
}

// checkTLS checks what each mode needs of other sections.
func (l loader) checkTLS(c *Config) {
	files := []string{"tls.cert_file", "tls.key_file"}
	switch c.TLS.Mode {
	case ModeFiles:
		for _, key := range files {
			if !l.Given(key) {
				l.Missing(key, l.Setting("tls.mode", string(ModeFiles))+" needs it")
			}
		}
	case ModeACME:
		l.checkPair(files[0], files[1])
	case ModeOff:
		for _, key := range files {
			if l.Given(key) {
				l.Fault(key, "is not read in mode off", "remove it, or use "+l.Setting("tls.mode", string(ModeFiles)))
			}
		}
		if l.Given("listen.https") && c.Listen.HTTPS != "" {
			l.Warn("listen.https", "is not opened in TLS mode off", "remove it")
		}
		c.Listen.HTTPS = ""
		if c.Listen.HTTP == "" {
			l.Fault("listen.http", "is empty", "TLS mode off serves plain HTTP there: write :80 or another address")
		}
		if !l.Given("trusted_proxies") || l.IsEmptyList("trusted_proxies") {
			l.Fault("trusted_proxies", "names no proxy", "TLS mode off needs the address of the proxy that ends TLS, or the word private")
		}
	}
	if c.Listen.HTTPS == "" && (c.TLS.Mode == ModeFiles || c.TLS.Mode == ModeACME) {
		l.Fault("listen.https", "is empty", "listen somewhere, or use "+l.Setting("tls.mode", string(ModeOff)))
	}
}

// checkListeners looks for two listeners on one address.
func (l loader) checkListeners(listen Listen) {
	all := []struct{ path, address string }{{"listen.https", listen.HTTPS}, {"listen.http", listen.HTTP}, {"listen.admin", listen.Admin}}
	for i, one := range all {
		for _, other := range all[:i] {
			if sameAddress(one.address, other.address) {
				l.Fault(one.path, fmt.Sprintf("%s is the address of %s too", kind.Quote(one.address), l.Name(other.path)), "give each listener its own port")
			}
		}
	}
}

// sameAddress reports whether two listeners cannot both be opened.
func sameAddress(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	every := func(host string) bool {
		addr, err := netip.ParseAddr(host)
		return host == "" || err == nil && addr.IsUnspecified()
	}
	return errA == nil && errB == nil && portA == portB && portA != "0" && (hostA == hostB || every(hostA) || every(hostB))
}

// checkDirectory checks that one directory can be asked, and that no password
// crosses the network in clear text unless that was asked for.
func (l loader) checkDirectory(d Directory, path string) {
	if l.Given(path) && !l.IsMapping(path) { // a fault was recorded
		return
	}
	at := func(key string) string { return strict.Join(path, key) }
	if !l.Given(at("preset")) {
		l.Missing(at("preset"), "write "+l.Setting(at("preset"), string(PresetOpenLDAP))+", or custom")
	}
	for _, key := range []string{"user_filter", "login_attributes", "address_attributes", "id_attribute"} {
		switch {
		case d.Preset == PresetCustom && !l.Given(at(key)):
			l.Missing(at(key), "preset custom knows none by itself")
		case l.IsEmptyList(at(key)):
			l.Fault(at(key), "is an empty list", "name an attribute, as in [mail]")
		}
	}
	switch {
	case l.Given(at("urls")) && l.Given(at("srv")):
		l.Fault(at("srv"), "is given beside "+l.Name(at("urls")), "remove one of them")
	case !l.Given(at("urls")) && !l.Given(at("srv")):
		l.Missing(at("urls"), "name a server, as in ldaps://ldap.example.com")
	}
	l.checkPair(at("client_cert_file"), at("client_key_file"))
	for _, server := range append([]string{d.SRV}, d.URLs...) {
		if strings.HasPrefix(server, "ldap:") && !d.StartTLS && !d.InsecurePlaintext {
			key := at("urls")
			if server == d.SRV {
				key = at("srv")
			}
			l.Fault(key, fmt.Sprintf("%s would send passwords in clear text", kind.Quote(server)),
				fmt.Sprintf("use ldaps://, or %s; for a test alone, %s", l.Setting(at("start_tls"), "true"), l.Setting(at("insecure_plaintext"), "true")))
		}
	}
	if !l.Given(at("base_dn")) || l.IsEmptyList(at("base_dn")) {
		l.Missing(at("base_dn"), "name the entry below which all people are, as in dc=example,dc=com")
	}
	l.checkBases(d.BaseDNs, at("base_dn"))
	l.checkBind(at("bind_dn"), at("bind_password"), at("bind_password_file"))
}

// checkBases checks that no entry is below two of the bases: its addresses would have two holders.
func (l loader) checkBases(bases []string, path string) {
	for i, one := range bases {
		for _, other := range bases[:i] {
			a, errA := ldap.ParseDN(one)
			b, errB := ldap.ParseDN(other)
			if errA == nil && errB == nil && (a.EqualFold(b) || a.AncestorOfFold(b) || b.AncestorOfFold(a)) {
				l.Fault(path, fmt.Sprintf("%s and %s overlap", kind.Quote(other), kind.Quote(one)), "keep the one that contains the other")
			}
		}
	}
}

// checkPasswordChange keeps the change of passwords to where it works, and where no script of a website is on the same
// origin.
func (l loader) checkPasswordChange(c *Config, hosts []Host) {
	for _, name := range sortedKeys(c.Directories) {
		d, path := c.Directories[name], strict.Join(strict.Join("directories", name), "password_change")
		if d.PasswordChange == (PasswordChange{}) {
			continue
		}
		method := strict.Join(path, "method")
		if d.PasswordChange.Method != "" {
			const elsewhere = "give the url of the page where people change their password"
			if d.PasswordChange.URL != "" {
				l.Fault(method, "is given together with url", "keep one of them")
			}
			if d.Preset == PresetActiveDirectory {
				l.Fault(method, "does not work with Active Directory, which does not know RFC 3062", elsewhere)
			}
			if d.InsecurePlaintext && !d.StartTLS && slices.ContainsFunc(append([]string{d.SRV}, d.URLs...), func(u string) bool { return strings.HasPrefix(u, "ldap:") }) {
				l.Fault(method, "would send passwords in clear text", "use ldaps://, or "+l.Setting(strict.Join(strict.Join("directories", name), "start_tls"), "true"))
			}
		}
		for _, host := range hosts {
			if host.Role == RoleIdentity && host.Directory == name && host.Upstream != nil {
				l.Fault(path, fmt.Sprintf("is not for %s, which shares its origin with a website: its scripts could read both passwords", kind.Quote(host.Name)),
					"give sign-in a host of its own, as in authority: id."+host.Name)
				break
			}
		}
	}
}

// checkBind checks that there are a name and a password, or none.
func (l loader) checkBind(name, password, file string) {
	hasPassword := l.Given(password) || l.Given(file)
	switch {
	case l.Given(name) && !hasPassword && l.Written(password):
		l.Missing(password, l.Name(name)+" needs a password; put quotes around one that begins with # or another special character")
	case l.Given(name) && !hasPassword:
		l.Missing(file, l.Name(name)+" needs a password")
	case !l.Given(name) && hasPassword:
		l.Missing(name, "say whose password it is, as in cn=persona,dc=example,dc=com")
	case !l.Given(name):
		l.Warn(name, "is missing, so the directory is searched anonymously", "most directories do not allow it: name an entry that may read")
	}
}

// checkHubs checks that each hub can see the session of an identity host.
func (l loader) checkHubs(hosts []Host) {
	sites := map[string]bool{}
	for _, h := range hosts {
		if h.Role == RoleIdentity {
			sites[site(h.Name)] = true
		}
	}
	l.Each("identity.hubs", func(hub, path string) {
		if u, err := url.Parse(hub); err != nil || !sites[site(u.Hostname())] {
			l.Fault(path, fmt.Sprintf("%s is not on the site of an identity host", kind.Quote(hub)),
				"remove it: browsers block cookies of third parties, so a hub of another site never sees who is signed in")
		}
	})
}

// checkVerifier warns of a list that leaves domains out that are signed for
// here: it replaces the default.
func (l loader) checkVerifier(v Verifier, hosts []Host) {
	if len(v.Domains) == 0 || slices.Contains(v.Domains, "*") {
		return
	}
	listed := map[string]bool{}
	for _, domain := range v.Domains {
		listed[domain] = true
	}
	for _, host := range hosts {
		for _, domain := range host.MailDomains {
			// An identity host of its own is hardly a part of an address.
			alone := domain == host.Name && len(host.MailDomains) > 1 && host.Upstream == nil
			if !alone && !listed[domain] {
				l.Warn("verifier.domains", fmt.Sprintf("does not list %s, which %s signs for", kind.Quote(domain), host.Name),
					"list it too, if its people shall sign in to websites that ask this verifier")
			}
		}
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
