package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"persona-sidecar/cmd/internal/config/kind"
	"persona-sidecar/cmd/internal/config/strict"
	"persona-sidecar/cmd/internal/config/website"
)

// checkWebsite checks what the website of an entry is told and who may see it, and
// completes that from the preset.
func (l loader) checkWebsite(d *Domain, i int) {
	at := func(key string) string { return domainPath(i, key) }
	if d.IdentityHeaders.On && !l.Given(at("upstream")) {
		l.Fault(at("identity_headers"), "needs an upstream", "say with "+l.Setting(at("upstream"), "http://…")+" where the website is, or remove the key")
	}
	l.checkTold(at, &d.IdentityHeaders, d.Access)
}

// checkTold checks the keys identity_headers and access of an entry, whose keys have the paths that
// at returns.
func (l loader) checkTold(at func(key string) string, told *website.Headers, rules []website.Rule) {
	headers, access := at("identity_headers"), at("access")
	given := func(path string) bool { return l.Given(path) && (!strings.HasSuffix(path, "]") || l.IsMapping(path)) }
	inHeaders := func(key string) string { return strict.Join(headers, key) }
	l.report(inHeaders, told.Complete(func(key string) bool { return given(inHeaders(key)) }))
	if l.IsEmptyList(inHeaders("send_groups")) {
		l.Fault(inHeaders("send_groups"), "is an empty list", `remove it to send all groups, or write names: {groups: ""} to send none`)
	}
	if l.IsEmptyList(access) {
		l.Fault(access, "is an empty list", "write a rule, or remove the key")
	}
	inAccess := func(key string) string { return access + key }
	l.report(inAccess, website.CheckRules(rules,
		func(key string) bool { return given(inAccess(key)) },
		func(key string) bool { return l.IsEmptyList(inAccess(key)) }))
}

// report records what was found about keys, which path completes.
func (l loader) report(path func(key string) string, found []website.Finding) {
	for _, f := range found {
		if f.Warning {
			l.Warn(path(f.Key), f.Text, f.Cure)
		} else {
			l.Fault(path(f.Key), f.Text, f.Cure)
		}
	}
}

// checkSignIn checks that there are sign-ins to tell a website of: those of an identity
// host of this configuration.
func (l loader) checkSignIn(c *Config, d Domain, i int, hosts map[string]Host) {
	var keys []string
	if d.IdentityHeaders.On {
		keys = append(keys, domainPath(i, "identity_headers"))
	}
	if l.Given(domainPath(i, "access")) {
		keys = append(keys, domainPath(i, "access"))
	}
	authority, _, hasPort := strings.Cut(d.Authority, ":")
	_, served := hosts[authority]
	for n, key := range keys {
		switch {
		case d.Disabled:
			l.Fault(key, "contradicts "+l.Name(domainPath(i, "disabled")), "keep one of them")
		case d.Directory == "" && d.Authority == "":
			l.Fault(key, "needs an identity host", "name in authority the one whose people the website is for, or give the domain a directory")
		case d.Authority != "" && (hasPort || !served):
			l.Fault(key, fmt.Sprintf("needs to know who is signed in at %s, which is not served here", kind.Quote(d.Authority)), "name an identity host of this configuration in authority")
		case d.Authority == "" && n == 0:
			l.Warn(key, "is for a website that shares its origin with sign-in: a script of one of its pages can act as the person who is signed in",
				"give sign-in a host of its own, as in authority: id."+d.Name)
		}
	}
	if len(keys) == 0 || c.TLS.Mode == ModeACME { // which has no addresses at all
		return
	}
	l.Each(domainPath(i, "hosts"), func(host, path string) {
		if _, err := netip.ParseAddr(host); err == nil {
			l.Fault(path, fmt.Sprintf("%s is an IP address, where no one is signed in", kind.Quote(host)), "write a host name, or remove it where the entry has identity_headers or access")
		}
	})
}

