package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
	"go.yaml.in/yaml/v3"

	"persona-sidecar/cmd/internal/config/kind"
)

// check checks what no value shows by itself.
func (l *loader) check(c *Config) {
	l.joinDirectory(c)
	l.checkPair("tls.acme.eab_key_id", "tls.acme.eab_mac_key_file")
	l.checkTLS(c)
	l.checkListeners(c.Listen)
	for _, name := range sortedKeys(c.Directories) {
		l.checkDirectory(c.Directories[name], join("directories", name))
	}
	hosts := map[string]Host{}
	all := c.Hosts()
	for _, h := range all {
		hosts[h.Name] = h
	}
	l.checkPasswordChange(c, all)
	l.checkDomains(c, hosts)
	l.checkHubs(all)
	if l.isEmptyList("lookups.ports") {
		l.fault("lookups.ports", "lists no port", "write [443], or remove the key")
	}
	l.checkVerifier(c.Verifier, all)
}

// joinDirectory gives the only domain the directory that the environment
// describes, because no variable names directories.
func (l *loader) joinDirectory(c *Config) {
	const path = "domains[0].directory"
	made := l.given("directories") && l.places["directories"].line == 0
	if !made || len(c.Domains) != 1 || !l.isMapping("domains[0]") || l.places[path].written || l.places["domains[0].disabled"].written {
		return
	}
	c.Domains[0].Directory = EnvironmentDirectory
	l.places[path] = place{node: scalar(EnvironmentDirectory), variable: l.places["directories"].variable}
}

func (l *loader) isMapping(path string) bool {
	node := l.places[path].node
	return node != nil && node.Kind == yaml.MappingNode
}

func (l *loader) isEmptyList(path string) bool {
	node := l.places[path].node
	return node != nil && node.Kind == yaml.SequenceNode && len(node.Content) == 0
}

// checkPair checks that of two keys that belong together both are given, or
// none.
func (l *loader) checkPair(one, other string) {
	if l.given(other) {
		one, other = other, one
	}
	if l.given(one) && !l.given(other) {
		l.missing(other, l.name(one)+" needs it")
	}
}

// checkTLS checks what each mode needs of other sections.
func (l *loader) checkTLS(c *Config) {
	files := []string{"tls.cert_file", "tls.key_file"}
	switch c.TLS.Mode {
	case ModeFiles:
		for _, key := range files {
			if !l.given(key) {
				l.missing(key, l.setting("tls.mode", string(ModeFiles))+" needs it")
			}
		}
	case ModeACME:
		l.checkPair(files[0], files[1])
	case ModeOff:
		for _, key := range files {
			if l.given(key) {
				l.fault(key, "is not read in mode off", "remove it, or use "+l.setting("tls.mode", string(ModeFiles)))
			}
		}
		if l.given("listen.https") && c.Listen.HTTPS != "" {
			l.warn("listen.https", "is not opened in TLS mode off", "remove it")
		}
		c.Listen.HTTPS = ""
		if c.Listen.HTTP == "" {
			l.fault("listen.http", "is empty", "TLS mode off serves plain HTTP there: write :80 or another address")
		}
		if !l.given("trusted_proxies") || l.isEmptyList("trusted_proxies") {
			l.fault("trusted_proxies", "names no proxy", "TLS mode off needs the address of the proxy that ends TLS, or the word private")
		}
	}
	if c.Listen.HTTPS == "" && (c.TLS.Mode == ModeFiles || c.TLS.Mode == ModeACME) {
		l.fault("listen.https", "is empty", "listen somewhere, or use "+l.setting("tls.mode", string(ModeOff)))
	}
}

