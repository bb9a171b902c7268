package config

import (
	"fmt"
	"net/netip"
	"strings"

	"persona-sidecar/cmd/internal/config/kind"
	"persona-sidecar/cmd/internal/config/strict"
	"persona-sidecar/cmd/internal/config/website"
)

// checkWebsite checks what the website of an entry is told and who may see it, and
// completes that from the preset.
func (l loader) checkWebsite(d *Domain, i int) {
	headers, access := domainPath(i, "identity_headers"), domainPath(i, "access")
	if d.IdentityHeaders.On && !l.Given(domainPath(i, "upstream")) {
		l.Fault(headers, "needs an upstream", "say with "+l.Setting(domainPath(i, "upstream"), "http://…")+" where the website is, or remove the key")
	}
	given := func(path string) bool { return l.Given(path) && (!strings.HasSuffix(path, "]") || l.IsMapping(path)) }
	inHeaders := func(key string) string { return strict.Join(headers, key) }
	l.report(inHeaders, d.IdentityHeaders.Complete(func(key string) bool { return given(inHeaders(key)) }))
	if l.IsEmptyList(inHeaders("send_groups")) {
		l.Fault(inHeaders("send_groups"), "is an empty list", `remove it to send all groups, or write names: {groups: ""} to send none`)
	}
	if l.IsEmptyList(access) {
		l.Fault(access, "is an empty list", "write a rule, or remove the key")
	}
	inAccess := func(key string) string { return access + key }
	l.report(inAccess, website.CheckRules(d.Access,
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
