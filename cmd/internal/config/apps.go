package config

import (
	"fmt"

	"persona-sidecar/cmd/internal/config/kind"
	"persona-sidecar/cmd/internal/config/strict"
)

// checkApps checks the entries of apps, each by itself, against the identity hosts, and against each other.
func (l loader) checkApps(c *Config, hosts map[string]Host) {
	authorities := identityHosts(hosts)
	first := map[[2]string]string{} // path by authority and id
	for i := range c.Apps {
		app, path := &c.Apps[i], fmt.Sprintf("apps[%d]", i)
		at := func(key string) string { return strict.Join(path, key) }
		if !l.IsMapping(path) || l.Given(at("launch_only")) { // which is a fault already
			continue
		}
		l.report(at, app.Check(
			func(key string) bool { return l.Given(at(key)) },
			func(key string) bool { return l.IsEmptyList(at(key)) }))
		switch host, known := hosts[app.Authority]; {
		case !l.Given(at("authority")) && len(authorities) == 1:
			app.Authority = authorities[0]
		case !l.Given(at("authority")) && len(authorities) == 0:
			l.Fault(path, "needs an identity host, where people sign in", "give a domain a directory first")
		case !l.Given(at("authority")):
			l.Missing(at("authority"), "name the identity host whose people may use the app: "+kind.Alternatives(authorities))
		case app.Authority != "" && (!known || host.Role != RoleIdentity):
			cure := "give a domain a directory first"
			if len(authorities) > 0 {
				cure = "name " + kind.Alternatives(authorities)
			}
			l.Fault(at("authority"), fmt.Sprintf("%s is no identity host of this configuration", kind.Quote(app.Authority)), cure)
		}
		host := hosts[app.Authority]
		if host.Role != RoleIdentity {
			continue
		}
		switch shared := at("allow_shared_origin"); {
		case host.Upstream != nil && !app.AllowSharedOrigin:
			l.Fault(path, fmt.Sprintf("is for %s, which shares its origin with a website: its scripts could read the codes of the app", host.Name),
				fmt.Sprintf("give sign-in a host of its own, as in authority: id.%s; or write %s", host.Name, l.Setting(shared, "true")))
		case host.Upstream != nil:
			l.Warn(shared, fmt.Sprintf("lets scripts of the website on %s sign in to the app as the person who is signed in", host.Name),
				"give sign-in a host of its own, as in authority: id."+host.Name)
		}
		key := [2]string{app.Authority, app.ID}
		if other, taken := first[key]; taken && app.ID != "" {
			l.Fault(at("id"), fmt.Sprintf("%s is the id of %s too", kind.Quote(app.ID), l.Called(other)), "give each app of an identity host its own id")
		}
		first[key] = at("id")
	}
}