// checkForwardAuth checks the entries of forward_auth, each by itself and against the hosts that are served here.
func (l loader) checkForwardAuth(c *Config, hosts map[string]Host) {
	first := map[string]string{}
	for i := range c.ForwardAuth {
		entry, path := &c.ForwardAuth[i], fmt.Sprintf("forward_auth[%d]", i)
		if !l.IsMapping(path) { // which is a fault already
			continue
		}
		at := func(key string) string { return strict.Join(path, key) }
		l.checkTold(at, &entry.IdentityHeaders, entry.Access)
		host := entry.Name()
		served, isServed := hosts[host]
		other, taken := first[host]
		switch {
		case !l.Given(at("host")):
			l.Missing(at("host"), "write the name of the website that another server serves, as in wiki.example.com")
		case host == "": // which is a fault already
		case isServed:
			l.Fault(at("host"), fmt.Sprintf("%s is served here, in the entry of %s", kind.Quote(host), served.Domain), "write identity_headers and access in that entry, or remove the host from it")
		case taken:
			l.Fault(at("host"), fmt.Sprintf("%s has an entry already, %s", kind.Quote(host), l.Called(other)), "write one entry for each host, with all of its proxies")
		default:
			first[host] = at("host")
		}
		switch authority, known := hosts[entry.Authority]; {
		case !l.Given(at("authority")):
			l.Missing(at("authority"), "name the identity host whose people the website is for")
		case entry.Authority != "" && (!known || authority.Role != RoleIdentity):
			cure := "give a domain a directory first"
			if names := identityHosts(hosts); len(names) > 0 {
				cure = "name " + kind.Alternatives(names)
			}
			l.Fault(at("authority"), fmt.Sprintf("%s is no identity host of this configuration", kind.Quote(entry.Authority)), cure)
		}
		switch proxies := at("proxies"); {
		case !l.Given(proxies):
			l.Missing(proxies, "list the addresses of the server in front of the website, as in [10.0.0.5]: no other may ask")
		case l.IsEmptyList(proxies):
			l.Fault(proxies, "is an empty list, so no server may ask", "list the addresses of the server in front of the website, as in [10.0.0.5]")
		}
		switch {
		case l.Given(at("groups")) && l.Given(at("access")):
			l.Fault(at("groups"), "is given together with access", "keep one of them")
		case l.IsEmptyList(at("groups")):
			l.Fault(at("groups"), "is an empty list", "name a group, as in [staff], or remove the key to let in everyone who is signed in")
		}
	}
}

// identityHosts lists the names of the identity hosts.
func identityHosts(hosts map[string]Host) []string {
	return slices.DeleteFunc(sortedKeys(hosts), func(name string) bool { return hosts[name].Role != RoleIdentity })
}

// Wants is what websites and apps that go by the sign-ins of a directory have to know of people, beside who they are. To read
// it costs searches.
type Wants struct {
	Groups bool // they are told the groups, or are closed to others than members of one
	Logins bool // they are told the login
}

// Wants returns what is wanted of a directory for websites and apps, where hosts are those of the configuration.
func (c *Config) Wants(hosts []Host, directory string) Wants {
	var w Wants
	asked := func(signIn string) bool {
		return slices.ContainsFunc(hosts, func(h Host) bool { return h.Name == signIn && h.Directory == directory })
	}
	add := func(signIn string, told website.Headers, rules []website.Rule) {
		if !asked(signIn) {
			return
		}
		assertion := told.On && told.Names.Assertion != ""
		w.Groups = w.Groups || assertion || told.On && told.Names.Groups != "" ||
			slices.ContainsFunc(rules, func(r website.Rule) bool { return len(r.Groups) > 0 })
		w.Logins = w.Logins || assertion || told.On && told.Names.User != "" && told.User == "login"
	}
	for _, host := range hosts {
		add(host.SignIn, host.Entry.IdentityHeaders, host.Entry.Access)
	}
	for _, n := range c.ForwardAuth {
		add(n.Authority, n.IdentityHeaders, n.Rules())
	}
	for i := range c.Apps {
		if app := &c.Apps[i]; asked(app.Authority) {
			w.Groups, w.Logins = w.Groups || len(app.Groups) > 0 || app.AsksFor("groups"), w.Logins || app.AsksFor("profile")
		}
	}
	return w
}
