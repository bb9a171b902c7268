package check

import (
	"context"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/visitor"
	"persona-sidecar/ldapauth"
)

// directory is what is found out of one directory.
type directory struct {
	*Checker
	name string
	from config.Directory

	settings  ldapauth.Config // as the program has them
	answering bool
	// sample is what some people look like, once some have been found.
	sample ldapauth.Sample
}

// directory is one of the configuration's.
func (c *Checker) directory(name string) (*directory, error) {
	settings, err := c.Env.Directory(c.Config, c.hosts, name)
	settings.Now, settings.Log = c.Now, c.Log
	return &directory{Checker: c, name: name, from: c.Config.Directories[name], settings: settings}, err
}

// Directories plans the steps for the directories of these names, for all without any.
func (c *Checker) Directories(names ...string) []report.Group {
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(c.Config.Directories))
	}
	var groups []report.Group
	for _, name := range names {
		groups = append(groups, c.directoryGroup(name))
	}
	return groups
}

// directoryGroup checks one directory: each of its servers by itself, because one
// that is down hides behind one that answers.
func (c *Checker) directoryGroup(name string) report.Group {
	d, err := c.directory(name)
	group := report.Group{Subject: "directory " + name}
	if err != nil {
		group.Steps = []report.Step{{Name: "preset", Run: func(context.Context) report.Finding { return report.Error("", err, correctSection) }}}
		return group
	}
	for _, server := range d.from.URLs {
		reached := false
		group.Steps = append(group.Steps,
			report.Step{Name: "reach", Run: func(ctx context.Context) report.Finding {
				finding := d.reachServer(ctx, server)
				reached = finding.Status == report.OK
				return finding
			}},
			report.Step{Name: "bind and base", Run: func(ctx context.Context) report.Finding {
				if !reached {
					return report.Skip("%s does not answer", server)
				}
				finding := d.bindToServer(ctx, server)
				d.answering = d.answering || finding.Status == report.OK
				return finding
			}})
	}
	group.Steps = append(group.Steps, d.peopleSteps()...)
	return group
}

func (d *directory) reachServer(ctx context.Context, server string) report.Finding {
	u, err := url.Parse(server)
	if err != nil {
		return report.Fail("correct urls", "%v", err)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme]
	}
	connection, err := d.dialer.Connect(ctx, net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		fault := visitor.Explain(err, u.Hostname())
		hint := "is the directory running, and is urls right?"
		switch fault.Kind {
		case visitor.NoName:
			hint = "correct the host name in urls"
		case visitor.NoDNS:
			hint = fault.Hint()
		case visitor.Unreached:
			hint = "is the host in urls right, and does a firewall keep this machine from its port " + port + "?"
		}
		return report.Fail(hint, "%s: %v", server, fault)
	}
	_ = connection.Close() // nothing was said
	return report.Pass("%s", server)
}

// open is the directory as the program opens it, on some of its servers.
func (d *directory) open(servers []string) (*ldapauth.Directory, error) {
	settings := d.settings
	settings.URLs = servers
	return ldapauth.New(settings)
}

const (
	correctSection = "correct the directory's section of the configuration"
	lookAtItsLog   = "look at the directory's own log"
)

func (d *directory) bindToServer(ctx context.Context, server string) report.Finding {
	opened, err := d.open([]string{server})
	if err != nil {
		return report.Error("", err, correctSection)
	}
	defer func() { _ = opened.Close() }()
	if err := opened.Ping(ctx); err != nil {
		return report.Error("", err, lookAtItsLog)
	}
	return report.Pass("as %s; %s can be read", d.account(), d.bases())
}

// bases are where it is searched.
func (d *directory) bases() string {
	if slices.Contains(d.from.BaseDNs, "") {
		return "all of the server"
	}
	return strings.Join(d.from.BaseDNs, " and ")
}

// account is who searches.
func (d *directory) account() string {
	if d.from.BindDN == "" {
		return "an anonymous client"
	}
	return d.from.BindDN
}