// checkListeners looks for two listeners on one address.
func (l *loader) checkListeners(listen Listen) {
	all := []struct{ path, address string }{{"listen.https", listen.HTTPS}, {"listen.http", listen.HTTP}, {"listen.admin", listen.Admin}}
	for i, one := range all {
		for _, other := range all[:i] {
			if sameAddress(one.address, other.address) {
				l.fault(one.path, fmt.Sprintf("%s is the address of %s too", kind.Quote(one.address), l.name(other.path)), "give each listener its own port")
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
func (l *loader) checkDirectory(d Directory, path string) {
	if l.given(path) && !l.isMapping(path) { // a fault was recorded
		return
	}
	at := func(key string) string { return join(path, key) }
	if !l.given(at("preset")) {
		l.missing(at("preset"), "write "+l.setting(at("preset"), string(PresetOpenLDAP))+", or custom")
	}
	for _, key := range []string{"user_filter", "login_attributes", "address_attributes", "id_attribute"} {
		switch {
		case d.Preset == PresetCustom && !l.given(at(key)):
			l.missing(at(key), "preset custom knows none by itself")
		case l.isEmptyList(at(key)):
			l.fault(at(key), "is an empty list", "name an attribute, as in [mail]")
		}
	}
	switch {
	case l.given(at("urls")) && l.given(at("srv")):
		l.fault(at("srv"), "is given beside "+l.name(at("urls")), "remove one of them")
	case !l.given(at("urls")) && !l.given(at("srv")):
		l.missing(at("urls"), "name a server, as in ldaps://ldap.example.com")
	}
	l.checkPair(at("client_cert_file"), at("client_key_file"))
	for _, server := range append([]string{d.SRV}, d.URLs...) {
		if strings.HasPrefix(server, "ldap:") && !d.StartTLS && !d.InsecurePlaintext {
			key := at("urls")
			if server == d.SRV {
				key = at("srv")
			}
			l.fault(key, fmt.Sprintf("%s would send passwords in clear text", kind.Quote(server)),
				fmt.Sprintf("use ldaps://, or %s; for a test alone, %s", l.setting(at("start_tls"), "true"), l.setting(at("insecure_plaintext"), "true")))
		}
	}
	if !l.given(at("base_dn")) || l.isEmptyList(at("base_dn")) {
		l.missing(at("base_dn"), "name the entry below which all people are, as in dc=example,dc=com")
	}
	l.checkBases(d.BaseDNs, at("base_dn"))
	l.checkBind(at("bind_dn"), at("bind_password"), at("bind_password_file"))
}

// checkBases checks that no entry is below two of the bases: its addresses would have two holders.
func (l *loader) checkBases(bases []string, path string) {
	for i, one := range bases {
		for _, other := range bases[:i] {
			a, errA := ldap.ParseDN(one)
			b, errB := ldap.ParseDN(other)
			if errA == nil && errB == nil && (a.EqualFold(b) || a.AncestorOfFold(b) || b.AncestorOfFold(a)) {
				l.fault(path, fmt.Sprintf("%s and %s overlap", kind.Quote(other), kind.Quote(one)), "keep the one that contains the other")
			}
		}
	}
}

// checkPasswordChange keeps the change of passwords to where it works, and where no script of a website is on the same
// origin.
func (l *loader) checkPasswordChange(c *Config, hosts []Host) {
	for _, name := range sortedKeys(c.Directories) {
		d, path := c.Directories[name], join(join("directories", name), "password_change")
		if d.PasswordChange == (PasswordChange{}) {
			continue
		}
		method := join(path, "method")
		if d.PasswordChange.Method != "" {
			const elsewhere = "give the url of the page where people change their password"
			if d.PasswordChange.URL != "" {
				l.fault(method, "is given together with url", "keep one of them")
			}
			if d.Preset == PresetActiveDirectory {
				l.fault(method, "does not work with Active Directory, which does not know RFC 3062", elsewhere)
			}
			if d.InsecurePlaintext && !d.StartTLS && slices.ContainsFunc(append([]string{d.SRV}, d.URLs...), func(u string) bool { return strings.HasPrefix(u, "ldap:") }) {
				l.fault(method, "would send passwords in clear text", "use ldaps://, or "+l.setting(join(join("directories", name), "start_tls"), "true"))
			}
		}
		for _, host := range hosts {
			if host.Role == RoleIdentity && host.Directory == name && host.Upstream != nil {
				l.fault(path, fmt.Sprintf("is not for %s, which shares its origin with a website: its scripts could read both passwords", kind.Quote(host.Name)),
					"give sign-in a host of its own, as in authority: id."+host.Name)
				break
			}
		}
	}
}

// checkBind checks that there are a name and a password, or none.
func (l *loader) checkBind(name, password, file string) {
	hasPassword := l.given(password) || l.given(file)
	switch {
	case l.given(name) && !hasPassword && l.places[password].written:
		l.missing(password, l.name(name)+" needs a password; put quotes around one that begins with # or another special character")
	case l.given(name) && !hasPassword:
		l.missing(file, l.name(name)+" needs a password")
	case !l.given(name) && hasPassword:
		l.missing(name, "say whose password it is, as in cn=persona,dc=example,dc=com")
	case !l.given(name):
		l.warn(name, "is missing, so the directory is searched anonymously", "most directories do not allow it: name an entry that may read")
	}
}

// checkHubs checks that each hub can see the session of an identity host.
func (l *loader) checkHubs(hosts []Host) {
	sites := map[string]bool{}
	for _, h := range hosts {
		if h.Role == RoleIdentity {
			sites[site(h.Name)] = true
		}
	}
	l.each("identity.hubs", func(hub, path string) {
		if u, err := url.Parse(hub); err != nil || !sites[site(u.Hostname())] {
			l.fault(path, fmt.Sprintf("%s is not on the site of an identity host", kind.Quote(hub)),
				"remove it: browsers block cookies of third parties, so a hub of another site never sees who is signed in")
		}
	})
}

// checkVerifier warns of a list that leaves domains out that are signed for
// here: it replaces the default.
func (l *loader) checkVerifier(v Verifier, hosts []Host) {
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
				l.warn("verifier.domains", fmt.Sprintf("does not list %s, which %s signs for", kind.Quote(domain), host.Name),
					"list it too, if its people shall sign in to websites that ask this verifier")
			}
		}
	}
}

// each calls f for every item of a list that was read without a fault, with its
// path.
func (l *loader) each(list string, f func(text, path string)) {
	node := l.places[list].node
	if node == nil {
		return
	}
	for i := range node.Content {
		path := fmt.Sprintf("%s[%d]", list, i)
		if text := l.places[path].text; text != "" {
			f(text, path)
		}
	}
}
