package check

import (
	"context"
	"maps"
	"net"
	"net/netip"
	"slices"

	"persona-sidecar/cmd/internal/check/directory"
	"persona-sidecar/cmd/internal/check/network"
	"persona-sidecar/cmd/internal/check/report"
	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/idp/browserid"
)

// inDirectory plans steps for one of the configuration's directories.
func (c *Checker) inDirectory(name string, plan func(*directory.Directory) report.Group) report.Group {
	settings, err := c.Directory(c.Config, c.hosts, name)
	if err != nil {
		return report.Group{Subject: "directory " + name, Steps: []report.Step{{Name: "settings", Run: func(context.Context) report.Finding {
			return report.Error("", err, "correct the directory's section of the configuration")
		}}}}
	}
	settings.Now, settings.Log, settings.Resolver = c.Now, c.Log, lookups{c.Resolver}
	return plan(&directory.Directory{Name: name, Section: c.Config.Directories[name], Settings: settings})
}

// lookups are those of the program, with the words of this machine's resolver.
type lookups struct{ network.Resolver }

func (l lookups) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	return l.Addresses(ctx, host)
}

func (lookups) LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error) {
	return net.DefaultResolver.LookupSRV(ctx, service, proto, name)
}

// Directories plans the steps for the directories of these names, for all without any.
func (c *Checker) Directories(names ...string) []report.Group {
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(c.Config.Directories))
	}
	var groups []report.Group
	for _, name := range names {
		groups = append(groups, c.inDirectory(name, (*directory.Directory).Group))
	}
	return groups
}

// DirectoriesOf are the directories in which a name may be: the one that signs for the mail domain of an address,
// else all.
func (c *Checker) DirectoriesOf(login string) []string {
	if address, err := browserid.ParseAddress(login); err == nil {
		for _, host := range c.hosts {
			if host.Role == config.RoleIdentity && slices.Contains(host.MailDomains, address.Domain()) {
				return []string{host.Directory}
			}
		}
	}
	return slices.Sorted(maps.Keys(c.Config.Directories))
}

// WhoIs asks a directory for a name that people type: [directory.Directory.WhoIs].
func (c *Checker) WhoIs(ctx context.Context, name, login string) []report.Group {
	return []report.Group{c.inDirectory(name, func(d *directory.Directory) report.Group { return d.WhoIs(ctx, login) })}
}
